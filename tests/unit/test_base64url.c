/*
 * base64url: what is, and what is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proto/base64url.h"

static void both(const char *bytes, const char *text)
{
	char dst[64];

	assert_int_equal(base64url_write(dst, bytes, strlen(bytes)), strlen(text));
	assert_int_equal(BASE64URL_TEXT(strlen(bytes)), strlen(text));
	assert_memory_equal(dst, text, strlen(text));
	assert_int_equal(base64url_read(dst, sizeof(dst), text, strlen(text)), strlen(bytes));
	assert_int_equal(BASE64URL_BYTES(strlen(text)), strlen(bytes));
	assert_memory_equal(dst, bytes, strlen(bytes));
	if (*bytes)
		assert_int_equal(base64url_read(dst, strlen(bytes) - 1, text, strlen(text)), -1);
}

static void examples(void **state)
{
	(void)state;
	both("", "");
	both("f", "Zg");
	both("fo", "Zm8");
	both("foo", "Zm9v");
	both("foob", "Zm9vYg");
	both("fooba", "Zm9vYmE");
	both("foobar", "Zm9vYmFy");
	both("\xfb\xff\xbe", "-_--");
}

static void strictly(void **state)
{
	static const char *const wrong[] = { "Z", "Zm9vY", "Zg==", "Zg=", "Zm8=", "Z h", " Zg", "Zg\n", "Zm9v\r\n", "+/++", "Zm.v", "Zh", "Zm9", "Z\xc3\xa9g" };
	char dst[16];

	(void)state;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(base64url_read(dst, sizeof(dst), wrong[i], strlen(wrong[i])), -1);
	assert_int_equal(base64url_read(dst, sizeof(dst), "Zg\0A", 4), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(examples), cmocka_unit_test(strictly) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
