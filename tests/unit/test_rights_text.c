/*
 * Rights as the configuration says them, and keys that give some.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "proto/api_keys.h"
#include "proto/rights_text.h"

static _Alignas(8) char block[RIGHTS_SIZE_MAX];

static const struct rights *rights_of(const char *list)
{
	struct rights_writer w;
	const char *error;

	rights_begin(&w, block, sizeof(block), "", 0, INT64_MAX);
	rights_text_grant(&w, list);
	assert_int_not_equal(rights_end(&w, &error), 0);
	return (const struct rights *)block;
}

static bool may(const struct rights *r, unsigned rights, enum rights_kind kind, const char *name)
{
	return rights_may(r, rights, kind, name, strlen(name));
}

static void test_rules(void **state)
{
	struct http_text wrong;
	const char *list = "subscribe:public.*, publish:box\tlogin:desk send:*  presence:a:b history:>,broadcast";
	const struct rights *r = rights_of(list);

	(void)state;
	assert_null(rights_text_error(list, &wrong));
	assert_true(may(r, RIGHT_SUBSCRIBE, RIGHTS_TOPICS, "public.a"));
	assert_false(may(r, RIGHT_PUBLISH, RIGHTS_TOPICS, "public.a"));
	assert_true(may(r, RIGHT_HISTORY, RIGHTS_TOPICS, "public.a"));
	assert_true(may(r, RIGHT_PUBLISH, RIGHTS_TOPICS, "box"));
	assert_false(may(r, RIGHT_SUBSCRIBE, RIGHTS_TOPICS, "box"));
	assert_true(may(r, RIGHT_PRESENCE, RIGHTS_TOPICS, "a:b"));
	assert_true(may(r, RIGHT_SUBSCRIBE | RIGHT_HISTORY, RIGHTS_USERS, "desk"));
	assert_false(may(r, RIGHT_SUBSCRIBE, RIGHTS_USERS, "other"));
	assert_true(may(r, RIGHT_PUBLISH, RIGHTS_USERS, "other"));
	assert_true(may(r, RIGHT_PUBLISH, RIGHTS_EVERYBODY, ""));
}

static void test_all_and_none(void **state)
{
	struct http_text wrong;
	const struct rights *r = rights_of("all");

	(void)state;
	assert_null(rights_text_error("all", &wrong));
	assert_true(may(r, RIGHT_ALL, RIGHTS_TOPICS, "a.b.c"));
	assert_true(rights_may_pattern(r, RIGHT_ALL, ">", 1));
	assert_true(may(r, RIGHT_ALL, RIGHTS_USERS, "bob"));
	assert_true(may(r, RIGHT_PUBLISH, RIGHTS_EVERYBODY, ""));
	assert_null(rights_text_error("none", &wrong));
	assert_int_equal(rights_of("none")->grants, 0);
	assert_int_equal(rights_of("")->grants, 0);
}

static void test_no_rules(void **state)
{
	static const char *const lists[] = { "sub:a", "subscribe", "subscribe:", "publish:a subscribe:", "subscribe:>.a", "everything", "none all", "all none", "subscribe:public.*; publish:inbox", "subscribe:@bob", "subscribe:news@presence", "ALL", ":a", "broadcast:x" };
	struct http_text wrong = { 0 };
	char longest[300] = "subscribe:";

	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		assert_non_null(rights_text_error(lists[i], &wrong));
		assert_true(wrong.len > 0 && wrong.p >= lists[i] && wrong.p + wrong.len <= lists[i] + strlen(lists[i]));
	}
	memset(longest + 10, 'x', 256);
	assert_non_null(rights_text_error(longest, &wrong));
	longest[10 + 255] = '\0';
	assert_null(rights_text_error(longest, &wrong));
}

/* ---- keys ---- */

#define A "aaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbb"

static const struct rights *find(const uint8_t *keys, size_t size, const char *key)
{
	return api_keys_find(keys, size, key, strlen(key));
}

static void test_keys(void **state)
{
	const char *text = "# comment\n\n" A "\r\n  " B "\tnews.*  bob \ncccccccccccccccc *\n";
	const char *error;
	unsigned line;
	size_t size;
	uint8_t *keys = api_keys_read(text, strlen(text), &size, &error, &line);
	const struct rights *r;

	(void)state;
	assert_non_null(keys);
	assert_true(api_keys_check(keys, size));
	assert_null(memmem(keys, size, A, 16));
	r = find(keys, size, A);
	assert_true(r && may(r, RIGHT_ALL, RIGHTS_TOPICS, "x") && may(r, RIGHT_PUBLISH, RIGHTS_USERS, "x") && may(r, RIGHT_PUBLISH, RIGHTS_EVERYBODY, ""));
	r = find(keys, size, B);
	assert_true(r && may(r, RIGHT_ALL, RIGHTS_TOPICS, "news.a"));
	assert_false(may(r, RIGHT_SUBSCRIBE, RIGHTS_TOPICS, "x") || may(r, RIGHT_PUBLISH, RIGHTS_USERS, "x") || may(r, RIGHT_PUBLISH, RIGHTS_EVERYBODY, ""));
	assert_int_equal(r->sub_len, 3);
	assert_memory_equal(r->sub, "bob", 3);
	assert_non_null(find(keys, size, "cccccccccccccccc"));
	assert_null(find(keys, size, A "a"));
	assert_null(find(keys, size, "aaaaaaaaaaaaaaa"));
	assert_null(find(keys, size, ""));
	assert_null(api_keys_find(NULL, 0, A, 16));
	/* what was damaged on its way is not used */
	for (size_t n = 1; n < size; n++)
		if (api_keys_check(keys, n))
			assert_true(n % 8 == 0 && find(keys, n, A));
	keys[32]++;
	assert_false(api_keys_check(keys, size));
	free(keys);
}

static void test_no_keys(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
	} rows[] = {
		{ "", 0 }, { "# nothing\n", 0 }, { A "\nshort\n", 2 }, { A "\n" A " news\n", 2 }, { A " news bob more", 1 }, { A " >.a", 1 }, { "\n\nsixteen\"bytes-and-more", 3 },
		{ "caf\xc3\xa9-0123456789abc", 1 },
	};
	const char *error;
	unsigned line;
	size_t size;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_null(api_keys_read(rows[i].text, strlen(rows[i].text), &size, &error, &line));
		assert_non_null(error);
		assert_int_equal(line, rows[i].line);
	}
	assert_null(api_keys_read("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE", 36, &size, &error, &line));
	assert_non_null(strstr(error, "everybody may know"));
	assert_null(api_keys_read(A "\0b", 18, &size, &error, &line));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_all_and_none),
		cmocka_unit_test(test_no_rules),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_no_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
