/*
 * The buffer pool of a slot. A session takes a buffer for as long as it needs one: for input that is not whole yet, or for output that comes before
 * what it is sent from the ring. The buffers are in the slot segment, in classes of size. A session's state names its buffers; what no session
 * names is free. So the lists of free buffers are the worker's own, and its successor makes them anew.
 *
 * What the buffers take is charged, by the pages that are used, to an account in the hub (hub_slot_shm.buffered), and all slots together have one
 * limit (hub_shm.buffered_max, the setting max_buffered). The memory of a buffer that was given back is soon given back to the system, too.
 */
#ifndef SHM_BUFFER_POOL_H
#define SHM_BUFFER_POOL_H

#include <stdbool.h>

#include "shm/hub.h"
#include "shm/slot.h"

/* Names a buffer: class in the upper 3 bits, 1 + place in the class below. */
#define BUFFER_NONE 0u

struct buffer_pool {
	const struct slot *slot;
	const struct hub *hub;		/* with the account; NULL: nothing is charged or limited */
	unsigned number;		/* of the slot in it */
	uint64_t held;			/* bytes charged */
	uint64_t share;			/* bytes that it may hold whatever others do, */
	uint64_t common;		/* and as long as others hold no more than when it last looked; */
	uint64_t spare;			/* how many more it may take before it looks again */
	struct {
		uint32_t *free;		/* a stack of places */
		uint32_t frees, room;
		uint32_t clean;		/* of those, from the bottom, without memory */
		uint32_t low;		/* the fewest others that there were since pool_trim() */
		uint32_t used_end;	/* places from here on were never taken */
		uint64_t *taken;	/* one bit a place */
	} class[BUFFER_CLASSES];
};

/* For a new worker: everything is free. Then pool_charge_to() if it has an account, pool_claim() for each buffer that a session names, and
 * pool_ready(): from then on the account says what is taken. 0, or -1 with ENOMEM. */
int pool_init(struct buffer_pool *pool, const struct slot *slot);
void pool_charge_to(struct buffer_pool *pool, const struct hub *hub, unsigned slot);
int pool_claim(struct buffer_pool *pool, uint32_t ref);	/* -1 with EINVAL: no such buffer, or claimed twice */
void pool_unclaim(struct buffer_pool *pool, uint32_t ref);	/* one that was claimed, before pool_ready() */
int pool_ready(struct buffer_pool *pool);
void pool_fini(struct buffer_pool *pool);

#define BUFFER_MORE 8192		/* bytes that a buffer may count for more than what it is taken for */

/* A buffer with room for `bytes`, its header zeroed but for what it counts for. BUFFER_NONE with ENOMEM when there is none, or when the limit is
 * reached. */
uint32_t pool_take(struct buffer_pool *pool, size_t bytes);
/* The same whatever the limit says, for what can't be done without: whoever calls it has bounded that otherwise. */
uint32_t pool_take_anyway(struct buffer_pool *pool, size_t bytes);
void pool_give(struct buffer_pool *pool, uint32_t ref);

/* Whether so many bytes more may be taken now; and whether they might be, if this slot held only `kept` bytes. */
bool pool_allows(struct buffer_pool *pool, size_t bytes);
bool pool_could_allow(struct buffer_pool *pool, uint64_t kept, size_t bytes);

/* A buffer may have more room than it was taken for, but what is used of it counts. pool_grow() is asked before more is used: -1 with ENOMEM when the
 * limit is reached. pool_shrink() afterwards, if it was less. */
int pool_grow(struct buffer_pool *pool, uint32_t ref, size_t bytes);
void pool_shrink(struct buffer_pool *pool, uint32_t ref, size_t bytes);

/* Called a few times a second: gives back the memory of buffers that were not needed since the last call. */
void pool_trim(struct buffer_pool *pool);

/* The next buffer behind `after` that is taken (BUFFER_NONE: the first one), or BUFFER_NONE. */
uint32_t pool_next(const struct buffer_pool *pool, uint32_t after);

/* Whether it names a buffer that there is, be it free. For what others have written. */
bool pool_is_ref(const struct slot *slot, uint32_t ref);
struct buffer_shm *pool_header(const struct slot *slot, uint32_t ref);
uint8_t *pool_bytes(const struct slot *slot, uint32_t ref);
uint32_t pool_room(const struct slot *slot, uint32_t ref);

/* The most bytes a buffer can hold. */
uint32_t pool_room_max(const struct slot *slot);

#endif
