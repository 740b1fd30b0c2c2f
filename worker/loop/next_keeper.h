/*
 * The keeper's death, as its worker sees it. Both share one descriptor table, so nothing is lost with the keeper as long as the worker lives: it serves on, and makes
 * another keeper, which has it hand over (master/keeper_again.h).
 */
#ifndef WORKER_LOOP_NEXT_KEEPER_H
#define WORKER_LOOP_NEXT_KEEPER_H

#include "worker/loop/worker.h"

/* From now on, when the keeper dies, another one is made. (It may have died already.) */
void next_keeper_start(struct worker *w);

/* Before the worker ends: with the last of those who have the descriptors they would be closed. So if there is no keeper, it makes one, and waits until it can. */
void next_keeper_leave(struct worker *w);

#endif
