/*
 * What a run found, for the reports.
 */
#ifndef BENCH_RESULTS_H
#define BENCH_RESULTS_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/bench_shm.h"
#include "tests/bench/histogram.h"
#include "tests/bench/options.h"

struct results_transport {
	uint64_t good, deliveries;
	struct distribution *last;		/* ns of each message, to the last subscriber of this transport */
};

struct results {
	const struct options *opt;
	const struct bench_shm *shm;		/* pauses and notes are read there */
	uint32_t rounds;			/* that have ended */
	bool interrupted;
	bool late;				/* a round reached its deadline, or nothing came any more */
	bool server_seen;			/* the figures of the server's CPU and memory hold */
	uint32_t server_processes;
	uint64_t setup_ns, run_ns;		/* of set-up; from its start to the last delivery */
	uint64_t good, bad;			/* subscribers */
	uint64_t published, deliveries, pings, bytes;
	uint64_t busy_ns;			/* sum of the rounds' times from the first publish to the last delivery */
	uint64_t setup_cpu, run_cpu;		/* ns of the server's */
	uint64_t pss_before, pss_after;		/* bytes */
	uint64_t first_publish;			/* of round 1, CLOCK_MONOTONIC ns; 0 there was none */
	uint64_t slow_lost, slow_gone, slow_caught_up;
	uint64_t churned;
	struct reconnects_shm reconnects;	/* sums */
	uint64_t faults[FAULT_COUNT], fault_sum;
	struct distribution *each;		/* ns of each delivery */
	struct distribution *last;		/* ns of each message, to its last subscriber */
	struct results_transport by[TRANSPORTS_MAX];
	struct distribution *round;		/* ns of each round, first publish to last delivery */
	struct histogram_shm waits;		/* single subscribers' pauses */
};

/* 0 or -1 with errno. */
int results_init(struct results *r, const struct options *opt, const struct bench_shm *shm);
void results_fini(struct results *r);

/* A round has ended: takes its messages' times. */
void results_round(struct results *r);

/* All is over: sums up what the members counted. `processes` subscriber members come first, then the publisher. */
void results_sum(struct results *r);

#endif
