/*
 * Patterns of topics. See wildcard.h.
 */
#include "proto/wildcard.h"

#include <string.h>

/* A part of a name, and whether there is another one behind it. */
struct part {
	const char *p;
	size_t len;
	bool more;
};

/* Takes the next part off the rest of the name. */
static struct part next_part(const char **rest, const char *end)
{
	const char *dot = memchr(*rest, '.', (size_t)(end - *rest));
	struct part part = { .p = *rest, .len = (size_t)((dot ? dot : end) - *rest), .more = dot != NULL };

	*rest = dot ? dot + 1 : end;
	return part;
}

static bool is_word(const struct part *part, char word)
{
	return part->len == 1 && *part->p == word;
}

/* Most names have neither character, and are done with by that. */
static bool may_have(const char *name, size_t len)
{
	return memchr(name, '*', len) || memchr(name, '>', len);
}

bool wildcard_in(const char *name, size_t len)
{
	const char *end = name + len;
	struct part part = { .more = may_have(name, len) };

	while (part.more) {
		part = next_part(&name, end);
		if (is_word(&part, '*') || is_word(&part, '>'))
			return true;
	}
	return false;
}

/* NULL, and *shape of a name that has wildcards; or why it is no pattern. */
static const char *read_shape(const char *name, size_t len, struct wildcard *shape)
{
	const char *end = name + len;
	struct part part = { .more = true };

	*shape = (struct wildcard){ 0 };
	while (part.more) {
		part = next_part(&name, end);
		if (is_word(&part, '>')) {
			shape->tail = true;
			return part.more ? "a > is not the last part of the topic" : NULL;
		}
		if (shape->parts == WILDCARD_PARTS_MAX)
			return "a pattern has more than 32 parts between dots";
		shape->stars |= (uint32_t)is_word(&part, '*') << shape->parts++;
	}
	return NULL;
}

const char *wildcard_error(const char *name, size_t len)
{
	struct wildcard shape;

	return wildcard_in(name, len) ? read_shape(name, len, &shape) : NULL;
}

bool wildcard_read(const char *name, size_t len, struct wildcard *shape)
{
	return wildcard_in(name, len) && read_shape(name, len, shape) == NULL;
}

void wildcard_divide(const char *name, size_t len, struct wildcard_topic *topic)
{
	const char *rest = name, *end = name + len;
	struct part part = { .more = true };

	*topic = (struct wildcard_topic){ .name = name, .len = len };
	for (; part.more; topic->parts++) {
		if (topic->parts <= WILDCARD_PARTS_MAX)
			topic->at[topic->parts] = (uint16_t)(rest - name);
		part = next_part(&rest, end);
	}
}

size_t wildcard_write(const struct wildcard *shape, const struct wildcard_topic *topic, char *dst, size_t room)
{
	size_t used = 0;

	if (!wildcard_fits(shape, topic))
		return 0;
	for (unsigned i = 0; i < shape->parts; i++) {
		bool star = shape->stars >> i & 1, dot = shape->tail || i + 1 < shape->parts;
		size_t len;
		const char *part = wildcard_part(topic, i, &len);

		if (star)
			len = 1;
		if (used + len + dot > room)
			return 0;
		memcpy(dst + used, star ? "*" : part, len);
		used += len;
		if (dot)
			dst[used++] = '.';
	}
	if (!shape->tail)
		return used;
	if (used == room)
		return 0;
	dst[used++] = '>';
	return used;
}
