/*
 * master/bridge/nkey.c: the public key of a seed, by the pair that NATS' documentation has; and what is no seed of a user.
 */
#include "master/bridge/nkey.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SEED "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
#define PUBLIC "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"

static void pair(void **state)
{
	char public[NKEY_TEXT];

	(void)state;
	assert_int_equal(nkey_public(SEED, public), 0);
	assert_string_equal(public, PUBLIC);
}

static void refused(void **state)
{
	char public[NKEY_TEXT], changed[sizeof(SEED)];
	static const char *const bad[] = { "", "SU", PUBLIC, SEED "A", "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3V", "suacssl3uahudxkfsnvuzrf5uhpmwz6bfdtj7m6usdxiednppqyyycu3vy" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(nkey_public(bad[i], public), -1);
	/* Each letter counts. (The last one has bits that mean nothing.) */
	for (size_t i = 0; i < strlen(SEED) - 1; i++) {
		memcpy(changed, SEED, sizeof(changed));
		changed[i] = changed[i] == 'A' ? 'B' : 'A';
		assert_int_equal(nkey_public(changed, public), -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(pair), cmocka_unit_test(refused) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
