/*
 * UTF-8, one sequence at a time. The second byte carries all of the restrictions: its range depends on the first byte (RFC 3629,
 * section 4), every later byte is 80..BF.
 */
#include "proto/utf8.h"

#include <string.h>

static bool is_tail(uint8_t byte)
{
	return (byte & 0xc0) == 0x80;
}

size_t utf8_length(const uint8_t *p, const uint8_t *end)
{
	size_t left = (size_t)(end - p);
	uint8_t low = 0x80, high = 0xbf;

	if (left < 2 || p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	if (p[0] < 0xe0)
		return is_tail(p[1]) ? 2 : 0;

	switch (p[0]) {
	case 0xe0: low = 0xa0; break;		/* below: overlong */
	case 0xed: high = 0x9f; break;		/* above: surrogates */
	case 0xf0: low = 0x90; break;		/* below: overlong */
	case 0xf4: high = 0x8f; break;		/* above: past U+10FFFF */
	}
	if (p[1] < low || p[1] > high || left < 3 || !is_tail(p[2]))
		return 0;
	if (p[0] < 0xf0)
		return 3;
	return left >= 4 && is_tail(p[3]) ? 4 : 0;
}

/* ASCII is passed over eight bytes at a time. */
bool utf8_text(const void *bytes, size_t len)
{
	const uint8_t *p = bytes, *end;

	if (len == 0)
		return true;
	for (end = p + len; p < end; ) {
		uint64_t word;
		size_t n;

		if (end - p >= 8 && (memcpy(&word, p, 8), (word & 0x8080808080808080u) == 0)) {
			p += 8;
			continue;
		}
		n = *p < 0x80 ? 1 : utf8_length(p, end);
		if (n == 0)
			return false;
		p += n;
	}
	return true;
}

size_t utf8_put(uint8_t dst[4], uint32_t c)
{
	if (c < 0x80) {
		dst[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		dst[0] = (uint8_t)(0xc0 | c >> 6);
		dst[1] = (uint8_t)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		dst[0] = (uint8_t)(0xe0 | c >> 12);
		dst[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		dst[2] = (uint8_t)(0x80 | (c & 0x3f));
		return 3;
	}
	dst[0] = (uint8_t)(0xf0 | c >> 18);
	dst[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
	dst[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	dst[3] = (uint8_t)(0x80 | (c & 0x3f));
	return 4;
}
