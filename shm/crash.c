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

void crash_point(const char *name)
{
	const char *folder = getenv("JANUS_CRASH_DIR");
	char path[4096];

	if (!folder)
		return;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (unlink(path) == 0)
		kill(getpid(), SIGKILL);
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
