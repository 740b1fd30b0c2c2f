/*
 * base64url, strictly.
 */
#include "proto/base64url.h"

#include <stdint.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* What a character is worth, plus 1; 0: it is none of them. */
static const uint8_t worth[256] = {
	['A'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
	['a'] = 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52,
	['0'] = 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, ['-'] = 63, ['_'] = 64,
};

ssize_t base64url_read(void *dst, size_t room, const char *text, size_t len)
{
	uint8_t *out = dst;
	uint32_t bits = 0;		/* those at the bottom that are no byte yet count */
	unsigned count = 0;

	if (len % 4 == 1 || BASE64URL_BYTES(len) > room)
		return -1;
	for (size_t i = 0; i < len; i++) {
		unsigned w = worth[(uint8_t)text[i]];

		if (!w)
			return -1;
		bits = bits << 6 | (w - 1);
		count += 6;
		if (count >= 8) {
			count -= 8;
			*out++ = (uint8_t)(bits >> count);
		}
	}
	if (bits & ((1u << count) - 1))
		return -1;
	return out - (uint8_t *)dst;
}

size_t base64url_write(char *dst, const void *bytes, size_t len)
{
	const uint8_t *in = bytes;
	char *out = dst;
	uint32_t bits = 0;
	unsigned count = 0;

	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | in[i];
		for (count += 8; count >= 6; count -= 6)
			*out++ = digits[bits >> (count - 6) & 63];
	}
	if (count)
		*out++ = digits[bits << (6 - count) & 63];
	return (size_t)(out - dst);
}
