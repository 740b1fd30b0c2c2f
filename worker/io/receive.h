/*
 * A session's input, received straight into a buffer lent to it in shared memory, where a successor finds it.
 */
#ifndef WORKER_IO_RECEIVE_H
#define WORKER_IO_RECEIVE_H

#include "worker/session/session.h"

enum received {
	RECEIVED,		/* some bytes, */
	RECEIVED_FULL,		/* as many as there was room for: there are probably more */
	RECEIVED_NOTHING,	/* there is nothing now */
	RECEIVED_END,		/* the peer has sent its last byte */
	RECEIVED_ERROR,		/* the connection is broken */
	RECEIVED_NO_MEMORY,	/* no buffer could be lent */
};

/* Receives once, behind what the session's buffer has. *received: bytes. */
enum received receive(struct worker *w, int fd, size_t *received);
/* For one whose end is decided: what comes is thrown away, and when its peer is gone it is over. */
void receive_nothing(struct worker *w, int fd);

#endif
