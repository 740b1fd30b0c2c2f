/*
 * JSON text that was found good before (json.h), walked without tokens: nothing is allocated, and a value costs one pass over its bytes. So are the
 * records of the ring read, by everyone who sends one, and the elements of an array.
 *
 * Such text may be in the ring, where a publisher may be overwriting it: whatever the bytes are, or become while they are read, these functions stay
 * before `end`.
 */
#ifndef PROTO_JSON_WALK_H
#define PROTO_JSON_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline const char *json_skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
		p++;
	return p;
}

/* Behind the string at p (its quote), or NULL: it has no end. */
const char *json_skip_string(const char *p, const char *end);

/* Behind the value at p, p < end; NULL: a string, an object or an array has no end. */
const char *json_skip_value(const char *p, const char *end);

/* What the escape at p (a backslash) stands for, in UTF-8: up to 4 bytes. Returns their number, and how long the escape is in *taken: two of \uXXXX
 * are one escape where they are a surrogate pair. 0: it is none. */
size_t json_escape(const char *p, const char *end, char out[4], size_t *taken);

/* The number that the four hex digits at p stand for; -1: there are none. */
int json_hex4(const char *p, const char *end);

#endif
