/*
 * Crash loops. A process that dies is made again at once, however often it is killed from outside. What must not go on for ever is a process that
 * dies of its own fault each time before it has made any progress.
 *
 * A death *counts* if the process died of its own fault (a crash, a hang, an exit), nothing that it died of could be taken away (attribution.h),
 * and it had made no progress since it was made: a worker, RESTARTS_PROGRESS turns of its loop while live; a keeper, a live worker. More
 * than `restart_limit` deaths that count, with no progress in between and no pause longer than `restart_window`, are a crash loop: the slot
 * starts empty. A second crash loop without progress in between: it is given up.
 *
 * If a process can't start because the machine is short of something (processes, descriptors, memory), that is no death at all: it is tried
 * again, after pauses that grow.
 */
#ifndef MASTER_RESTARTS_H
#define MASTER_RESTARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/settings.h"

enum restart_verdict { RESTART, RESTART_EMPTY, RESTART_NEVER };

#define RESTARTS_PROGRESS 10	/* turns */

struct restarts {
	unsigned count;			/* deaths that count, one behind the other */
	uint64_t last;			/* when the last one was, milliseconds */
	bool emptied;			/* there was a crash loop, and no progress since */
	unsigned pauses;		/* tries in a row that failed for want of something */
};

/* Milliseconds of CLOCK_MONOTONIC. */
uint64_t restarts_now(void);

/* A death that counts, at `now` (milliseconds). */
enum restart_verdict restarts_note(struct restarts *r, const struct settings *settings, uint64_t now);

/* It has got somewhere: what was before is forgotten. */
void restarts_progress(struct restarts *r);

/* The machine was short of something: milliseconds to wait before it is tried again. From 10 ms, doubled up to 5 s; restarts_ready() forgets. */
unsigned restarts_pause(struct restarts *r);
void restarts_ready(struct restarts *r);

#endif
