/*
 * proto/web_request.c and vocabulary.c: actions of /ws and the objects of POST /pub; what is known in them, and what is said of the rest.
 */
#include "proto/web_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

typedef int parse_fn(struct json *json, const char *text, size_t len, struct error_text *why, struct json_request *req, const char **error);

static struct json json;
static struct error_text why;
#define NOT_AN_ACTION "a message is a JSON object with an action, like {\"action\":\"subscribe\",\"topic\":\"events\"}"

static int setup(void **state)
{
	(void)state;
	json_init(&json);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	json_fini(&json);
	return 0;
}

/* In a block of exactly its size. NULL, or the error. */
static const char *parse_with(parse_fn *parse, const char *text, struct json_request *req)
{
	static char *copy;
	const char *error = NULL;
	size_t len = strlen(text);
	int result;

	free(copy);
	copy = malloc(len > 0 ? len : 1);
	assert_non_null(copy);
	memcpy(copy, text, len);
	memset(req, 0xff, sizeof(*req));
	result = parse(&json, copy, len, &why, req, &error);
	assert_int_equal(result, error == NULL ? 0 : -1);
	return error;
}

static void expect_error(parse_fn *parse, const char *text, const char *wanted)
{
	struct json_request req;
	const char *error = parse_with(parse, text, &req);

	if (error == NULL || strcmp(error, wanted) != 0)
		fail_msg("%s: %s", text, error != NULL ? error : "passed");
}

/* Kind, ref, names, and the message. */
static void describe(struct json_request *req, char *log, size_t size)
{
	struct web_names names = { 0 };
	int n = snprintf(log, size, "%u", req->kind);

	if (req->ref != NULL)
		n += snprintf(log + n, size - (size_t)n, " ref %.*s", (int)req->ref_len, req->ref);
	if (req->everywhere)
		n += snprintf(log + n, size - (size_t)n, " everywhere");
	if (req->kind == REQUEST_AUTH)
		n += snprintf(log + n, size - (size_t)n, " shows %.*s", (int)req->shown_len, req->shown);
	else if (req->kind != REQUEST_PING && req->kind != REQUEST_UNKNOWN)
		for (const char *by = " "; web_request_next_name(req, &names); by = ",")
			n += snprintf(log + n, size - (size_t)n, "%s%.*s", by, req->name_len, req->name);
	if (req->count > 0) {
		log[n++] = ' ';
		json_request_write(req, log + n);
		log[n + (int)req->size] = '\0';
	}
}

static const struct { parse_fn *parse; const char *text, *log; } good[] = {
#define ACT web_request_parse
#define PUB web_request_parse_publish
	{ ACT, "{\"action\":\"ping\"}", "6" },
	{ ACT, "{\"action\":\"ping\",\"ref\":\"a\\u0062\\n\"}", "6 ref \"a\\u0062\\n\"" },
	{ ACT, "{\"ref\":-1.50e+3,\"action\":\"what\",\"x\":1}", "9 ref -1.50e+3" },
	{ ACT, "{\"action\":\"attach\",\"token\":\"00112233445566778899aabbccddeeff\",\"since\":\"a-7\"}", "7 " },
	{ ACT, "{\"action\":\"auth\",\"token\":\"a.b-_.c\",\"ref\":1}", "8 ref 1 shows a.b-_.c" },
	/* one name or several; as `data` it was once */
	{ ACT, "{\"action\":\"subscribe\",\"topic\":\"a b\",\"ref\":7}", "0 ref 7 a b" },
	{ ACT, "{\"action\":\"subscribe\",\"topic\":[\"a\", \"\\u0062\",\n\"c\" ]}", "0 a,b,c" },
	{ ACT, "{\"action\":\"subscribe\",\"data\":\"a\"}", "0 a" },
	{ ACT, "{\"\\u0064ata\":[\"a\",\"b\"],\"action\":\"\\u0075nsubscribe\"}", "1 a,b" },
	{ ACT, "{\"action\":\"login\",\"user\":\"b\\u006fb@x.*\"}", "3 bob@x.*" },
	{ ACT, "{\"action\":\"login\",\"data\":\"bob\"}", "3 bob" },
	{ ACT, "{\"action\":\"logout\",\"user\":[\"bob\"]}", "4 bob" },
	/* messages; a user is sent on as `to` */
	{ ACT, "{\"action\":\"publish\",\"topic\":\"t\",\"data\":1}", "2 t \"topic\":\"t\",\"data\":1}" },
	{ ACT, "{ \"ref\" : 5 , \"data\" : [ 1 ] , \"t\\u006fpic\" : \"t\" , \"message_id\":{} , \"event\":null , \"action\" : \"publish\" }",
	  "2 ref 5 t \"data\":[ 1 ],\"t\\u006fpic\":\"t\",\"message_id\":{},\"event\":null}" },
	{ ACT, "{\"action\":\"publish\",\"topic\":\"t\",\"data\":\"\"}", "2 t \"topic\":\"t\",\"data\":\"\"}" },
	{ ACT, "{\"action\":\"publish\",\"topic\":\"t\",\"data\":null}", "2 t \"topic\":\"t\",\"data\":null}" },
	{ ACT, "{\"action\":\"publish\",\"topic\":\"t\",\"data\":{\"ref\":1,\"x\":2,\"topic\":3}}", "2 t \"topic\":\"t\",\"data\":{\"ref\":1,\"x\":2,\"topic\":3}}" },
	{ ACT, "{\"action\":\"send\",\"event\":\"e\",\"us\\u0065r\":\"bob\",\"data\":\"hi\"}", "5 bob \"event\":\"e\",\"to\":\"bob\",\"data\":\"hi\"}" },
	{ ACT, "{\"action\":\"publish\",\"n\\u006fdes\":\"\\u0061ll\",\"topic\":\"t\",\"data\":1}", "2 everywhere t \"topic\":\"t\",\"data\":1}" },
	{ PUB, "{\"topic\":\"t\",\"data\":1,\"event\":\"e\",\"message_id\":\"m\"}", "2 t \"topic\":\"t\",\"data\":1,\"event\":\"e\",\"message_id\":\"m\"}" },
};

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct json_request req;
		const char *error = parse_with(good[i].parse, good[i].text, &req);
		char log[512];

		if (error != NULL)
			fail_msg("%s: %s", good[i].text, error);
		describe(&req, log, sizeof(log));
		assert_string_equal(log, good[i].log);
	}
}

static void test_errors(void **state)
{
	static const struct { parse_fn *parse; const char *text, *error; } table[] = {
		{ ACT, "{", "bad JSON: a member's name was expected, at its end (byte 1)" },
		{ ACT, "[]", NOT_AN_ACTION },
		{ ACT, "hello", NOT_AN_ACTION },
		{ ACT, "", NOT_AN_ACTION },
		{ ACT, " {x", "bad JSON: a member's name was expected, at byte 2 (line 1, column 3)" },
		{ ACT, "{\"action\":\"auth\"}", "no token" },
		{ ACT, "{\"action\":\"auth\",\"token\":7}", "the token is not a string" },
		{ ACT, "{\"action\":\"auth\",\"token\":\"a\\u0062\"}", "the token has an escaped character in it" },
		{ ACT, "{\"action\":\"auth\",\"token\":\"a\",\"token\":\"b\"}", "the member \"token\" stands twice" },
		{ ACT, "{\"action\":\"auth\",\"data\":\"a\"}", "unknown member \"data\"" },
		{ ACT, "{}", "no action: subscribe, unsubscribe, publish, login, logout, send, attach, auth and ping are known" },
		{ ACT, "{\"action\":7}", "the action is not a string" },
		{ ACT, "{\"action\":\"ping\",\"\\u0061ction\":\"ping\"}", "the member \"action\" stands twice" },
		{ ACT, "{\"action\":\"ping\",\"ref\":null}", "the ref is neither a string nor a number" },
		{ ACT, "{\"action\":\"ping\",\"ref\":[5]}", "the ref is neither a string nor a number" },
		{ ACT, "{\"action\":\"ping\",\"ref\":5,\"r\\u0065f\":5}", "the member \"ref\" stands twice" },
		{ ACT, "{\"action\":\"subscribe\"}", "no topic" },
		{ ACT, "{\"action\":\"unsubscribe\",\"topic\":[]}", "no topic" },
		{ ACT, "{\"action\":\"login\"}", "no user" },
		{ ACT, "{\"action\":\"logout\",\"user\":[ ]}", "no user" },
		{ ACT, "{\"action\":\"subscribe\",\"topic\":7}", "the topic is neither a string nor an array of strings" },
		{ ACT, "{\"action\":\"login\",\"data\":{}}", "the user is neither a string nor an array of strings" },
		{ ACT, "{\"action\":\"subscribe\",\"topic\":[\"a\",7]}", "one of the topics is not a string" },
		{ ACT, "{\"action\":\"subscribe\",\"topic\":[\"a\",[\"b\"]]}", "one of the topics is not a string" },
		{ ACT, "{\"action\":\"login\",\"user\":[null]}", "one of the users is not a string" },
		{ ACT, "{\"action\":\"subscribe\",\"topic\":[\"a\",\"\"]}", "the topic is empty" },
		{ ACT, "{\"action\":\"subscribe\",\"topic\":[\"a\",\"\\n\",\"b\"]}", "the topic has a control character in it" },
		{ ACT, "{\"action\":\"login\",\"user\":\"\"}", "the user is empty" },
		{ ACT, "{\"action\":\"login\",\"user\":\"\\u0001\"}", "the user has a control character in it" },
		{ ACT, "{\"action\":\"publish\",\"data\":1}", "no topic" },
		{ ACT, "{\"action\":\"publish\",\"topic\":[\"t\"],\"data\":1}", "the topic is not a string" },
		{ ACT, "{\"action\":\"publish\",\"topic\":\"t\"}", "no data" },
		{ ACT, "{\"action\":\"send\",\"data\":1}", "no user" },
		{ ACT, "{\"action\":\"send\",\"user\":1,\"data\":1}", "the user is not a string" },
		{ ACT, "{\"action\":\"send\",\"user\":\"bob\"}", "no data" },
		{ ACT, "{\"action\":\"publish\",\"topic\":\"t\",\"topic\":\"t\",\"data\":1}", "the member \"topic\" stands twice" },
		{ ACT, "{\"action\":\"publish\",\"topic\":\"t\",\"data\":1,\"data\":2}", "the member \"data\" stands twice" },
		{ ACT, "{\"action\":\"publish\",\"topic\":\"t\",\"data\":1,\"event\":1,\"event\":2}", "the member \"event\" stands twice" },
		/* what is not known, or not here */
		{ ACT, "{\"action\":\"publish\",\"topic\":\"t\",\"data\":1,\"foo\":2,\"bar\":3}", "unknown member \"foo\"" },
		{ ACT, "{\"action\":\"publish\",\"topic\":\"t\",\"data\":1,\"id\":2}", "unknown member \"id\"" },
		{ ACT, "{\"action\":\"publish\",\"topic\":\"t\",\"data\":1,\"timestamp\":2}", "unknown member \"timestamp\"" },
		{ ACT, "{\"action\":\"publish\",\"topic\":\"t\",\"data\":1,\"user\":\"bob\"}", "unknown member \"user\"" },
		{ ACT, "{\"action\":\"publish\",\"topic\":\"t\",\"data\":1,\"receipt\":true}", "unknown member \"receipt\"" },
		{ ACT, "{\"action\":\"publish\",\"topic\":\"t\",\"data\":1,\"envelope\":true}", "unknown member \"envelope\"" },
		{ ACT, "{\"action\":\"publish\",\"topic\":\"t\",\"data\":1,\"nodes\":\"some\"}", "nodes is none that is known: all" },
		{ ACT, "{\"action\":\"publish\",\"topic\":\"t\",\"data\":1,\"nodes\":2}", "nodes is none that is known: all" },
		{ ACT, "{\"action\":\"subscribe\",\"topic\":\"t\",\"nodes\":\"all\"}", "unknown member \"nodes\"" },
		{ PUB, "{\"topic\":\"t\",\"data\":1,\"nodes\":\"all\"}", "unknown member \"nodes\"" },
		{ ACT, "{\"action\":\"send\",\"to\":\"bob\",\"data\":1}", "unknown member \"to\"" },
		{ ACT, "{\"action\":\"send\",\"user\":\"bob\",\"topic\":\"t\",\"data\":1}", "unknown member \"topic\"" },
		{ ACT, "{\"action\":\"ping\",\"data\":1}", "unknown member \"data\"" },
		{ ACT, "{\"action\":\"subscribe\",\"topic\":\"t\",\"data\":\"t\"}", "unknown member \"data\"" },
		{ ACT, "{\"action\":\"subscribe\",\"topic\":\"t\",\"user\":\"t\"}", "unknown member \"user\"" },
		{ ACT, "{\"action\":\"subscribe\",\"topic\":\"t\",\"event\":\"t\"}", "unknown member \"event\"" },
		{ ACT, "{\"action\":\"ping\",\"\":1}", "unknown member \"\"" },
		{ ACT, "{\"action\":\"ping\",\"f\\u006f\\\"\\n\\u0000\":1}", "unknown member \"fo\\\"\\u000a\\u0000\"" },
		{ PUB, "[1]", "not a JSON object" },
		{ PUB, "{\"data\":1}", "no topic" },
		{ PUB, "{\"topic\":\"t\"}", "no data" },
		{ PUB, "{\"topic\":\"t\",\"data\":1,\"ref\":5}", "unknown member \"ref\"" },
		{ PUB, "{\"topic\":\"t\",\"data\":1,\"action\":\"publish\"}", "unknown member \"action\"" },
		{ PUB, "{\"topic\":\"t\",\"data\":1,\"x\":\"publish\"}", "unknown member \"x\"" },
		{ PUB, "{\"topic\":\"a.>\",\"data\":1}", "the topic is reserved for subscriptions: a part of it between dots is * or >" },
		{ ACT, "{\"action\":\"publish\",\"topic\":\"*\",\"data\":1}", "the topic is reserved for subscriptions: a part of it between dots is * or >" },
		{ ACT, "{\"action\":\"subscribe\",\"topic\":[\"a\",\">.a\"]}", "a > is not the last part of the topic" },
		{ ACT, "{\"action\":\"subscribe\",\"topic\":[\"a\",\"a.*\"],\"last\":1}", LAST_OF_PATTERN },
		{ ACT, "{\"last\":1,\"action\":\"subscribe\",\"topic\":\">\"}", LAST_OF_PATTERN },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		expect_error(table[i].parse, table[i].text, table[i].error);
}

/* What else is wrong, the ref is known. */
static void test_ref_of_errors(void **state)
{
	static const char *const some[] = {
		"{\"ref\":5}", "{\"action\":7,\"ref\":5}", "{\"action\":\"ping\",\"action\":\"ping\",\"ref\":5}", "{\"action\":\"subscribe\",\"ref\":5}",
		"{\"action\":\"publish\",\"ref\":5,\"topic\":\"\",\"data\":1}", "{\"x\":1,\"action\":\"send\",\"ref\":5}",
		"{\"action\":\"publish\",\"topic\":\"t\",\"topic\":\"t\",\"ref\":5}",
	};
	static const char *const none[] = { "{\"ref\":5", "[5]", "{\"ref\":5,\"ref\":5}", "{\"ref\":null}" };
	struct json_request req;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(some); i++) {
		assert_non_null(parse_with(web_request_parse, some[i], &req));
		assert_int_equal(req.ref_len, 1);
		assert_memory_equal(req.ref, "5", 1);
	}
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		assert_non_null(parse_with(web_request_parse, none[i], &req));
		assert_null(req.ref);
		assert_int_equal(req.ref_len, 0);
	}
}

/* The limit of a ref is one of the bytes that it stands there with, quotes and escapes and all. */
static void test_ref_length(void **state)
{
	(void)state;
	for (size_t len = REQUEST_REF_MAX - 1; len <= REQUEST_REF_MAX + 1; len++) {
		for (int quoted = 0; quoted < 2; quoted++) {
			char text[512] = "{\"action\":\"x\",\"ref\":";
			size_t start = strlen(text);
			struct json_request req;
			const char *error;

			memset(text + start, '1', len);
			if (quoted)
				text[start] = text[start + len - 1] = '"';
			strcpy(text + start + len, "}");
			error = parse_with(web_request_parse, text, &req);
			assert_int_equal(req.ref_len, error == NULL ? len : 0);
			if (len <= REQUEST_REF_MAX)
				assert_null(error);
			else
				assert_string_equal(error, "the ref is longer than 255 bytes");
		}
	}
}

/* A long word is cut, between characters, and whatever it is, the sentence is bounded. */
static void test_long_words(void **state)
{
	static const struct { const char *piece; unsigned shown; } cases[] = { { "x", 48 }, { "\xc3\xa9", 24 }, { "\xe2\x82\xac", 16 }, { "\\u0001", 48 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (unsigned n = 1; n < 400; n++) {
			char text[4096], want[1024], *p = stpcpy(text, "{\"action\":\"ping\",\"");
			struct json_request req;
			const char *error;

			for (unsigned j = 0; j < n; j++)
				p = stpcpy(p, cases[i].piece);
			stpcpy(p, "\":1}");
			error = parse_with(web_request_parse, text, &req);
			assert_true(error == why.text && strlen(error) < sizeof(why.text));
			if (cases[i].piece[0] == '\\' && n > 288)	/* as it stands */
				continue;
			p = stpcpy(want, "unknown member \"");
			for (unsigned j = 0; j < n && j < cases[i].shown; j++)
				p = stpcpy(p, cases[i].piece);
			stpcpy(p, n > cases[i].shown ? "...\"" : "\"");
			assert_string_equal(error, want);
		}
}

/* Nothing is done of too many names, or of many of which the last one is bad. */
static void test_many_names(void **state)
{
	(void)state;
	for (unsigned n = NAMES_MAX - 1; n <= NAMES_MAX + 1; n++) {
		char *text = malloc(16 * n + 64), *p = stpcpy(text, "{\"action\":\"subscribe\",\"topic\":[");
		struct web_names names = { 0 };
		struct json_request req;
		const char *error;
		unsigned count = 0;

		for (unsigned i = 0; i < n; i++)
			p += sprintf(p, "%s\"t%u\"", i ? "," : "", i);
		stpcpy(p, "]}");
		error = parse_with(web_request_parse, text, &req);
		if (n > NAMES_MAX) {
			assert_string_equal(error, NAMES_TOO_MANY);
		} else {
			assert_null(error);
			while (web_request_next_name(&req, &names))
				count++;
			assert_int_equal(count, n);
			assert_memory_equal(req.name, "t1", 2);
			p[-2] = '\x7f';	/* in the last one */
			expect_error(web_request_parse, text, "the topic has a control character in it");
		}
		free(text);
	}
}

static void test_reserved(void **state)
{
	static const char *const reserved[] = { "*", ">", "foo.*", "foo.>", "a.*.b", "*.a", ">.>", ".*", "*.", "@", "a@b", "bob@" };
	static const char *const free_[] = { "a", "a*", "*a", "a.b*", "**", ">>", "a.>b", "a..b", ".", "<>", "a.\xe2\x82\xac*", "#", "+" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
		const char *error = web_name_error(NAME_OF_TOPIC, reserved[i], strlen(reserved[i]));

		if (error == NULL || strstr(error, "reserved") == NULL)
			fail_msg("%s: %s", reserved[i], error);
		assert_null(web_name_error(NAME_OF_USER, reserved[i], strlen(reserved[i])));
		error = web_name_error(NAME_OF_TOPICS, reserved[i], strlen(reserved[i]));
		if ((error == NULL) != (strpbrk(reserved[i], "@") == NULL && strcmp(reserved[i], ">.>") != 0))
			fail_msg("%s: %s", reserved[i], error);
	}
	for (size_t i = 0; i < ARRAY_LEN(free_); i++) {
		assert_null(web_name_error(NAME_OF_TOPIC, free_[i], strlen(free_[i])));
		assert_null(web_name_error(NAME_OF_TOPICS, free_[i], strlen(free_[i])));
	}
	assert_string_equal(web_name_error(NAME_OF_TOPIC, "", 0), "the topic is empty");
	assert_string_equal(web_name_error(NAME_OF_TOPICS, "", 0), "the topic is empty");
	assert_string_equal(web_name_error(NAME_OF_USER, "", 0), "the user is empty");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good), cmocka_unit_test(test_errors), cmocka_unit_test(test_ref_of_errors), cmocka_unit_test(test_ref_length),
		cmocka_unit_test(test_long_words), cmocka_unit_test(test_many_names), cmocka_unit_test(test_reserved),
	};

	return cmocka_run_group_tests_name("web_request", tests, setup, teardown);
}
