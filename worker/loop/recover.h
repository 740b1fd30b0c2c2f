/*
 * A worker's start.
 */
#ifndef WORKER_LOOP_RECOVER_H
#define WORKER_LOOP_RECOVER_H

#include "worker/loop/worker.h"

/* Rebuilds all that is private from shared memory and the kernel. 0, or -1 (logged). */
int recover(struct worker *w);

#endif
