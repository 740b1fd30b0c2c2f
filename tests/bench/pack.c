#include "tests/bench/pack.h"

#include <string.h>

enum { FIXMAP = 0x80, FIXARRAY = 0x90, FIXSTR = 0xa0, FALSE = 0xc2, TRUE = 0xc3, UINT8 = 0xcc, UINT64 = 0xcf, STR8 = 0xd9, STR32 = 0xdb, ARRAY16 = 0xdc, MAP16 = 0xde,
	MAP32 = 0xdf };

static size_t put(char *dst, size_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		dst[i] = (char)(v >> 8 * (bytes - 1 - i));
	return bytes;
}

size_t pack_head(char *dst, size_t len)
{
	return put(dst, len, PACK_HEAD);
}

size_t pack_map(char *dst, unsigned members)
{
	*dst = (char)(FIXMAP | members);
	return 1;
}

size_t pack_array(char *dst, unsigned values)
{
	*dst = (char)(values < 16 ? FIXARRAY | values : ARRAY16);
	return values < 16 ? 1 : 1 + put(dst + 1, values, 2);
}

size_t pack_text_head(char *dst, size_t len)
{
	unsigned step = len < 256 ? 0 : len < 65536 ? 1 : 2;

	if (len < 32) {
		*dst = (char)(FIXSTR | len);
		return 1;
	}
	*dst = (char)(STR8 + step);
	return 1 + put(dst + 1, len, 1u << step);
}

size_t pack_text(char *dst, const char *text)
{
	size_t len = strlen(text), n = pack_text_head(dst, len);

	memcpy(dst + n, text, len);
	return n + len;
}

static int get(const char **at, const char *end, unsigned bytes, uint64_t *v)
{
	if ((size_t)(end - *at) < bytes)
		return -1;
	for (*v = 0; bytes--; ++*at)
		*v = *v << 8 | (unsigned char)**at;
	return 0;
}

size_t pack_cut(const char *bytes, size_t n)
{
	const char *at = bytes;
	uint64_t len;

	return !get(&at, bytes + n, PACK_HEAD, &len) && PACK_HEAD + len <= n ? PACK_HEAD + (size_t)len : 0;
}

/* The value's first byte; one that no reader takes if there is none. */
static unsigned take(const char **at, const char *end)
{
	return *at < end ? (unsigned char)*(*at)++ : 0xc1;
}

int pack_take_map(const char **at, const char *end, uint64_t *members)
{
	unsigned first = take(at, end);

	*members = first & 0xf;
	if ((first & 0xf0) == FIXMAP)
		return 0;
	return first == MAP16 || first == MAP32 ? get(at, end, first == MAP16 ? 2 : 4, members) : -1;
}

int pack_take_array(const char **at, const char *end, uint64_t *values)
{
	unsigned first = take(at, end);

	*values = first & 0xf;
	if ((first & 0xf0) == FIXARRAY)
		return 0;
	return first == ARRAY16 ? get(at, end, 2, values) : -1;
}

int pack_take_text(const char **at, const char *end, const char **text, size_t *len)
{
	unsigned first = take(at, end);
	uint64_t n = first & 0x1f;

	if ((first & 0xe0) != FIXSTR && (first < STR8 || first > STR32 || get(at, end, 1u << (first - STR8), &n)))
		return -1;
	if ((uint64_t)(end - *at) < n)
		return -1;
	*text = *at;
	*len = (size_t)n;
	*at += n;
	return 0;
}

int pack_take_word(const char **at, const char *end, const char *word)
{
	const char *text;
	size_t len;

	return !pack_take_text(at, end, &text, &len) && len == strlen(word) && !memcmp(text, word, len) ? 0 : -1;
}

int pack_take_number(const char **at, const char *end, uint64_t *v)
{
	unsigned first = take(at, end);

	*v = first;
	if (first < 0x80)
		return 0;
	return first >= UINT8 && first <= UINT64 ? get(at, end, 1u << (first - UINT8), v) : -1;
}

int pack_take_true(const char **at, const char *end)
{
	return take(at, end) == TRUE ? 0 : -1;
}

int pack_take_bool(const char **at, const char *end, bool *v)
{
	unsigned first = take(at, end);

	*v = first == TRUE;
	return *v || first == FALSE ? 0 : -1;
}
