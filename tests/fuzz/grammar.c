/*
 * Each function takes what it is named after off g->p, or says that it does not stand there.
 */
#include "tests/fuzz/grammar.h"

#include <ctype.h>
#include <string.h>

/* The character at p, decoded and its range looked at; 0 if it is none. */
static size_t utf8_char(const uint8_t *p, size_t len)
{
	static const struct { uint8_t mask, lead; uint32_t least; } forms[] = {
		{ 0x80, 0x00, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 },
	};

	for (size_t n = 1; n <= 4 && n <= len; n++) {
		uint32_t code = p[0] & (uint8_t)~forms[n - 1].mask;

		if ((p[0] & forms[n - 1].mask) != forms[n - 1].lead)
			continue;
		for (size_t i = 1; i < n; i++) {
			if (p[i] >> 6 != 2)
				return 0;
			code = code << 6 | (p[i] & 0x3f);
		}
		return code < forms[n - 1].least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? 0 : n;
	}
	return 0;
}

bool grammar_utf8(const uint8_t *p, size_t len)
{
	while (len > 0) {
		size_t n = utf8_char(p, len);

		if (n == 0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

static bool byte(struct grammar *g, char c)
{
	if (g->p == g->end || *g->p != c)
		return false;
	g->p++;
	return true;
}

static bool literal(struct grammar *g, const char *text)
{
	while (*text != '\0')
		if (!byte(g, *text++))
			return false;
	return true;
}

static void space(struct grammar *g)
{
	while (byte(g, ' ') || byte(g, '\t') || byte(g, '\n') || byte(g, '\r'))
		;
}

static bool digits(struct grammar *g)
{
	const char *from = g->p;

	while (g->p < g->end && isdigit((unsigned char)*g->p))
		g->p++;
	return g->p > from;
}

static bool number(struct grammar *g)
{
	byte(g, '-');
	if (!byte(g, '0') && !digits(g))
		return false;
	if (byte(g, '.') && !digits(g))
		return false;
	if (byte(g, 'e') || byte(g, 'E'))
		return (byte(g, '+') || byte(g, '-') || true) && digits(g);
	return true;
}

/* XXXX of \uXXXX, or -1. */
static long unit(struct grammar *g)
{
	static const char hex[] = "0123456789abcdef";
	long code = 0;

	for (int i = 0; i < 4; i++) {
		if (g->p == g->end || !isxdigit((unsigned char)*g->p))
			return -1;
		code = 16 * code + (strchr(hex, tolower((unsigned char)*g->p++)) - hex);
	}
	return code;
}

static bool escape(struct grammar *g)
{
	long first;

	if (g->p < g->end && memchr("\"\\/bfnrt", *g->p, 8) != NULL) {
		g->p++;
		return true;
	}
	first = byte(g, 'u') ? unit(g) : -1;
	if (first >= 0xd800 && first <= 0xdbff) {
		long second = literal(g, "\\u") ? unit(g) : -1;

		return second >= 0xdc00 && second <= 0xdfff;
	}
	return first >= 0 && !(first >= 0xdc00 && first <= 0xdfff);
}

static bool string(struct grammar *g)
{
	if (!byte(g, '"'))
		return false;
	while (!byte(g, '"')) {
		size_t n = utf8_char((const uint8_t *)g->p, (size_t)(g->end - g->p));

		if (n == 0 || (uint8_t)*g->p < 0x20)
			return false;
		if (*g->p != '\\')
			g->p += n;
		else if (g->p++, !escape(g))
			return false;
	}
	return true;
}

static bool value(struct grammar *g, enum json_type *type);

static bool member(struct grammar *g)
{
	struct json_member m = { 0 };

	space(g);
	m.name = g->p;
	if (!string(g))
		return false;
	m.name_len = (uint32_t)(g->p - m.name);
	space(g);
	if (!byte(g, ':'))
		return false;
	space(g);
	m.value = g->p;
	if (!value(g, &m.type))
		return false;
	m.value_len = (uint32_t)(g->p - m.value);
	if (g->depth == 1) {
		if (g->count < GRAMMAR_MEMBERS)
			g->members[g->count] = m;
		g->count++;
	}
	space(g);
	return true;
}

static bool element(struct grammar *g)
{
	enum json_type type;

	space(g);
	if (!value(g, &type))
		return false;
	space(g);
	return true;
}

static bool list(struct grammar *g, char close, bool (*one)(struct grammar *))
{
	if (++g->depth > JSON_DEPTH_MAX)
		return false;
	if (g->depth > g->deepest)
		g->deepest = g->depth;
	space(g);
	if (!byte(g, close)) {
		do {
			if (!one(g))
				return false;
		} while (byte(g, ','));
		if (!byte(g, close))
			return false;
	}
	g->depth--;
	return true;
}

static bool value(struct grammar *g, enum json_type *type)
{
	switch (g->p < g->end ? *g->p : '\0') {
	case '{':
		*type = JSON_OBJECT;
		g->p++;
		return list(g, '}', member);
	case '[':
		*type = JSON_ARRAY;
		g->p++;
		return list(g, ']', element);
	case '"':
		*type = JSON_STRING;
		return string(g);
	case 't':
		*type = JSON_TRUE;
		return literal(g, "true");
	case 'f':
		*type = JSON_FALSE;
		return literal(g, "false");
	case 'n':
		*type = JSON_NULL;
		return literal(g, "null");
	default:
		*type = JSON_NUMBER;
		return number(g);
	}
}

bool grammar_text(struct grammar *g, const char *text, size_t len)
{
	enum json_type type;

	*g = (struct grammar){ .p = text, .end = text + len };
	space(g);
	if (!value(g, &type))
		return false;
	g->object = type == JSON_OBJECT;
	if (!g->object)
		g->count = 0;
	space(g);
	return g->p == g->end;
}
