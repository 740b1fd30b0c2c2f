/*
 * A worker's start.
 */
#ifndef WORKER_LOOP_RECOVER_H
#define WORKER_LOOP_RECOVER_H

#include "worker/loop/worker.h"

/* Rebuilds everything that is the worker's own from shared memory and the kernel. 0, or -1: no memory. */
int recover(struct worker *w);

#endif
