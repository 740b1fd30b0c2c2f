/*
 * For tests of JSON, and of what is written: is it JSON?
 */
#ifndef UNIT_JSON_FIXTURE_H
#define UNIT_JSON_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/json.h"

/* NULL, or what is wrong, until the next call. With scratch of its own. */
static inline const char *json_check(const char *text, size_t len)
{
	static char kept[JSON_ERROR_MAX];
	struct json json;
	const char *error;

	json_init(&json);
	error = json_value(&json, text, len);
	if (error != NULL)
		snprintf(kept, sizeof(kept), "%s", error);
	json_fini(&json);
	return error != NULL ? kept : NULL;
}

/* A copy in a block of exactly its size, so that a sanitizer sees a read past the end. */
static inline char *exact(const char *text, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1);

	if (copy == NULL)
		abort();
	memcpy(copy, text, len);
	return len > 0 ? copy : copy + 1;
}

static inline void exact_free(char *copy, size_t len)
{
	free(len > 0 ? copy : copy - 1);
}

#endif
