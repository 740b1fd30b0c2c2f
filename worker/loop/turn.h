/*
 * Which sessions are served in a turn of the loop, and which in a later one.
 */
#ifndef WORKER_LOOP_TURN_H
#define WORKER_LOOP_TURN_H

#include "worker/loop/worker.h"

/* Has the loop wait for the sessions' set: who is readable or writable is served at once, or put into a list. */
void turn_start(struct worker *w);
bool turn_run(struct worker *w);			/* serves sessions of the list, for some milliseconds. True: some are left */

#endif
