/*
 * Restart intensity, as Erlang's supervisors have it: at most `restart_limit` restarts within `restart_window`. Past it a slot starts
 * empty and counts anew; past it again, before two windows have gone by, it is given up.
 */
#ifndef MASTER_RESTARTS_H
#define MASTER_RESTARTS_H

#include <stdint.h>

#include "shm/settings.h"

enum restart_verdict { RESTART, RESTART_EMPTY, RESTART_NEVER };

#define RESTARTS_KEPT 1024

struct restarts {
	uint64_t at[RESTARTS_KEPT];	/* milliseconds; a ring of the last ones */
	unsigned count;			/* of those since the last emptying */
	uint64_t emptied;		/* when the slot last started empty, 0 never */
};

/* Milliseconds of CLOCK_MONOTONIC. */
uint64_t restarts_now(void);

/* Notes a restart, now, and says what it is to be. A limit of RESTARTS_KEPT or more is no limit. */
enum restart_verdict restarts_note(struct restarts *r, const struct settings *settings);

/* The same at a given time: for tests. */
enum restart_verdict restarts_note_at(struct restarts *r, const struct settings *settings, uint64_t now);

#endif
