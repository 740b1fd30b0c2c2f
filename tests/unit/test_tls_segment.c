/*
 * The TLS segment: its redo record, entries that begin and end, and starting empty.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shm/log.h"
#include "shm/tls.h"

#define ENTRIES 1000

struct fixture {
	struct tls tls;
	int fd;
	int tls_session;	/* the descriptor that is one's */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->fd = tls_create("test", ENTRIES);
	assert_true(f->fd >= 0);
	assert_int_equal(tls_attach(&f->tls, f->fd, ENTRIES), 0);
	f->tls_session = -1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	tls_detach(&f->tls);
	close(f->fd);
	free(f);
	return 0;
}

static bool is_tls(const void *of, int fd)
{
	return ((const struct fixture *)of)->tls_session == fd;
}

static void redo(struct fixture *f)
{
	tls_redo(&f->tls, is_tls, f);
}

static struct tls_entry_shm entry_of(uint8_t number)
{
	struct tls_entry_shm e;

	memset(&e, number, sizeof(e));
	return e;
}

static void assert_entry(const struct fixture *f, int fd, uint8_t flow, uint8_t keys)
{
	struct tls_entry_shm e = entry_of(keys);

	memset(&e.flow, flow, sizeof(e.flow));
	assert_memory_equal(tls_entry(&f->tls, fd), &e, sizeof(e));
}

/* No bytes of keys stand in the redo record when a commit is done. */
static void assert_redo_wiped(const struct fixture *f)
{
	struct tls_entry_shm none = { .flow = f->tls.shm->redo.flow };

	assert_int_equal(f->tls.shm->redo_fd, 0);
	assert_memory_equal(&f->tls.shm->redo, &none, sizeof(none));
}

static void a_commit_replaces_the_flow(void **state)
{
	struct fixture *f = *state;
	struct tls_entry_shm one = entry_of(1), two = entry_of(2);

	tls_commit_keys(&f->tls, 7, &one);
	assert_entry(f, 7, 1, 1);
	assert_redo_wiped(f);
	tls_commit(&f->tls, 7, &two.flow);
	assert_entry(f, 7, 2, 1);
	redo(f);		/* nothing to do */
	assert_entry(f, 7, 2, 1);
}

/* The worker dies when it has copied so many bytes. */
static void half_a_commit_is_finished(void **state)
{
	struct fixture *f = *state;
	struct tls_entry_shm three = entry_of(3), four = entry_of(4);

	for (size_t copied = 0; copied <= sizeof(three); copied++) {
		tls_commit_keys(&f->tls, ENTRIES - 1, &three);
		f->tls.shm->redo = four;
		atomic_store(&f->tls.shm->redo_fd, ENTRIES);
		memcpy(tls_entry(&f->tls, ENTRIES - 1), &four, copied);
		redo(f);
		assert_entry(f, ENTRIES - 1, 4, 4);
		assert_redo_wiped(f);
	}
	for (size_t copied = 0; copied <= sizeof(three.flow); copied++) {
		tls_commit_keys(&f->tls, 5, &three);
		f->tls.shm->redo.flow = four.flow;
		atomic_store(&f->tls.shm->redo_fd, 6);
		memcpy(tls_entry(&f->tls, 5), &four.flow, copied);
		redo(f);
		assert_entry(f, 5, 4, 3);
	}
}

/* It dies before the record is valid: with keys in it, which are wiped. */
static void half_a_record_is_nothing(void **state)
{
	struct fixture *f = *state;
	struct tls_entry_shm five = entry_of(5);

	tls_commit_keys(&f->tls, 7, &five);
	memset(&f->tls.shm->redo, 6, sizeof(f->tls.shm->redo) / 2);
	redo(f);
	assert_entry(f, 7, 5, 5);
	assert_redo_wiped(f);
}

/* The worker dies while an entry begins or ends. */
static void an_entry_without_a_session_is_wiped(void **state)
{
	struct fixture *f = *state;
	struct tls_entry_shm some = entry_of(9);

	tls_begin(&f->tls, 3);
	*tls_entry(&f->tls, 3) = some;
	redo(f);
	assert_entry(f, 3, 0, 0);
	tls_begin(&f->tls, 3);
	*tls_entry(&f->tls, 3) = some;
	f->tls_session = 3;		/* it was opened */
	redo(f);
	assert_entry(f, 3, 9, 9);
	assert_int_equal(f->tls.shm->changing, 0);
	tls_end(&f->tls, 3);
	redo(f);			/* it was not closed yet */
	assert_entry(f, 3, 9, 9);
	tls_end(&f->tls, 3);
	f->tls_session = -1;		/* it was */
	redo(f);
	assert_entry(f, 3, 0, 0);
	*tls_entry(&f->tls, 3) = some;
	tls_begin(&f->tls, 3);		/* nothing of another's is left */
	assert_entry(f, 3, 0, 0);
	*tls_entry(&f->tls, 3) = some;
	tls_wipe(&f->tls, 3);
	assert_entry(f, 3, 0, 0);
}

static void an_emptied_segment_is_as_new(void **state)
{
	struct fixture *f = *state;
	struct tls_entry_shm some = entry_of(8);

	tls_commit_keys(&f->tls, 1, &some);
	atomic_store(&f->tls.shm->redo_fd, 9);
	assert_int_equal(tls_empty(&f->tls, f->fd), 0);
	assert_entry(f, 1, 0, 0);
	assert_int_equal(f->tls.shm->redo_fd, 0);
	tls_detach(&f->tls);
	assert_int_equal(tls_attach(&f->tls, f->fd, ENTRIES), 0);
	tls_detach(&f->tls);
	assert_int_equal(tls_attach(&f->tls, f->fd, ENTRIES + 1), -1);	/* a slot has more descriptors */
	assert_int_equal(errno, EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_commit_replaces_the_flow, setup, teardown),
		cmocka_unit_test_setup_teardown(half_a_commit_is_finished, setup, teardown),
		cmocka_unit_test_setup_teardown(half_a_record_is_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(an_entry_without_a_session_is_wiped, setup, teardown),
		cmocka_unit_test_setup_teardown(an_emptied_segment_is_as_new, setup, teardown),
	};

	log_init("test", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
