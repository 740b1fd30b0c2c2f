/*
 * UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing past U+10FFFF.
 */
#ifndef PROTO_UTF8_H
#define PROTO_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The length, 2 to 4, of the sequence that starts at p with a byte of 0x80 or more; 0 if it is not UTF-8 or does not end before `end`. */
size_t utf8_length(const uint8_t *p, const uint8_t *end);

/* Whether all of it is UTF-8. An empty text is. */
bool utf8_text(const void *bytes, size_t len);

/* Writes code point `c` (at most 0x10FFFF) to dst and returns its length, 1 to 4. */
size_t utf8_put(uint8_t dst[4], uint32_t c);

#endif
