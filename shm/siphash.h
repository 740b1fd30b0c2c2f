/*
 * SipHash-2-4 with 128 bits (Aumasson, Bernstein): a hash with a secret key. Who does not know the key can't make two inputs of one hash.
 */
#ifndef SHM_SIPHASH_H
#define SHM_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t siphash_rotate(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

/* One round, also of shorter variants (index_hash()). */
static inline void siphash_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = siphash_rotate(v[1], 13) ^ v[0];
	v[0] = siphash_rotate(v[0], 32);
	v[2] += v[3];
	v[3] = siphash_rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = siphash_rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = siphash_rotate(v[1], 17) ^ v[2];
	v[2] = siphash_rotate(v[2], 32);
}

void siphash(const uint64_t key[2], const void *bytes, size_t len, uint64_t hash[2]);

#endif
