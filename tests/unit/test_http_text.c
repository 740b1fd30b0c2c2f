/*
 * The parts of a request: fields, the path's segments, the query's pairs, percent-encoding.
 */
#include "proto/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static const struct http_limits limits = { .line = 64, .head = 512, .headers = 8, .body = 40 };

static void assert_text(struct http_text text, const char *want)
{
	assert_non_null(text.p);
	assert_int_equal(text.len, strlen(want));
	assert_memory_equal(text.p, want, text.len);
}

static void test_fields(void **state)
{
	static const char input[] = "GET / HTTP/1.1\r\nhOST: h\r\nACCEPT: a/b\r\nOrigin:https://x \r\nLast-Event-ID: 7\r\n"
				    "Sec-WebSocket-Protocol: p\r\nContent-Type: application/json; charset=utf-8\r\n\r\n";
	struct http_scan scan = { 0 };
	struct http_request req;
	char scratch[40];

	(void)state;
	http_next(input, sizeof(input) - 1, &limits, &scan, scratch, &req);
	assert_int_equal(req.kind, HTTP_REQUEST);
	assert_text(req.field[HTTP_HOST], "h");
	assert_text(req.field[HTTP_ACCEPT], "a/b");
	assert_text(req.field[HTTP_ORIGIN], "https://x");
	assert_text(req.field[HTTP_LAST_EVENT_ID], "7");
	assert_text(req.field[HTTP_WEBSOCKET_PROTOCOL], "p");
	assert_true(http_media_type_is(req.field[HTTP_CONTENT_TYPE], "Application/JSON"));
	assert_false(http_media_type_is(req.field[HTTP_CONTENT_TYPE], "application/jso"));
	assert_null(req.field[HTTP_WEBSOCKET_KEY].p);
	assert_false(http_media_type_is(req.field[HTTP_WEBSOCKET_KEY], ""));
}

static struct http_text text_of(const char *s)
{
	return (struct http_text){ s, strlen(s) };
}

static void test_path(void **state)
{
	static const struct { const char *path, *segments; } cases[] = {
		{ "/", "|" }, { "/a", "a|" }, { "/a/", "a||" }, { "/sub/a%2Cb,c", "sub|a%2Cb,c|" }, { "//a", "|a|" },
		{ "/a/b/c/d", "a|b|c|d|" }, { "/a/b/c/d/e", NULL }, { "/a/b/c/d/", NULL }, { "*", NULL }, { "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_path path;
		char got[64] = "";
		bool good = http_path(text_of(cases[i].path), &path);

		assert_int_equal(good, cases[i].segments != NULL);
		for (unsigned s = 0; good && s < path.count; s++) {
			strncat(got, path.segment[s].p, path.segment[s].len);
			strcat(got, "|");
		}
		if (good)
			assert_string_equal(got, cases[i].segments);
	}
}

static void test_query(void **state)
{
	static const struct { const char *query, *pairs; } cases[] = {
		{ "", "" }, { "a=1", "a=1;" }, { "a=1&a=2", "a=1;a=2;" }, { "a&b=", "a=;b=;" }, { "&&a=b=c&", "a=b=c;" }, { "=x", "=x;" },
	};
	struct http_text none = { NULL, 0 }, name, value;

	(void)state;
	assert_false(http_query_next(&none, &name, &value));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_text query = text_of(cases[i].query);
		char got[64] = "";

		while (http_query_next(&query, &name, &value)) {
			strncat(got, name.p, name.len);
			strcat(got, "=");
			strncat(got, value.p, value.len);
			strcat(got, ";");
		}
		assert_string_equal(got, cases[i].pairs);
	}
}

static void test_decode(void **state)
{
	static const struct { const char *raw; bool plus; const char *text; } cases[] = {
		{ "", false, "" }, { "abc", false, "abc" }, { "a%20b", false, "a b" }, { "a+b", false, "a+b" }, { "a+b", true, "a b" },
		{ "%2B", true, "+" }, { "caf%C3%a9", false, "caf\xc3\xa9" }, { "caf\xc3\xa9", false, "caf\xc3\xa9" }, { "%2525", false, "%25" },
		{ "a%2Fb", false, "a/b" }, { "12345678", false, "12345678" }, { "123456789", false, NULL }, { "%", false, NULL },
		{ "%2", false, NULL }, { "a%2g", false, NULL }, { "%g2", false, NULL }, { "% 2", false, NULL }, { "%00", false, NULL },
		{ "%1f", false, NULL }, { "%7f", false, NULL }, { "%C2%80", false, NULL }, { "%c2%a0", false, "\xc2\xa0" }, { "%ff", false, NULL },
		{ "%c3", false, NULL }, { "%80", false, NULL }, { "%c2%9f", false, NULL }, { "%0", false, NULL }, { "%c0%af", false, NULL }, { "%ed%a0%80", false, NULL }, { "\n", false, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *error = "unset";
		char got[8];
		size_t raw_len = strlen(cases[i].raw);
		char *raw = malloc(raw_len > 0 ? raw_len : 1);	/* nothing behind it */
		int len;

		assert_non_null(raw);
		memcpy(raw, cases[i].raw, raw_len);
		len = http_decode((struct http_text){ raw, raw_len }, cases[i].plus, got, sizeof(got), &error);
		free(raw);
		if (cases[i].text == NULL) {
			assert_int_equal(len, -1);
			assert_non_null(error);
			continue;
		}
		assert_null(error);
		assert_int_equal(len, strlen(cases[i].text));
		assert_memory_equal(got, cases[i].text, (size_t)len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_decode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
