/*
 * Sending through TLS: text of a session's stream becomes records, and what the kernel does not take of them is kept (tls_shm.h; ARCHITECTURE.md, "TLS").
 *
 * The rule: one sequence number seals one text. What is sealed here is noted before (tls_out_list() and the list of flights), or is noted in the flow's
 * `control`; and nothing is sealed while something is pending.
 *
 * Where the kernel makes the records (tls_by_kernel()), it is given text, of which it takes whole records; nothing is sealed here, and nothing is ever pending. How
 * many records it has made since the flow was committed, it tells (tls_kernel.h).
 */
#ifndef WORKER_IO_TLS_OUT_H
#define WORKER_IO_TLS_OUT_H

#include "worker/session/session.h"

#define TLS_OUT_TEXT_MAX (128 * 1024)	/* bytes of text of one send of a batch: a pass's frames (fanout.c) */
#define TLS_OUT_WIRE_MAX (TLS_OUT_TEXT_MAX + TLS_OUT_TEXT_MAX / TLS_TEXT_MAX * TLS_OVERHEAD_MAX)

/* Whether libcrypto's part is there, which it is from the first call on. False: no memory. */
bool tls_out_ready(struct base *base);

/*
 * How many of `len` bytes of text may be sealed at a time. The rest of a record that the kernel does not take must be kept, and no buffer may be wanting then: so that is asked
 * before, and where there is none to be had (max_buffered), it is so little that the rest fits into the smallest buffer, which every session has. `promised`: what was
 * allowed for others whose records are to be sealed with these; it grows by what is allowed now.
 */
size_t tls_out_allowed(struct base *base, size_t len, uint64_t *promised);

/* Whether the kernel makes the session's records. */
bool tls_out_by_kernel(const struct base *base, session_id sid);
/*
 * Whether the kernel keeps records that TCP has no room for. It sends them by itself, but loses them with close() and shutdown(), so they count as what is pending
 * does: their session is behind.
 */
bool tls_out_kept(const struct base *base, session_id sid);
/* Notes that the flight at `place` of the list is going to be `len` bytes of the session's stream, from the flow's `taken` on. */
void tls_out_list(struct base *base, unsigned place, session_id sid, size_t len);
/*
 * How much of so much text is to be sealed for one send of a batch: all of it, up to TLS_OUT_TEXT_MAX, or less for a reader who is slow, as what the
 * kernel does not take of it is kept.
 */
size_t tls_out_share(const struct base *base, session_id sid, size_t len);
/* How many bytes so much text takes as records. */
size_t tls_out_size(const struct base *base, session_id sid, size_t len);
/* Seals text[0..len), which is listed, at dst. Its size; 0: there is no memory, or something is pending, or the kernel makes the records. */
size_t tls_out_seal(struct base *base, session_id sid, const void *text, size_t len, uint8_t *dst);
/*
 * Commits that `len` bytes of text are in records, wire[0..size), of which the kernel has accepted the first `accepted`: the rest is pending. 0; 1: the session
 * must be behind, as something is to be sent before its stream goes on; -1: there is no buffer for the rest, and the session is aborted.
 */
int tls_out_took(struct base *base, session_id sid, size_t len, const uint8_t *wire, size_t size, size_t accepted);

/* The same of text that the kernel has made records of. */
int tls_out_took_by_kernel(struct base *base, session_id sid, size_t len);
/* Of `len` bytes that are listed, how many the kernel has made records of. -1: it can't be told. */
long tls_out_made(const struct base *base, session_id sid, size_t len);
/* Commits what the kernel has been given of TLS' own and that is not committed. False: more was sent than anybody knows of. */
bool tls_out_settle(struct base *base, session_id sid);

/* Sends text of the session's stream, as batch_send() does: what is returned is text that is in records, sent or pending. */
long tls_out_send(struct base *base, session_id sid, const void *text, size_t len);
/* Sends what comes before the session's stream goes on: what is pending, and what TLS has to say. 1: nothing is left; 0: the socket is full; -1: it is broken. */
int tls_out_flush(struct base *base, session_id sid);
/* The kernel has taken `bytes` of what is pending. */
void tls_out_drained(struct base *base, session_id sid, uint32_t bytes);
/* Notes that a fatal alert is to be sent, or close_notify (TLS_CLOSE_NOTIFY), unless it is already, and flushes. What tls_out_flush() returns. */
int tls_out_alert(struct base *base, session_id sid, uint8_t alert);
/*
 * To a client whose session sends nothing more, as its state says: some last words and close_notify, if the socket takes them. (No successor will seal
 * anything for it, so nothing is noted.)
 */
void tls_out_last(struct base *base, session_id sid, const void *text, size_t len);
/* The connection is none of TLS any more, as is noted (tls_end()) and as the session's state says: nothing is left of it. */
void tls_out_end(struct base *base, session_id sid);

#endif
