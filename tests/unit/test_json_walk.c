/*
 * proto/json_walk.c: of texts that were checked, strings, names and the items of arrays.
 */
#include "proto/json_walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/json_fixture.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define T(s) s, sizeof(s) - 1

static void test_name_is(void **state)
{
	static const struct { const char *raw, *name; bool is; } table[] = {
		{ "\"topic\"", "topic", true }, { "\"topic\"", "data", false }, { "\"topi\"", "topic", false }, { "\"topics\"", "topic", false },
		{ "\"topiC\"", "topic", false }, { "\"\"", "topic", false }, { "\"\\u0074opic\"", "topic", true },
		{ "\"\\u0074\\u006f\\u0070\\u0069\\u0063\"", "topic", true }, { "\"\\u0074\\u006F\\u0070\\u0069\\u0063\\u0000\"", "topic", false },
		{ "\"topic\\u0000\"", "topic", false }, { "\"\\u0074opi\"", "topic", false }, { "\"\\topic\"", "topic", false },
		{ "\"topic \"", "topic", false }, { "\"\\u0054opic\"", "topic", false }, { "\"\\u0064ata\"", "data", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		size_t len = strlen(table[i].raw);
		char *raw = exact(table[i].raw, len);
		struct json_member member = { .name = raw, .name_len = (uint32_t)len };

		if (json_name_is(&member, table[i].name) != table[i].is)
			fail_msg("%s", table[i].raw);
		exact_free(raw, len);
	}
}

static void test_string(void **state)
{
	static const struct { const char *raw; const char *bytes; size_t len; } table[] = {
		{ "\"\"", T("") }, { "\"abc\"", T("abc") }, { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", T("\"\\/\b\f\n\r\t") },
		{ "\"a\\u0000b\"", T("a\0b") }, { "\"\\u007f\"", T("\x7f") }, { "\"\\u0080\"", T("\xc2\x80") }, { "\"\\u07ff\"", T("\xdf\xbf") },
		{ "\"\\u0800\"", T("\xe0\xa0\x80") }, { "\"\\uFFFF\"", T("\xef\xbf\xbf") }, { "\"\\uD800\\uDC00\"", T("\xf0\x90\x80\x80") },
		{ "\"\\udbff\\udfff\"", T("\xf4\x8f\xbf\xbf") }, { "\"\\uD83d\\ude00x\"", T("\xf0\x9f\x98\x80x") },
		{ "\"\xc3\xa9\\u00E9\"", T("\xc3\xa9\xc3\xa9") }, { "\"\\\\u0041\"", T("\\u0041") }, { "\"x\\ny\"", T("x\ny") },
	};
	char dst[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		size_t len = strlen(table[i].raw);
		char *raw = exact(table[i].raw, len);

		assert_null(json_check(raw, len));
		memset(dst, '#', sizeof(dst));
		assert_int_equal(json_read_string(raw, len, dst, sizeof(dst)), table[i].len);
		assert_memory_equal(dst, table[i].bytes, table[i].len);
		assert_int_equal(dst[table[i].len], '#');
		assert_int_equal(json_read_string(raw, len, dst, table[i].len), table[i].len);
		memset(dst, '#', sizeof(dst));
		if (table[i].len > 0)
			assert_int_equal(json_read_string(raw, len, dst, table[i].len - 1), -1);
		assert_int_equal(dst[table[i].len > 0 ? table[i].len - 1 : 0], '#');
		exact_free(raw, len);
	}
}

/* The items of a checked text between bars, or "none" if it is no array. */
static void show_items(const char *text, size_t len, char *out)
{
	struct json_array array;
	const char *item;
	size_t n;

	if (!json_array_begin(&array, text, len)) {
		strcpy(out, "none");
		return;
	}
	out = stpcpy(out, "|");
	while (json_array_next(&array, &item, &n))
		out += sprintf(out, "%.*s|", (int)n, item);
	assert_false(json_array_next(&array, &item, &n));	/* and stays at the end */
}

static void test_array(void **state)
{
	static const struct { const char *text, *items; } table[] = {
		{ "[]", "|" }, { " [ \n] ", "|" }, { "[1]", "|1|" }, { "[1,2]", "|1|2|" }, { "\t[ -1.5e3 ,\r\n\"a\" , null\t]\n", "|-1.5e3|\"a\"|null|" },
		{ "[[],[[1 , 2]],{}]", "|[]|[[1 , 2]]|{}|" }, { "[{\"a\": 1, \"b\":[2,3]} ,{\"]\":\"},\"}]", "|{\"a\": 1, \"b\":[2,3]}|{\"]\":\"},\"}|" },
		{ "[\"a,b]\",\"\\\"\",\"\\\\\",\"\\\\\\\", [\",true]", "|\"a,b]\"|\"\\\"\"|\"\\\\\"|\"\\\\\\\", [\"|true|" },
		{ "[\"\",\" x \",[\"\\\"]\"],0]", "|\"\"|\" x \"|[\"\\\"]\"]|0|" },
		{ "{}", "none" }, { " {\"a\":[1]}", "none" }, { "\"[1]\"", "none" }, { "1", "none" }, { " null ", "none" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		size_t len = strlen(table[i].text);
		char *text = exact(table[i].text, len), shown[256];

		assert_null(json_check(text, len));
		show_items(text, len, shown);
		assert_string_equal(shown, table[i].items);
		exact_free(text, len);
	}
}

/* Arrays put together at random: every item is a text of its own, and between them there is nothing but what separates them. */
static void test_random_arrays(void **state)
{
	static const char *const pieces[] = {
		"[", "]", ",", ",", ",", "{}", "{\"a\":", "}", "1", "\"b\"", "\"\\\"\"", "\"],[\"", " ", "\n", "true", "[]", "[1 ,2]",
	};
	unsigned arrays = 0, most = 0;

	(void)state;
	srandom(1);
	for (int round = 0; round < 400000; round++) {
		char text[256] = "[", *p = text + 1, between[256], *b = between;
		struct json_array array;
		unsigned items = 0;
		const char *item, *at = text;
		size_t n;

		for (long pick = random() % 10; pick > 0; pick--)
			p = stpcpy(p, pieces[random() % (long)ARRAY_LEN(pieces)]);
		p = stpcpy(p, "]");
		if (json_check(text, (size_t)(p - text)) != NULL)
			continue;
		arrays++;
		assert_true(json_array_begin(&array, text, (size_t)(p - text)));
		for (; json_array_next(&array, &item, &n); items++) {
			if (json_check(item, n) != NULL || strchr(" \n", item[0]) || strchr(" \n", item[n - 1]))
				fail_msg("%s: %.*s", text, (int)n, item);
			b = mempcpy(b, at, (size_t)(item - at));
			at = item + n;
		}
		strcpy(b, at);
		assert_int_equal(strspn(between, "[ \n,]"), strlen(between));
		for (unsigned commas = 0; commas + 1 < items; commas++)
			*strchr(between, ',') = ' ';
		assert_null(strchr(between, ','));
		most = items > most ? items : most;
	}
	assert_true(arrays > 1000 && most >= 4);
}

/* Values, and what can be left of them while they are overwritten: never beyond the end. */
static void test_values(void **state)
{
	static const struct { const char *text; int behind; } table[] = {
		{ "1,2", 1 }, { "-1.5e3}", 6 }, { "true]", 4 }, { "null ", 4 }, { "\"a\"x", 3 }, { "\"\\\"\"", 4 }, { "\"\\\\\"\"", 4 }, { "\"\"", 2 },
		{ "[1,\"]\",{}]]", 10 }, { "{\"a\":[\"}\"]},", 11 }, { "[}]", 2 },
		{ "\"", -1 }, { "\"\\\"", -1 }, { "[", -1 }, { "[[]", -1 }, { "{\"a\":1", -1 }, { "{\"}", -1 }, { ",", 0 }, { "]", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		size_t len = strlen(table[i].text);
		char *text = exact(table[i].text, len);
		const char *after = json_walk_value(text, text + len);

		assert_int_equal(after == NULL ? -1 : after - text, table[i].behind);
		exact_free(text, len);
	}
}

static void test_broken_escapes(void **state)
{
	static const char *const table[] = {
		"\\", "\\x", "\\u", "\\u123", "\\u12g4", "\\udc00", "\\ud800", "\\ud800\\u0041", "\\ud800\\udc0", "\\ud800xudc00",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		size_t len = strlen(table[i]), taken;
		char *text = exact(table[i], len), out[4];

		assert_int_equal(json_escape(text, text + len, out, &taken), 0);
		exact_free(text, len);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_name_is), cmocka_unit_test(test_string), cmocka_unit_test(test_array), cmocka_unit_test(test_random_arrays),
		cmocka_unit_test(test_values), cmocka_unit_test(test_broken_escapes),
	};

	return cmocka_run_group_tests_name("json_walk", tests, NULL, NULL);
}
