/* Tokens: what they say, and what is none. */
#include "proto/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_home(void **state)
{
	static const struct { unsigned slot; uint32_t session; } homes[] = { { 0, 0 }, { 0, 5 }, { 63, (1u << 26) - 1 }, { 1, 19999 }, { 62, 1 } };
	uint8_t token[TOKEN_BYTES], other[TOKEN_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(homes) / sizeof(homes[0]); i++) {
		assert_int_equal(token_make(token, homes[i].slot, homes[i].session), 0);
		assert_int_equal(token_slot(token), homes[i].slot);
		assert_int_equal(token_session(token), homes[i].session);
		assert_int_equal(token_make(other, homes[i].slot, homes[i].session), 0);
		assert_false(token_is(token, other));
		assert_true(token_is(token, token));
		for (unsigned bit = 0; bit < 8 * TOKEN_BYTES; bit++) {
			memcpy(other, token, sizeof(other));
			other[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_false(token_is(token, other));
		}
	}
}

static void test_text(void **state)
{
	static const char *const bad[] = {
		"", "0", "00112233445566778899aabbccddeef", "00112233445566778899aabbccddeeff0", "00112233445566778899aabbccddeefg", " 0112233445566778899aabbccddeeff",
		"0x112233445566778899aabbccddeeff",
	};
	uint8_t token[TOKEN_BYTES], read[TOKEN_BYTES];
	char text[TOKEN_TEXT];

	(void)state;
	assert_int_equal(token_make(token, 7, 1234), 0);
	token_write(text, token);
	assert_null(token_read(read, text, sizeof(text)));
	assert_true(token_is(token, read));
	assert_null(token_read(read, "00112233445566778899AABBccddeeff", TOKEN_TEXT));
	assert_memory_equal(read, "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff", TOKEN_BYTES);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_non_null(token_read(read, bad[i], strlen(bad[i])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_home),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
