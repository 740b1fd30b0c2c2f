/*
 * Whether a text is JSON, for tests of what is written as JSON.
 */
#ifndef UNIT_JSON_FIXTURE_H
#define UNIT_JSON_FIXTURE_H

#include "proto/json.h"

/* json_check() with scratch of its own. */
static inline const char *json_error(const char *text, size_t len)
{
	struct json json;
	const char *error;

	json_init(&json);
	error = json_check(&json, text, len);
	json_fini(&json);
	return error;
}

#endif
