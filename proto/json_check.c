/*
 * Whether a text is JSON, strictly: jsmn, which has found the tokens, lets a lot pass that is not, and what is published is passed on to every
 * subscriber as it came. Nothing may leave here that a strict parser at the other end refuses, nor a raw control character, which could be
 * taken for the end of a frame.
 *
 * One pass, no recursion: the containers that are open are a stack.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "proto/json_check.h"

#include "proto/json.h"
#include "proto/json_walk.h"
#include "proto/utf8.h"

/* An object or array that is open. */
struct open {
	const jsmntok_t *token;		/* NULL: the text, around its one value */
	unsigned children;		/* so far; of an object, names and values */
};

struct check {
	const char *text, *p, *end;	/* p: what is not yet looked at */
	unsigned depth;
	struct open open[1 + JSON_DEPTH_MAX];
};

static struct open *innermost(struct check *c)
{
	return &c->open[c->depth];
}

static void skip_space(struct check *c)
{
	c->p = json_skip_space(c->p, c->end);
}

static bool take(struct check *c, char byte)
{
	if (c->p == c->end || *c->p != byte)
		return false;
	c->p++;
	return true;
}

/* ---- tokens ---- */

/* At least one digit. */
static bool take_digits(struct check *c)
{
	const char *start = c->p;

	while (c->p < c->end && *c->p >= '0' && *c->p <= '9')
		c->p++;
	return c->p > start;
}

static const char *check_number(struct check *c)
{
	take(c, '-');
	if (take(c, '0')) {
		if (take_digits(c))
			return "bad JSON: a number starts with 0";
	} else if (!take_digits(c)) {
		return "bad JSON: a number without digits";
	}
	if (take(c, '.') && !take_digits(c))
		return "bad JSON: a number without digits behind its point";
	if (take(c, 'e') || take(c, 'E')) {
		if (!take(c, '+'))
			take(c, '-');
		if (!take_digits(c))
			return "bad JSON: a number without digits in its exponent";
	}
	return NULL;
}

static const char *check_word(struct check *c, const char *word, size_t len)
{
	if ((size_t)(c->end - c->p) < len || memcmp(c->p, word, len) != 0)
		return "bad JSON: a value was expected";
	c->p += len;
	return NULL;
}

/* The number or word at c->p. */
static const char *check_primitive(struct check *c)
{
	switch (c->p < c->end ? *c->p : '\0') {
	case 't': return check_word(c, "true", 4);
	case 'f': return check_word(c, "false", 5);
	case 'n': return check_word(c, "null", 4);
	case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9': return check_number(c);
	default: return "bad JSON: a value was expected";
	}
}

static const char *escape_error(const char *p, const char *end)
{
	if (end - p < 2)
		return "bad JSON: a string without an end";
	if (p[1] != 'u')
		return "bad JSON: an unknown escape in a string";
	return json_hex4(p + 2, end) < 0 ? "bad JSON: \\u without four hex digits" : "bad JSON: half of a surrogate pair";
}

/* Bytes that stand for themselves in a string. */
static const bool plain[256] = {
	[0x20 ... '"' - 1] = true, ['"' + 1 ... '\\' - 1] = true, ['\\' + 1 ... 0x7f] = true,
};

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Behind the bytes at p that stand for themselves. They are looked at by eight: each of the terms has the highest bit of a byte set where that is
 * not ASCII, a control character, a quote, a backslash. */
static const char *skip_plain(const char *p, const char *end)
{
	uint64_t w;

	for (; end - p >= 8; p += 8) {
		memcpy(&w, p, sizeof(w));
		if ((w | (w - EACH(0x20)) | ((w ^ EACH('"')) - EACH(1)) | ((w ^ EACH('\\')) - EACH(1))) & EACH(0x80))
			break;
	}
	while (p < end && plain[(uint8_t)*p])
		p++;
	return p;
}

/* The string at c->p, which is at its quote. */
static const char *check_string(struct check *c)
{
	char out[4];
	size_t taken;

	for (c->p++;; c->p += taken) {
		c->p = skip_plain(c->p, c->end);
		if (c->p == c->end)
			return "bad JSON: a string without an end";
		if (*c->p == '"')
			break;
		if (*c->p == '\\') {
			if (json_escape(c->p, c->end, out, &taken) == 0)
				return escape_error(c->p, c->end);
		} else if ((uint8_t)*c->p < 0x20) {
			return "bad JSON: a control character in a string";
		} else {
			taken = utf8_length((const uint8_t *)c->p, (const uint8_t *)c->end);
			if (taken == 0)
				return "bad JSON: a string is not UTF-8";
		}
	}
	c->p++;
	return NULL;
}

/* ---- what stands between them ---- */

static bool is_object(const struct open *o)
{
	return o->token && o->token->type == JSMN_OBJECT;
}

/* The next thing in the innermost container is its `children`th: what must stand ahead of it. */
static const char *check_separator(struct check *c)
{
	const struct open *o = innermost(c);

	skip_space(c);
	if (o->children == 0)
		return NULL;
	if (!o->token)
		return "bad JSON: something stands behind the value";
	if (is_object(o) && o->children % 2 == 1) {
		if (!take(c, ':'))
			return "bad JSON: a colon was expected";
	} else if (!take(c, ',')) {
		return "bad JSON: a comma or a closing bracket was expected";
	}
	skip_space(c);
	return NULL;
}

/* There is something else. */
static const char *other_than_expected(const struct check *c)
{
	const struct open *o = &c->open[c->depth];

	return is_object(o) && o->children % 2 == 0 ? "bad JSON: a member's name was expected" : "bad JSON: a value was expected";
}

/* A name, or a value that is no container. */
static const char *check_scalar(struct check *c)
{
	struct open *o = innermost(c);
	bool string = c->p < c->end && *c->p == '"';

	if (!string && is_object(o) && o->children % 2 == 0)
		return other_than_expected(c);
	o->children++;
	return string ? check_string(c) : check_primitive(c);
}

/* The end of the innermost container. */
static const char *check_close(struct check *c)
{
	const struct open *o = innermost(c);
	const char *error;

	skip_space(c);
	if (c->p != c->text + o->token->end - 1 || (is_object(o) && o->children % 2 == 1)) {
		error = check_separator(c);
		return error ? error : other_than_expected(c);
	}
	c->p++;
	c->depth--;
	return NULL;
}

static const char *open_container(struct check *c, const jsmntok_t *token)
{
	struct open *o = innermost(c);

	if (is_object(o) && o->children % 2 == 0)
		return other_than_expected(c);
	o->children++;
	if (c->depth == JSON_DEPTH_MAX)
		return "bad JSON: nested too deeply";
	c->open[++c->depth] = (struct open){ .token = token };
	c->p++;
	return NULL;
}

static const char *check_token(struct check *c, const jsmntok_t *token)
{
	const char *error = NULL;

	while (!error && c->depth > 0 && innermost(c)->token->end >= 0 && innermost(c)->token->end <= token->start)
		error = check_close(c);
	if (!error)
		error = check_separator(c);
	if (error)
		return error;
	if (c->p != c->text + token->start - (token->type == JSMN_STRING))
		return other_than_expected(c);
	return token->type == JSMN_OBJECT || token->type == JSMN_ARRAY ? open_container(c, token) : check_scalar(c);
}

/* Behind the tokens that jsmn has found is something that it did not take, or the text's end. */
static const char *check_fault(struct check *c)
{
	const char *error = check_separator(c);

	if (!error)
		error = check_scalar(c);
	/* A good name or value: jsmn did not find what must follow it. */
	return error ? error : check_separator(c);
}

const char *json_check_tokens(const char *text, size_t len, const jsmntok_t *token, unsigned tokens, bool whole)
{
	struct check c;
	const char *error = NULL;

	c.text = c.p = text;
	c.end = text + len;
	c.depth = 0;
	c.open[0] = (struct open){ 0 };
	for (unsigned i = 0; !error && i < tokens; i++)
		error = check_token(&c, &token[i]);
	while (!error && c.depth > 0 && innermost(&c)->token->end >= 0)
		error = check_close(&c);
	if (!error && tokens == 0) {		/* one scalar, or nothing */
		skip_space(&c);
		error = check_scalar(&c);
	}
	if (error)
		return error;
	if (!whole) {
		error = check_fault(&c);
		return error ? error : "bad JSON";
	}
	skip_space(&c);
	return c.p == c.end ? NULL : "bad JSON: something stands behind the value";
}
