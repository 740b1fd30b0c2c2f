/*
 * When the watchdog is told that the server is alive: the workers' signs of life, and how long one may be missed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "master/master.h"

#define NOW 1000000u

static struct master *m;

static int setup(void **state)
{
	(void)state;
	m = calloc(1, sizeof(*m));
	m->hub.shm = aligned_alloc(64, sizeof(*m->hub.shm));
	memset(m->hub.shm, 0, sizeof(*m->hub.shm));
	m->config.settings.hang_limit = 10000;
	m->h.slots[0].used = m->h.slots[63].used = true;
	m->hub.shm->slot[0].worker_beat = m->hub.shm->slot[63].worker_beat = NOW - 100;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(m->hub.shm);
	free(m);
	return 0;
}

static void beats(void **state)
{
	(void)state;
	assert_true(service_healthy(m, NOW));
	m->hub.shm->slot[63].worker_beat = NOW - 25000;
	assert_true(service_healthy(m, NOW));		/* its keeper kills it after 10 s, and has some time for that */
	m->hub.shm->slot[63].worker_beat = NOW - 25001;
	assert_false(service_healthy(m, NOW));
	m->h.slots[63].used = false;
	assert_true(service_healthy(m, NOW));
	m->hub.shm->slot[0].worker_beat = NOW + 5;	/* between reading the clock and the word */
	assert_true(service_healthy(m, NOW));
	m->hub.shm->slot[0].worker_beat = 0;		/* in this hub it has given none yet */
	assert_true(service_healthy(m, NOW));
}

static void without_hang_limit(void **state)
{
	(void)state;
	m->config.settings.hang_limit = 0;
	m->hub.shm->slot[0].worker_beat = NOW - 30000;
	assert_true(service_healthy(m, NOW));
	m->hub.shm->slot[0].worker_beat = NOW - 30001;
	assert_false(service_healthy(m, NOW));
	m->stopping = true;				/* workers that have left give none */
	assert_true(service_healthy(m, NOW));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(beats, setup, teardown),
		cmocka_unit_test_setup_teardown(without_hang_limit, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
