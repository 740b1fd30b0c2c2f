/*
 * JSON texts (RFC 8259) as peers send them: checked strictly, then taken apart into the members of the outermost object. What is
 * inside a member's value is checked but not looked at: a message's values are passed on as they came.
 */
#ifndef PROTO_JSON_H
#define PROTO_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/json_walk.h"

#define JSON_DEPTH_MAX 128		/* arrays and objects inside each other */
#define JSON_TEXT_MAX (1u << 30)	/* bytes */
#define JSON_ERROR_MAX 160		/* bytes of a sentence that says what is wrong, and where */

enum json_type { JSON_OBJECT, JSON_ARRAY, JSON_STRING, JSON_NUMBER, JSON_TRUE, JSON_FALSE, JSON_NULL };

/* Byte ranges of the text. A name, and a value that is a string, begin and end with their quotes. */
struct json_member {
	const char *name, *value;
	uint32_t name_len, value_len;
	enum json_type type;		/* of the value */
};

/* Scratch for one text at a time, which grows to what the largest text needed and is used again for the next. */
struct json {
	struct json_member *members;	/* of the last json_read_object(), in the text's order; the caller may rearrange them */
	unsigned count;
	/* private */
	unsigned members_max, tokens_max;
	void *tokens;
	char error[JSON_ERROR_MAX];
};

/* init allocates nothing; fini frees the scratch, and `json` may be used again afterwards. */
void json_init(struct json *json);
void json_fini(struct json *json);

/* NULL if the text is one JSON value, with white space around it or without; or a sentence that says what is wrong and where: bytes are counted from 0,
 * lines and columns (of bytes) from 1. It is static, or stands in `json` until the next text. */
const char *json_value(struct json *json, const char *text, size_t len);

/* Checks that the text is one JSON object and finds its members, which point into it. 0; or -1 and *error is such a sentence. */
int json_read_object(struct json *json, const char *text, size_t len, const char **error);

/* Whether the member's name is `name` (less than 32 letters and digits), escapes resolved. */
static inline bool json_name_is(const struct json_member *member, const char *name)
{
	return json_string_is(member->name, member->name_len, name);
}

/* The elements of an array, one after the other:
 *
 *   if (json_array_begin(&array, text, len))
 *           while (json_array_next(&array, &item, &item_len))
 *
 * The text has passed json_value(). begin is false if it is no array. Items point into the text and have no white space around them. */
struct json_array {
	const char *at, *end;	/* private */
};

bool json_array_begin(struct json_array *array, const char *text, size_t len);
bool json_array_next(struct json_array *array, const char **item, size_t *len);

/* Writes the bytes that a string of a checked text stands for, escapes resolved, without a terminator. `raw` is with its quotes.
 * \u0000 becomes a byte 0. Returns their number; or -1 if they are more than max. */
ssize_t json_read_string(const char *raw, size_t len, char *dst, size_t max);

#endif
