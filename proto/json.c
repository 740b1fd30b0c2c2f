/*
 * jsmn finds the tokens, json_check.c sees to it that they are JSON, and the members are taken from them.
 *
 * Parent links are on because jsmn without them looks for the enclosing object from the last token backwards at every comma: quadratic in the number
 * of members, which a peer chooses. With them, a closing bracket costs as many steps as it is deep; so jsmn is given room for a few tokens at a time,
 * and it ends where they are nested too deeply.
 */
#include "proto/json.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define JSMN_STATIC
#include "proto/json_check.h"
#include "proto/json_walk.h"

#define TOKENS_AT_ONCE 64u
#define NO_MEMORY "the server is out of memory"
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

/* Makes room for `want` elements; what is there stays. */
static int reserve(void **array, unsigned *max, unsigned want, size_t size)
{
	unsigned room = *max < TOKENS_AT_ONCE ? TOKENS_AT_ONCE : *max;
	void *p;

	if (want <= *max)
		return 0;
	while (room < want)
		room *= 2;
	p = reallocarray(*array, room, size);
	if (p == NULL)
		return -1;
	*array = p;
	*max = room;
	return 0;
}

/* Whether token `i` is nested so deeply that what is open there is no JSON to us. */
static bool is_too_deep(const jsmntok_t *token, int i)
{
	unsigned depth = 0;

	/* (A value's parent is its name.) */
	for (; i >= 0; i = token[i].parent)
		if (token[i].type != JSMN_STRING && ++depth > JSON_DEPTH_MAX)
			return true;
	return false;
}

/* Finds the text's tokens. NULL: json->tokens_count of them are there and good; or what is wrong. */
static const char *find_tokens(struct json *json, const char *text, size_t len)
{
	jsmn_parser parser;
	int r = JSMN_ERROR_NOMEM;

	jsmn_init(&parser);
	while (r == JSMN_ERROR_NOMEM) {
		if (parser.toknext > 0 && is_too_deep(json->tokens, parser.toksuper))
			return "bad JSON: nested too deeply";
		if (reserve(&json->tokens, &json->tokens_max, parser.toknext + TOKENS_AT_ONCE, sizeof(jsmntok_t)) < 0)
			return NO_MEMORY;
		r = jsmn_parse(&parser, text, len, json->tokens, parser.toknext + TOKENS_AT_ONCE);
	}
	json->tokens_count = parser.toknext;
	return json_check_tokens(text, len, json->tokens, json->tokens_count, r >= 0);
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
static void collect_members(struct json *json, const char *text)
{
	const jsmntok_t *token = json->tokens;

	for (unsigned i = 1; i + 1 < json->tokens_count; i++) {
		struct json_member *member = &json->members[json->count];

		if (token[i].parent != 0)
			continue;
		member->name = token_range(text, &token[i], &member->name_len);
		member->value = token_range(text, &token[i + 1], &member->value_len);
		member->type = type_of(*member->value);
		json->count++;
	}
}

const char *json_check(struct json *json, const char *text, size_t len)
{
	const char *p = json_skip_space(text, text + len);

	if (len > JSON_TEXT_MAX)
		return "bad JSON: too long";
	/* jsmn wants something behind a number or a word; one that is all there is needs no tokens. */
	if (p == text + len || *p == '{' || *p == '[')
		return find_tokens(json, text, len);
	json->tokens_count = 0;
	return json_check_tokens(text, len, NULL, 0, true);
}

int json_object(struct json *json, const char *text, size_t len, const char **error)
{
	const jsmntok_t *token;
	void *members = json->members;

	json->count = 0;
	*error = json_check(json, text, len);
	if (*error != NULL)
		return -1;
	token = json->tokens;
	if (json->tokens_count == 0 || token[0].type != JSMN_OBJECT) {
		*error = "not a JSON object";
		return -1;
	}
	if (reserve(&members, &json->members_max, (unsigned)token[0].size, sizeof(*json->members)) < 0) {
		*error = NO_MEMORY;
		return -1;
	}
	json->members = members;
	collect_members(json, text);
	return 0;
}

bool json_name_is_slow(const struct json_member *member, const char *name)
{
	size_t len = strlen(name), raw = member->name_len - 2;
	char resolved[NAME_MAX_BYTES];

	assert(len <= sizeof(resolved));
	if (raw > 6 * len || memchr(member->name + 1, '\\', raw) == NULL)
		return false;
	return json_string(member->name, member->name_len, resolved, len) == (ssize_t)len && memcmp(resolved, name, len) == 0;
}

bool json_array_begin(struct json_array *array, const char *text, size_t len)
{
	const char *end = text + len, *p = json_skip_space(text, end);

	*array = (struct json_array){ p + 1, end };
	return p < end && *p == '[';
}

bool json_array_next(struct json_array *array, const char **item, size_t *len)
{
	const char *p = json_skip_space(array->at, array->end), *after;

	if (p >= array->end || *p == ']')
		return false;
	after = json_skip_value(p, array->end);
	*item = p;
	*len = (size_t)(after - p);
	p = json_skip_space(after, array->end);
	array->at = p < array->end && *p == ',' ? p + 1 : p;
	return true;
}

ssize_t json_string(const char *raw, size_t len, char *dst, size_t max)
{
	const char *p = raw + 1, *end = raw + len - 1;
	size_t used = 0;

	while (p < end) {
		const char *escape = memchr(p, '\\', (size_t)(end - p));
		size_t run = (size_t)((escape != NULL ? escape : end) - p);
		char bytes[4];
		size_t n, taken;

		if (run > max - used)
			return -1;
		memcpy(dst + used, p, run);
		used += run;
		if (escape == NULL)
			break;
		n = json_escape(escape, end, bytes, &taken);
		p = escape + taken;
		if (n > max - used)
			return -1;
		memcpy(dst + used, bytes, n);
		used += n;
	}
	return (ssize_t)used;
}
