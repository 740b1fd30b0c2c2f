/*
 * Connections that the server has no room for.
 */
#ifndef WORKER_LOOP_REFUSE_H
#define WORKER_LOOP_REFUSE_H

#include "worker/loop/worker.h"

void refuse_take(struct worker *w, int fd, uint32_t transport);	/* tells it so, and closes it when it has read that */
void refuse_sweep(struct worker *w);
bool refuse_fewer(struct worker *w);	/* gives up the oldest; false: there is none */

#endif
