/*
 * The sweep: looking at all sessions now and then, for heartbeats and time limits.
 */
#ifndef WORKER_LOOP_SWEEP_H
#define WORKER_LOOP_SWEEP_H

#include "worker/loop/worker.h"

void sweep(struct worker *w);			/* looks at a slice of the sessions */
int64_t sweep_period(const struct worker *w);	/* milliseconds in which every session is looked at */

#endif
