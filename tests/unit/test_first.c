/*
 * The first of many, in whatever order they are offered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "master/ctl/first.h"

#define MANY 1000
#define STEP 387		/* has no divisor in common with MANY: the numbers come once each, scattered */

static int by_number(const void *one, const void *other)
{
	const unsigned *a = one, *b = other;

	return *a < *b ? -1 : *a > *b;
}

static void offer(struct first *first, unsigned count, unsigned step)
{
	for (unsigned i = 0; i < count; i++)
		first_offer(first, &(unsigned){ i * step % MANY });
}

static void check(unsigned most, unsigned count, unsigned step)
{
	struct first first;
	const unsigned *found;

	assert_int_equal(first_init(&first, sizeof(unsigned), most, by_number), 0);
	offer(&first, count, step);
	assert_int_equal(first_found(&first), most < count ? most : count);
	found = first.list;
	for (unsigned i = 0; count == MANY && i < first.count; i++)
		assert_int_equal(found[i], i);
	for (unsigned i = 1; i < first.count; i++)
		assert_true(found[i - 1] < found[i]);
	first_fini(&first);
}

static void test_whatever_comes_first(void **state)
{
	(void)state;
	for (unsigned most = 1; most <= MANY + 1; most += most < 200 ? 1 : 50) {
		check(most, MANY, 1);
		check(most, MANY, MANY - 1);
		check(most, MANY, STEP);
	}
}

static void test_few(void **state)
{
	(void)state;
	for (unsigned count = 0; count < 10; count++)
		check(5, count, STEP);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_whatever_comes_first), cmocka_unit_test(test_few) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
