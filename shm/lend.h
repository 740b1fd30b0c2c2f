/*
 * Buffers lent to sessions for the time they need one: input that is not whole yet, output that precedes the ring. They are in the
 * slot segment, in classes of size. A session names its buffers in its state; what no session names is free. The lists of
 * free ones are therefore the worker's own, and its successor makes them anew.
 *
 * What they take is charged, by the pages that are used, to an account in the hub (hub_slot_shm.buffered), and all slots together have one
 * limit (hub_shm.buffered_max, the setting max_buffered). Memory of what is given back goes back to the system, but for little.
 */
#ifndef SHM_LEND_H
#define SHM_LEND_H

#include <stdbool.h>

#include "shm/hub.h"
#include "shm/slot.h"

/* Names a buffer: class in the upper 3 bits, 1 + place in the class below. */
#define LENT_NONE 0u

struct lend {
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
		uint32_t low;		/* the fewest others since lend_trim() */
		uint32_t fresh;		/* places from here on were never lent */
		uint64_t *taken;	/* one bit a place */
	} class[LEND_CLASSES];
};

/* For a new worker: everything is free. Then lend_charge_to() if it has an account, lend_claim() for each buffer that a session names, and
 * lend_ready(), from which on the account says what there is. 0, or -1 with ENOMEM. */
int lend_init(struct lend *lend, const struct slot *slot);
void lend_charge_to(struct lend *lend, const struct hub *hub, unsigned slot);
int lend_claim(struct lend *lend, uint32_t ref);	/* -1 with EINVAL: no such buffer, or claimed twice */
void lend_unclaim(struct lend *lend, uint32_t ref);	/* one that was claimed, before lend_ready() */
int lend_ready(struct lend *lend);
void lend_fini(struct lend *lend);

#define LEND_MORE 8192		/* bytes that a buffer may count for more than what it is taken for */

/* A buffer with room for `bytes`, its header zeroed but for what it counts for; LENT_NONE with ENOMEM when there is none, or no more may be
 * lent. */
uint32_t lend_take(struct lend *lend, size_t bytes);
void lend_give(struct lend *lend, uint32_t ref);

/* Whether so many bytes more may be lent now; and whether they might be, if of what is held here only `kept` bytes stayed. */
bool lend_allows(struct lend *lend, size_t bytes);
bool lend_could_allow(struct lend *lend, uint64_t kept, size_t bytes);

/* A buffer may have more room than it was taken for, which costs when it is used. Before that: -1 with ENOMEM when that may not be. And
 * after it, when it was less. */
int lend_grow(struct lend *lend, uint32_t ref, size_t bytes);
void lend_settle(struct lend *lend, uint32_t ref, size_t bytes);

/* A few times a second: gives back the memory of what was not needed since the last time. */
void lend_trim(struct lend *lend);

/* The lent one behind `after` (LENT_NONE: the first), or LENT_NONE. */
uint32_t lend_next(const struct lend *lend, uint32_t after);

struct lent_shm *lend_header(const struct slot *slot, uint32_t ref);
uint8_t *lend_bytes(const struct slot *slot, uint32_t ref);
uint32_t lend_room(const struct slot *slot, uint32_t ref);

/* The most bytes a buffer can hold. */
uint32_t lend_room_max(const struct slot *slot);

#endif
