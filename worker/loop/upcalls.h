/*
 * What lower storeys ask of higher ones, and of the loop: functions that they are given (struct base, struct listeners).
 */
#ifndef WORKER_LOOP_UPCALLS_H
#define WORKER_LOOP_UPCALLS_H

#include "worker/loop/worker.h"

void upcalls_give(struct worker *w);

#endif
