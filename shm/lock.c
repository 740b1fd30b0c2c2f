/*
 * The lock's word: three states of a futex mutex (free, held, held and somebody may sleep), with the owner's number in it.
 *
 * - Only the holder, or who reaped it, makes the word 0.
 * - Who goes to sleep has set LOCK_WAITERS before; who has slept takes the lock with LOCK_WAITERS set, because it can't
 *   know whether it was the last. One needless wake is the price.
 * - Anybody may be killed anywhere: a holder between the word's store and the wake, a waiter that has just been woken and
 *   was to pass it on. So nobody sleeps longer than WAIT_NS before it looks again.
 * - A dead holder is replaced by one compare-and-swap of the word with its process id in it. So of all who find it dead one has the lock, and who was slow to find
 *   it does not take it from a living one with the same number.
 */
#include "shm/lock.h"

#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shm/ended.h"

#define SPINS 100		/* some microseconds: what is done under the lock takes about one */
#define WAIT_NS 10000000L	/* 10 ms */

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* What lock_inherit() was told. */
static struct {
	const struct lock_shm *lock;
	void (*mend)(void *arg, unsigned number);
	void *arg;
} heir;

/* Not FUTEX_PRIVATE_FLAG: the sleepers are in other processes. False: time is over. */
static bool futex_wait(_Atomic uint32_t *word, uint32_t value)
{
	struct timespec timeout = { 0, WAIT_NS };

	return syscall(SYS_futex, word, FUTEX_WAIT, value, &timeout, NULL, 0) == 0 || errno != ETIMEDOUT;
}

static void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* 0 -> value; acquire: pairs with the release in lock_release(). */
static bool take(struct lock_shm *lock, uint32_t value)
{
	uint32_t word = 0;

	return atomic_compare_exchange_strong_explicit(&lock->word, &word, value, memory_order_acquire,
						       memory_order_relaxed);
}

/* After having waited for `dead` for a while. */
static bool has_inherited(struct lock_shm *lock, uint32_t dead, uint32_t owner)
{
	uint32_t pid = dead >> LOCK_NUMBER_BITS;

	if (pid == 0 || heir.lock != lock || !heir.mend || !process_ended(pid) || !lock_take_over(lock, dead, owner))
		return false;
	heir.mend(heir.arg, lock_number(dead));
	return true;
}

static void acquire_slowly(struct lock_shm *lock, uint32_t owner)
{
	uint32_t word;

	for (;;) {
		word = atomic_load_explicit(&lock->word, memory_order_relaxed);
		if (word == 0) {
			if (take(lock, owner | LOCK_WAITERS))
				return;
			continue;
		}
		assert((word & ~LOCK_WAITERS) != owner);
		if (!(word & LOCK_WAITERS)) {
			if (!atomic_compare_exchange_strong_explicit(&lock->word, &word, word | LOCK_WAITERS,
								     memory_order_relaxed, memory_order_relaxed))
				continue;
			word |= LOCK_WAITERS;
		}
		if (!futex_wait(&lock->word, word) && has_inherited(lock, word & ~LOCK_WAITERS, owner))
			return;
	}
}

void lock_acquire(struct lock_shm *lock, uint32_t owner)
{
	int i;

	assert(owner != 0 && !(owner & LOCK_WAITERS));
	if (take(lock, owner))
		return;
	for (i = 0; i < SPINS; i++) {
		pause_cpu();
		if (atomic_load_explicit(&lock->word, memory_order_relaxed) == 0 && take(lock, owner))
			return;
	}
	acquire_slowly(lock, owner);
}

bool lock_try(struct lock_shm *lock, uint32_t owner)
{
	assert(owner != 0 && !(owner & LOCK_WAITERS));
	return take(lock, owner);
}

bool lock_take_over(struct lock_shm *lock, uint32_t dead, uint32_t owner)
{
	uint32_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);

	while ((word & ~LOCK_WAITERS) == dead)
		/* acquire: what the dead one has stored is there */
		if (atomic_compare_exchange_weak_explicit(&lock->word, &word, owner | LOCK_WAITERS, memory_order_acquire, memory_order_relaxed))
			return true;
	return false;
}

void lock_inherit(struct lock_shm *lock, void (*mend)(void *arg, unsigned number), void *arg)
{
	heir.lock = lock;
	heir.mend = mend;
	heir.arg = arg;
}

void lock_release(struct lock_shm *lock, uint32_t owner)
{
	uint32_t word;

	assert(lock_owner(lock) == owner);
	(void)owner;
	/* release: pairs with the acquire in take() */
	word = atomic_exchange_explicit(&lock->word, 0, memory_order_release);
	if (word & LOCK_WAITERS)
		futex_wake(&lock->word);
}

uint32_t lock_owner(const struct lock_shm *lock)
{
	return atomic_load_explicit(&lock->word, memory_order_relaxed) & ~LOCK_WAITERS;
}
