/*
 * Patterns of topics, which subscriptions may name in place of a topic.
 *
 *   news.*.uk   `*` is any one part between dots       news.>   `>`, as the last part, is one or more parts: news.uk, news.uk.sport, not news
 *
 * A name is divided into its parts by every dot, so a part may be empty: a..b has three. `*` and `>` mean this only where they are a whole part; in
 * a*b, >> or a.b* they are characters like others.
 *
 * All patterns that differ in nothing but their words have one shape: which parts are `*`, how many parts there are, and whether `>` follows. Of one shape,
 * exactly one pattern fits a topic, and wildcard_write() writes it. So who looks for the patterns that fit a topic asks once a shape, however many
 * patterns there are.
 */
#ifndef PROTO_WILDCARD_H
#define PROTO_WILDCARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WILDCARD_PARTS_MAX 32		/* of a pattern, a `>` not counted; topics may have more */

struct wildcard {
	uint32_t stars;			/* bit n: part n is `*` */
	uint8_t parts;			/* without the `>` */
	bool tail;			/* `>` follows */
};

static inline bool wildcard_same(const struct wildcard *a, const struct wildcard *b)
{
	return a->stars == b->stars && a->parts == b->parts && a->tail == b->tail;
}

/* Whether a part of the name is `*` or `>`: then it names no topic. */
bool wildcard_in(const char *name, size_t len);

/* NULL: it is a topic, or a pattern; else why it is none, a static sentence fit for the peer. */
const char *wildcard_error(const char *name, size_t len);

/* Whether it is a pattern; then *shape is its shape. */
bool wildcard_read(const char *name, size_t len, struct wildcard *shape);

/* A topic, divided into parts: as many of them as a pattern can ask for. */
struct wildcard_topic {
	const char *name;
	size_t len;
	unsigned parts;			/* all of them */
	uint16_t at[WILDCARD_PARTS_MAX + 1];	/* where each of the first ones begins */
};

void wildcard_divide(const char *name, size_t len, struct wildcard_topic *topic);

/* One of its first WILDCARD_PARTS_MAX parts, of *len bytes. */
static inline const char *wildcard_part(const struct wildcard_topic *topic, unsigned part, size_t *len)
{
	*len = (part + 1 < topic->parts ? topic->at[part + 1] - 1u : topic->len) - topic->at[part];
	return topic->name + topic->at[part];
}

/* Whether the number of its parts is one that patterns of this shape fit. */
static inline bool wildcard_fits(const struct wildcard *shape, const struct wildcard_topic *topic)
{
	return shape->tail ? topic->parts > shape->parts : topic->parts == shape->parts;
}

/* Writes the pattern of this shape that fits the topic to dst[0..room). Its length; 0: no pattern of this shape fits it, or it is longer. */
size_t wildcard_write(const struct wildcard *shape, const struct wildcard_topic *topic, char *dst, size_t room);

#endif
