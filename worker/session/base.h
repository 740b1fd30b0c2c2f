/*
 * What every file of a worker uses: the turn's clock, counting, and which session to blame if the worker dies.
 */
#ifndef WORKER_SESSION_BASE_H
#define WORKER_SESSION_BASE_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/worker.h"

void worker_beat(struct worker *w);
uint64_t worker_clock(void);			/* microseconds of CLOCK_MONOTONIC */
static inline void worker_count(struct worker *w, enum counter counter, uint64_t n)
{
	hub_count(&w->hub, w->number, counter, n);
}
int worker_push(int **list, uint32_t *count, uint32_t *room, int fd);	/* appends; -1 without memory */

/* Which session is being dealt with, to blame if the worker dies of it: its input; something else of it, or of none (-1). */
static inline void worker_on_input(struct worker *w, int fd)
{
	/* release: whom to blame is known before anything of it is looked at */
	atomic_store_explicit(&w->slot.shm->working_on, (uint32_t)fd + 1, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void worker_on(struct worker *w, int fd)
{
	atomic_store_explicit(&w->slot.shm->working_on, fd < 0 ? 0 : ((uint32_t)fd + 1) | WORKING_ELSE, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
}

static inline int worker_at(const struct worker *w)		/* -1: none */
{
	return (int)(atomic_load_explicit(&w->slot.shm->working_on, memory_order_relaxed) & ~WORKING_ELSE) - 1;
}

#endif
