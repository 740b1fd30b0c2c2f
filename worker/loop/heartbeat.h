/*
 * Whether the other side is there.
 */
#ifndef WORKER_LOOP_HEARTBEAT_H
#define WORKER_LOOP_HEARTBEAT_H

#include "worker/loop/worker.h"

bool heartbeat(struct worker *w, int fd);	/* sends the session one if it is time; ends it if its peer is gone. True: it has ended */

#endif
