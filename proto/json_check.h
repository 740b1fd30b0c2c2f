/*
 * The grammar of RFC 8259, strictly. Used by json.c.
 */
#ifndef PROTO_JSON_CHECK_H
#define PROTO_JSON_CHECK_H

#include <stddef.h>

/* What a checked text consists of, so that room for it can be made at once. */
struct json_counts {
	unsigned tokens;	/* objects, arrays, strings (names too), numbers, true, false, null */
	unsigned members;	/* of the outermost object */
};

/* NULL if text (at most JSON_TEXT_MAX bytes) is one JSON value; or a static sentence that says what is wrong. */
const char *json_check_counting(const char *text, size_t len, struct json_counts *counts);

#endif
