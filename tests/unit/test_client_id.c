/* What a client is called: written, read, and what is none. */
#include "shm/client_id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_text(void **state)
{
	static const char *const bad[] = { "", "1", "0.117.9f3a22c", "0.117.9f3a22c10", "0.117.9F3A22C1", "00.117.9f3a22c1", "64.1.9f3a22c1", " 0.117.9f3a22c1", "-1.0.9f3a22c1",
					   "0.67108864.9f3a22c1", "0.117.9f3a22c1 ", "0.117.0x3a22c1" };
	struct client_id id = { .slot = 63, .session = 0x3ffffff, .check = 0xffffffff }, read;
	char text[CLIENT_ID_TEXT];

	(void)state;
	client_id_write(text, &id);
	assert_string_equal(text, "63.67108863.ffffffff");
	assert_int_equal(client_id_read(&read, text), 0);
	assert_true(read.slot == id.slot && read.session == id.session && read.check == id.check);
	assert_int_equal(client_id_read(&read, "0.117.00000001"), 0);
	assert_true(read.slot == 0 && read.session == 117 && read.check == 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(client_id_read(&read, bad[i]), -1);
}

static void test_check(void **state)
{
	uint8_t token[TOKEN_BYTES] = { 0 };
	uint32_t check = client_id_check(token);

	(void)state;
	for (unsigned bit = 0; bit < 8 * TOKEN_BYTES; bit++) {
		token[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_not_equal(client_id_check(token), check);
		token[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_text), cmocka_unit_test(test_check) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
