/*
 * Receiving a session's input, straight into a buffer of its own in shared memory, where a successor finds it.
 */
#ifndef WORKER_IO_RECEIVE_H
#define WORKER_IO_RECEIVE_H

#include "worker/session/session.h"

enum received {
	RECEIVED,		/* some bytes were received */
	RECEIVED_FULL,		/* as many bytes as there was room for; there are probably more */
	RECEIVED_NOTHING,	/* there is nothing now */
	RECEIVED_OWES,		/* the same, and TLS has something to say: output_flush() */
	RECEIVED_END,		/* the peer has sent its last byte */
	RECEIVED_ERROR,		/* the connection is broken */
	RECEIVED_NO_MEMORY,	/* no buffer was left */
};

/* Receives once, behind what is in the session's buffer already. *received: how many bytes, with RECEIVED and RECEIVED_FULL. */
enum received receive(struct base *base, session_id sid, size_t *received);
/* For a session whose end is decided: throws input away, and has the loop close the session when its peer has closed. */
void receive_nothing(struct base *base, session_id sid);

#endif
