/*
 * How long messages take. See latency.h.
 */
#include "shm/latency.h"

static const uint64_t classes[LATENCY_CLASSES] = { 1, 10, 100, 1000, 10000, UINT64_MAX };
static const uint64_t bounds[LATENCY_BUCKETS] = {
	100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, UINT64_MAX,
};

uint64_t latency_class_most(unsigned class)
{
	return classes[class];
}

uint64_t latency_bound(unsigned bucket)
{
	return bounds[bucket];
}

unsigned latency_class(uint64_t subscribers)
{
	unsigned c = 0;

	while (subscribers > classes[c])
		c++;
	return c;
}

unsigned latency_bucket(uint64_t microseconds)
{
	unsigned b = 0;

	while (microseconds > bounds[b])
		b++;
	return b;
}

static void add(_Atomic uint64_t *cell, uint64_t n)
{
	atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + n, memory_order_relaxed);
}

void latency_add(struct latency_shm *latency, uint64_t subscribers, uint64_t time, uint64_t sent)
{
	uint64_t took = sent > time ? sent - time : 0;
	unsigned class = latency_class(subscribers);

	add(&latency->count[class][latency_bucket(took)], 1);
	add(&latency->sum[class], took);
}
