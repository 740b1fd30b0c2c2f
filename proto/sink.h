/*
 * Where an encoder puts its bytes: a buffer of known room, or, with no buffer, a count only. The same code therefore tells how long
 * something is and writes it. What does not fit is counted and not written, so that an encoder may be run over bytes which are
 * being overwritten meanwhile (a record of the ring, before ring_holds() is asked): it never leaves the buffer.
 */
#ifndef PROTO_SINK_H
#define PROTO_SINK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct sink {
	char *dst;
	size_t room;	/* 0 counts only */
	size_t len;	/* of all that was put; more than room: cut */
};

/* Where the next len bytes, which are now put, are to be written: len > 0. NULL: they are only counted. */
static inline char *sink_place(struct sink *s, size_t len)
{
	char *place = NULL;

	if (s->len <= s->room && len <= s->room - s->len)
		place = s->dst + s->len;
	else
		s->room = 0;	/* nothing behind a gap */
	s->len += len;
	return place;
}

static inline void sink_bytes(struct sink *s, const void *bytes, size_t len)
{
	char *place = len > 0 ? sink_place(s, len) : NULL;

	if (place != NULL)
		memcpy(place, bytes, len);
}

static inline void sink_byte(struct sink *s, char byte)
{
	sink_bytes(s, &byte, 1);
}

#define sink_literal(s, text) sink_bytes(s, text, sizeof(text) - 1)

/* The length, or 0 if it did not fit into the room that there was. */
static inline size_t sink_end(const struct sink *s)
{
	return s->room ? s->len : 0;
}

void sink_text(struct sink *s, const char *text);			/* a terminated string */
void sink_number(struct sink *s, uint64_t n);				/* decimal */
void sink_hex(struct sink *s, uint64_t n);				/* lowercase */
void sink_digits(struct sink *s, unsigned n, unsigned count);		/* decimal, exactly `count` digits */
void sink_base64(struct sink *s, const void *bytes, size_t len);	/* RFC 4648, with padding */
void sink_json(struct sink *s, const char *text, size_t len);		/* as it stands inside a JSON string; what is not UTF-8 is "?" */
void sink_html(struct sink *s, const char *text, size_t len);		/* & < > " ' as entities */

/* The bytes with CR and LF made spaces: of a checked JSON text these stand outside strings, where they mean nothing. */
void sink_one_line(struct sink *s, const char *text, size_t len);

#endif
