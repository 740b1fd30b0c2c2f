/*
 * A lock between processes, in shared memory, stamped with its owner.
 *
 * Not a robust pthread mutex: a worker is the child of a raw clone() and glibc's idea of its thread id is stale. Instead
 * the word holds the owner's number, and whoever has reaped a dead owner (its keeper) breaks the lock after putting right
 * what the lock protects. Waiting is by futex.
 */
#ifndef SHM_LOCK_H
#define SHM_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* word: 0 free, else the owner's number, with LOCK_WAITERS or'ed in when somebody may be asleep on it. */
#define LOCK_WAITERS 0x80000000u

struct lock_shm {
	_Alignas(64) _Atomic uint32_t word;
	uint8_t pad[60];
};
_Static_assert(sizeof(struct lock_shm) == 64, "a cache line to itself");

/* Takes the lock for `owner` (1 to 2^31 - 1; a slot's number + 1). Sleeps while another holds it. Not recursive. */
void lock_acquire(struct lock_shm *lock, uint32_t owner);

/* Takes the lock if it is free. */
bool lock_try(struct lock_shm *lock, uint32_t owner);

/* Lets go of a lock that `owner` holds, and wakes one who waits. */
void lock_release(struct lock_shm *lock, uint32_t owner);

/* The owner's number, or 0 when free. */
uint32_t lock_owner(const struct lock_shm *lock);

#endif
