/*
 * Which sessions are served in a turn of the loop, and which in a later one.
 */
#ifndef WORKER_LOOP_TURN_H
#define WORKER_LOOP_TURN_H

#include "worker/loop/worker.h"

/* The session is readable (EV_READ) or writable (EV_WRITE): it is served now, or put into a list. */
void turn_take(struct worker *w, session_id sid, int events);
bool turn_run(struct worker *w);			/* serves sessions of the list, for some milliseconds. True: some are left */

#endif
