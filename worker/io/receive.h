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

struct intake {
	size_t bytes;		/* behind what was in the session's buffer; with RECEIVED and RECEIVED_FULL there are some */
	size_t wire;		/* taken of the connection for that, and for what is no input: TLS records are longer than their text, or have none */
	unsigned bare;		/* records without text: what TLS says itself, and empty ones */
};

/* Receives once, behind what is in the session's buffer already. */
enum received receive(struct base *base, session_id sid, struct intake *in);
/* For a session whose end is decided: throws input away, and has the loop close the session when its peer has closed. */
void receive_nothing(struct base *base, session_id sid);

#endif
