/*
 * Quotes, backslashes and brackets are looked for, the rest is passed over. Every step is bounded by the end of the text, never by what a byte
 * said a moment ago.
 */
#include "proto/json_walk.h"

#include "proto/hex.h"
#include "proto/utf8.h"

/* Bytes that are no part of a number or word. */
enum { SEPARATES = 1, NESTS = 2 };
static const uint8_t kinds[256] = {
	[','] = SEPARATES, [':'] = SEPARATES, [' '] = SEPARATES, ['\n'] = SEPARATES, ['\t'] = SEPARATES, ['\r'] = SEPARATES,
	['"'] = NESTS, ['['] = NESTS, [']'] = NESTS, ['{'] = NESTS, ['}'] = NESTS,
};

const char *json_walk_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
		p++;
	return p;
}

/* Behind the string at p, or NULL. */
static const char *walk_string(const char *p, const char *end)
{
	const char *first = p + 1, *quote;

	for (p = first; (quote = memchr(p, '"', (size_t)(end - p))) != NULL; p = quote + 1) {
		const char *slash = quote;

		while (slash > first && slash[-1] == '\\')
			slash--;
		if (((quote - slash) & 1) == 0)
			return quote + 1;
	}
	return NULL;
}

const char *json_walk_scalar(const char *p, const char *end)
{
	if (*p == '"')
		return walk_string(p, end);
	while (p < end && kinds[(uint8_t)*p] == 0)
		p++;
	return p;
}

/* Behind the array or object at p, or NULL. */
static const char *walk_nested(const char *p, const char *end)
{
	size_t depth = 0;

	for (;;) {
		while (p < end && kinds[(uint8_t)*p] != NESTS)
			p++;
		if (p == end)
			return NULL;
		switch (*p) {
		case '"':
			p = walk_string(p, end);
			if (p == NULL)
				return NULL;
			continue;
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			if (depth <= 1)
				return p + 1;
			depth--;
			break;
		}
		p++;
	}
}

const char *json_walk_value(const char *p, const char *end)
{
	return *p == '{' || *p == '[' ? walk_nested(p, end) : json_walk_scalar(p, end);
}

int json_code_unit(const char *p, const char *end)
{
	int unit = 0;

	if (end - p < 4)
		return -1;
	for (unsigned i = 0; i < 4; i++) {
		int digit = hex_digit(p[i]);

		if (digit < 0)
			return -1;
		unit = unit << 4 | digit;
	}
	return unit;
}

/* \uXXXX, and a second one when the first is the first half of a surrogate pair. */
static size_t unicode(const char *p, const char *end, char out[4], size_t *taken)
{
	int first = json_code_unit(p + 2, end), second;

	*taken = 6;
	if (first < 0 || (first >= 0xdc00 && first <= 0xdfff))
		return 0;
	if (first < 0xd800 || first > 0xdfff)
		return utf8_put((uint8_t *)out, (uint32_t)first);
	if (end - p < 12 || p[6] != '\\' || p[7] != 'u')
		return 0;
	second = json_code_unit(p + 8, end);
	if (second < 0xdc00 || second > 0xdfff)
		return 0;
	*taken = 12;
	return utf8_put((uint8_t *)out, 0x10000 + ((uint32_t)(first - 0xd800) << 10) + (uint32_t)(second - 0xdc00));
}

size_t json_escape(const char *p, const char *end, char out[4], size_t *taken)
{
	char c = end - p < 2 ? '\0' : p[1];

	*taken = 2;
	switch (c) {
	case 'b': *out = '\b'; return 1;
	case 'f': *out = '\f'; return 1;
	case 'n': *out = '\n'; return 1;
	case 'r': *out = '\r'; return 1;
	case 't': *out = '\t'; return 1;
	case '"': case '\\': case '/': *out = c; return 1;
	case 'u': return unicode(p, end, out, taken);
	default: return 0;
	}
}

void json_put_string(struct sink *s, const char *string, size_t len, void (*put)(struct sink *s, const void *bytes, size_t len))
{
	const char *p = string + 1, *end = string + len - 1;

	while (p < end) {
		const char *slash = memchr(p, '\\', (size_t)(end - p));
		char out[4];
		size_t n, taken;

		if (slash != p)
			put(s, p, (size_t)((slash ? slash : end) - p));
		if (slash == NULL)
			return;
		n = json_escape(slash, end, out, &taken);
		if (n == 0)
			return;
		put(s, out, n);
		p = slash + taken;
	}
}

bool json_string_is_slow(const char *string, size_t len, const char *want)
{
	size_t size = strlen(want);
	char text[32];
	struct sink s = { .dst = text, .room = sizeof(text) };

	if (memchr(string, '\\', len) == NULL)
		return false;
	json_put_string(&s, string, len, sink_bytes);
	return sink_end(&s) == size && memcmp(text, want, size) == 0;
}
