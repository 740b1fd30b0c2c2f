/*
 * Keepers without a master have one clock. (What they do meanwhile: tests/scenarios/test_master_death.py.)
 */
#include "hub_fixture.h"

#include <fcntl.h>

#include "master/bereft.h"
#include "master/restarts.h"

#define LINGER_MS 60000

static struct keeper keeper[2];

static struct masters_shm *masters(void)
{
	return &keeper[0].hub.shm->masters;
}

static int begin(void **state)
{
	int r = setup(state);
	struct fixture *f = *state;

	for (unsigned i = 0; i < 2; i++) {
		struct keeper *k = &keeper[i];

		*k = (struct keeper){ .hub = f->hub, .slot = i, .self = slot_of(f, i) };
		k->h.settings.master_linger = LINGER_MS;
		k->h.lock = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		assert_true(k->h.lock >= 0);
		assert_true(bereft_begin(k));
	}
	return r;
}

static int end(void **state)
{
	for (unsigned i = 0; i < 2; i++)
		close(keeper[i].h.lock);
	return teardown(state);
}

/* Time passes, in which these keepers have looked (a bit each) now and then. */
static void pass(uint64_t ms, unsigned looked)
{
	atomic_fetch_sub(&masters()->ends_at, ms);
	if (!looked)
		atomic_fetch_sub(&masters()->looked_at, (uint32_t)ms);
	for (unsigned i = 0; i < 2; i++)
		keeper[i].looked -= looked & 1u << i ? 1000 : ms;
}

/* One that is made meanwhile waits no longer than the others. */
static void test_all_end_together(void **state)
{
	(void)state;
	pass(LINGER_MS / 2, 3);
	assert_true(bereft_look(&keeper[0]));
	keeper[1].bereft = false;
	assert_true(bereft_begin(&keeper[1]));
	pass(LINGER_MS / 2, 3);
	assert_false(bereft_look(&keeper[0]));
	assert_false(bereft_look(&keeper[1]));
}

/* A master that had come to one of them: all wait for the next one as long as ever. */
static void test_anew(void **state)
{
	(void)state;
	pass(LINGER_MS - 1000, 3);
	bereft_end(&keeper[0]);
	assert_true(bereft_begin(&keeper[0]));
	pass(2000, 3);
	assert_true(bereft_look(&keeper[0]));
	assert_true(bereft_look(&keeper[1]));
	pass(LINGER_MS, 3);
	assert_false(bereft_look(&keeper[0]));
	assert_false(bereft_look(&keeper[1]));
}

/* One that was adopted, and lives on without a master that has noted its end: it is the next one that is waited for. */
static void test_another_death(void **state)
{
	(void)state;
	pass(LINGER_MS, 3);
	atomic_store(&masters()->gone, 0);
	assert_true(bereft_look(&keeper[0]));
	assert_int_not_equal(atomic_load(&masters()->gone), 0);
	pass(1000, 3);
	assert_true(bereft_look(&keeper[0]));
	assert_true(bereft_look(&keeper[1]));
}

/* All were paused: nobody ends for that. */
static void test_pause_of_all(void **state)
{
	(void)state;
	pass(10 * LINGER_MS, 0);
	for (unsigned i = 0; i < 2; i++)
		assert_true(bereft_look(&keeper[i]));
	pass(LINGER_MS / 2, 3);
	for (unsigned i = 0; i < 2; i++)
		assert_true(bereft_look(&keeper[i]));
	pass(LINGER_MS / 2, 3);
	for (unsigned i = 0; i < 2; i++)
		assert_false(bereft_look(&keeper[i]));
}

/* One of them was: its time has passed as the others' has. It sees so when it looks for the second time. */
static void test_pause_of_one(void **state)
{
	(void)state;
	pass(LINGER_MS, 1);
	assert_false(bereft_look(&keeper[0]));
	assert_true(bereft_look(&keeper[1]));
	pass(1000, 3);
	assert_false(bereft_look(&keeper[1]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_end_together, begin, end),
		cmocka_unit_test_setup_teardown(test_anew, begin, end),
		cmocka_unit_test_setup_teardown(test_another_death, begin, end),
		cmocka_unit_test_setup_teardown(test_pause_of_all, begin, end),
		cmocka_unit_test_setup_teardown(test_pause_of_one, begin, end),
	};

	return cmocka_run_group_tests_name("bereft", tests, NULL, NULL);
}
