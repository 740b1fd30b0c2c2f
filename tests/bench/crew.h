/*
 * The coordinator's side: starts the processes, gives orders, waits for them, ends them. Only processes it started are ever
 * signalled.
 */
#ifndef BENCH_CREW_H
#define BENCH_CREW_H

#include <stdint.h>
#include <sys/types.h>

#include "tests/bench/bench_shm.h"
#include "tests/bench/member.h"
#include "tests/bench/options.h"

typedef int member_fn(struct member *m);	/* a process's life; returns its exit status */

struct crew {
	const struct options *opt;
	struct bench_shm *shm;
	pid_t *pid;		/* 0: has ended */
	int *wake;
	uint32_t started;
	int news, signals;
	uint32_t serial;
};

enum crew_state { CREW_DONE, CREW_WAITING, CREW_INTERRUPTED, CREW_DIED };

/* Makes the shared memory. NULL with errno. */
struct crew *crew_create(const struct options *opt);
void crew_destroy(struct crew *crew);

/* Forks the next member, which runs fn() and ends; it dies with the coordinator. 0 or -1 with errno. */
int crew_start(struct crew *crew, member_fn *fn);

/* Gives an order to all. */
void crew_order(struct crew *crew, enum order order);

/* Sleeps until there is news, at most `ms`, and says how far the last order has got. CREW_DIED is said each time a member
 * has ended since the last call. */
enum crew_state crew_wait(struct crew *crew, int ms);

/* Orders all to quit; who has not done so within a second is killed. */
void crew_stop(struct crew *crew);

#endif
