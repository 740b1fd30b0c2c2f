/*
 * Frames: a record of the ring, or of history, as a transport sends it.
 */
#ifndef WORKER_DELIVERY_FRAME_H
#define WORKER_DELIVERY_FRAME_H

#include "proto/message_view.h"
#include "shm/ring.h"
#include "worker/session/base.h"

/*
 * The length of the record's frame. `page_base` is the session's, for TRANSPORT_PAGE. 0: the ring has overwritten the record, or there is no memory
 * to read a message of history in.
 */
size_t frame_size(const struct base *base, uint32_t transport, uint32_t page_base, const struct ring_record *rec);
/* The same for a frame that was sent already: the record is not noted as being encoded, and not blamed for a death (see landed.c). */
size_t frame_size_sent(const struct base *base, uint32_t transport, uint32_t page_base, const struct ring_record *rec);
/* Writes the frame; `size` is what frame_size() said. 0; -1: the ring has overwritten the record meanwhile, and `dst` holds rubbish. */
int frame_write(const struct base *base, uint32_t transport, uint32_t page_base, const struct ring_record *rec, char *dst, size_t size);
/* The same for a frame that was sent already, as frame_size_sent(). */
int frame_write_sent(const struct base *base, uint32_t transport, uint32_t page_base, const struct ring_record *rec, char *dst, size_t size);
/*
 * Writes the message as a JSON object to dst[0..room), for one who does not subscribe its topic and says whom it is to. Returns its length. 0: the
 * ring has overwritten it, there is no room, or it is not to be made into frames.
 */
size_t frame_object(const struct base *base, enum message_to to, const struct ring_record *rec, char *dst, size_t room);
/* Whether the record must not be made into a frame of the transport, as workers have died of that. Logs it, once a record. */
bool frame_in_skips(const struct base *base, uint32_t transport, uint64_t seq);
/* The same, and quick while no record is to be skipped. */
static inline bool frame_skipped(const struct base *base, uint32_t transport, uint64_t seq)
{
	return atomic_load_explicit(&base->slot.shm->skips, memory_order_relaxed) > 0 && frame_in_skips(base, transport, seq);
}

#endif
