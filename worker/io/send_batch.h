/*
 * Sends: gathered into a batch, which is handed to the kernel through io_uring or send().
 *
 * Every session with a send under way stands in the slot segment (slot_shm.flight) from before the kernel sees the send until its outcome is
 * recorded. After a death, the successor asks the kernel how many bytes it took of each of those. What an outcome means for a session is not
 * decided here: `landed` is called with it.
 */
#ifndef WORKER_IO_SEND_BATCH_H
#define WORKER_IO_SEND_BATCH_H

#include <limits.h>

#include "worker/session/session.h"

/*
 * One send. When all of it is sent, the session has had all records below `pos`: `messages` of them with this send. `skipped` others were passed
 * over, as they can't be made into frames. No messages: the bytes are the session's out buffer.
 */
struct batch_send {
	const char *bytes;
	uint32_t len;
	uint32_t messages, skipped;
	uint64_t pos;
	session_id sid;
	bool behind;		/* in the outcome: the session must be behind, as TLS keeps something that comes before its stream (tls_out.h) */
};

#define BATCH_UNKNOWN (INT_MIN + 1)

/*
 * Records the outcome of a send in its session. `result` is the number of bytes that the kernel took, -errno, or BATCH_UNKNOWN when nobody can say.
 * It must not add to the batch. (Of a TLS session it is the number of bytes of the text that are in records, whatever the kernel has taken of these.)
 */
typedef void batch_landed_fn(void *above, const struct batch_send *send, int result);

/*
 * `io` is one of IO_. `arena` is how many bytes the frames of one batch may have together; it must be enough for the largest frame. `landed` gets
 * `above` as its first argument. NULL with errno; it is logged if io_uring was asked for and can't be had.
 */
struct batch *batch_create(struct base *base, int io, size_t arena, batch_landed_fn *landed, void *above);
void batch_destroy(struct batch *b);
const char *batch_kind(const struct batch *b);
/*
 * Room for `bytes` of frames. What is put there stays valid until batch_round() changes. If the arena is full, the batch is flushed first, and the
 * arena begins anew. NULL: it is more than the arena holds.
 */
char *batch_room(struct batch *b, size_t bytes);
/* Keeps the first `bytes` of that room; the next batch_room() is behind them. */
void batch_use(struct batch *b, size_t bytes);
uint64_t batch_round(const struct batch *b);	/* changes when batch_room() begins the arena anew */
/* Adds a send to the batch, which is flushed first if it is full. The bytes must stay valid until the batch is flushed. */
void batch_add(struct batch *b, session_id sid, const char *bytes, size_t len, uint64_t pos, uint32_t messages, uint32_t skipped);
/* Hands the batch to the kernel, and has each outcome recorded. */
void batch_flush(struct batch *b);
/*
 * Sends at once; the batch must be empty. Returns what send() does, but a lack of memory in the kernel is told as EAGAIN. The send is noted as
 * under way: the caller commits what the kernel took, and then calls batch_landed().
 */
long batch_send(struct batch *b, session_id sid, const void *bytes, size_t len);
void batch_landed(struct batch *b);

#endif
