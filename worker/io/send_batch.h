/*
 * Sends under way: gathered and handed to the kernel by the hundred, through io_uring or send().
 *
 * Every descriptor with a send under way stands in the slot segment (slot_shm.flight) from before the kernel sees it until the outcome is
 * recorded: those are the ones whose bytes a successor counts. What an outcome means for a session, this does not know: it calls `landed`.
 */
#ifndef WORKER_IO_SEND_BATCH_H
#define WORKER_IO_SEND_BATCH_H

#include <limits.h>

#include "worker/session/session.h"

/* One send: afterwards everything below `pos` has been delivered to the session, in `messages` frames, but for `skipped` records. */
struct batch_send {
	const char *bytes;
	uint32_t len;
	uint32_t messages, skipped;
	uint64_t pos;
	int fd;
};

#define BATCH_UNKNOWN (INT_MIN + 1)

/* The outcome of a send: the bytes that the kernel took, -errno, or BATCH_UNKNOWN when nobody can say. It records it, and adds nothing to the
 * batch. */
typedef void batch_landed_fn(struct worker *w, const struct batch_send *send, int result);

/* `io`: IO_. `arena`: bytes of frames that one batch can hold; enough for the largest frame. NULL (logged) when it can't be made. */
struct batch *batch_create(int io, size_t arena, batch_landed_fn *landed);
void batch_destroy(struct batch *b);
const char *batch_kind(const struct batch *b);
/* Room for at least `bytes` of frames that stay valid until the next batch_room(); sends what is pending if it must. */
char *batch_room(struct worker *w, size_t bytes);
void batch_use(struct worker *w, size_t bytes);
uint64_t batch_round(const struct worker *w);	/* changes when a batch_room() has given up what was used until then */
void batch_add(struct worker *w, int fd, const char *bytes, size_t len, uint64_t pos, uint32_t messages, uint32_t skipped);
void batch_flush(struct worker *w);
/* send(), recorded as under way; the result of send(). The caller commits, then calls batch_landed(). */
long batch_send(struct worker *w, int fd, const void *bytes, size_t len);
void batch_landed(struct worker *w);

#endif
