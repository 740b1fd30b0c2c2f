/*
 * proto/message.c: what is a request, what is an error, and what is sent on.
 */
#include "proto/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

typedef int parse_fn(struct json *json, const char *text, size_t len, struct json_request *req, const char **error);

static struct json json;

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

static void expect_error(parse_fn *parse, const char *text, const char *expected)
{
	struct json_request req;
	const char *error = NULL;

	if (parse(&json, text, strlen(text), &req, &error) != -1)
		fail_msg("%s: passed", text);
	if (error == NULL || strcmp(error, expected) != 0)
		fail_msg("%s: %s", text, error != NULL ? error : "NULL");
}

/* The text and the message are in blocks of exactly their size. */
static void expect_message_of(enum request_kind kind, parse_fn *parse, const char *text, const char *name, const char *message)
{
	size_t len = strlen(text);
	char *copy = malloc(len), *written;
	const char *error = NULL;
	struct json_request req;

	assert_non_null(copy);
	memcpy(copy, text, len);
	if (parse(&json, copy, len, &req, &error) != 0)
		fail_msg("%s: %s", text, error);
	assert_int_equal(req.kind, kind);
	assert_int_equal(req.name_len, strlen(name));
	assert_memory_equal(req.name, name, req.name_len);
	assert_int_equal(req.size, strlen(message));
	written = malloc(req.size);
	assert_non_null(written);
	json_request_write(&req, written);
	assert_memory_equal(written, message, req.size);
	free(written);
	free(copy);
}

static void expect_message(parse_fn *parse, const char *text, const char *topic, const char *message)
{
	expect_message_of(REQUEST_PUBLISH, parse, text, topic, message);
}

static void test_publish_messages(void **state)
{
	static const struct { const char *text, *topic, *message; } table[] = {
		{ "{\"topic\":\"events\",\"event\":\"test_event\",\"message_id\":\"\",\"data\":\"test\"}", "events",
		  "\"topic\":\"events\",\"event\":\"test_event\",\"message_id\":\"\",\"data\":\"test\"}" },
		{ "{\"topic\":\"t\"}", "t", "\"topic\":\"t\"}" },
		{ " { \"n\" : 1.50 ,\t\"topic\" :\n\"t\" , \"a\": [ 1, 2 ] } ", "t", "\"n\":1.50,\"topic\":\"t\",\"a\":[ 1, 2 ]}" },
		{ "{\"topic\":\"a\\u00e9\\/\\ud83d\\ude00\",\"x\":\"\\n\"}", "a\xc3\xa9/\xf0\x9f\x98\x80",
		  "\"topic\":\"a\\u00e9\\/\\ud83d\\ude00\",\"x\":\"\\n\"}" },
		{ "{\"\\u0074opic\":\"t\"}", "t", "\"\\u0074opic\":\"t\"}" },
		{ "{\"timestamp\":[1,2,3],\"topic\":\"t\",\"timestam\\u0070\":0}", "t", "\"topic\":\"t\"}" },
		{ "{\"topic\":\"t\",\"timestamp\":{\"topic\":1}}", "t", "\"topic\":\"t\"}" },
		{ "{\"topic\":\"t\",\"o\":{\"timestamp\":1,\"action\":2,\"topic\":3}}", "t",
		  "\"topic\":\"t\",\"o\":{\"timestamp\":1,\"action\":2,\"topic\":3}}" },
		{ "{\"topic\":\"t\",\"x\":1,\"x\":2,\"\":null,\"data\":3,\"data\":4}", "t",
		  "\"topic\":\"t\",\"x\":1,\"x\":2,\"\":null,\"data\":3,\"data\":4}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		expect_message(json_request_parse_publish, table[i].text, table[i].topic, table[i].message);
}

/* `action` is a member like any other after PUBLISH, and left out of an action. */
static void test_publish_action(void **state)
{
	static const char text[] = "{\"action\":\"publish\",\"topic\":\"t\",\"data\":1}";

	(void)state;
	expect_message(json_request_parse_publish, text, "t", "\"action\":\"publish\",\"topic\":\"t\",\"data\":1}");
	expect_message(json_request_parse, text, "t", "\"topic\":\"t\",\"data\":1}");
	expect_message(json_request_parse_publish, "{\"action\":1,\"topic\":\"t\",\"action\":2}", "t",
		       "\"action\":1,\"topic\":\"t\",\"action\":2}");
	expect_message(json_request_parse, "{\"topic\":\"t\",\"\\u0061ction\":\"p\\u0075blish\"}", "t", "\"topic\":\"t\"}");
	expect_message(json_request_parse, "{\"timestamp\":1,\"data\":[],\"topic\":\"t\",\"action\":\"publish\"}", "t",
		       "\"data\":[],\"topic\":\"t\"}");
}

/* `to` stays among what is sent, beside whatever else is there. */
static void test_send(void **state)
{
	static const struct { const char *text, *id, *message; } table[] = {
		{ "{\"action\":\"send\",\"to\":\"bob\",\"data\":\"hi\"}", "bob", "\"to\":\"bob\",\"data\":\"hi\"}" },
		{ "{\"data\":1,\"t\\u006f\":\"b\\u006fb\",\"action\":\"sen\\u0064\"}", "bob", "\"data\":1,\"t\\u006f\":\"b\\u006fb\"}" },
		{ "{\"action\":\"send\",\"timestamp\":1,\"to\":\"b\",\"id\":2}", "b", "\"to\":\"b\",\"id\":2}" },
		{ "{\"action\":\"send\",\"to\":\"b\"}", "b", "\"to\":\"b\"}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		expect_message_of(REQUEST_SEND, json_request_parse, table[i].text, table[i].id, table[i].message);
	/* nothing but the action makes `to` special */
	expect_message(json_request_parse, "{\"action\":\"publish\",\"topic\":\"t\",\"to\":1,\"to\":2}", "t", "\"topic\":\"t\",\"to\":1,\"to\":2}");
}

static void test_subscribe(void **state)
{
	static const struct { const char *text, *name; enum request_kind kind; } table[] = {
		{ "{\"action\":\"subscribe\",\"data\":\"events\"}", "events", REQUEST_SUBSCRIBE },
		{ "{\"action\":\"unsubscribe\",\"data\":\"events\"}", "events", REQUEST_UNSUBSCRIBE },
		{ "{\"data\":\"a b\",\"x\":1,\"action\":\"subscribe\"}\n", "a b", REQUEST_SUBSCRIBE },
		{ "{\"\\u0064ata\":\"\\u0061\",\"action\":\"\\u0073ubscribe\"}", "a", REQUEST_SUBSCRIBE },
		{ "{\"action\":\"subscribe\",\"data\":\"d\",\"topic\":1,\"topic\":2}", "d", REQUEST_SUBSCRIBE },
		{ "{\"action\":\"login\",\"data\":\"b\\u006fb\"}", "bob", REQUEST_LOGIN },
		{ "{\"to\":1,\"data\":\"bob\",\"action\":\"logout\"}", "bob", REQUEST_LOGOUT },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct json_request req;
		const char *error;

		assert_int_equal(json_request_parse(&json, table[i].text, strlen(table[i].text), &req, &error), 0);
		assert_int_equal(req.kind, table[i].kind);
		assert_int_equal(req.name_len, strlen(table[i].name));
		assert_memory_equal(req.name, table[i].name, req.name_len);
	}
}

static void test_unknown(void **state)
{
	static const char *const texts[] = {
		"{\"action\":\"\"}", "{\"action\":\"Subscribe\"}", "{\"action\":\"subscribe \",\"data\":1}", "{\"action\":\"ping\"}",
		"{\"action\":\"publishx\",\"topic\":\"t\"}", "{\"action\":\"subscribexx\",\"data\":\"t\"}",
		"{\"action\":\"log\"}", "{\"action\":\"Login\"}", "{\"action\":\"loginn\"}", "{\"action\":\"logouts\"}", "{\"action\":\"sen\"}",
		"{\"action\":\"sends\"}", "{\"action\":\"broadcast\"}", "{\"action\":\"unsubscribes\",\"data\":\"t\"}",
		"{\"action\":\"subscribe\\u0000\",\"data\":\"t\"}", "{\"action\":\"publishpublishpublish\",\"topic\":\"t\",\"topic\":\"t\"}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct json_request req;
		const char *error;

		assert_int_equal(json_request_parse(&json, texts[i], strlen(texts[i]), &req, &error), 0);
		assert_int_equal(req.kind, REQUEST_UNKNOWN);
	}
}

static void test_errors(void **state)
{
	static const struct { parse_fn *parse; const char *text, *error; } table[] = {
		{ json_request_parse, "{", "bad JSON: a member's name was expected, at its end (byte 1)" },
		{ json_request_parse, "[]", "not a JSON object" },
		{ json_request_parse, "{}", "no action: subscribe, unsubscribe, publish, login, logout, send, attach and auth are known" },
		{ json_request_parse, "{\"Action\":\"subscribe\"}", "no action: subscribe, unsubscribe, publish, login, logout, send, attach and auth are known" },
		{ json_request_parse, "{\"a\":{\"action\":\"subscribe\"}}", "no action: subscribe, unsubscribe, publish, login, logout, send, attach and auth are known" },
		{ json_request_parse, "{\"action\":1}", "the action is not a string" },
		{ json_request_parse, "{\"action\":[\"subscribe\"]}", "the action is not a string" },
		{ json_request_parse, "{\"action\":\"ping\",\"action\":\"ping\"}", "the action stands twice" },
		{ json_request_parse, "{\"action\":\"ping\",\"\\u0061ction\":\"ping\"}", "the action stands twice" },
		{ json_request_parse, "{\"action\":\"subscribe\"}", "no data: it names the topic" },
		{ json_request_parse, "{\"action\":\"subscribe\",\"topic\":\"t\"}", "no data: it names the topic" },
		{ json_request_parse, "{\"action\":\"unsubscribe\"}", "no data: it names the topic" },
		{ json_request_parse, "{\"action\":\"subscribe\",\"data\":null}", "data is not a string: it names the topic" },
		{ json_request_parse, "{\"action\":\"subscribe\",\"data\":[\"t\"]}", "data is not a string: it names the topic" },
		{ json_request_parse, "{\"data\":\"t\",\"action\":\"subscribe\",\"data\":\"t\"}", "data stands twice" },
		{ json_request_parse, "{\"action\":\"subscribe\",\"data\":\"\"}", "the topic is empty" },
		{ json_request_parse, "{\"action\":\"subscribe\",\"data\":\"a\\u0000\"}", "the topic has a control character in it" },
		{ json_request_parse, "{\"action\":\"publish\",\"data\":\"t\"}", "no topic" },
		{ json_request_parse, "{\"action\":\"publish\",\"topic\":\"t\",\"topic\":\"t\"}", "the topic stands twice" },
		{ json_request_parse, "{\"action\":\"login\"}", "no data: it is the id" },
		{ json_request_parse, "{\"action\":\"logout\",\"to\":\"bob\"}", "no data: it is the id" },
		{ json_request_parse, "{\"action\":\"login\",\"data\":7}", "data is not a string: it is the id" },
		{ json_request_parse, "{\"action\":\"logout\",\"data\":\"a\",\"data\":\"a\"}", "data stands twice" },
		{ json_request_parse, "{\"action\":\"login\",\"data\":\"\"}", "the id is empty" },
		{ json_request_parse, "{\"action\":\"logout\",\"data\":\"\\u0001\"}", "the id has a control character in it" },
		{ json_request_parse, "{\"action\":\"send\",\"topic\":\"bob\",\"data\":\"bob\"}", "no member to: it is the id" },
		{ json_request_parse, "{\"action\":\"send\",\"to\":[\"bob\"]}", "the member to is not a string: it is the id" },
		{ json_request_parse, "{\"action\":\"send\",\"to\":\"a\",\"t\\u006f\":\"b\"}", "the member to stands twice" },
		{ json_request_parse, "{\"action\":\"send\",\"to\":\"\"}", "the id is empty" },
		{ json_request_parse_publish, "", "bad JSON: a value was expected, at its end (byte 0)" },
		{ json_request_parse_publish, "{\"topic\":\"t\"}x", "bad JSON: something stands behind the value, at byte 13 (line 1, column 14)" },
		{ json_request_parse_publish, "\"topic\"", "not a JSON object" },
		{ json_request_parse_publish, "{}", "no topic" },
		{ json_request_parse_publish, "{\"topic\":7}", "the topic is not a string" },
		{ json_request_parse_publish, "{\"topic\":\"t\",\"top\\u0069c\":\"u\"}", "the topic stands twice" },
		{ json_request_parse_publish, "{\"topic\":\"\"}", "the topic is empty" },
		{ json_request_parse_publish, "{\"topic\":\"\\n\"}", "the topic has a control character in it" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		expect_error(table[i].parse, table[i].text, table[i].error);
}

static void test_topic_rules(void **state)
{
	static const char control[] = "the topic has a control character in it", utf8[] = "the topic is not UTF-8";
	static const struct { const char *topic, *error; } table[] = {
		{ "a", NULL }, { " ", NULL }, { "~", NULL }, { "a/b\\c\"", NULL }, { "\xc2\xa0", NULL }, { "\xc3\x80", NULL },
		{ "\xc3\xa9", NULL }, { "\xe2\x82\x80", NULL }, { "\xf4\x8f\xbf\xbf", NULL },
		{ "\x01", control }, { "a\x1f", control }, { "\x7f", control }, { "a\xc2\x80", control }, { "\xc2\x85z", control },
		{ "\xc2\x9f", control }, { "\t", control },
		{ "\x80", utf8 }, { "a\xc2", utf8 }, { "\xc0\x80", utf8 }, { "\xed\xa0\x80", utf8 }, { "\xf4\x90\x80\x80", utf8 }, { "\xff", utf8 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		size_t len = strlen(table[i].topic);
		char *topic = malloc(len);
		const char *error;

		assert_non_null(topic);
		memcpy(topic, table[i].topic, len);
		error = message_topic_error(topic, len);
		if (error != table[i].error && (error == NULL || table[i].error == NULL || strcmp(error, table[i].error) != 0))
			fail_msg("%zu: %s", i, error != NULL ? error : "passed");
		free(topic);
	}
	assert_string_equal(message_topic_error("", 0), "the topic is empty");
	assert_string_equal(message_topic_error("a\0b", 3), control);
}

/* The limit is one of resolved bytes, whether they are written as escapes or not. */
static void test_topic_length(void **state)
{
	static const struct { const char *piece; size_t bytes; } pieces[] = { { "x", 1 }, { "\\u0078", 1 }, { "\\\\", 1 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		for (size_t len = MESSAGE_TOPIC_MAX - 1; len <= MESSAGE_TOPIC_MAX + 1; len++) {
			char text[4096], *p = stpcpy(text, "{\"topic\":\"");
			struct json_request req;
			const char *error = NULL;
			int result;

			for (size_t n = 0; n < len; n++)
				p = stpcpy(p, pieces[i].piece);
			stpcpy(p, "\"}");
			result = json_request_parse_publish(&json, text, strlen(text), &req, &error);
			assert_int_equal(result, len <= MESSAGE_TOPIC_MAX ? 0 : -1);
			if (result == 0)
				assert_int_equal(req.name_len, len);
			else
				assert_string_equal(error, "the topic is longer than 255 bytes");
		}
	}
	/* 253 bytes, and 3 more that are one character */
	{
		char text[512] = "{\"action\":\"subscribe\",\"data\":\"";
		size_t start = strlen(text);

		memset(text + start, 'x', 253);
		strcpy(text + start + 253, "\\u20ac\"}");
		expect_error(json_request_parse, text, "the topic is longer than 255 bytes");
	}
}

/* The rules of topics, but for the length. */
static void test_id_rules(void **state)
{
	static const struct { const char *id, *error; } table[] = {
		{ "bob", NULL }, { "\xc3\xa9", NULL }, { "\x01", "the id has a control character in it" },
		{ "\xc2\x85", "the id has a control character in it" }, { "\xff", "the id is not UTF-8" }, { "", "the id is empty" },
	};
	char longest[MESSAGE_USER_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		const char *error = message_id_error(table[i].id, strlen(table[i].id));

		if (error != table[i].error && (error == NULL || table[i].error == NULL || strcmp(error, table[i].error) != 0))
			fail_msg("%zu: %s", i, error != NULL ? error : "passed");
	}
	memset(longest, 'x', sizeof(longest));
	assert_null(message_id_error(longest, MESSAGE_USER_MAX));
	assert_string_equal(message_id_error(longest, MESSAGE_USER_MAX + 1), "the id is longer than 254 bytes");
	for (size_t len = MESSAGE_USER_MAX; len <= MESSAGE_USER_MAX + 3; len++) {
		char text[512] = "{\"action\":\"send\",\"to\":\"";
		size_t start = strlen(text);
		struct json_request req;
		const char *error;

		memset(text + start, 'x', len);
		strcpy(text + start + len, "\"}");
		if (len > MESSAGE_USER_MAX) {
			expect_error(json_request_parse, text, "the id is longer than 254 bytes");
			continue;
		}
		assert_int_equal(json_request_parse(&json, text, strlen(text), &req, &error), 0);
		assert_int_equal(req.name_len, len);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_publish_messages), cmocka_unit_test(test_publish_action), cmocka_unit_test(test_subscribe),
		cmocka_unit_test(test_unknown), cmocka_unit_test(test_errors), cmocka_unit_test(test_topic_rules),
		cmocka_unit_test(test_topic_length), cmocka_unit_test(test_send), cmocka_unit_test(test_id_rules),
	};

	return cmocka_run_group_tests_name("message", tests, setup, teardown);
}
