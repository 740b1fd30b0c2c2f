/*
 * Titles of processes: what /proc says, of a child too, and that arguments and environment stay.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/title.h"

static char **arguments;
static char before[8192];	/* the environment in /proc */
static ssize_t before_len;
static bool possible;		/* this kernel can do it (CONFIG_CHECKPOINT_RESTORE) */

static ssize_t read_proc(pid_t pid, const char *name, char *dst, size_t size)
{
	char path[64];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	len = read(fd, dst, size);
	close(fd);
	return len;
}

/* What /proc says is this text and its end, and no byte more. */
static void check(pid_t pid, const char *wanted)
{
	static char got[8192];
	ssize_t len = read_proc(pid, "cmdline", got, sizeof(got));

	if (!possible)
		return;
	assert_int_equal(len, (ssize_t)strlen(wanted) + 1);
	assert_string_equal(got, wanted);
}

static void titles(void **state)
{
	char now[8192];

	(void)state;
	title_set("janus: worker %u (%u connections)", 3, 1234567);
	check(getpid(), "janus: worker 3 (1234567 connections)");
	title_set("janus: worker %u", 3);
	check(getpid(), "janus: worker 3");
	title_set("%s", "");
	check(getpid(), "");
	title_set("a");
	assert_string_equal(arguments[1], "--an-argument");
	assert_string_equal(getenv("JANUS_TEST_TITLE"), "here");
	assert_int_equal(read_proc(getpid(), "environ", now, sizeof(now)), before_len);
	assert_memory_equal(now, before, (size_t)before_len);
}

static void too_long(void **state)
{
	static char text[2 * TITLE_MAX], wanted[TITLE_MAX - 1];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	memset(wanted, 'x', sizeof(wanted) - 1);
	title_set("%s", text);
	check(getpid(), wanted);
	title_set("short");
	check(getpid(), "short");
}

static void children(void **state)
{
	int go[2], done[2], status;
	char byte = 0;
	pid_t pid;

	(void)state;
	title_set("parent");
	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(done), 0);
	pid = fork();
	if (pid == 0) {
		bool ok = read(go[0], &byte, 1) == 1;

		title_set("child");
		ok = ok && write(done[1], "", 1) == 1 && read(go[0], &byte, 1) == 1;
		_exit(!ok);
	}
	check(pid, "parent");
	assert_int_equal(write(go[1], "", 1), 1);
	assert_int_equal(read(done[0], &byte, 1), 1);
	check(pid, "child");
	check(getpid(), "parent");
	assert_int_equal(write(go[1], "", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* The heap goes on where it was. */
static void heap(void **state)
{
	void *small[64], *end = sbrk(0);

	(void)state;
	assert_true(sbrk(65536) == end);
	memset(end, 1, 65536);
	for (size_t i = 0; i < 64; i++) {
		small[i] = malloc(60000);
		assert_non_null(small[i]);
		memset(small[i], 1, 60000);
	}
	for (size_t i = 0; i < 64; i++)
		free(small[i]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(titles),
		cmocka_unit_test(too_long),
		cmocka_unit_test(children),
		cmocka_unit_test(heap),
	};
	unsigned size;

	/* With arguments and an environment of its own, as both are to stay. */
	if (argc == 1) {
		char *const args[] = { argv[0], (char *)(uintptr_t)"--an-argument", NULL };

		setenv("JANUS_TEST_TITLE", "here", 1);
		execv("/proc/self/exe", args);
		return 1;
	}
	arguments = argv;
	before_len = read_proc(getpid(), "environ", before, sizeof(before));
	possible = prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0) == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
