/*
 * Idempotency-Key: what is one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proto/http_key.h"

static void is(const char *value, const char *key)
{
	char dst[HTTP_KEY_MAX];
	const char *error = NULL;
	int len = http_key((struct http_text){ value, strlen(value) }, dst, &error);

	if (!key) {
		assert_int_equal(len, -1);
		assert_non_null(error);
		return;
	}
	assert_int_equal(len, strlen(key));
	assert_memory_equal(dst, key, strlen(key));
}

static void keys(void **state)
{
	char long_one[HTTP_KEY_MAX + 4] = "\"";

	(void)state;
	is("abc", "abc");
	is("a b\"c", "a b\"c");
	is("\xc3\xa9", "\xc3\xa9");
	is("\"abc\"", "abc");
	is("\" a\\\\b\\\"c~\"", " a\\b\"c~");
	is("", NULL);
	is("\"", NULL);
	is("\"\"", NULL);
	is("\"abc", NULL);
	is("\"abc\\", NULL);
	is("\"abc\\\"", NULL);
	is("\"a\\bc\"", NULL);
	is("\"abc\"x", NULL);
	is("\"abc\";a", NULL);
	is("\"a\tc\"", NULL);
	is("\"\xc3\xa9\"", NULL);
	memset(long_one + 1, 'x', HTTP_KEY_MAX);
	is(long_one, NULL);
	long_one[HTTP_KEY_MAX + 1] = '"';
	is(long_one + 1, NULL);		/* without its quote 256 */
	long_one[HTTP_KEY_MAX + 2] = '\0';
	{
		char key[HTTP_KEY_MAX + 1] = { 0 };

		memset(key, 'x', HTTP_KEY_MAX);
		is(long_one, key);
		is(key, key);
	}
	long_one[HTTP_KEY_MAX + 1] = 'x';
	long_one[HTTP_KEY_MAX + 2] = '"';
	is(long_one, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
