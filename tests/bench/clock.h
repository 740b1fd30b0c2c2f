/*
 * One clock for everything: CLOCK_MONOTONIC, the same in every process of the machine.
 */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_MS 1000000ull		/* nanoseconds */
#define CLOCK_S 1000000000ull

static inline uint64_t clock_now(void)	/* nanoseconds */
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * CLOCK_S + (uint64_t)ts.tv_nsec;
}

#endif
