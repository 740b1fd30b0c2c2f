/*
 * The slot segment: its redo record, and starting empty.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shm/slot.h"

#define SESSIONS 64

struct fixture {
	struct slot slot;
	int fd;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->fd = slot_create("test", &(struct slot_size){ .sessions = SESSIONS, .frame = 65536, .buffered = 1 << 28 });
	assert_true(f->fd >= 0);
	assert_int_equal(slot_attach(&f->slot, f->fd, true), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	slot_detach(&f->slot);
	close(f->fd);
	free(f);
	return 0;
}

/* A state of which no byte is that of another number's. */
static struct session_state_shm state_of(uint8_t number)
{
	struct session_state_shm st;

	memset(&st, number, sizeof(st));
	return st;
}

static void assert_state(const struct fixture *f, int fd, uint8_t number)
{
	struct session_state_shm st = state_of(number);

	assert_memory_equal(&slot_session(&f->slot, fd)->state, &st, sizeof(st));
}

static void a_commit_replaces_the_state(void **state)
{
	struct fixture *f = *state;
	struct session_state_shm st = state_of(1);

	slot_commit(&f->slot, 0, &st);
	st = state_of(2);
	slot_commit(&f->slot, SESSIONS - 1, &st);
	assert_state(f, 0, 1);
	assert_state(f, SESSIONS - 1, 2);
	assert_int_equal(f->slot.shm->redo_fd, 0);
	slot_redo(&f->slot);		/* nothing to do */
	assert_state(f, 0, 1);
	assert_state(f, SESSIONS - 1, 2);
}

/* The worker dies when it has copied so many bytes. */
static void half_a_commit_is_finished(void **state)
{
	struct fixture *f = *state;

	for (int fd = 0; fd < SESSIONS; fd += SESSIONS - 1)
		for (size_t copied = 0; copied <= sizeof(struct session_state_shm); copied++) {
			struct session_state_shm st = state_of(3), next = state_of(4);

			slot_commit(&f->slot, fd, &st);
			f->slot.shm->redo = next;
			atomic_store(&f->slot.shm->redo_fd, (uint32_t)fd + 1);
			memcpy(&slot_session(&f->slot, fd)->state, &next, copied);
			slot_redo(&f->slot);
			assert_state(f, fd, 4);
			assert_int_equal(f->slot.shm->redo_fd, 0);
		}
}

/* It dies before the record is valid. */
static void half_a_record_is_nothing(void **state)
{
	struct fixture *f = *state;
	struct session_state_shm st = state_of(5);

	slot_commit(&f->slot, 7, &st);
	memset(&f->slot.shm->redo, 6, sizeof(st) / 2);
	slot_redo(&f->slot);
	assert_state(f, 7, 5);
}

static int opened(const struct fixture *f)
{
	int fd = open("/dev/null", O_RDONLY);

	assert_true(fd >= 0 && fd < SESSIONS);
	slot_session(&f->slot, fd)->status = SESSION_OPEN;
	atomic_store(&f->slot.shm->fd_end, (uint32_t)fd + 1);
	return fd;
}

static void an_emptied_slot_is_as_new(void **state)
{
	struct fixture *f = *state;

	for (int ours = 0; ours < 2; ours++) {
		int a = opened(f), b = opened(f);
		uint32_t count;

		slot_session(&f->slot, a)->status = SESSION_FREE;	/* closed, and the number is somebody else's */
		atomic_store(&f->slot.shm->redo_fd, 9);
		atomic_store(&f->slot.shm->flights, 3);
		assert_int_equal(slot_empty(&f->slot, f->fd, ours, &count), 0);
		assert_int_equal(count, 1);
		assert_int_not_equal(fcntl(a, F_GETFD), -1);
		assert_int_equal(fcntl(b, F_GETFD) == -1, ours);
		close(a);
		if (!ours)
			close(b);
		assert_int_equal(slot_session(&f->slot, b)->status, SESSION_FREE);
		assert_int_equal(f->slot.shm->redo_fd + f->slot.shm->flights + f->slot.shm->fd_end, 0);
		slot_detach(&f->slot);
		assert_int_equal(slot_attach(&f->slot, f->fd, true), 0);
		assert_int_equal(f->slot.shm->sessions_max, SESSIONS);
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_commit_replaces_the_state),
		TEST(half_a_commit_is_finished),
		TEST(half_a_record_is_nothing),
		TEST(an_emptied_slot_is_as_new),
	};

	alarm(60);
	return cmocka_run_group_tests_name("slot", tests, NULL, NULL);
}
