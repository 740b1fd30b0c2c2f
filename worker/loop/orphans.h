/*
 * Descriptors in the table that nobody owns, found by a new worker.
 */
#ifndef WORKER_LOOP_ORPHANS_H
#define WORKER_LOOP_ORPHANS_H

#include "worker/loop/worker.h"

int orphans_close(struct worker *w);		/* before the worker opens a descriptor of its own. -1 with errno */
void orphans_adopt(struct worker *w);		/* when sessions can be made */

#endif
