/*
 * A process of janusbench that obeys orders: its side of struct bench_shm.
 */
#ifndef BENCH_MEMBER_H
#define BENCH_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/bench_shm.h"
#include "tests/bench/options.h"

struct member {
	const struct options *opt;
	struct bench_shm *shm;
	struct member_shm *me;
	uint32_t number;
	uint32_t taken;		/* the order word last taken */
	int wake;		/* eventfd: there is an order */
	int news;		/* eventfd: the coordinator looks when it is written to */
};

/* The order word, if there is one that has not been taken yet, else 0. Empties `wake`. */
uint32_t member_order(struct member *m);

/* The order last taken has been obeyed. Calling it again does nothing. */
void member_done(struct member *m);

/* Counts n faults; the first few are noted in words, which the report shows. */
void member_fault(struct member *m, enum fault fault, uint64_t n);
void member_note(struct member *m, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A message of the stream p->topic has been delivered: tells the coordinator when it was last. And the order in which somebody who had all of a topic's messages saw
 * them (stream_hash()): false if it is not that of the first who said so. Several processes say both. */
void member_delivered(struct member *m, uint32_t transport, const struct payload *p, uint64_t when);
bool member_same_order(struct member *m, uint32_t transport, uint32_t topic, uint64_t hash);

/* Adds to a counter that only the caller's process writes. */
static inline void member_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

#endif
