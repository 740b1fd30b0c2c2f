/*
 * The JSON of tokens and keys, read with jansson, after what it would take too much stack or time for is refused.
 */
#include <string.h>

#include "proto/jwt.h"
#include "proto/jwt_key.h"

/* Whether arrays and objects are no deeper in each other than that. (What is no JSON may be counted wrongly; jansson refuses it.) */
static bool is_shallow(const char *text, size_t len)
{
	unsigned depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (quoted) {
			if (c == '\\')
				i++;
			else if (c == '"')
				quoted = false;
		} else if (c == '"') {
			quoted = true;
		} else if (c == '[' || c == '{') {
			if (++depth > JWT_DEPTH_MAX)
				return false;
		} else if ((c == ']' || c == '}') && depth > 0) {
			depth--;
		}
	}
	return true;
}

json_t *jwt_json_object(const char *text, size_t len)
{
	json_t *json;

	if (!is_shallow(text, len))
		return NULL;
	json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (json && !json_is_object(json)) {
		json_decref(json);
		return NULL;
	}
	return json;
}
