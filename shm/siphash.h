/*
 * SipHash-2-4 with 128 bits (Aumasson, Bernstein): a hash with a secret key. Who does not know the key can't make two inputs of one hash.
 */
#ifndef SHM_SIPHASH_H
#define SHM_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

void siphash(const uint64_t key[2], const void *bytes, size_t len, uint64_t hash[2]);

#endif
