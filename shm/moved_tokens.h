/*
 * Where sessions are that have moved away from the slot that their token names (proto/token.h; worker/loop/move_session.h): so whoever is shown the token finds the session. In the hub segment.
 *
 *   moved_tokens_shm | buckets of MOVED_BUCKET words
 *
 * A word is 58 bits of a hash of the token (SipHash with the hub's own secret) and the slot, or 0. It stands anywhere in the hash's bucket. So to put, change and take away an entry is one store each, and a death
 * leaves one or the other. Writers hold the hub lock; who looks needs none. Only buckets that were ever used take memory.
 */
#ifndef SHM_MOVED_TOKENS_H
#define SHM_MOVED_TOKENS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOVED_BUCKETS 16384
#define MOVED_BUCKET 64

struct moved_tokens_shm {
	_Alignas(64) _Atomic uint64_t used[MOVED_BUCKETS / 64];	/* a bit for each bucket that was ever used */
	_Atomic uint64_t word[MOVED_BUCKETS][MOVED_BUCKET];
};

/* The slot, -1: the table does not have it. */
int moved_tokens_find(const struct moved_tokens_shm *t, uint64_t hash);
/* The next entry from *at on, which is 0 at first: as the word that it is. 0: there is none. For a snapshot, when nobody writes. */
uint64_t moved_tokens_next(const struct moved_tokens_shm *t, uint32_t *at);

/* ---- the hub lock is held ---- */

int moved_tokens_put(struct moved_tokens_shm *t, uint64_t hash, unsigned slot);		/* -1: its bucket is full */
int moved_tokens_put_word(struct moved_tokens_shm *t, uint64_t word);			/* the same, of what moved_tokens_next() said */
void moved_tokens_remove(struct moved_tokens_shm *t, uint64_t hash, unsigned slot);	/* if it is there with this slot */
void moved_tokens_clear(struct moved_tokens_shm *t, unsigned slot);			/* the slot has no sessions */

#endif
