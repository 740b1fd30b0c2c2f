/*
 * Where moved sessions are: found, changed, taken away by who has them, and cleared with a slot.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "shm/moved_tokens.h"

static struct moved_tokens_shm table;

static uint64_t hash_of(uint64_t n)
{
	return n * 0x9e3779b97f4a7c15u;
}

static void found(void **state)
{
	(void)state;
	for (uint64_t n = 0; n < 100000; n++) {
		assert_int_equal(moved_tokens_find(&table, hash_of(n)), -1);
		assert_int_equal(moved_tokens_put(&table, hash_of(n), n % 64), 0);
		assert_int_equal(moved_tokens_find(&table, hash_of(n)), n % 64);
	}
	for (uint64_t n = 0; n < 100000; n += 3)
		assert_int_equal(moved_tokens_put(&table, hash_of(n), 63 - n % 64), 0);
	for (uint64_t n = 0; n < 100000; n++)
		assert_int_equal(moved_tokens_find(&table, hash_of(n)), n % 3 ? n % 64 : 63 - n % 64);
}

/* Who has it not any more does not take away where it is now. */
static void taken_away(void **state)
{
	(void)state;
	assert_int_equal(moved_tokens_put(&table, hash_of(1), 5), 0);
	moved_tokens_remove(&table, hash_of(1), 4);
	assert_int_equal(moved_tokens_find(&table, hash_of(1)), 5);
	moved_tokens_remove(&table, hash_of(1), 5);
	assert_int_equal(moved_tokens_find(&table, hash_of(1)), -1);
	moved_tokens_remove(&table, hash_of(1), 5);
	moved_tokens_clear(&table, 7);
	for (uint64_t n = 2; n < 1000; n++)
		if (n % 3)
			assert_int_equal(moved_tokens_find(&table, hash_of(n)), n % 64 == 7 ? -1 : (int)(n % 64));
}

static void full(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 64; i++)
		moved_tokens_clear(&table, i);
	for (unsigned n = 1; n <= MOVED_BUCKET; n++)
		assert_int_equal(moved_tokens_put(&table, UINT64_C(77) << 32 | n << 6, 1), 0);
	assert_int_equal(moved_tokens_put(&table, UINT64_C(77) << 32 | 1000 << 6, 1), -1);
	assert_int_equal(moved_tokens_find(&table, UINT64_C(77) << 32 | 1000 << 6), -1);
	moved_tokens_remove(&table, UINT64_C(77) << 32 | 1 << 6, 1);
	assert_int_equal(moved_tokens_put(&table, UINT64_C(77) << 32 | 1000 << 6, 2), 0);
	assert_int_equal(moved_tokens_find(&table, UINT64_C(77) << 32 | 1000 << 6), 2);
}

/* Another table that is filled with its words finds the same; each word is given once. */
static void filled_again(void **state)
{
	static struct moved_tokens_shm other;
	uint32_t at = 0, count = 0;
	uint64_t word;

	(void)state;
	for (unsigned i = 0; i < 64; i++)
		moved_tokens_clear(&table, i);
	assert_int_equal(moved_tokens_next(&table, &at), 0);
	for (uint64_t n = 0; n < 10000; n++)	/* (the first of them has a hash of 0) */
		assert_int_equal(moved_tokens_put(&table, hash_of(n), n % 64), 0);
	for (at = 0; (word = moved_tokens_next(&table, &at)); count++)
		assert_int_equal(moved_tokens_put_word(&other, word), 0);
	assert_int_equal(count, 10000);
	for (uint64_t n = 0; n < 10000; n++)
		assert_int_equal(moved_tokens_find(&other, hash_of(n)), n % 64);
	assert_int_equal(moved_tokens_find(&other, hash_of(10000)), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(found), cmocka_unit_test(taken_away), cmocka_unit_test(full), cmocka_unit_test(filled_again) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
