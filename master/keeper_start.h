/*
 * A keeper's start: what its process has, and how it comes by that. If the machine is short of something, it waits, as it may be a successor that
 * owns its slot's connections already.
 */
#ifndef MASTER_KEEPER_START_H
#define MASTER_KEEPER_START_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "master/handover.h"
#include "master/restarts.h"
#include "master/supervisor.h"
#include "shm/hub.h"
#include "shm/slot.h"
#include "shm/tls.h"

#define WAY_BACK_MS 30000		/* from a keeper's start on: after that no program goes back to the one before, and keys of before (h.tls_before) are let go */

struct keeper {
	struct handover h;
	unsigned slot;
	struct hub hub;
	struct hub_slot_shm *self;
	struct slot segment;
	struct tls tls;			/* h.tls */
	struct restarts waits;		/* pauses between tries, when the machine is short of something */
	int signals;			/* signalfd */
	int program;			/* O_PATH: what is executed when the program is to be another, or the same anew */
	uint64_t started;		/* milliseconds of CLOCK_MONOTONIC */
	/* bereft.c */
	bool bereft;			/* there is no master */
	bool met;			/* one has come to it before, since this process has begun */
	uint64_t looked;		/* when it was looked last, milliseconds of CLOCK_MONOTONIC */
	uint64_t alone;			/* milliseconds in which it was run without one */
	uint64_t dead;			/* slots of which nobody was left then, a bit each */
	int snapshot;			/* where the worker puts one if asked to */

	/* keeper.c's, and keeper_follow.c's */
	struct supervisor supervisor;
	bool quiescing;			/* the worker is to leave a snapshot */
	unsigned quiesce_deaths;		/* of workers that were to, and died instead */
	bool quiesced;			/* it has, and none is made until an order comes */
	int successor;			/* the handover state (a memfd) to execute the program with, -1 none */
	bool same_program;		/* which is the one that this process runs: it goes on with that state instead */
	bool replacing;			/* an order to replace has come while there was no worker: it is followed at replace_at */
	uint64_t replace_at;		/* milliseconds of CLOCK_MONOTONIC */

	/* spare.c */
	pid_t spare;			/* 0: there is none */
	pid_t spare_ended;		/* the one before, which was told to end; 0: it has gone */
	bool spare_old;			/* it does not know what this process knows */
	uint64_t spare_made;		/* milliseconds of CLOCK_MONOTONIC */
};

/* Reads the handover state, attaches the segments, opens what is the keeper's own. 0, or -1 (logged). */
int keeper_start(struct keeper *k, int handover);

/*
 * A predecessor of another layout has left its sessions as a snapshot (k->h.snapshot, which stays open). False: it can't be read, and the predecessor is to go on. `again`: another process may have died of it, or within it.
 */
bool keeper_restore(struct keeper *k, bool again);

/* The handover state has other settings than the one that was read. */
void keeper_follow_settings(struct keeper *k);

/* They come as events of k->signals from now on. 0, or -1 with errno. */
int keeper_open_signals(struct keeper *k);

/* *had becomes what came: at the same number, if there was one. */
void keeper_take(int *had, int came);

/* The master learns that what it has ordered was not done. */
static inline void keeper_count_refusal(const struct keeper *k)
{
	atomic_fetch_add(&k->self->refused, 1);
}

/* What is this process's alone: k->signals, k->program. 0, or -1 (logged). */
int keeper_open_own(struct keeper *k);

#endif
