/*
 * Buffers lent to sessions for the time they need one: input that is not whole yet, output that precedes the ring. They are in the
 * slot segment, in four classes of size. A session names its buffers in its state; what no session names is free. The lists of
 * free ones are therefore the worker's own, and its successor makes them anew.
 */
#ifndef SHM_LEND_H
#define SHM_LEND_H

#include "shm/slot.h"

/* Names a buffer: class in the upper 2 bits, 1 + place in the class below. */
#define LENT_NONE 0u

struct lend {
	const struct slot *slot;
	struct {
		uint32_t *free;		/* a stack of places */
		uint32_t frees, room;
		uint32_t fresh;		/* places from here on were never lent */
		uint8_t *taken;		/* while taking over: one bit a place */
	} class[LEND_CLASSES];
};

/* For a new worker: everything is free. Then lend_claim() for each buffer that a session names, then lend_ready(). 0, or -1 with ENOMEM. */
int lend_init(struct lend *lend, const struct slot *slot);
int lend_claim(struct lend *lend, uint32_t ref);	/* -1 with EINVAL: no such buffer, or claimed twice */
void lend_unclaim(struct lend *lend, uint32_t ref);	/* one that was claimed, before lend_ready() */
int lend_ready(struct lend *lend);
void lend_fini(struct lend *lend);

/* A buffer with room for `bytes`, its header zeroed; LENT_NONE with ENOMEM when there is none. */
uint32_t lend_take(struct lend *lend, size_t bytes);
void lend_give(struct lend *lend, uint32_t ref);

struct lent_shm *lend_header(const struct slot *slot, uint32_t ref);
uint8_t *lend_bytes(const struct slot *slot, uint32_t ref);
uint32_t lend_room(const struct slot *slot, uint32_t ref);

/* The most bytes a buffer can hold. */
uint32_t lend_room_max(const struct slot *slot);

#endif
