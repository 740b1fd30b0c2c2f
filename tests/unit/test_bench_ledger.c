/*
 * The books of one who breaks off and comes back (tests/bench/ledger.c): what is missing was told, or is a silent loss; what comes again is found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/bench/ledger.h"

#define MESSAGES 11u
#define PUBLISHERS 3u		/* of 4, 4 and 3 messages */

static enum account_entry enter(struct ledger *l, uint32_t publisher, uint32_t seq, uint32_t *silent)
{
	return ledger_enter(l, &(struct payload){ .publisher = publisher, .seq = seq }, silent);
}

/* A message that must be the next one. */
static void next(struct ledger *l, uint32_t publisher, uint32_t seq)
{
	uint32_t silent;

	assert_int_equal(enter(l, publisher, seq, &silent), ACCOUNT_NEW);
	assert_int_equal(silent, 0);
}

static void end(struct ledger *l, uint32_t told, uint32_t silent)
{
	struct ledger_losses lost = ledger_losses(l);

	assert_int_equal(lost.told, told);
	assert_int_equal(lost.silent, silent);
	ledger_fini(l);
}

static void test_all(void **state)
{
	struct ledger l;

	(void)state;
	ledger_init(&l, MESSAGES, PUBLISHERS);
	for (uint32_t i = 0; i < MESSAGES; i++) {
		assert_false(ledger_complete(&l));
		next(&l, i % PUBLISHERS, i / PUBLISHERS);
	}
	assert_true(ledger_complete(&l));
	end(&l, 0, 0);
}

static void test_repeats(void **state)
{
	struct ledger l;
	uint32_t silent;

	(void)state;
	ledger_init(&l, MESSAGES, PUBLISHERS);
	for (uint32_t i = 0; i < MESSAGES; i++)
		next(&l, i % PUBLISHERS, i / PUBLISHERS);
	for (uint32_t i = 0; i < MESSAGES; i++) {
		assert_int_equal(enter(&l, i % PUBLISHERS, i / PUBLISHERS, &silent), ACCOUNT_AGAIN);
		assert_int_equal(silent, 0);
	}
	end(&l, 0, 0);
}

/* Two gaps of one publisher, of which the first was told; another one's, behind which nothing comes any more. */
static void test_told(void **state)
{
	struct ledger l;
	uint32_t silent;

	(void)state;
	ledger_init(&l, 30, 2);
	next(&l, 0, 0);
	next(&l, 1, 0);
	ledger_told(&l);
	next(&l, 0, 3);				/* 1 and 2 were told of */
	assert_int_equal(enter(&l, 0, 5, &silent), ACCOUNT_NEW);
	assert_int_equal(silent, 1);		/* 4 was not */
	next(&l, 0, 6);
	next(&l, 1, 10);			/* the word was good for this one's gap, too */
	assert_int_equal(enter(&l, 1, 12, &silent), ACCOUNT_NEW);
	assert_int_equal(silent, 1);
	end(&l, 2 + 9, 1 + 1 + 8 + 2);		/* and nobody spoke of what lies behind the last ones */
}

static void test_told_at_the_end(void **state)
{
	struct ledger l;

	(void)state;
	ledger_init(&l, MESSAGES, PUBLISHERS);
	next(&l, 0, 0);
	next(&l, 2, 0);
	ledger_told(&l);
	next(&l, 2, 2);
	assert_false(ledger_complete(&l));
	end(&l, 1 + 3 + 4, 0);
}

static void test_nothing_came(void **state)
{
	struct ledger l;

	(void)state;
	ledger_init(&l, MESSAGES, PUBLISHERS);
	end(&l, 0, MESSAGES);
}

/* What came late after all is not missing. */
static void test_late(void **state)
{
	struct ledger l;
	uint32_t silent;

	(void)state;
	ledger_init(&l, 4, 1);
	ledger_told(&l);
	next(&l, 0, 2);
	assert_int_equal(enter(&l, 0, 0, &silent), ACCOUNT_LATE);
	next(&l, 0, 3);
	assert_true(ledger_complete(&l));
	end(&l, 1, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all), cmocka_unit_test(test_repeats), cmocka_unit_test(test_told), cmocka_unit_test(test_told_at_the_end),
		cmocka_unit_test(test_nothing_came), cmocka_unit_test(test_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
