/*
 * New connections: whether this worker listens, and whether there is room. What becomes of a connection, `accepted` says.
 */
#ifndef WORKER_IO_LISTENER_H
#define WORKER_IO_LISTENER_H

#include "worker/session/session.h"

struct listener {
	struct ev_io io;
	struct listeners *all;
	int proto;			/* PROTO_ */
};

struct listeners {
	struct base *base;
	struct listener *each;
	unsigned count;
	struct ev_timer balance;	/* runs while listening is paused for balance's sake */
	uint32_t paused_at;		/* since when */
	bool listening;
	bool overdue;			/* paused long enough: accept whatever the balance */
	bool ended;			/* no new connections any more */

	/* ---- what the higher storey does ---- */
	void *above;
	void (*accepted)(void *above, int fd, int proto);
	bool (*refuse_fewer)(void *above);	/* gives up a descriptor; false: there is none */
};

/* With room for so many, which are added. -1 without memory. */
int listener_init(struct listeners *all, unsigned count);
void listener_add(struct listeners *all, int fd, int proto);
void listener_start(struct listeners *all);	/* unless it has ended */
void listener_stop(struct listeners *all);
void listener_end(struct listeners *all);	/* for good */
bool listener_counts(struct listeners *all, int fd);		/* counts a connected socket as a connection, unless there is no room for it */

#endif
