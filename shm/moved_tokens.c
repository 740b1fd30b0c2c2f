/*
 * Where moved sessions are. See moved_tokens.h.
 */
#include "shm/moved_tokens.h"

#define SLOT_MASK UINT64_C(63)

static uint64_t key_of(uint64_t hash)
{
	return hash & ~SLOT_MASK ? hash & ~SLOT_MASK : SLOT_MASK + 1;
}

static uint32_t bucket_of(uint64_t hash)
{
	return (uint32_t)(hash >> 32) % MOVED_BUCKETS;
}

static bool is_used(const struct moved_tokens_shm *t, uint32_t bucket)
{
	return atomic_load_explicit(&t->used[bucket / 64], memory_order_relaxed) >> (bucket % 64) & 1;
}

static _Atomic uint64_t *find(const struct moved_tokens_shm *t, uint32_t bucket, uint64_t key)
{
	for (unsigned i = 0; i < MOVED_BUCKET; i++)
		if ((atomic_load_explicit(&t->word[bucket][i], memory_order_relaxed) & ~SLOT_MASK) == key)
			return (_Atomic uint64_t *)&t->word[bucket][i];
	return NULL;
}

int moved_tokens_find(const struct moved_tokens_shm *t, uint64_t hash)
{
	uint32_t bucket = bucket_of(hash);

	for (unsigned i = 0; is_used(t, bucket) && i < MOVED_BUCKET; i++) {
		/* acquire: pairs with the release in moved_tokens_put() */
		uint64_t word = atomic_load_explicit(&t->word[bucket][i], memory_order_acquire);

		if ((word & ~SLOT_MASK) == key_of(hash))
			return (int)(word & SLOT_MASK);
	}
	return -1;
}

uint64_t moved_tokens_next(const struct moved_tokens_shm *t, uint32_t *at)
{
	while (*at < MOVED_BUCKETS * MOVED_BUCKET) {
		uint32_t bucket = *at / MOVED_BUCKET;
		uint64_t word;

		if (!is_used(t, bucket)) {
			*at = (bucket + 1) * MOVED_BUCKET;
			continue;
		}
		word = atomic_load_explicit(&t->word[bucket][(*at)++ % MOVED_BUCKET], memory_order_relaxed);
		if (word)
			return word;
	}
	return 0;
}

int moved_tokens_put(struct moved_tokens_shm *t, uint64_t hash, unsigned slot)
{
	uint32_t bucket = bucket_of(hash);
	_Atomic uint64_t *word = find(t, bucket, key_of(hash));

	if (!word)
		word = find(t, bucket, 0);
	if (!word)
		return -1;
	/* release: what is said of the way there (gate.h) is said when the token leads there */
	atomic_store_explicit(word, key_of(hash) | slot, memory_order_release);
	atomic_fetch_or_explicit(&t->used[bucket / 64], UINT64_C(1) << (bucket % 64), memory_order_release);
	return 0;
}

/* (Which bucket it stands in follows from the bits of the hash that a word has.) */
int moved_tokens_put_word(struct moved_tokens_shm *t, uint64_t word)
{
	return moved_tokens_put(t, word & ~SLOT_MASK, (unsigned)(word & SLOT_MASK));
}

void moved_tokens_remove(struct moved_tokens_shm *t, uint64_t hash, unsigned slot)
{
	uint32_t bucket = bucket_of(hash);
	_Atomic uint64_t *word = is_used(t, bucket) ? find(t, bucket, key_of(hash)) : NULL;

	if (word && (atomic_load_explicit(word, memory_order_relaxed) & SLOT_MASK) == slot)
		atomic_store_explicit(word, 0, memory_order_relaxed);
}

void moved_tokens_clear(struct moved_tokens_shm *t, unsigned slot)
{
	for (uint32_t bucket = 0; bucket < MOVED_BUCKETS; bucket++)
		for (unsigned i = 0; is_used(t, bucket) && i < MOVED_BUCKET; i++) {
			uint64_t word = atomic_load_explicit(&t->word[bucket][i], memory_order_relaxed);

			if (word && (word & SLOT_MASK) == slot)
				atomic_store_explicit(&t->word[bucket][i], 0, memory_order_relaxed);
		}
}
