/*
 * The cursor along a session's input.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/session/cursor.h"

/* A buffer whose first byte is the 1000th of the connection's. */
static struct buffer_shm head;
static struct cursor begin(void)
{
	head = (struct buffer_shm){ .base = 1000, .len = 10, .scan = { 1, 2, 3, 4, 5 } };
	return (struct cursor){ .head = &head, .bytes = "0123456789", .at = 1002 };
}

static void assert_scan_clear(const struct cursor *c, bool clear)
{
	static const uint32_t none[5];

	assert_int_equal(memcmp(cursor_scan(c), none, sizeof(none)) == 0, clear);
}

static void it_stands_in_the_buffer(void **state)
{
	struct cursor c = begin();

	(void)state;
	assert_int_equal(cursor_left(&c), 8);
	assert_int_equal(*cursor_text(&c), '2');
	assert_scan_clear(&c, false);
}

/* What a parser has noted is of the unit that it was at. */
static void what_is_taken_is_a_unit_and_what_is_skipped_is_none(void **state)
{
	struct cursor c = begin();

	(void)state;
	cursor_take(&c, 3);
	assert_int_equal(c.units, 1);
	assert_int_equal(*cursor_text(&c), '5');
	assert_scan_clear(&c, true);
	c.head->scan[4] = 1;
	cursor_skip(&c, 5);
	assert_int_equal(c.units, 1);
	assert_int_equal(cursor_left(&c), 0);
	assert_scan_clear(&c, true);
}

static void one_that_does_much_yields(void **state)
{
	struct cursor c = begin();
	unsigned n = 0;

	(void)state;
	while (!cursor_yields(&c)) {
		assert_false(c.stop || c.stalled);
		n++;
	}
	assert_int_equal(n, ACTIONS_A_TURN);
	assert_true(c.stop && c.stalled);
	assert_int_equal(c.at, 1002);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_stands_in_the_buffer),
		cmocka_unit_test(what_is_taken_is_a_unit_and_what_is_skipped_is_none),
		cmocka_unit_test(one_that_does_much_yields),
	};

	return cmocka_run_group_tests_name("cursor", tests, NULL, NULL);
}
