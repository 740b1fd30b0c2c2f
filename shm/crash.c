/*
 * Crash points. See crash.h.
 */
#include "shm/crash.h"

#ifdef JANUS_CRASH_POINTS
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How many times the point is still to be passed before somebody dies there, as the file says; 0: there is no file. */
static long passings(const char *path)
{
	FILE *f = fopen(path, "r");
	long n = 1;

	if (!f)
		return 0;
	if (fscanf(f, "%ld", &n) != 1 || n < 1)
		n = 1;
	fclose(f);
	return n;
}

static void write_passings(const char *path, long n)
{
	FILE *f = fopen(path, "r+");

	if (!f)
		return;
	fprintf(f, "%ld\n", n);
	fclose(f);
}

static bool is_due(const char *name)
{
	const char *folder = getenv("JANUS_CRASH_DIR");
	char path[4096];
	long n;

	if (!folder)
		return false;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	n = passings(path);
	if (n > 1)
		write_passings(path, n - 1);
	/* Several processes may come by at one time: the one that removes the file dies. */
	return n == 1 && unlink(path) == 0;
}

void crash_point(const char *name)
{
	int error = errno;
	char stop[64];

	snprintf(stop, sizeof(stop), "%s.stop", name);
	if (is_due(stop))
		kill(getpid(), SIGSTOP);
	if (is_due(name))
		kill(getpid(), SIGKILL);
	errno = error;		/* what surrounds the point must be as it is without it */
}

bool crash_fail(const char *name)
{
	int error = errno;
	bool due = is_due(name);

	errno = error;
	return due;
}

void crash_always(const char *name)
{
	const char *folder = getenv("JANUS_CRASH_DIR");
	char path[4096];
	int error = errno;

	if (!folder)
		return;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (access(path, F_OK) == 0)
		abort();
	errno = error;
}

static bool has(const void *bytes, size_t len, const char *word)
{
	return memmem(bytes, len, word, strlen(word)) != NULL;
}

void crash_on_input(const void *bytes, size_t len)
{
	if (has(bytes, len, "@hang"))
		for (;;)
			;
	if (has(bytes, len, "@crash"))
		abort();
	if (has(bytes, len, "@kill"))
		kill(getpid(), SIGKILL);
}

void crash_on_record(const void *bytes, size_t len)
{
	if (has(bytes, len, "@encode-crash"))
		abort();
}
#else
typedef int crash_points_are_not_built;	/* a file must hold something */
#endif
