/*
 * The members of a JSON object, found by jsmn in a text that json_check.c has found to be right; elements of an array; and
 * strings.
 *
 * The check counts the tokens, so the array is made large enough beforehand and jsmn never has to stop for room. Parent links are
 * on because jsmn without them looks for the enclosing object from the last token backwards at every comma: quadratic in the number
 * of members, which a peer chooses.
 */
#include "proto/json.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/json_check.h"
#include "proto/utf8.h"

#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#include <jsmn.h>

#define NAME_MAX_BYTES 32	/* of those that json_name_is() is asked for */

void json_init(struct json *json)
{
	*json = (struct json){ 0 };
}

void json_fini(struct json *json)
{
	free(json->members);
	free(json->tokens);
	json_init(json);
}

/* Makes room for `want` elements. The old contents are scratch: freed, not copied. */
static int reserve(void **array, unsigned *max, unsigned want, size_t size)
{
	unsigned room = *max < 32 ? 32 : *max;

	if (want <= *max)
		return 0;
	while (room < want)
		room *= 2;
	free(*array);
	*max = 0;
	*array = reallocarray(NULL, room, size);
	if (*array == NULL)
		return -1;
	*max = room;
	return 0;
}

static enum json_type type_of(char first)
{
	switch (first) {
	case '{': return JSON_OBJECT;
	case '[': return JSON_ARRAY;
	case '"': return JSON_STRING;
	case 't': return JSON_TRUE;
	case 'f': return JSON_FALSE;
	case 'n': return JSON_NULL;
	default: return JSON_NUMBER;
	}
}

/* jsmn leaves a string's quotes out. */
static const char *token_range(const char *text, const jsmntok_t *token, uint32_t *len)
{
	int quote = token->type == JSMN_STRING;

	*len = (uint32_t)(token->end - token->start + 2 * quote);
	return text + token->start - quote;
}

/* A name's parent is its object, a value's is its name: the children of token 0 are the names, each followed by its value. */
static void collect_members(struct json *json, const char *text, int tokens)
{
	const jsmntok_t *token = json->tokens;

	for (int i = 1; i + 1 < tokens; i++) {
		struct json_member *member = &json->members[json->count];

		if (token[i].parent != 0)
			continue;
		member->name = token_range(text, &token[i], &member->name_len);
		member->value = token_range(text, &token[i + 1], &member->value_len);
		member->type = type_of(*member->value);
		json->count++;
	}
}

int json_object(struct json *json, const char *text, size_t len, const char **error)
{
	struct json_counts counts;
	void *members = json->members;
	jsmn_parser parser;
	int failed, tokens;

	json->count = 0;
	*error = json_check_counting(text, len, &counts);
	if (*error != NULL)
		return -1;
	if (text[strspn(text, " \t\r\n")] != '{') {	/* stops in the text: it has a value in it */
		*error = "not a JSON object";
		return -1;
	}

	failed = reserve(&members, &json->members_max, counts.members, sizeof(*json->members));
	json->members = members;
	if (failed || reserve(&json->tokens, &json->tokens_max, counts.tokens, sizeof(jsmntok_t)) < 0) {
		*error = "the server is out of memory";
		return -1;
	}
	jsmn_init(&parser);
	tokens = jsmn_parse(&parser, text, len, json->tokens, json->tokens_max);
	if (tokens < 0 || (unsigned)tokens != counts.tokens) {
		*error = "bad JSON";
		return -1;
	}
	collect_members(json, text, tokens);
	return 0;
}

bool json_name_is(const struct json_member *member, const char *name)
{
	size_t len = strlen(name), raw = member->name_len - 2;
	char resolved[NAME_MAX_BYTES];

	assert(len <= sizeof(resolved));
	/* An escape is longer than what it stands for, so only a longer name has to be resolved. */
	if (raw == len)
		return memcmp(member->name + 1, name, len) == 0;
	if (raw < len || raw > 6 * len || memchr(member->name + 1, '\\', raw) == NULL)
		return false;
	return json_string(member->name, member->name_len, resolved, len) == (ssize_t)len && memcmp(resolved, name, len) == 0;
}

static const char *skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
		p++;
	return p;
}

static const char *skip_string(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
		p += *p == '\\';
	return p < end ? p + 1 : end;
}

/* Behind the element at p: what follows it is white space, a comma or the array's bracket. */
static const char *skip_element(const char *p, const char *end)
{
	unsigned depth = 0;

	while (p < end) {
		switch (*p) {
		case '"':
			p = skip_string(p, end);
			continue;
		case '[': case '{':
			depth++;
			break;
		case ']': case '}':
			if (depth == 0)
				return p;
			depth--;
			break;
		case ',': case ' ': case '\n': case '\t': case '\r':
			if (depth == 0)
				return p;
			break;
		}
		p++;
	}
	return p;
}

bool json_array_begin(struct json_array *array, const char *text, size_t len)
{
	const char *end = text + len, *p = skip_space(text, end);

	*array = (struct json_array){ p + 1, end };
	return p < end && *p == '[';
}

bool json_array_next(struct json_array *array, const char **item, size_t *len)
{
	const char *p = skip_space(array->at, array->end), *after;

	if (p >= array->end || *p == ']')
		return false;
	after = skip_element(p, array->end);
	*item = p;
	*len = (size_t)(after - p);
	p = skip_space(after, array->end);
	array->at = p < array->end && *p == ',' ? p + 1 : p;
	return true;
}

/* The four hex digits at p. */
static uint32_t hex4(const char *p)
{
	uint32_t unit = 0;

	for (int i = 0; i < 4; i++)
		unit = unit << 4 | (uint32_t)(p[i] <= '9' ? p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
	return unit;
}

/* Resolves the escape at *p and moves *p behind it. Returns the number of bytes in dst. */
static size_t resolve(const char **p, uint8_t dst[4])
{
	char c = (*p)[1];
	uint32_t code;

	if (c != 'u') {
		*p += 2;
		switch (c) {
		case 'b': dst[0] = '\b'; break;
		case 'f': dst[0] = '\f'; break;
		case 'n': dst[0] = '\n'; break;
		case 'r': dst[0] = '\r'; break;
		case 't': dst[0] = '\t'; break;
		default: dst[0] = (uint8_t)c;
		}
		return 1;
	}
	code = hex4(*p + 2);
	*p += 6;
	if (code >= 0xd800 && code <= 0xdbff) {
		code = 0x10000 + ((code & 0x3ff) << 10) + (hex4(*p + 2) & 0x3ff);
		*p += 6;
	}
	return utf8_put(dst, code);
}

ssize_t json_string(const char *raw, size_t len, char *dst, size_t max)
{
	const char *p = raw + 1, *end = raw + len - 1;
	size_t used = 0;

	while (p < end) {
		const char *escape = memchr(p, '\\', (size_t)(end - p));
		size_t run = (size_t)((escape != NULL ? escape : end) - p);
		uint8_t bytes[4];
		size_t n;

		if (run > max - used)
			return -1;
		memcpy(dst + used, p, run);
		used += run;
		if (escape == NULL)
			break;
		p = escape;
		n = resolve(&p, bytes);
		if (n > max - used)
			return -1;
		memcpy(dst + used, bytes, n);
		used += n;
	}
	return (ssize_t)used;
}
