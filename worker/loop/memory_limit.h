/*
 * Which sessions are disconnected when there are no more buffers to be had (max_buffered).
 */
#ifndef WORKER_LOOP_MEMORY_LIMIT_H
#define WORKER_LOOP_MEMORY_LIMIT_H

#include "worker/loop/worker.h"

/*
 * Disconnects the sessions whose buffers are the largest and have waited the longest, until `bytes` more can be had by session `sid` (-1: to none
 * in particular). It spares that session, the session that the worker is dealing with, and sessions whose buffers are clearly smaller than those of
 * `sid`. It may be called anywhere: the state of the disconnected sessions changes at once (they linger, without buffers), but they stay in the
 * lists in which they stand. False: there can't be room.
 */
bool memory_make_room(struct worker *w, session_id sid, size_t bytes);
/* Ends a session for want of memory, and tells it so if nothing else is to be sent before that. Its buffers are free at once. */
void memory_disconnect(struct worker *w, session_id sid);

#endif
