/*
 * ASCII is passed over eight bytes at a time.
 */
#include "proto/utf8_text.h"

#include <string.h>

#include "proto/utf8.h"

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
