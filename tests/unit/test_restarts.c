/*
 * Crash loops: which deaths make one, and how long a shortage is waited for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "master/restarts.h"

#define WINDOW 60000

static struct settings settings;

static int setup(void **state)
{
	(void)state;
	settings_defaults(&settings);
	settings.restart_limit = 2;
	settings.restart_window = WINDOW;
	return 0;
}

static void test_loop_empties_then_gives_up(void **state)
{
	struct restarts r = { 0 };

	(void)state;
	for (int round = 0; round < 2; round++) {
		assert_int_equal(restarts_note(&r, &settings, 1000), RESTART);
		assert_int_equal(restarts_note(&r, &settings, 1001), RESTART);
		assert_int_equal(restarts_note(&r, &settings, 1002), round == 0 ? RESTART_EMPTY : RESTART_NEVER);
	}
}

static void test_progress_breaks_it(void **state)
{
	struct restarts r = { 0 };

	(void)state;
	for (uint64_t n = 0; n < 1000; n++) {
		assert_int_equal(restarts_note(&r, &settings, n), RESTART);
		assert_int_equal(restarts_note(&r, &settings, n), RESTART);
		restarts_progress(&r);
	}
	/* And after one that was broken, the first loop is a first loop again. */
	for (int round = 0; round < 3; round++) {
		restarts_note(&r, &settings, 0);
		restarts_note(&r, &settings, 0);
		assert_int_equal(restarts_note(&r, &settings, 0), RESTART_EMPTY);
		restarts_progress(&r);
	}
}

static void test_old_deaths_are_forgotten(void **state)
{
	struct restarts r = { 0 };

	(void)state;
	for (uint64_t n = 1; n < 100; n++)
		assert_int_equal(restarts_note(&r, &settings, n * (WINDOW + 1)), RESTART);
	/* Deaths that are apart, but not further than the window, are one loop: a worker may take long to hang. */
	memset(&r, 0, sizeof(r));
	assert_int_equal(restarts_note(&r, &settings, WINDOW), RESTART);
	assert_int_equal(restarts_note(&r, &settings, 2 * WINDOW), RESTART);
	assert_int_equal(restarts_note(&r, &settings, 3 * WINDOW), RESTART_EMPTY);
}

static void test_limit_of_nothing(void **state)
{
	struct restarts r = { 0 };

	(void)state;
	settings.restart_limit = 0;
	assert_int_equal(restarts_note(&r, &settings, 5), RESTART_EMPTY);
	assert_int_equal(restarts_note(&r, &settings, 6), RESTART_NEVER);
}

static void test_pauses_grow(void **state)
{
	struct restarts r = { 0 };
	unsigned last = 0;

	(void)state;
	assert_int_equal(restarts_pause(&r), 10);
	assert_int_equal(restarts_pause(&r), 20);
	for (int i = 0; i < 100; i++) {
		unsigned ms = restarts_pause(&r);

		assert_true(ms >= last && ms <= 5120);
		last = ms;
	}
	assert_int_equal(last, 5120);
	restarts_ready(&r);
	assert_int_equal(restarts_pause(&r), 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_loop_empties_then_gives_up, setup),
		cmocka_unit_test_setup(test_progress_breaks_it, setup),
		cmocka_unit_test_setup(test_old_deaths_are_forgotten, setup),
		cmocka_unit_test_setup(test_limit_of_nothing, setup),
		cmocka_unit_test_setup(test_pauses_grow, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
