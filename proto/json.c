/*
 * JSON texts of peers. jsmn finds the tokens; what it does not care about is checked over these tokens: each of them by json_check.c, and what
 * stands between them here, so that every byte of the text was looked at.
 *
 *   {"a" : [1, "x"]}      tokens: the object, a, the array, 1, x; between them, beside their own quotes and brackets, ` : ` and `, ` and `]}`
 *
 * jsmn gets room for WINDOW more tokens at a time, and these are checked before it gets more. So a text that is no JSON costs no more memory
 * than its good beginning. And jsmn is never deeper in than JSON_DEPTH_MAX + WINDOW: at each closing bracket it goes back over those that were
 * closed right before, so its time would grow with the square of the depth. Parent links are on because jsmn without them looks for the enclosing
 * object from the last token backwards at every comma: quadratic in the number of members, which a peer chooses.
 */
#include "proto/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/json_check.h"
#include "proto/json_walk.h"

#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#include <jsmn.h>

#define WINDOW 256

/* What may come next. */
enum expected { VALUE, VALUE_OR_END, NAME, NAME_OR_END, COLON, COMMA_OR_END, NOTHING };

static const char *const missing[] = {
	[VALUE] = "bad JSON: a value was expected", [VALUE_OR_END] = "bad JSON: a value was expected",
	[NAME] = "bad JSON: a member's name was expected", [NAME_OR_END] = "bad JSON: a member's name was expected",
	[COLON] = "bad JSON: a colon was expected", [COMMA_OR_END] = "bad JSON: a comma or a closing bracket was expected",
	[NOTHING] = "bad JSON: something stands behind the value",
};

struct check {
	const char *text;
	size_t len, at;			/* text[0..at) is checked */
	const jsmntok_t *tokens;
	unsigned next;			/* the first token that is not */
	int open;			/* the innermost token that is open at text[at]; -1: none */
	unsigned depth;			/* so many are */
	enum expected expected;
};

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

/* The array, with room for `want` > 0 elements. NULL: there is no memory, and the array stays as it is. */
static void *reserve(void *array, unsigned *max, unsigned want, size_t size)
{
	unsigned room = *max < 32 ? 32 : *max;

	if (want <= *max)
		return array;
	while (room < want)
		room *= 2;
	array = reallocarray(array, room, size);
	if (array != NULL)
		*max = room;
	return array;
}

static bool reserve_tokens(struct json *json, unsigned want)
{
	jsmntok_t *tokens = reserve(json->tokens, &json->tokens_max, want, sizeof(*tokens));

	if (tokens == NULL)
		return false;
	json->tokens = tokens;
	return true;
}

static bool reserve_members(struct json *json, unsigned want)
{
	struct json_member *members = reserve(json->members, &json->members_max, want, sizeof(*members));

	if (members == NULL)
		return false;
	json->members = members;
	return true;
}

/* ---- between tokens (inline, as they are called for every token of every message) ---- */

static inline void value_ends(struct check *c)
{
	c->expected = c->depth > 0 ? COMMA_OR_END : NOTHING;
}

/* A closing bracket at text[at]. jsmn has found out which one it belongs to. */
static inline bool close_container(struct check *c)
{
	const jsmntok_t *tokens = c->tokens;

	if (c->expected != COMMA_OR_END && c->expected != VALUE_OR_END && c->expected != NAME_OR_END)
		return false;
	if (tokens[c->open].end != (int)c->at + 1)
		return false;
	c->open = tokens[c->open].parent;
	if (c->open >= 0 && tokens[c->open].type == JSMN_STRING)	/* the name, in an object */
		c->open = tokens[c->open].parent;
	c->depth--;
	value_ends(c);
	return true;
}

static inline bool check_byte(struct check *c, char byte)
{
	switch (byte) {
	case ' ': case '\n': case '\t': case '\r':
		return true;
	case ':':
		if (c->expected != COLON)
			return false;
		c->expected = VALUE;
		return true;
	case ',':
		if (c->expected != COMMA_OR_END)
			return false;
		c->expected = c->tokens[c->open].type == JSMN_OBJECT ? NAME : VALUE;
		return true;
	case ']': case '}':
		return close_container(c);
	default:
		return false;
	}
}

/* Up to text[to], or to a byte that can't stand there. */
static inline bool check_between(struct check *c, size_t to)
{
	while (c->at < to && check_byte(c, c->text[c->at]))
		c->at++;
	return c->at == to;
}

/* ---- tokens ---- */

/* A name, or a value that is a string. */
static inline const char *check_string(struct check *c, const jsmntok_t *token)
{
	const char *wrong, *error = json_check_string(c->text + token->start, c->text + token->end, &wrong);

	c->at = error != NULL ? (size_t)(wrong - c->text) : (size_t)token->end + 1;
	if (c->expected == NAME || c->expected == NAME_OR_END)
		c->expected = COLON;
	else
		value_ends(c);
	return error;
}

static inline const char *check_scalar(struct check *c, size_t end)
{
	const char *p = c->text + c->at, *error = json_check_scalar(&p, c->text + end);

	c->at = (size_t)(p - c->text);
	value_ends(c);
	return error != NULL || c->at == end ? error : missing[c->expected];
}

static inline const char *open_container(struct check *c, const jsmntok_t *token)
{
	if (c->depth == JSON_DEPTH_MAX)
		return "bad JSON: nested too deeply";
	c->open = (int)c->next;
	c->depth++;
	c->at++;
	c->expected = token->type == JSMN_OBJECT ? NAME_OR_END : VALUE_OR_END;
	return NULL;
}

static inline bool wants_value(const struct check *c)
{
	return c->expected == VALUE || c->expected == VALUE_OR_END;
}

static inline bool wants_name(const struct check *c)
{
	return c->expected == NAME || c->expected == NAME_OR_END;
}

static inline const char *check_token(struct check *c, const jsmntok_t *token)
{
	bool string = token->type == JSMN_STRING;	/* jsmn leaves its quotes out */

	if (!check_between(c, (size_t)(token->start - string)) || !(wants_value(c) || (string && wants_name(c))))
		return missing[c->expected];
	if (string)
		return check_string(c, token);
	return token->type == JSMN_PRIMITIVE ? check_scalar(c, (size_t)token->end) : open_container(c, token);
}

/* Up to token `count`. */
static const char *check_tokens(struct check *state, unsigned count)
{
	struct check c = *state;	/* in registers */
	const char *error = NULL;

	for (; c.next < count && error == NULL; c.next++)
		error = check_token(&c, &c.tokens[c.next]);
	*state = c;
	return error;
}

/* What stands behind the last token: brackets, if all is well, or a text that is only a number or a word, which is no token as nothing follows
 * it. If not, it is what jsmn stopped at, or what it does not care about. */
static const char *check_rest(struct check *c)
{
	const char *error = NULL, *wrong;

	if (!check_between(c, c->len)) {
		if (c->text[c->at] == '"' && (wants_value(c) || wants_name(c))) {
			error = json_check_string(c->text + c->at + 1, c->text + c->len, &wrong);
			if (error != NULL)
				c->at = (size_t)(wrong - c->text);
			return error != NULL ? error : "bad JSON: a string without an end";
		}
		if (wants_value(c))
			error = check_scalar(c, c->len);
	}
	if (error == NULL && (c->at < c->len || c->expected != NOTHING))
		error = missing[c->expected];
	return error;
}

/* ---- texts ---- */

/* What is wrong, and where: at the first byte that can't stand there; or at the beginning of what has no end, or of a number. */
static const char *located(struct json *json, const struct check *c, const char *error)
{
	const char *at = c->text + c->at, *line = c->text, *nl;
	unsigned lines = 1;

	if (c->at >= c->len) {
		snprintf(json->error, sizeof(json->error), "%s, at its end (byte %zu)", error, c->len);
		return json->error;
	}
	for (; (nl = memchr(line, '\n', (size_t)(at - line))) != NULL; line = nl + 1)
		lines++;
	snprintf(json->error, sizeof(json->error), "%s, at byte %zu (line %u, column %zu)", error, c->at, lines, (size_t)(at - line) + 1);
	return json->error;
}

/* Finds the tokens of a text and checks it. *count is their number. NULL, or what is wrong. */
static const char *find_tokens(struct json *json, const char *text, size_t len, unsigned *count)
{
	struct check c = { .text = text, .len = len, .open = -1, .expected = VALUE };
	const char *error = NULL;
	jsmn_parser parser;
	int found;

	if (len > JSON_TEXT_MAX)
		return "bad JSON: too long";
	jsmn_init(&parser);
	do {
		if (!reserve_tokens(json, parser.toknext + WINDOW))
			return "the server is out of memory";
		found = jsmn_parse(&parser, text, len, json->tokens, parser.toknext + WINDOW);
		c.tokens = json->tokens;
		error = check_tokens(&c, parser.toknext);
	} while (found == JSMN_ERROR_NOMEM && error == NULL);
	*count = parser.toknext;
	if (error == NULL)
		error = check_rest(&c);
	return error != NULL ? located(json, &c, error) : NULL;
}

const char *json_value(struct json *json, const char *text, size_t len)
{
	unsigned count;

	return find_tokens(json, text, len, &count);
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

static const char *token_range(const char *text, const jsmntok_t *token, uint32_t *len)
{
	int quote = token->type == JSMN_STRING;

	*len = (uint32_t)(token->end - token->start + 2 * quote);
	return text + token->start - quote;
}

/* A name's parent is its object, a value's is its name: the children of token 0 are the names, each followed by its value. */
static void collect_members(struct json *json, const char *text, unsigned tokens)
{
	const jsmntok_t *token = json->tokens;

	for (unsigned i = 1; i < tokens; i++) {
		struct json_member *member = &json->members[json->count];

		if (token[i].parent != 0)
			continue;
		member->name = token_range(text, &token[i], &member->name_len);
		member->value = token_range(text, &token[i + 1], &member->value_len);
		member->type = type_of(*member->value);
		json->count++;
	}
}

int json_read_object(struct json *json, const char *text, size_t len, const char **error)
{
	const jsmntok_t *object;
	unsigned tokens = 0;

	json->count = 0;
	*error = find_tokens(json, text, len, &tokens);
	object = json->tokens;
	if (*error == NULL && (tokens == 0 || object->type != JSMN_OBJECT))
		*error = "not a JSON object";
	else if (*error == NULL && !reserve_members(json, (unsigned)object->size + 1))
		*error = "the server is out of memory";
	if (*error != NULL)
		return -1;
	collect_members(json, text, tokens);
	return 0;
}

bool json_array_begin(struct json_array *array, const char *text, size_t len)
{
	const char *end = text + len, *p = json_walk_space(text, end);

	*array = (struct json_array){ p + 1, end };
	return p < end && *p == '[';
}

bool json_array_next(struct json_array *array, const char **item, size_t *len)
{
	const char *p = json_walk_space(array->at, array->end), *after;

	if (p >= array->end || *p == ']')
		return false;
	after = json_walk_value(p, array->end);
	*item = p;
	*len = (size_t)(after - p);
	p = json_walk_space(after, array->end);
	array->at = p < array->end && *p == ',' ? p + 1 : p;
	return true;
}

ssize_t json_read_string(const char *raw, size_t len, char *dst, size_t max)
{
	struct sink s = { .dst = dst, .room = max };

	json_put_string(&s, raw, len, sink_bytes);
	return s.len <= max ? (ssize_t)s.len : -1;
}
