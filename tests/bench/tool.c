/*
 * What programs that measure share. See tool.h.
 */
#include "tests/bench/tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/bench/clock.h"
#include "tests/bench/procstat.h"

_Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, why);
	exit(1);
}

uint32_t number(const char *name, const char *text, uint32_t max)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (end == text || *end || !v || v > max)
		die(name, "not a number, or too large");
	return (uint32_t)v;
}

uint64_t server_cpu(uint32_t server_pid)
{
	const struct options of = { .server_pid = server_pid };
	struct procstat sum;

	if (procstat_read(&of, false, &sum))
		die("the server's CPU", "no such process");
	return sum.cpu;
}

uint64_t own_cpu(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * CLOCK_S + (uint64_t)ts.tv_nsec;
}
