/*
 * What every module of a worker stands on: its slot and the hub, its loop, the turn's clock, counting, and which session to blame if the worker
 * dies. Nothing here outlives the worker; what does is in the slot segment and the hub.
 */
#ifndef WORKER_SESSION_BASE_H
#define WORKER_SESSION_BASE_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "shm/hub.h"
#include "shm/lend.h"
#include "shm/settings.h"
#include "shm/slot.h"

struct base {
	const struct settings *settings;
	unsigned number;		/* of the slot */
	struct hub hub;
	struct hub_slot_shm *self;	/* in the hub */
	struct slot slot;
	struct lend lend;

	struct ev_loop *loop;
	struct ev_io *io;		/* the sessions' watchers, by descriptor */
	int *over;			/* sessions whose connection is over, to be closed */
	uint32_t over_count;
	uint32_t now;			/* seconds of CLOCK_MONOTONIC, as of this turn */
	uint64_t now_ms;		/* the same in milliseconds */
	char *scratch;			/* room for one frame, or one answer */
	size_t scratch_room;

	/* ---- what higher storeys do when they are asked for it, with `above` of theirs ---- */
	void *above;
	bool (*make_room)(void *above, int fd, size_t bytes);	/* of buffers, for session `fd` (-1: for all); false: there is none */
	void (*no_memory)(void *above, int fd);			/* ends a session for which there was no room */
	/* The session goes from one state to the other, of which one at least is in the middle of a frame. */
	void (*cut_moved)(void *above, int fd, const struct session_state_shm *from, const struct session_state_shm *to);
};

void base_beat(struct base *base);
uint64_t base_clock(void);			/* microseconds of CLOCK_MONOTONIC */
static inline void base_count(struct base *base, enum counter counter, uint64_t n)
{
	hub_count(&base->hub, base->number, counter, n);
}
int base_push(int **list, uint32_t *count, uint32_t *room, int fd);	/* appends; -1 without memory */

/* Which session is being dealt with, to blame if the worker dies of it: its input; something else of it, or of none (-1). */
static inline void base_on_input(struct base *base, int fd)
{
	/* release: whom to blame is known before anything of it is looked at */
	atomic_store_explicit(&base->slot.shm->working_on, (uint32_t)fd + 1, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void base_on(struct base *base, int fd)
{
	atomic_store_explicit(&base->slot.shm->working_on, fd < 0 ? 0 : ((uint32_t)fd + 1) | WORKING_ELSE, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
}

static inline int base_at(const struct base *base)		/* -1: none */
{
	return (int)(atomic_load_explicit(&base->slot.shm->working_on, memory_order_relaxed) & ~WORKING_ELSE) - 1;
}

#endif
