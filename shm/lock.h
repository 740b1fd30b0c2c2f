/*
 * A lock between processes, in shared memory, stamped with its owner.
 *
 * Not a robust pthread mutex: a worker is the child of a raw clone() and glibc's idea of its thread id is stale. Instead
 * the word holds the owner's number, and whoever has reaped a dead owner (its keeper) breaks the lock after putting right
 * what the lock protects. Waiting is by futex.
 *
 * Of an owner whom nobody may be there to reap (the master, its children, a keeper at work for its worker) the word holds the process id, too (lock_as()). If such a
 * one dies with the lock, who waits for it finds that out, takes the lock over and puts right what it protects (lock_inherit()): so nobody waits for another master.
 */
#ifndef SHM_LOCK_H
#define SHM_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* word: 0 free, else the owner's number, with LOCK_WAITERS or'ed in when somebody may be asleep on it. */
#define LOCK_WAITERS 0x80000000u

struct lock_shm {
	_Alignas(64) _Atomic uint32_t word;
	uint8_t pad[60];
};
_Static_assert(sizeof(struct lock_shm) == 64, "a cache line to itself");

#define LOCK_NUMBER_BITS 7

/* An owner by its number (1 to 127) with its process id (0 to 2^22 - 1; 0: another sees to its death), and the parts of one. */
static inline uint32_t lock_as(unsigned number, pid_t pid)
{
	return number | (uint32_t)pid << LOCK_NUMBER_BITS;
}
static inline unsigned lock_number(uint32_t owner)
{
	return owner & ((1u << LOCK_NUMBER_BITS) - 1);
}

/* Takes the lock for `owner` (1 to 2^31 - 1; a slot's number + 1, or what lock_as() makes). Sleeps while another holds it. Not recursive. */
void lock_acquire(struct lock_shm *lock, uint32_t owner);

/* Takes the lock if it is free. */
bool lock_try(struct lock_shm *lock, uint32_t owner);

/* Takes it in the place of `dead`, which has died with it. False: it is not that one's any more. */
bool lock_take_over(struct lock_shm *lock, uint32_t dead, uint32_t owner);

/*
 * Whoever of this process waits for the lock from now on takes it over from an owner with a process id that has died, in this process id namespace; then mend(arg, number of the dead one) is called, before lock_acquire() returns. One
 * lock a process: the last one that this was called for. NULL instead of mend: it is left alone again.
 */
void lock_inherit(struct lock_shm *lock, void (*mend)(void *arg, unsigned number), void *arg);

/* Lets go of a lock that `owner` holds, and wakes one who waits. */
void lock_release(struct lock_shm *lock, uint32_t owner);

/* The owner, or 0 when free. */
uint32_t lock_owner(const struct lock_shm *lock);

#endif
