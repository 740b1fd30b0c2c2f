/*
 * Messages that carry descriptors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shm/descriptors.h"

static int ends[2], null;
static char text[8];
static struct iovec room = { text, sizeof(text) };
static struct descriptors came;

static int setup(void **state)
{
	(void)state;
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return null < 0 ? -1 : socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends);
}

static int teardown(void **state)
{
	(void)state;
	close(ends[0]);
	close(ends[1]);
	close(null);
	return 0;
}

static ssize_t send_some(unsigned count)
{
	int fds[DESCRIPTORS_MAX];

	for (unsigned i = 0; i < count; i++)
		fds[i] = null;
	return descriptors_send(ends[0], (struct iovec[]){ { "ab", 2 }, { "c", 1 } }, 2, fds, count, 0);
}

static ssize_t receive(void)
{
	return descriptors_receive(ends[1], &room, 1, &came, MSG_DONTWAIT);
}

/* None, some, as many as can be; and those that nobody wants are closed. */
static void test_counts(void **state)
{
	static const unsigned counts[] = { 0, 1, 3, DESCRIPTORS_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		assert_int_equal(send_some(counts[i]), 3);
		assert_int_equal(receive(), 3);
		assert_memory_equal(text, "abc", 3);
		assert_int_equal(came.count, counts[i]);
		assert_int_equal(came.flags & MSG_CTRUNC, 0);
		assert_int_equal(came.sender, 0);
		descriptors_close(&came, 1);
		for (unsigned j = 0; j < came.count; j++)
			assert_int_equal(fcntl(came.fd[j], F_GETFD) >= 0, j < 1);
		descriptors_close(&(struct descriptors){ .fd = { came.fd[0] }, .count = came.count > 0 }, 0);
	}
}

static void test_none_came(void **state)
{
	(void)state;
	came.count = 7;
	assert_int_equal(receive(), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(came.count, 0);
}

static void test_sender(void **state)
{
	int on = 1;

	(void)state;
	assert_int_equal(setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	assert_int_equal(send_some(DESCRIPTORS_MAX), 3);
	assert_int_equal(receive(), 3);
	assert_int_equal(came.sender, getpid());
	assert_int_equal(came.count, DESCRIPTORS_MAX);
	descriptors_close(&came, 0);
}

/* The process may have no more of them. */
static void test_cut(void **state)
{
	struct rlimit before, few;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = (rlim_t)null + 8;
	assert_int_equal(send_some(20), 3);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(receive(), 3);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(came.count < 20);
	assert_true(came.flags & MSG_CTRUNC);
	descriptors_close(&came, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_none_came, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sender, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
	};

	return cmocka_run_group_tests_name("descriptors", tests, NULL, NULL);
}
