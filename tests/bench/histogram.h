/*
 * Adding to and reading struct histogram_shm (see bench_shm.h), and distributions: a histogram beside the exact values when
 * these are few enough to keep.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "tests/bench/bench_shm.h"

void histogram_init(struct histogram_shm *h);
void histogram_merge(struct histogram_shm *into, const struct histogram_shm *from);

static inline void histogram_add(struct histogram_shm *h, uint64_t v)
{
	unsigned shift;

	if (v < h->min)
		h->min = v;
	if (v > h->max)
		h->max = v;
	if (v >> 41)
		v = (1ull << 41) - 1;
	shift = 63u - (unsigned)__builtin_clzll(v | HISTOGRAM_FINE) - HISTOGRAM_BITS;
	h->cell[((uint64_t)shift << HISTOGRAM_BITS) + (v >> shift)]++;
	h->count++;
}

struct distribution {
	struct histogram_shm h;
	uint64_t *exact;	/* sorted by distribution_sort() */
	size_t exact_count, exact_max;
};

/* Keeps up to `exact_max` exact values; past that, the histogram answers. NULL if there is no memory. */
struct distribution *distribution_create(size_t exact_max);
void distribution_destroy(struct distribution *d);

void distribution_add(struct distribution *d, uint64_t v);

/* Adds what another process collected. `exact` are the same values as in `h`, or there are none and exact_count is 0. */
void distribution_merge(struct distribution *d, const struct histogram_shm *h, const uint64_t *exact, size_t exact_count);

/* To be called after the last add and before the questions below. */
void distribution_sort(struct distribution *d);

/* The value that a part q (0 to 1) of the values does not exceed; 0 if there are none. */
uint64_t distribution_quantile(const struct distribution *d, double q);

/* How many values are not above v. */
uint64_t distribution_upto(const struct distribution *d, uint64_t v);

#endif
