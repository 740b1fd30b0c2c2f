/*
 * Descriptors that a new worker finds in its table, and that belong to no session.
 */
#ifndef WORKER_LOOP_ORPHANS_H
#define WORKER_LOOP_ORPHANS_H

#include "worker/loop/worker.h"

/* Closes them, but for new connections. To be called before the worker opens a descriptor of its own. 0, or -1 with errno. */
int orphans_close(struct worker *w);
/* Makes sessions of those connections. To be called when sessions can be made. */
void orphans_adopt(struct worker *w);

#endif
