/*
 * Whether a text is JSON. jsmn, which finds the tokens afterwards, lets a lot pass that is not, and what is published is passed on
 * to every subscriber as it came: nothing may leave here that a strict parser at the other end refuses, nor a raw control
 * character, which could be taken for the end of a frame.
 *
 * One pass, no recursion: what is open is a stack of the brackets that will close it.
 */
#include "proto/json_check.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "proto/json.h"
#include "proto/utf8.h"

struct check {
	const uint8_t *p, *end;		/* what is not yet looked at */
	const char *error;
	struct json_counts counts;
	unsigned depth;
	uint8_t closers[JSON_DEPTH_MAX];
};

/* Bytes that stand for themselves in a string. */
static const bool plain[256] = {
	[0x20 ... '"' - 1] = true, ['"' + 1 ... '\\' - 1] = true, ['\\' + 1 ... 0x7f] = true,
};

static bool fail(struct check *c, const char *error)
{
	c->error = error;
	return false;
}

/* The next byte, or -1 at the end. */
static int peek(const struct check *c)
{
	return c->p < c->end ? *c->p : -1;
}

static bool take(struct check *c, int byte)
{
	if (peek(c) != byte)
		return false;
	c->p++;
	return true;
}

static void skip_space(struct check *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\n' || *c->p == '\t' || *c->p == '\r'))
		c->p++;
}

/* At least one digit. */
static bool take_digits(struct check *c)
{
	const uint8_t *start = c->p;

	while (c->p < c->end && *c->p >= '0' && *c->p <= '9')
		c->p++;
	return c->p > start;
}

static bool check_number(struct check *c)
{
	take(c, '-');
	if (take(c, '0')) {
		if (take_digits(c))
			return fail(c, "bad JSON: a number starts with 0");
	} else if (!take_digits(c)) {
		return fail(c, "bad JSON: a number without digits");
	}
	if (take(c, '.') && !take_digits(c))
		return fail(c, "bad JSON: a number without digits behind its point");
	if (take(c, 'e') || take(c, 'E')) {
		if (!take(c, '+'))
			take(c, '-');
		if (!take_digits(c))
			return fail(c, "bad JSON: a number without digits in its exponent");
	}
	return true;
}

static bool check_word(struct check *c, const char *word, size_t len)
{
	if ((size_t)(c->end - c->p) < len || memcmp(c->p, word, len) != 0)
		return fail(c, "bad JSON: a value was expected");
	c->p += len;
	return true;
}

/* The code unit of the \uXXXX at p, or -1. */
static int code_unit(const uint8_t *p, const uint8_t *end)
{
	int unit = 0;

	if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++) {
		uint8_t lower = p[i] | 0x20;

		if (p[i] >= '0' && p[i] <= '9')
			unit = unit << 4 | (p[i] - '0');
		else if (lower >= 'a' && lower <= 'f')
			unit = unit << 4 | (lower - 'a' + 10);
		else
			return -1;
	}
	return unit;
}

/* The escape at c->p, which is at a backslash. */
static bool check_escape(struct check *c)
{
	const uint8_t *p = c->p;
	int unit, second;

	if (c->end - p < 2)
		return fail(c, "bad JSON: a string without an end");
	if (p[1] != 'u') {
		if (p[1] == '\0' || strchr("\"\\/bfnrt", p[1]) == NULL)
			return fail(c, "bad JSON: an unknown escape in a string");
		c->p += 2;
		return true;
	}
	unit = code_unit(p, c->end);
	if (unit < 0)
		return fail(c, "bad JSON: \\u without four hex digits");
	c->p += 6;
	if (unit < 0xd800 || unit > 0xdfff)
		return true;
	second = code_unit(c->p, c->end);
	if (unit > 0xdbff || second < 0xdc00 || second > 0xdfff)
		return fail(c, "bad JSON: half of a surrogate pair");
	c->p += 6;
	return true;
}

/* The string at c->p, which is at its quote. */
static bool check_string(struct check *c)
{
	c->p++;
	for (;;) {
		size_t n;

		while (c->p < c->end && plain[*c->p])
			c->p++;
		if (c->p == c->end)
			return fail(c, "bad JSON: a string without an end");
		if (*c->p == '"')
			break;
		if (*c->p == '\\') {
			if (!check_escape(c))
				return false;
			continue;
		}
		if (*c->p < 0x20)
			return fail(c, "bad JSON: a control character in a string");
		n = utf8_length(c->p, c->end);
		if (n == 0)
			return fail(c, "bad JSON: a string is not UTF-8");
		c->p += n;
	}
	c->p++;
	return true;
}

/* A member's name and the colon. */
static bool check_name(struct check *c)
{
	skip_space(c);
	if (peek(c) != '"')
		return fail(c, "bad JSON: a member's name was expected");
	if (!check_string(c))
		return false;
	skip_space(c);
	if (!take(c, ':'))
		return fail(c, "bad JSON: a colon was expected");
	c->counts.tokens++;
	if (c->depth == 1)
		c->counts.members++;
	return true;
}

static bool open_container(struct check *c, uint8_t closer)
{
	if (c->depth == JSON_DEPTH_MAX)
		return fail(c, "bad JSON: nested too deeply");
	c->closers[c->depth++] = closer;
	c->p++;
	return true;
}

/* A value, of which an object or array is only opened. */
static bool check_value(struct check *c, bool *opened)
{
	skip_space(c);
	c->counts.tokens++;
	*opened = false;
	switch (peek(c)) {
	case '{':
		*opened = true;
		return open_container(c, '}');
	case '[':
		*opened = true;
		return open_container(c, ']');
	case '"':
		return check_string(c);
	case 't':
		return check_word(c, "true", 4);
	case 'f':
		return check_word(c, "false", 5);
	case 'n':
		return check_word(c, "null", 4);
	case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
		return check_number(c);
	default:
		return fail(c, "bad JSON: a value was expected");
	}
}

/* Whether the innermost open object or array ends here. */
static bool at_closer(struct check *c)
{
	skip_space(c);
	return c->depth > 0 && peek(c) == c->closers[c->depth - 1];
}

static bool check_text(struct check *c)
{
	for (;;) {
		bool opened;

		if (c->depth > 0 && c->closers[c->depth - 1] == '}' && !check_name(c))
			return false;
		if (!check_value(c, &opened))
			return false;
		if (opened && !at_closer(c))
			continue;
		while (at_closer(c)) {
			c->p++;
			c->depth--;
		}
		if (c->depth == 0)
			return c->p == c->end || fail(c, "bad JSON: something stands behind the value");
		if (!take(c, ','))
			return fail(c, "bad JSON: a comma or a closing bracket was expected");
	}
}

const char *json_check_counting(const char *text, size_t len, struct json_counts *counts)
{
	struct check c;

	if (len > JSON_TEXT_MAX)
		return "bad JSON: too long";
	c.p = (const uint8_t *)text;
	c.end = c.p + len;
	c.error = NULL;
	c.counts = (struct json_counts){ 0 };
	c.depth = 0;
	check_text(&c);
	*counts = c.counts;
	return c.error;
}

const char *json_check(const char *text, size_t len)
{
	struct json_counts counts;

	return json_check_counting(text, len, &counts);
}
