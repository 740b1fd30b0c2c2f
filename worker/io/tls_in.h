/*
 * Receiving through TLS: records are looked at in the socket, opened into the session's buffer, committed, and only then taken from the socket
 * (ARCHITECTURE.md, "TLS"). The three steps follow one another, for one session.
 */
#ifndef WORKER_IO_TLS_IN_H
#define WORKER_IO_TLS_IN_H

#include "worker/io/receive.h"

struct tls_in {
	size_t len;		/* bytes that were looked at: those that are held, and what is in the socket */
	size_t held;		/* of these, so many are held */
	size_t whole;		/* and so many are whole records, as far as they can be told */
	size_t opened;		/* or were dealt with */
	size_t taken;		/* what tls_in_take() is to take from the socket */
	unsigned bare;		/* records among them without text: of another type than data, or empty */
};

/*
 * Looks at what is in the socket. RECEIVED: there is a whole record, or what is none; else what there is instead. What is not whole is taken and held: left in the
 * socket, it would fill the window, and the rest might never come.
 */
enum received tls_in_look(struct base *base, session_id sid, struct tls_in *in);
/*
 * Opens whole records to dst[0..room), which has room for in->whole or for one record at least, and commits that: *len bytes, which the caller has to count
 * in the session's buffer. What is no data is dealt with alone, and *len is 0. RECEIVED; RECEIVED_OWES; RECEIVED_END; RECEIVED_ERROR: the client has been told.
 */
enum received tls_in_open(struct base *base, session_id sid, struct tls_in *in, uint8_t *dst, size_t room, size_t *len);
/* Takes from the socket what was committed. */
void tls_in_take(struct base *base, session_id sid, const struct tls_in *in);

/*
 * For a new worker: does what is left of these steps, when `taken` bytes were taken from the socket. *len becomes how long the input is from the
 * stream's place `from` on. 0, or -1: that can't be.
 */
int tls_in_settle(struct base *base, session_id sid, uint64_t taken, uint64_t from, uint64_t *len);

#endif
