/*
 * Quotes and brackets are looked for, the rest is passed over. Every step is bounded by the end of the text, never by what a byte said a moment
 * ago.
 */
#include "proto/json_walk.h"

#include <string.h>

#include "proto/hex.h"
#include "proto/utf8.h"

const char *json_skip_string(const char *p, const char *end)
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

/* Behind the array or object at p, or NULL. */
static const char *skip_nested(const char *p, const char *end)
{
	size_t depth = 0;

	while (p < end) {
		switch (*p) {
		case '"':
			p = json_skip_string(p, end);
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
	return NULL;
}

const char *json_skip_value(const char *p, const char *end)
{
	char first = *p;

	if (first == '"')
		return json_skip_string(p, end);
	if (first == '{' || first == '[')
		return skip_nested(p, end);
	while (p < end && memchr(",:]} \n\t\r", *p, 8) == NULL)
		p++;
	return p;
}

int json_hex4(const char *p, const char *end)
{
	int value = 0;

	if (end - p < 4)
		return -1;
	for (unsigned i = 0; i < 4; i++) {
		int digit = hex_digit(p[i]);

		if (digit < 0)
			return -1;
		value = value << 4 | digit;
	}
	return value;
}

/* \uXXXX, and a second one when the first is a high surrogate. */
static size_t unicode(const char *p, const char *end, char out[4], size_t *taken)
{
	int first = json_hex4(p + 2, end), second;

	*taken = 6;
	if (first < 0 || (first >= 0xdc00 && first <= 0xdfff))
		return 0;
	if (first < 0xd800 || first > 0xdfff)
		return utf8_put((uint8_t *)out, (uint32_t)first);
	if (end - p < 12 || p[6] != '\\' || p[7] != 'u')
		return 0;
	second = json_hex4(p + 8, end);
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
