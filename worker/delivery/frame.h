/*
 * A record of the ring as a transport sends it.
 */
#ifndef WORKER_DELIVERY_FRAME_H
#define WORKER_DELIVERY_FRAME_H

#include "shm/ring.h"
#include "worker/session/base.h"

/* Bytes of the frame. page_base: the session's, for TRANSPORT_PAGE. 0: the ring has overwritten it. */
size_t frame_size(const struct base *base, uint32_t transport, uint32_t page_base, const struct ring_record *rec);
/* The same of one that was sent: a death is not blamed on the record (see landed.c). */
size_t frame_size_sent(const struct base *base, uint32_t transport, uint32_t page_base, const struct ring_record *rec);
/* Writes it, the `size` bytes that frame_size() said. -1 when the ring has overwritten the record meanwhile: dst holds rubbish then. */
int frame_write(const struct base *base, uint32_t transport, uint32_t page_base, const struct ring_record *rec, char *dst, size_t size);
/* Whether no worker is to make this record into a frame of the transport, as some have died of it. Logged. */
bool frame_in_skips(const struct base *base, uint32_t transport, uint64_t seq);
static inline bool frame_skipped(const struct base *base, uint32_t transport, uint64_t seq)
{
	return atomic_load_explicit(&base->slot.shm->skips, memory_order_relaxed) > 0 && frame_in_skips(base, transport, seq);
}

#endif
