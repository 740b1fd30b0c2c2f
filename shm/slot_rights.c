/*
 * What each session of a slot may do. See slot_rights.h.
 */
#include "shm/slot_rights.h"

#include "shm/buffer_pool.h"

void slot_rights_put(const struct slot *slot, int sid, uint32_t ref)
{
	_Atomic uint32_t *end = &slot->shm->rights_end;

	if ((uint32_t)sid >= atomic_load_explicit(end, memory_order_relaxed)) {
		if (!ref)
			return;
		/* (Entries in between are zero, as nothing was ever written there.) */
		atomic_store_explicit(end, (uint32_t)sid + 1, memory_order_relaxed);
	}
	/* release: the block is whole when it is named */
	atomic_store_explicit(&slot->rights[sid], ref, memory_order_release);
}

const struct rights *slot_rights_read(const struct slot *slot, uint32_t ref)
{
	const void *block;

	if (!pool_is_ref(slot, ref))
		return NULL;
	block = pool_bytes(slot, ref);
	return pool_header(slot, ref)->len <= pool_room(slot, ref) && rights_check(block, pool_header(slot, ref)->len) ? block : NULL;
}
