/*
 * Limits of control groups, as /proc and the mounted hierarchies say them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/memory.h"

static char top[] = "/tmp/janus-memory-XXXXXX";

static int setup(void **state)
{
	(void)state;
	strcpy(top + strlen(top) - 6, "XXXXXX");
	return mkdtemp(top) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command);
}

static void put(const char *path, const char *text)
{
	char name[256];
	FILE *f;

	snprintf(name, sizeof(name), "%s/%s", top, path);
	for (char *p = name + strlen(top) + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		mkdir(name, 0700);
	}
	f = fopen(name, "w");
	fputs(text, f);
	fclose(f);
}

static uint64_t limit(const char *groups)
{
	char file[256];

	put("cgroup", groups);
	snprintf(file, sizeof(file), "%s/cgroup", top);
	return memory_of_groups(file, top);
}

static void none(void **state)
{
	(void)state;
	assert_true(limit("") == UINT64_MAX);
	assert_true(limit("0::/a/b\n") == UINT64_MAX);
	assert_true(limit("rubbish\n::\n") == UINT64_MAX);
	put("a/memory.max", "max\n");
	assert_true(limit("0::/a\n") == UINT64_MAX);
	assert_true(memory_of_groups("/nowhere", top) == UINT64_MAX);
}

static void version_2(void **state)
{
	(void)state;
	put("a/memory.max", "1000000\n");
	put("a/b/memory.max", "max\n");
	put("a/b/c/memory.max", "2000000\n");
	assert_int_equal(limit("0::/a/b/c\n"), 1000000);
	assert_int_equal(limit("0::/a/b\n"), 1000000);
	put("a/b/memory.max", "500\n");
	assert_int_equal(limit("0::/a/b/c\n"), 500);
	/* In a container the path may be the host's. */
	put("memory.max", "300\n");
	assert_int_equal(limit("0::/no/such/group\n"), 300);
}

static void version_1(void **state)
{
	(void)state;
	put("memory/x/memory.limit_in_bytes", "700\n");
	put("cpu/x/memory.limit_in_bytes", "1\n");
	assert_int_equal(limit("5:cpu:/x\n4:memory:/x/y\n0::/\n"), 700);
	assert_int_equal(limit("4:cpu,memory:/x\n"), 700);
	assert_true(limit("5:cpu:/x\n4:memoryless:/x\n") == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(none, setup, teardown),
		cmocka_unit_test_setup_teardown(version_2, setup, teardown),
		cmocka_unit_test_setup_teardown(version_1, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
