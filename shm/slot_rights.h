/*
 * What each session of a slot may do (proto/rights.h): a table by session, beside the sessions, that names a buffer of the pool with the block.
 *
 * No session grows for it, and as long as nobody has shown a token the table is not touched, and takes no memory. Written by the slot's worker alone.
 *
 * Crash rules. A block is whole in its buffer before the table names it, with one store, and is never changed; another one takes its place by the same
 * store, and then the old buffer is given back. The entry of a session that is not open, has no connection, or speaks HTTP, where each request
 * says for itself who it is, means nothing: a successor clears it.
 */
#ifndef SHM_SLOT_RIGHTS_H
#define SHM_SLOT_RIGHTS_H

#include "proto/rights.h"
#include "shm/slot.h"

/* The session's buffer, 0 none. */
static inline uint32_t slot_rights_ref(const struct slot *slot, int sid)
{
	if ((uint32_t)sid >= atomic_load_explicit(&slot->shm->rights_end, memory_order_relaxed))
		return 0;
	return atomic_load_explicit(&slot->rights[sid], memory_order_relaxed);
}

/* Names the buffer, 0 none. The one that was named before is the caller's. */
void slot_rights_put(const struct slot *slot, int sid, uint32_t ref);

/* The block in a buffer. NULL: there is none that is whole, or no such buffer. For who can't be sure of what stands there. */
const struct rights *slot_rights_read(const struct slot *slot, uint32_t ref);

#endif
