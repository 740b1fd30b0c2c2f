/*
 * proto/json.c, json_check.c and utf8.c. Texts are copied to blocks of exactly their size, so that a sanitizer sees a read past the end.
 */
#include "proto/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "proto/utf8.h"
#include "tests/unit/json_fixture.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define T(s) s, sizeof(s) - 1

static const char *check(const char *text, size_t len)
{
	char *copy = exact(text, len);
	const char *error = json_check(copy, len);

	exact_free(copy, len);
	return error;
}

static const struct { const char *text; size_t len; } good_texts[] = {
	{ T("null") }, { T("true") }, { T("false") }, { T("0") }, { T("-0") }, { T("-0.0e-0") }, { T("1") }, { T("10") }, { T("-1.5") },
	{ T("1e5") }, { T("1E+5") }, { T("1e-05") }, { T("0e1") }, { T("0.000") }, { T("123456789012345678901234567890") }, { T("1e999999") },
	{ T("\"\"") }, { T("\"a\"") }, { T("\" \"") }, { T("\"\x7f\"") }, { T("\"/\"") }, { T("\"\\/\\\\\\\"\\b\\f\\n\\r\\t\"") },
	{ T("\"\\u0000\"") }, { T("\"\\u001F\"") }, { T("\"\\uaBcD\"") }, { T("\"\\uD834\\uDd1e\"") }, { T("\"\\uDBFF\\uDFFF\"") },
	{ T("\"\\uD7FF\\uE000\\uFFFF\"") }, { T("\"\\\\u12\"") }, { T("\"\xc2\x80\"") }, { T("\"\xdf\xbf\"") }, { T("\"\xe0\xa0\x80\"") },
	{ T("\"\xed\x9f\xbf\"") }, { T("\"\xee\x80\x80\"") }, { T("\"\xef\xbf\xbf\"") }, { T("\"\xf0\x90\x80\x80\"") },
	{ T("\"\xf4\x8f\xbf\xbf\"") }, { T("\"\xe2\x80\xa8\"") },
	{ T("[]") }, { T("[ ]") }, { T("[1]") }, { T("[1,2]") }, { T("[[],[[]],{}]") }, { T(" [ 1 , \"x\" ,\tnull\r\n] ") }, { T("[-1]") },
	{ T("{}") }, { T("{ }") }, { T("{\"\":0}") }, { T("{\"a\":1,\"a\":2}") }, { T("{\"a\":{\"b\":[{\"c\":{}}]},\"d\":\"e\"}") },
	{ T("\n{ \"a\" : 1 , \"b\" : [ ] }\n") }, { T("{\"a\":[1],\"b\":{\"c\":2},\"d\":3}") }, { T("{\"\\u0061\":1}") },
};

static const struct { const char *text; size_t len; const char *says; } bad_texts[] = {
	{ T(""), "a value" }, { T(" "), "a value" }, { T("\0"), "a value" }, { T("x"), "a value" }, { T("nul"), "a value" },
	{ T("nulll"), "behind" }, { T("True"), "a value" }, { T("NaN"), "a value" }, { T("Infinity"), "a value" }, { T("undefined"), "a value" },
	{ T("\xef\xbb\xbf{}"), "a value" }, { T("'a'"), "a value" }, { T("\f1"), "a value" }, { T("\x0b" "1"), "a value" },
	{ T("\xc2\xa0" "1"), "a value" }, { T("// c\n1"), "a value" }, { T("1 // c"), "behind" }, { T("{}/**/"), "behind" },
	{ T("1 1"), "behind" }, { T("{}{}"), "behind" }, { T("[]]"), "behind" }, { T("{}}"), "behind" }, { T("{},"), "behind" },
	{ T("{}\0"), "behind" }, { T("1\0"), "behind" }, { T("\"a\"x"), "behind" },
	{ T("01"), "starts with 0" }, { T("-01"), "starts with 0" }, { T("00"), "starts with 0" }, { T("-"), "without digits" },
	{ T("+1"), "a value" }, { T("--1"), "without digits" }, { T("-a"), "without digits" }, { T("-Infinity"), "without digits" },
	{ T(".5"), "a value" }, { T("1."), "behind its point" }, { T("1.e1"), "behind its point" }, { T("-.5"), "without digits" },
	{ T("1e"), "exponent" }, { T("1e+"), "exponent" }, { T("1e-"), "exponent" }, { T("1e+-1"), "exponent" }, { T("1E1.5"), "behind" },
	{ T("0x10"), "behind" }, { T("1_000"), "behind" }, { T("1e1e1"), "behind" }, { T("1.5.5"), "behind" }, { T("[1 000]"), "a comma" },
	{ T("[\xef\xbc\x91]"), "a value" },
	{ T("\""), "without an end" }, { T("\"a"), "without an end" }, { T("\"\\"), "without an end" }, { T("\"\\\""), "without an end" },
	{ T("\"\\x\""), "unknown escape" }, { T("\"\\a\""), "unknown escape" }, { T("\"\\'\""), "unknown escape" },
	{ T("\"\\\0\""), "unknown escape" }, { T("\"\\U0041\""), "unknown escape" }, { T("\"\\\xe2\x82\xac\""), "unknown escape" },
	{ T("\"\\\n\""), "unknown escape" },
	{ T("\"\\u\""), "four hex" }, { T("\"\\u12\""), "four hex" }, { T("\"\\u123\""), "four hex" }, { T("\"\\u12G4\""), "four hex" },
	{ T("\"\\u1"), "four hex" }, { T("\"\\u+123\""), "four hex" }, { T("\"\\u 123\""), "four hex" }, { T("\"\\u00@0\""), "four hex" },
	{ T("\"\\u00`0\""), "four hex" }, { T("\"\\u00:0\""), "four hex" },
	{ T("\"\\uD800\""), "surrogate" }, { T("\"\\uDC00\""), "surrogate" }, { T("\"\\uDFFF\""), "surrogate" },
	{ T("\"\\uD800x\""), "surrogate" }, { T("\"\\uD800\\n\""), "surrogate" }, { T("\"\\uD800\\u0041\""), "surrogate" },
	{ T("\"\\uD800\\uD800\\uDC00\""), "surrogate" }, { T("\"\\uDC00\\uD800\""), "surrogate" }, { T("\"\\uDBFF\\uE000\""), "surrogate" },
	{ T("\"\\uDC00\\uDC00\""), "surrogate" }, { T("\"\\uDFFF\\uDFFF\""), "surrogate" },
	{ T("\"\\uD800\\uDC0"), "surrogate" }, { T("\"\\uD800"), "surrogate" },
	{ T("\"\0\""), "control" }, { T("\"\n\""), "control" }, { T("\"\t\""), "control" }, { T("\"\x01\""), "control" },
	{ T("\"\x1f\""), "control" }, { T("{\"a\nb\":1}"), "control" },
	{ T("\"\x80\""), "UTF-8" }, { T("\"\xbf\""), "UTF-8" }, { T("\"\xc0\xaf\""), "UTF-8" }, { T("\"\xc1\xbf\""), "UTF-8" },
	{ T("\"\xc2\""), "UTF-8" }, { T("\"\xc2"), "UTF-8" }, { T("\"\xc2\xc2\x80\""), "UTF-8" }, { T("\"\xe0\x9f\xbf\""), "UTF-8" },
	{ T("\"\xe2\x82\""), "UTF-8" }, { T("\"\xe2\x82"), "UTF-8" }, { T("\"\xe2"), "UTF-8" }, { T("\"\xe2\x28\xa1\""), "UTF-8" },
	{ T("\"\xed\xa0\x80\""), "UTF-8" }, { T("\"\xed\xbf\xbf\""), "UTF-8" }, { T("\"\xf0\x8f\xbf\xbf\""), "UTF-8" },
	{ T("\"\xf0\x90\x80\""), "UTF-8" }, { T("\"\xf0\x90\x80"), "UTF-8" }, { T("\"\xf4\x90\x80\x80\""), "UTF-8" },
	{ T("\"\xf5\x80\x80\x80\""), "UTF-8" }, { T("\"\xff\""), "UTF-8" }, { T("\"\xf8\x88\x80\x80\x80\""), "UTF-8" },
	{ T("\"\xe9\""), "UTF-8" }, { T("{\"\xff\":1}"), "UTF-8" },
	{ T("["), "a value" }, { T("[1"), "a comma" }, { T("[1,"), "a value" }, { T("[,"), "a value" }, { T("[,1]"), "a value" },
	{ T("[1,]"), "a value" }, { T("[1,,2]"), "a value" }, { T("[1 2]"), "a comma" }, { T("[1}"), "a comma" }, { T("[}"), "a value" },
	{ T("[\"a\":1]"), "a comma" }, { T("[1:2]"), "a comma" }, { T("[\"\",\"\""), "a comma" }, { T("[[1]"), "a comma" }, { T("]"), "a value" },
	{ T("["), "a value" }, { T("[1;2]"), "a comma" }, { T("[*]"), "a value" },
	{ T("{"), "a member's name" }, { T("{]"), "a member's name" }, { T("{\"a\""), "a colon" }, { T("{\"a\"}"), "a colon" },
	{ T("{\"a\" 1}"), "a colon" }, { T("{\"a\",1}"), "a colon" }, { T("{\"a\"::1}"), "a value" }, { T("{\"a\":"), "a value" },
	{ T("{\"a\":}"), "a value" }, { T("{\"a\":1"), "a comma" }, { T("{\"a\":1,"), "a member's name" }, { T("{\"a\":1,}"), "a member's name" },
	{ T("{\"a\":1,,\"b\":2}"), "a member's name" }, { T("{,\"a\":1}"), "a member's name" }, { T("{\"a\":1 \"b\":2}"), "a comma" },
	{ T("{\"a\":1]"), "a comma" }, { T("{a:1}"), "a member's name" }, { T("{'a':1}"), "a member's name" }, { T("{1:1}"), "a member's name" },
	{ T("{null:1}"), "a member's name" }, { T("{[]:1}"), "a member's name" }, { T("{\"a\":1:2}"), "a comma" }, { T("{\"a\":\"b\"c}"), "a comma" },
	{ T("{\"a\":true false}"), "a comma" }, { T("}"), "a value" }, { T("{\"a\":[1}"), "a comma" }, { T("{{}}"), "a member's name" },
};

static void test_good_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good_texts); i++) {
		const char *error = check(good_texts[i].text, good_texts[i].len);

		if (error != NULL)
			fail_msg("%s: %s", good_texts[i].text, error);
	}
}

static void test_bad_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_texts); i++) {
		const char *error = check(bad_texts[i].text, bad_texts[i].len);

		if (error == NULL || strncmp(error, "bad JSON: ", 10) != 0 || strstr(error, bad_texts[i].says) == NULL)
			fail_msg("%zu: %s: %s", i, bad_texts[i].text, error != NULL ? error : "passed");
	}
}

/* A good text cut short is bad, unless what is left is a shorter number or had only white space behind it. */
static void test_cut_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good_texts); i++) {
		const char *text = good_texts[i].text;
		size_t start = strspn(text, " \n"), whole = good_texts[i].len;

		if (strchr("{[\"tfn", text[start]) == NULL)
			continue;
		while (strchr(" \n", text[whole - 1]) != NULL)
			whole--;
		for (size_t len = 0; len < whole; len++)
			if (check(text, len) == NULL)
				fail_msg("%.*s passed", (int)len, text);
	}
}

/* Every byte, at every place of a string that is long enough to be looked at eight bytes at a time. */
static void test_every_byte(void **state)
{
	char text[40];

	(void)state;
	for (unsigned at = 1; at < sizeof(text) - 1; at++) {
		for (unsigned byte = 0; byte < 256; byte++) {
			const char *error, *says = byte < 0x20 ? "control" : byte >= 0x80 ? "UTF-8" : byte == '\\' ? "escape" : NULL;

			if (byte == '"' || (byte == '\\' && at == sizeof(text) - 2))
				continue;
			memset(text, 'x', sizeof(text));
			text[0] = text[sizeof(text) - 1] = '"';
			text[at] = (char)byte;
			error = check(text, sizeof(text));
			if (says == NULL ? error != NULL : error == NULL || strstr(error, says) == NULL)
				fail_msg("%u at %u: %s", byte, at, error != NULL ? error : "passed");
		}
	}
}

static void nest(char *text, size_t depth, const char *open, const char *close)
{
	*text = '\0';
	for (size_t i = 0; i < depth; i++)
		text = stpcpy(text, open);
	for (size_t i = 0; i < depth; i++)
		text = stpcpy(text, close);
}

/* Where it is wrong: the first byte that can't stand there, what has no end, or the number. */
static void test_places(void **state)
{
	static const struct { const char *text, *where; } table[] = {
		{ "x", "a value was expected, at byte 0 (line 1, column 1)" },
		{ "{\"a\":1,}", "a member's name was expected, at byte 7 (line 1, column 8)" },
		{ "{\"a\": \n 1,}", "a member's name was expected, at byte 10 (line 2, column 4)" },
		{ "[1,\n2,\n\n x]", "a value was expected, at byte 9 (line 4, column 2)" },
		{ "[1 2]", "a comma or a closing bracket was expected, at byte 3 (line 1, column 4)" },
		{ "{\"a\" 1}", "a colon was expected, at byte 5 (line 1, column 6)" },
		{ "{\"a\":1}}", "something stands behind the value, at byte 7 (line 1, column 8)" },
		{ "[\"abcdefghi\tj\"]", "a control character in a string, at byte 11 (line 1, column 12)" },
		{ "[\"a\xff\"]", "a string is not UTF-8, at byte 3 (line 1, column 4)" },
		{ "[\"a\\x\"]", "an unknown escape in a string, at byte 3 (line 1, column 4)" },
		{ "[\"abc", "a string without an end, at byte 1 (line 1, column 2)" },
		{ "[1, -]", "a number without digits, at byte 4 (line 1, column 5)" },
		{ "[tru]", "a value was expected, at byte 1 (line 1, column 2)" },
		{ "[1,", "a value was expected, at its end (byte 3)" },
		{ "1 \n", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		const char *error = check(table[i].text, strlen(table[i].text));
		bool same = error == NULL || table[i].where == NULL ? error == table[i].where : strcmp(error + 10, table[i].where) == 0;

		if (!same)
			fail_msg("%s: %s", table[i].text, error != NULL ? error : "passed");
	}
}

static void test_depth(void **state)
{
	char text[JSON_DEPTH_MAX * 16];

	(void)state;
	nest(text, JSON_DEPTH_MAX, "[", "]");
	assert_null(check(text, strlen(text)));
	nest(text, JSON_DEPTH_MAX + 1, "[", "]");
	assert_string_equal(check(text, strlen(text)), "bad JSON: nested too deeply, at byte 128 (line 1, column 129)");
	nest(text, JSON_DEPTH_MAX - 1, "{\"a\":[],\"b\":", "1}");
	assert_non_null(check(text, strlen(text)));
	memset(text, '[', sizeof(text));
	assert_string_equal(check(text, sizeof(text)), "bad JSON: nested too deeply, at byte 128 (line 1, column 129)");
}

/* jsmn's room for tokens grows while a text is looked through: wherever that comes, what is behind it is looked at, too. */
static void test_many_tokens(void **state)
{
	static const struct { const char *tail, *says; } tails[] = {
		{ "\"c\":{}}", NULL }, { "\"c\" : \"d\" } ", NULL }, { "\"c\":{}", "a comma" }, { "\"c\" {}}", "a colon" }, { "\"c\":01}", "starts with 0" },
		{ "\"c\":\"\\x\"}", "unknown escape" }, { "\"c\":\"\\ud800\"}", "surrogate" }, { "\"\xff\":1}", "UTF-8" }, { "c:1}", "a member's name" },
		{ "}", "a member's name" }, { "\"c\":[}}", "a value" }, { "\"c\":1,\"d\"}", "a colon" }, { "\"c\":1}}", "behind" }, { "\"c\":1]", "a comma" },
		{ "\"c\":1}\"d\"", "behind" },
	};
	static char text[65536];

	(void)state;
	for (unsigned count = 100; count < 420; count++) {
		char *p = stpcpy(text, "{");

		for (unsigned i = 0; i < count; i++)
			p = stpcpy(p, i % 3 ? "\"a\": 1," : "\"b\":[\"\\u00e9\"] ,");
		for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
			const char *error = check(text, (size_t)(stpcpy(p, tails[i].tail) - text));

			if (tails[i].says == NULL ? error != NULL : error == NULL || strstr(error, tails[i].says) == NULL)
				fail_msg("%u, %s: %s", count, tails[i].tail, error != NULL ? error : "passed");
		}
	}
}

/* What is no JSON takes no more tokens than its beginning; what is too deep takes no time. */
static void test_cheap_refusal(void **state)
{
	enum { SIZE = 1 << 20 };
	char *text = malloc(SIZE);
	const char *error;
	struct json json;

	(void)state;
	assert_non_null(text);
	json_init(&json);
	memset(text, '[', SIZE / 2);
	memset(text + SIZE / 2, ']', SIZE / 2);
	assert_int_equal(json_read_object(&json, text, SIZE, &error), -1);
	assert_string_equal(error, "bad JSON: nested too deeply, at byte 128 (line 1, column 129)");
	memset(text, '1', SIZE);
	for (int i = 0; i < SIZE; i += 2)
		text[i] = ',';
	text[0] = '[';
	text[3] = '0';
	text[4] = '1';
	assert_int_equal(json_read_object(&json, text, SIZE, &error), -1);
	assert_string_equal(error, "bad JSON: a number starts with 0, at byte 3 (line 1, column 4)");
	assert_in_range(json.tokens_max, 1, 1024);
	json_fini(&json);
	free(text);
}

static void test_utf8_all_code_points(void **state)
{
	uint8_t bytes[4];

	(void)state;
	for (uint32_t c = 0x80; c <= 0x10ffff; c++) {
		size_t n = utf8_put(bytes, c);

		assert_int_equal(n, c < 0x800 ? 2 : c < 0x10000 ? 3 : 4);
		assert_int_equal(utf8_length(bytes, bytes + n), c >= 0xd800 && c <= 0xdfff ? 0 : n);
		assert_int_equal(utf8_length(bytes, bytes + n - 1), 0);
	}
}

/* As `name=value` pairs, as they stand in the text, with the type's number in front. */
static void show(const struct json *json, char *out)
{
	*out = '\0';
	for (unsigned i = 0; i < json->count; i++) {
		const struct json_member *m = &json->members[i];

		out += sprintf(out, "%d %.*s=%.*s;", (int)m->type, (int)m->name_len, m->name, (int)m->value_len, m->value);
	}
}

static void test_members(void **state)
{
	static const struct { const char *text, *members, *error; } table[] = {
		{ "{}", "", NULL },
		{ " { } ", "", NULL },
		{ "{\"a\":1}", "3 \"a\"=1;", NULL },
		{ "{\"a\":-1.5e3 , \"b\":\"x\\\"y\",\"c\" :null}", "3 \"a\"=-1.5e3;2 \"b\"=\"x\\\"y\";6 \"c\"=null;", NULL },
		{ "\t{\"t\":true,\"f\":false,\"e\":\"\",\"\":0}\n", "4 \"t\"=true;5 \"f\"=false;2 \"e\"=\"\";3 \"\"=0;", NULL },
		{ "{\"o\":{\"x\":{\"y\":[1, 2]}},\"a\":[ {\"z\":1},[\"q\"] ],\"n\":7}",
		  "0 \"o\"={\"x\":{\"y\":[1, 2]}};1 \"a\"=[ {\"z\":1},[\"q\"] ];3 \"n\"=7;", NULL },
		{ "{\"a\":[],\"b\":{},\"c\":[[]]}", "1 \"a\"=[];0 \"b\"={};1 \"c\"=[[]];", NULL },
		{ "{\"a\":1,\"a\":\"2\"}", "3 \"a\"=1;2 \"a\"=\"2\";", NULL },
		{ "{\"\\u0061\":\"{}[],:\"}", "2 \"\\u0061\"=\"{}[],:\";", NULL },
		{ "[{\"a\":1}]", "", "not a JSON object" },
		{ " \"{}\"", "", "not a JSON object" },
		{ "1", "", "not a JSON object" },
		{ "null", "", "not a JSON object" },
		{ "{\"a\":1", "", "bad JSON: a comma or a closing bracket was expected, at its end (byte 6)" },
		{ "", "", "bad JSON: a value was expected, at its end (byte 0)" },
	};
	struct json json;
	char shown[512];

	(void)state;
	json_init(&json);
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		size_t len = strlen(table[i].text);
		char *text = exact(table[i].text, len);
		const char *error = "";

		assert_int_equal(json_read_object(&json, text, len, &error), table[i].error == NULL ? 0 : -1);
		if (table[i].error != NULL)
			assert_string_equal(error, table[i].error);
		show(&json, shown);
		assert_string_equal(shown, table[i].members);
		exact_free(text, len);
	}
	json_fini(&json);
	json_fini(&json);
}

/* Scratch that was grown for one text does for the next. */
static void test_growth(void **state)
{
	enum { MEMBERS = 20000 };
	char *text = malloc(MEMBERS * 32), *p = text;
	struct json json;
	const char *error;

	(void)state;
	assert_non_null(text);
	*p++ = '{';
	for (int i = 0; i < MEMBERS; i++)
		p += sprintf(p, "\"k%d\":[%d,{}],", i, i);
	p[-1] = '}';
	json_init(&json);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(json_read_object(&json, "{\"a\":1}", 7, &error), 0);
		assert_int_equal(json.count, 1);
		assert_int_equal(json_read_object(&json, text, (size_t)(p - text), &error), 0);
		assert_int_equal(json.count, MEMBERS);
		assert_memory_equal(json.members[MEMBERS - 1].name, "\"k19999\"", 8);
		assert_memory_equal(json.members[MEMBERS - 1].value, "[19999,{}]", 10);
	}
	json_fini(&json);
	free(text);
}

static void test_out_of_memory(void **state)
{
#ifdef __SANITIZE_ADDRESS__
	(void)state;
	skip();
#else
	enum { SIZE = 8 << 20 };
	char *text = malloc(SIZE);
	struct rlimit old, low = { .rlim_cur = 0 };
	const char *error = NULL;
	struct json json;
	int result;

	(void)state;
	assert_non_null(text);
	memcpy(text, "{\"a\":[1", 7);
	for (size_t i = 7; i < SIZE - 3; i += 2)
		memcpy(text + i, ",1", 2);
	memcpy(text + SIZE - 3, "]} ", 3);
	json_init(&json);
	assert_int_equal(json_read_object(&json, "{\"a\":1}", 7, &error), 0);
	assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
	low.rlim_max = old.rlim_max;
	low.rlim_cur = 16 << 20;
	assert_int_equal(setrlimit(RLIMIT_AS, &low), 0);
	result = json_read_object(&json, text, SIZE, &error);
	assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
	assert_int_equal(result, -1);
	assert_string_equal(error, "the server is out of memory");
	assert_int_equal(json.count, 0);
	assert_int_equal(json_read_object(&json, "{\"a\":1}", 7, &error), 0);
	json_fini(&json);
	free(text);
#endif
}

/* Texts put together and damaged at random: nothing is read out of bounds, and jsmn agrees with the check. */
static void test_random(void **state)
{
	static const char *const pieces[] = {
		"{", "}", "[", "]", ",", ":", "\"a\"", "\"b\":", "1", "-0.5e1", "true", "null", " ", "\"\\u00e9\"", "\"\xc3\xa9\"", "\"", "\\",
		"\"x\":{", "\"y\":[", "]}", "\x01", "\xff",
	};
	struct json json;
	unsigned objects = 0;

	(void)state;
	srandom(8259);
	json_init(&json);
	for (int round = 0; round < 400000; round++) {
		char text[256] = "{", *p = text + 1, *copy;
		size_t len;
		const char *error;

		for (long n = random() % 12; n > 0; n--)
			p = stpcpy(p, pieces[random() % (long)ARRAY_LEN(pieces)]);
		p = stpcpy(p, "}");
		len = (size_t)(p - text);
		copy = exact(text, len);
		if (json_read_object(&json, copy, len, &error) == 0) {
			objects++;
			for (unsigned i = 0; i < json.count; i++) {
				assert_null(json_check(json.members[i].name, json.members[i].name_len));
				assert_null(json_check(json.members[i].value, json.members[i].value_len));
			}
		} else {
			assert_string_not_equal(error, "bad JSON");	/* jsmn's */
			assert_string_equal(error, json_check(copy, len));
		}
		exact_free(copy, len);
	}
	assert_true(objects > 1000);
	json_fini(&json);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_texts), cmocka_unit_test(test_bad_texts), cmocka_unit_test(test_cut_texts),
		cmocka_unit_test(test_every_byte), cmocka_unit_test(test_places), cmocka_unit_test(test_depth), cmocka_unit_test(test_many_tokens), cmocka_unit_test(test_cheap_refusal),
		cmocka_unit_test(test_utf8_all_code_points), cmocka_unit_test(test_members),
		cmocka_unit_test(test_growth), cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
