/*
 * What jsmn lets pass and RFC 8259 does not. Used by json.c.
 */
#ifndef PROTO_JSON_CHECK_H
#define PROTO_JSON_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#ifndef JSMN_STATIC
#define JSMN_HEADER		/* types only: json.c has the functions */
#endif
#include <jsmn.h>

/*
 * Checks the tokens that jsmn has found in the text, and what stands between them. `whole`: jsmn came to the text's end; else these are the tokens
 * ahead of what it did not take. NULL if the text is one JSON value; or a static sentence that says what is wrong, as it always does if not `whole`.
 */
const char *json_check_tokens(const char *text, size_t len, const jsmntok_t *token, unsigned tokens, bool whole);

#endif
