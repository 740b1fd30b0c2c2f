/*
 * SipHash. (index_hash() is a shorter one, without a secret: it is asked for with each message.)
 */
#include "shm/siphash.h"

#include <string.h>

static void rounds(uint64_t v[4], unsigned n)
{
	while (n--)
		siphash_round(v);
}

static void take(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	rounds(v, 2);
	v[0] ^= word;
}

void siphash(const uint64_t key[2], const void *bytes, size_t len, uint64_t hash[2])
{
	uint64_t v[4] = { key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du ^ 0xee, key[0] ^ 0x6c7967656e657261u,
			  key[1] ^ 0x7465646279746573u };
	const uint8_t *p = bytes;
	uint64_t word;
	size_t left;

	for (left = len; left >= 8; left -= 8, p += 8) {
		memcpy(&word, p, 8);
		take(v, word);
	}
	word = (uint64_t)len << 56;
	for (size_t i = 0; i < left; i++)
		word |= (uint64_t)p[i] << 8 * i;
	take(v, word);
	v[2] ^= 0xee;
	rounds(v, 4);
	hash[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
	v[1] ^= 0xdd;
	rounds(v, 4);
	hash[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
}
