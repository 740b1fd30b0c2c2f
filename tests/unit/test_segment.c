/*
 * Segments: size, seals, sharing, protection.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/segment.h"

static void test_create(void **state)
{
	struct stat st;
	size_t size, i;
	uint8_t *mem;
	int fd;

	(void)state;
	fd = segment_create("test", 5000);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	mem = segment_map(fd, 1, &size);
	assert_non_null(mem);
	assert_int_equal(size, 8192);
	for (i = 0; i < size; i++)
		assert_int_equal(mem[i], 0);
	segment_unmap(mem, size);
	close(fd);

	fd = segment_create("large", (size_t)1 << 36);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_blocks, 0);
	close(fd);
}

static void test_refused(void **state)
{
	size_t size;

	(void)state;
	assert_int_equal(segment_create("none", 0), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(segment_create("vast", SIZE_MAX), -1);
	assert_int_equal(errno, EINVAL);
	assert_null(segment_map(-1, 1, &size));
	assert_int_equal(errno, EBADF);
	segment_unmap(NULL, 4096);
}

static void test_sealed(void **state)
{
	int fd = segment_create("sealed", 8192);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 4096), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 16384), -1);
	assert_int_equal(errno, EPERM);
	close(fd);
}

static void test_shared(void **state)
{
	int fd = segment_create("shared", 4096), status;
	size_t size;
	char *a, *b;
	pid_t pid;

	(void)state;
	a = segment_map(fd, 1, &size);
	b = segment_map(fd, 0, &size);
	assert_non_null(a);
	assert_non_null(b);
	assert_ptr_not_equal(a, b);
	pid = fork();
	if (pid == 0) {
		strcpy(a + 100, "from the child");
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_string_equal(b + 100, "from the child");
	segment_unmap(a, size);
	segment_unmap(b, size);
	close(fd);
}

static void test_read_only(void **state)
{
	int fd = segment_create("read only", 4096), status;
	struct rlimit no_core = { 0, 0 };
	volatile char *mem;
	size_t size;
	pid_t pid;

	(void)state;
	mem = segment_map(fd, 0, &size);
	assert_non_null(mem);
	pid = fork();
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGSEGV, SIG_DFL);
		mem[0] = 1;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	segment_unmap((void *)mem, size);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_sealed),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_read_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
