#include "tests/bench/histogram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void histogram_init(struct histogram_shm *h)
{
	memset(h, 0, sizeof(*h));
	h->min = UINT64_MAX;
}

void histogram_merge(struct histogram_shm *into, const struct histogram_shm *from)
{
	into->count += from->count;
	into->min = from->min < into->min ? from->min : into->min;
	into->max = from->max > into->max ? from->max : into->max;
	for (unsigned i = 0; i < HISTOGRAM_CELLS; i++)
		into->cell[i] += from->cell[i];
}

/* The largest value that falls into a cell. */
static uint64_t cell_top(unsigned i)
{
	unsigned shift = i < 2 * HISTOGRAM_FINE ? 0 : (i >> HISTOGRAM_BITS) - 1;

	return (((uint64_t)(i - (shift << HISTOGRAM_BITS)) + 1) << shift) - 1;
}

struct distribution *distribution_create(size_t exact_max)
{
	struct distribution *d = malloc(sizeof(*d));

	if (!d)
		return NULL;
	histogram_init(&d->h);
	d->exact = malloc((exact_max ? exact_max : 1) * sizeof(uint64_t));
	d->exact_count = 0;
	d->exact_max = exact_max;
	if (!d->exact) {
		free(d);
		return NULL;
	}
	return d;
}

void distribution_destroy(struct distribution *d)
{
	if (!d)
		return;
	free(d->exact);
	free(d);
}

void distribution_add(struct distribution *d, uint64_t v)
{
	histogram_add(&d->h, v);
	if (d->exact_count < d->exact_max)
		d->exact[d->exact_count++] = v;
}

void distribution_merge(struct distribution *d, const struct histogram_shm *h, const uint64_t *exact, size_t exact_count)
{
	size_t room = d->exact_max - d->exact_count, n = exact_count < room ? exact_count : room;

	histogram_merge(&d->h, h);
	if (n)
		memcpy(d->exact + d->exact_count, exact, n * sizeof(*exact));
	d->exact_count += n;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

void distribution_sort(struct distribution *d)
{
	qsort(d->exact, d->exact_count, sizeof(*d->exact), compare);
}

static int is_exact(const struct distribution *d)
{
	return d->exact_count == d->h.count;
}

uint64_t distribution_quantile(const struct distribution *d, double q)
{
	uint64_t rank, seen = 0;

	if (!d->h.count)
		return 0;
	rank = (uint64_t)ceil(q * (double)d->h.count);
	rank = rank < 1 ? 1 : rank > d->h.count ? d->h.count : rank;
	if (is_exact(d))
		return d->exact[rank - 1];
	for (unsigned i = 0; i < HISTOGRAM_CELLS; i++) {
		seen += d->h.cell[i];
		if (seen >= rank) {
			uint64_t top = cell_top(i);

			return top > d->h.max ? d->h.max : top < d->h.min ? d->h.min : top;
		}
	}
	return d->h.max;
}

static uint64_t exact_upto(const struct distribution *d, uint64_t v)
{
	size_t low = 0, high = d->exact_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (d->exact[mid] <= v)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

uint64_t distribution_upto(const struct distribution *d, uint64_t v)
{
	uint64_t n = 0;

	if (v >= d->h.max)
		return d->h.count;
	if (is_exact(d))
		return exact_upto(d, v);
	for (unsigned i = 0; i < HISTOGRAM_CELLS && cell_top(i) <= v; i++)
		n += d->h.cell[i];
	return n;
}
