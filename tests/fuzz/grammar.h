/*
 * JSON (RFC 8259) once more, written from the grammar and as simple as can be: what proto/json.c says is compared with it.
 */
#ifndef TESTS_FUZZ_GRAMMAR_H
#define TESTS_FUZZ_GRAMMAR_H

#include "proto/json.h"

#define GRAMMAR_MEMBERS 64

/* The outermost object's members, of which the first GRAMMAR_MEMBERS are kept. */
struct grammar {
	const char *p, *end;
	bool object;
	unsigned depth, deepest;	/* arrays and objects inside each other */
	unsigned count;
	struct json_member members[GRAMMAR_MEMBERS];
};

/* Whether the text is JSON, of any depth up to JSON_DEPTH_MAX. */
bool grammar_text(struct grammar *g, const char *text, size_t len);

/* Whether the bytes are UTF-8. */
bool grammar_utf8(const uint8_t *p, size_t len);

#endif
