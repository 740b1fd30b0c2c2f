/*
 * What all workers know together of clients: cells, columns, rates, and workers that are killed in the middle of all that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/client_limits.h"
#include "shm/lock.h"

#define SECOND 1000000000ull

static struct client_limits l;
static struct lock_shm *lock;

static int setup(void **state)
{
	void *mem = mmap(NULL, client_limits_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	lock = mmap(NULL, sizeof(*lock), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED || lock == MAP_FAILED)
		return -1;
	return client_limits_format(mem) < 0 ? -1 : client_limits_attach(&l, mem, client_limits_size());
}

static int teardown(void **state)
{
	(void)state;
	munmap(lock, sizeof(*lock));
	return munmap(l.shm, client_limits_size());
}

static void what_it_is_about(void **state)
{
	static const uint8_t a[16] = { 192, 0, 2, 1 }, b[16] = { 192, 0, 2, 2 }, c[16] = { 192, 0, 2, 1, 9 };
	uint8_t six[16] = { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 5 }, other[16];

	(void)state;
	assert_true(client_limits_address(&l, 4, a) != client_limits_address(&l, 4, b));
	assert_true(client_limits_address(&l, 4, a) == client_limits_address(&l, 4, c));
	memcpy(other, six, sizeof(other));
	other[15] = 77;
	assert_true(client_limits_address(&l, 6, six) == client_limits_address(&l, 6, other));
	other[7] = 2;
	assert_true(client_limits_address(&l, 6, six) != client_limits_address(&l, 6, other));
	assert_true(client_limits_sub(&l, "bob", 3) != client_limits_sub(&l, "bo", 2));
	assert_true(client_limits_sub(&l, "\4\0\0\0\0", 5) != client_limits_address(&l, 4, (uint8_t[16]){ 0 }));
}

static void columns(void **state)
{
	uint32_t cell = client_limits_cell(&l, 7, 0), again = client_limits_cell(&l, 7 + CLIENT_CELLS, 0);

	(void)state;
	assert_true(cell > 0 && again > 0 && cell != again);	/* in one list */
	assert_int_equal(client_limits_cell(&l, 7, 0), cell);
	for (unsigned slot = 0; slot < INDEX_SLOTS_MAX; slot++)
		client_limits_join(&l, cell, slot);
	client_limits_join(&l, cell, 3);
	client_limits_join(&l, again, 3);
	assert_int_equal(client_limits_connections(&l, cell), INDEX_SLOTS_MAX + 1);
	client_limits_leave(&l, cell, 1);
	assert_int_equal(client_limits_connections(&l, cell), INDEX_SLOTS_MAX);
	client_limits_clear(&l, 3);
	assert_int_equal(client_limits_connections(&l, cell), INDEX_SLOTS_MAX - 2);
	assert_int_equal(client_limits_connections(&l, again), 0);
}

static void full(void **state)
{
	uint64_t now = 10 * SECOND;
	uint32_t cell;

	(void)state;
	for (uint64_t i = 1; i <= CLIENT_CELLS; i++) {
		cell = client_limits_cell(&l, i, now);
		assert_int_equal(cell, i);
		if (i % 2)
			client_limits_join(&l, cell, 5);
		else
			assert_true(client_rate_take(&l.cell[cell].rate[CLIENT_PUBLISHES], 1, 1, now));
	}
	assert_int_equal(client_limits_cell(&l, 1 << 20, now + SECOND / 2), 0);
	/* the rates have recovered: those whom nobody is connected by are given up, and only they */
	cell = client_limits_cell(&l, 1 << 20, now + SECOND);
	assert_true(cell > 0 && cell % 2 == 0);
	assert_int_equal(client_limits_cell(&l, 1 << 20, now + SECOND), cell);
	assert_int_equal(client_limits_cell(&l, 1, now + SECOND), 1);
	assert_int_equal(client_limits_connections(&l, cell), 0);
	assert_true(client_rate_take(&l.cell[cell].rate[CLIENT_PUBLISHES], 1, 1, now));
}

static void rates(void **state)
{
	_Atomic uint64_t rate = 0;
	uint64_t now = 5 * SECOND;
	unsigned n = 0;

	(void)state;
	while (client_rate_take(&rate, 10, 1, now))
		n++;
	assert_int_equal(n, 10);
	assert_false(client_rate_take(&rate, 10, 1, now + SECOND / 10 - 1));
	assert_true(client_rate_take(&rate, 10, 1, now + SECOND / 10));
	assert_false(client_rate_take(&rate, 10, 1, now + SECOND / 10));
	client_rate_give(&rate, 10, 1);
	assert_true(client_rate_take(&rate, 10, 1, now + SECOND / 10));
	now += 100 * SECOND;
	assert_true(client_rate_take(&rate, 10, 4, now));
	assert_false(client_rate_take(&rate, 10, 7, now));
	assert_true(client_rate_take(&rate, 10, 6, now));
	/* more at once than a second has: out of an unused one, which then lacks it */
	now += 100 * SECOND;
	assert_true(client_rate_take(&rate, 10, 25, now));
	assert_false(client_rate_take(&rate, 10, 1, now + SECOND));
	assert_false(client_rate_take(&rate, 10, 1, now + 3 * SECOND / 2));
	assert_true(client_rate_take(&rate, 10, 1, now + 16 * SECOND / 10));
	for (n = 0; client_rate_take(&rate, 3, 1, now + 100 * SECOND); n++)
		;
	assert_int_equal(n, 3);
}

/* A worker, whose connections come and go by few and many hashes; it holds some at any time. */
static void work(unsigned slot)
{
	uint32_t held[16] = { 0 };
	uint64_t random = slot + (uint64_t)getpid() * 77;

	for (;;) {
		uint32_t *h;
		uint64_t hash;

		random = random * 6364136223846793005ull + 1442695040888963407ull;
		h = &held[random >> 33 & 15];
		hash = 1 + (random >> 40) % (random >> 20 & 1 ? 64 : 3 * CLIENT_CELLS);
		if (*h)
			client_limits_leave(&l, *h, slot);
		lock_acquire(lock, slot + 1);
		*h = client_limits_cell(&l, hash, SECOND);
		if (*h && l.cell[*h].hash != hash)
			abort();
		if (*h)
			client_limits_join(&l, *h, slot);
		lock_release(lock, slot + 1);
	}
}

static pid_t begin(unsigned slot)
{
	pid_t pid;

	client_limits_clear(&l, slot);
	pid = fork();
	if (pid == 0)
		work(slot);
	return pid;
}

/* Each list ends, and has cells of its own hashes, each once. */
static void check_lists(void)
{
	static uint8_t seen[CLIENT_CELLS + 1];

	memset(seen, 0, sizeof(seen));
	for (uint32_t i = 0; i < CLIENT_CELLS; i++)
		for (uint32_t cell = l.shm->head[i]; cell; cell = l.cell[cell].next) {
			assert_in_range(cell, 1, CLIENT_CELLS);
			assert_int_equal(seen[cell]++, 0);
			assert_int_equal(l.cell[cell].hash % CLIENT_CELLS, i);
		}
}

/* Workers die in the middle, some of them with the lock, and others follow. */
static void deaths(void **state)
{
	pid_t pid[3];
	uint64_t left = 0;
	int status;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		pid[i] = begin(i);
	for (unsigned n = 0; n < 60; n++) {
		unsigned i = n % 3;

		usleep(n < 9 ? 5000 : 500 + (unsigned)rand() % 1000);
		kill(pid[i], SIGKILL);
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		if (lock_owner(lock) == i + 1)
			lock_release(lock, i + 1);
		pid[i] = begin(i);
	}
	for (unsigned i = 0; i < 3; i++) {
		kill(pid[i], SIGKILL);
		waitpid(pid[i], &status, 0);
		assert_true(WTERMSIG(status) == SIGKILL);
		for (uint32_t cell = 1; cell <= l.shm->high; cell++)
			left += l.cell[cell].connections[i];
		assert_in_range(left, 0, 16 * (i + 1));
	}
	check_lists();
	for (unsigned i = 0; i < 3; i++)
		client_limits_clear(&l, i);
	/* what is in no list is found again */
	for (uint64_t i = 0; i < 2 * CLIENT_CELLS; i++)
		assert_true(client_limits_cell(&l, (1ull << 40) + i, SECOND) > 0);
	check_lists();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_it_is_about, setup, teardown),
		cmocka_unit_test_setup_teardown(columns, setup, teardown),
		cmocka_unit_test_setup_teardown(full, setup, teardown),
		cmocka_unit_test(rates),
		cmocka_unit_test_setup_teardown(deaths, setup, teardown),
	};

	return cmocka_run_group_tests_name("client_limits", tests, NULL, NULL);
}
