/*
 * Heartbeats, and the end of sessions whose peer is gone.
 */
#ifndef WORKER_LOOP_HEARTBEAT_H
#define WORKER_LOOP_HEARTBEAT_H

#include "worker/loop/worker.h"

/* Sends the session a heartbeat if it is time for one, and ends it if its peer is gone or has been idle for too long. True: it ends. */
bool heartbeat(struct worker *w, session_id sid);

#endif
