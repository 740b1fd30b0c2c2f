/*
 * The ring that sends go out by: it takes sends, and refuses all else.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/io/uring.h"

static struct io_uring ring;
static int ends[2];

static int up(void **state)
{
	(void)state;
	if (uring_open(&ring, 8) < 0) {
		ring.ring_fd = -1;
		return 0;
	}
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends);
}

static int down(void **state)
{
	(void)state;
	if (ring.ring_fd < 0)
		return 0;
	io_uring_queue_exit(&ring);
	return close(ends[0]) | close(ends[1]);
}

/* The result of what is prepared. */
static int done(void)
{
	struct io_uring_cqe *cqe;
	int result;

	assert_int_equal(io_uring_submit_and_wait(&ring, 1), 1);
	assert_int_equal(io_uring_peek_cqe(&ring, &cqe), 0);
	result = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	return result;
}

static struct io_uring_sqe *next(void)
{
	struct io_uring_sqe *sqe;

	if (ring.ring_fd < 0)
		skip();		/* no io_uring here */
	sqe = io_uring_get_sqe(&ring);
	assert_non_null(sqe);
	return sqe;
}

static void sends(void **state)
{
	char got[4];

	(void)state;
	io_uring_prep_send(next(), ends[0], "abc", 3, MSG_DONTWAIT | MSG_NOSIGNAL);
	assert_int_equal(done(), 3);
	assert_int_equal(read(ends[1], got, sizeof(got)), 3);
	assert_memory_equal(got, "abc", 3);
}

static void refuses_all_else(void **state)
{
	char byte;

	(void)state;
	io_uring_prep_nop(next());
	assert_int_equal(done(), -EACCES);
	io_uring_prep_openat(next(), AT_FDCWD, "/dev/null", O_RDONLY, 0);
	assert_int_equal(done(), -EACCES);
	io_uring_prep_recv(next(), ends[0], &byte, 1, MSG_DONTWAIT);
	assert_int_equal(done(), -EACCES);
	/* and a send with flags, */
	io_uring_prep_send(next(), ends[0], "abc", 3, MSG_DONTWAIT);
	ring.sq.sqes[(ring.sq.sqe_tail - 1) & *ring.sq.kring_mask].flags = IOSQE_ASYNC;
	assert_int_equal(done(), -EACCES);
	assert_int_equal(read(ends[1], &byte, 1), -1);
	/* and to be given files or a wider range. */
	assert_int_equal(io_uring_register_files(&ring, ends, 2), -EACCES);
	/* What was refused has not spoilt it. */
	io_uring_prep_send(next(), ends[0], "a", 1, MSG_DONTWAIT);
	assert_int_equal(done(), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sends, up, down),
		cmocka_unit_test_setup_teardown(refuses_all_else, up, down),
	};

	alarm(60);
	return cmocka_run_group_tests_name("uring", tests, NULL, NULL);
}
