/*
 * Keepers that die one behind the other: when the next one is made. (That one is: tests/scenarios/test_keeper_death.py.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "master/spare.h"

static struct keeper keeper;

static int setup(void **state)
{
	(void)state;
	keeper = (struct keeper){ .h.settings.restart_limit = 2, .started = restarts_now() };
	return 0;
}

/* At once, until there were more than restart_limit; then after pauses that grow up to 5 s. */
static void test_one_behind_the_other(void **state)
{
	static const unsigned pauses[] = { 0, 0, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 5120 };

	(void)state;
	for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++)
		assert_int_equal(spare_pause(&keeper), pauses[i]);
}

static void test_one_that_was_well(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		spare_pause(&keeper);
	keeper.started -= 1000;
	assert_int_equal(spare_pause(&keeper), 0);
	keeper.started = restarts_now();
	assert_int_equal(spare_pause(&keeper), 0);
	assert_int_equal(spare_pause(&keeper), 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_one_behind_the_other, setup),
		cmocka_unit_test_setup(test_one_that_was_well, setup),
	};

	return cmocka_run_group_tests_name("spare", tests, NULL, NULL);
}
