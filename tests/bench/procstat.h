/*
 * What the server costs, as /proc tells.
 */
#ifndef BENCH_PROCSTAT_H
#define BENCH_PROCSTAT_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/options.h"

struct procstat {
	uint32_t processes;
	uint64_t cpu;		/* ns, of them and of their children that have ended */
	uint64_t pss;		/* bytes, proportional to who else maps them */
};

/*
 * Sums over the processes whose name starts with opt->server_name (janusbench itself excepted), or, with opt->server_pid, over
 * that process and its descendants. `memory`: look at memory as well, which takes longer. 0, or -1 if none is found.
 */
int procstat_read(const struct options *opt, bool memory, struct procstat *sum);

#endif
