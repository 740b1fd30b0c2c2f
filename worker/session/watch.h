/*
 * The epoll set in which the sessions' connections are waited for.
 *
 * It belongs to the slot, and not to a worker: it is a descriptor of the table that workers share, and outlives them with all that is registered in it. A
 * successor finds its number in the slot segment and goes on: closing a set with thousands of sockets and making another one would take longer than all else
 * at its start. What is registered is (slot_shm.watch_at) a byte by descriptor. It never says more than the kernel has: what is added is written down
 * afterwards, what is taken away before. So a change that a death has cut short looks as if it had not begun, and is made again, which does no harm; and
 * whatever is reported that nobody waits for is put right then. Events are level-triggered, and their data is the descriptor: what a dead worker was told and
 * did not deal with is told again.
 *
 * A registration is the kernel's of an open file and its number. Files may be open elsewhere (in a message to another slot, for a moment in janusctl), so who
 * closes a session's descriptor, or makes another file of it, takes it out of the set first: watch_end().
 */
#ifndef WORKER_SESSION_WATCH_H
#define WORKER_SESSION_WATCH_H

#include "worker/session/base.h"

/* What stands in the byte, beside EV_READ and EV_WRITE. Neither: it was not asked yet. */
enum { WATCH_TCP = 4, WATCH_LOCAL = 8 };

/* The set's descriptor; -1: there is none yet. */
int watch_set(const struct slot *slot);
/* Finds the set of the worker before, or makes one. 0, or -1 with errno. */
int watch_open(const struct slot *slot);
/* Makes another set, in which nothing is registered, and closes the one that there is. 0, or -1 with errno: all is as it was. */
int watch_renew(const struct slot *slot);

/* What is registered for the descriptor, as far as it is known: EV_READ, EV_WRITE. */
static inline int watch_has(const struct slot *slot, int fd)
{
	return atomic_load_explicit(&slot->watch[fd], memory_order_relaxed) & (EV_READ | EV_WRITE);
}

/* Registers these events for the descriptor, and no others; 0: takes it out. 0, or -1 with errno. */
int watch_put(const struct slot *slot, int fd, int events);
/*
 * The kernel has reported these events (EPOLLIN and others) of the descriptor, of which `wants` is waited for: what it has reported otherwise is not registered from then on.
 * 0, or -1 with errno.
 */
int watch_heed(const struct slot *slot, int fd, uint32_t reported, int wants);
/* Takes out of the set a descriptor that is about to be closed or to become another file's, in it or not. -1: it was not in it, or is open no more. */
int watch_end(const struct slot *slot, int fd);

/* Whether the descriptor's socket is a Unix-domain one. The kernel is asked once in its life. */
bool watch_is_local(const struct slot *slot, int fd);

#endif
