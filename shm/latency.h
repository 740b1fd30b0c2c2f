/*
 * How long messages take: from a record's time to when a worker has given it to the kernel for the last of its subscribers there that keep up. A histogram for each
 * class of fan-outs, in the worker's slot of the hub, for GET /metrics.
 *
 * Records that are sent together count once, by the oldest of them. The class is how many subscribers the worker had to send them to.
 *
 * Written by the slot's worker alone, by one store each, after its sends: a death in between leaves one observation that is not counted, or not in the sum.
 */
#ifndef SHM_LATENCY_H
#define SHM_LATENCY_H

#include <stdatomic.h>
#include <stdint.h>

#define LATENCY_CLASSES 6	/* up to 1, 10, 100, 1,000, 10,000 subscribers, and more */
#define LATENCY_BUCKETS 17	/* 100 us to 10 s: 1, 2.5, 5 of each power of ten; and more */

struct latency_shm {
	_Alignas(64) _Atomic uint64_t count[LATENCY_CLASSES][LATENCY_BUCKETS];	/* not cumulative */
	_Atomic uint64_t sum[LATENCY_CLASSES];	/* microseconds */
};

/* The most that falls into a class or bucket: subscribers, and microseconds. The last ones': UINT64_MAX. */
uint64_t latency_class_most(unsigned class);
uint64_t latency_bound(unsigned bucket);

/* Which one it falls into. */
unsigned latency_class(uint64_t subscribers);
unsigned latency_bucket(uint64_t microseconds);

/* Counts one. `sent` and `time` are microseconds since 1970; a clock that was set back makes it 0. */
void latency_add(struct latency_shm *latency, uint64_t subscribers, uint64_t time, uint64_t sent);

#endif
