/*
 * A walk over JSON text that was checked when it came in (json.h): from value to value, and from escape to escape.
 *
 * Why not by jsmn's tokens? This is for whoever passes messages on. A walk needs no room for tokens, whose number a publisher chooses, and
 * goes over a string by memchr(): 100 kB of data in a few microseconds, where jsmn takes a hundred. And the
 * text may lie in the ring, where a publisher may be overwriting it: whatever the bytes are, or become while they are read, these functions
 * stay in front of `end`. What they find then is thrown away when ring_holds() says no.
 */
#ifndef PROTO_JSON_WALK_H
#define PROTO_JSON_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "proto/sink.h"

/* Behind the white space at p. */
const char *json_walk_space(const char *p, const char *end);

/* Behind the string, number or word at p; or behind the value at p, whatever it is. NULL: a string or a value does not end before `end`. p itself:
 * there is nothing of the kind. p < end. */
const char *json_walk_scalar(const char *p, const char *end);
const char *json_walk_value(const char *p, const char *end);

/* What the escape at p (a backslash) stands for: up to 4 bytes of UTF-8. Returns their number and sets *taken; 0: broken. */
size_t json_escape(const char *p, const char *end, char out[4], size_t *taken);

/* The code unit of the four hex digits at p, -1: there are none. */
int json_code_unit(const char *p, const char *end);

/* Puts what a string (with quotes) stands for, through `put` piece by piece, up to an escape that is broken. */
void json_put_string(struct sink *s, const char *string, size_t len, void (*put)(struct sink *s, const void *bytes, size_t len));

bool json_string_is_slow(const char *string, size_t len, const char *want);

/* Whether the string (with quotes) stands for `want`: less than 32 letters and digits. Escapes are seldom: each makes a letter 5 bytes
 * longer. */
static inline bool json_string_is(const char *string, size_t len, const char *want)
{
	size_t plain = strlen(want) + 2;

	if (len == plain)
		return memcmp(string + 1, want, plain - 2) == 0;
	return len > plain && (len - plain) % 5 == 0 && json_string_is_slow(string, len, want);
}

#endif
