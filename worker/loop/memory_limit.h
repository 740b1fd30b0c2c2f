/*
 * Who is disconnected when nothing more may be lent (max_buffered).
 */
#ifndef WORKER_LOOP_MEMORY_LIMIT_H
#define WORKER_LOOP_MEMORY_LIMIT_H

#include "worker/loop/worker.h"

/*
 * Disconnects those whose buffers are the largest and have waited the longest, until so many bytes more may be lent. Not session `fd` (-1: there
 * is none), for whom it is, and nobody whose buffers are clearly smaller than what it has; nor the session that the worker is at. May be called
 * anywhere: their state changes at once (they linger, without buffers), and lists that they stand in do not. False: it can't be.
 */
bool memory_make_room(struct worker *w, int fd, size_t bytes);
/* Tells a session that there is no memory for more, if it can be told, and ends it: what it holds is free at once. */
void memory_disconnect(struct worker *w, int fd);

#endif
