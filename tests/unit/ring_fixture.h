/*
 * A small ring with an index of a few topics in plain memory, and what both ring tests ask of it.
 */
#ifndef UNIT_RING_FIXTURE_H
#define UNIT_RING_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shm/ring.h"

#define TOPICS 5
#define BYTES 4096
#define DESCS 16

struct fixture {
	void *index_mem, *ring_mem;
	struct index ix;
	struct ring r;
	uint32_t topic[TOPICS];
};

static inline void *zeroed(size_t size)
{
	void *mem = aligned_alloc(64, (size + 63) / 64 * 64);

	return memset(mem, 0, size);
}

static inline uint32_t join(struct fixture *f, const char *name)
{
	return index_join(&f->ix, 0, index_hash(name, 1), name, 1, 1);
}

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	unsigned i;

	f->index_mem = zeroed(index_size(TOPICS));
	index_format(f->index_mem, TOPICS);
	index_attach(&f->ix, f->index_mem, index_size(TOPICS));
	f->ring_mem = zeroed(ring_size(BYTES, DESCS));
	ring_format(f->ring_mem, BYTES, DESCS);
	for (i = 0; i < TOPICS; i++)
		f->topic[i] = join(f, &"abcde"[i]);
	*state = f;
	return ring_attach(&f->r, f->ring_mem, ring_size(BYTES, DESCS), &f->ix);
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	free(f->index_mem);
	free(f->ring_mem);
	free(f);
	return 0;
}

static inline struct fixture *fresh(void **state)
{
	teardown(state);
	assert_int_equal(setup(state), 0);
	return *state;
}

static inline struct topic_shm *topic(const struct fixture *f, unsigned i)
{
	return index_topic(&f->ix, f->topic[i]);
}

static inline struct ring_desc_shm *desc(const struct fixture *f, uint64_t seq)
{
	return &f->r.desc[seq % DESCS];
}

static inline void check(const struct fixture *f)
{
	const char *why;

	if (ring_check(&f->r, &why) < 0)
		fail_msg("ring_check: %s", why);
}

/* A record's bytes tell its sequence. */
static inline void fill(uint8_t *p, uint64_t seq, uint32_t len)
{
	uint32_t i;

	for (i = 0; i < len; i++)
		p[i] = (uint8_t)(seq * 31 + i);
}

static inline uint64_t add(struct fixture *f, struct ring_batch *b, unsigned i, uint32_t len)
{
	uint64_t seq = b->next;
	void *p = ring_add(&f->r, b, f->topic[i], len, i + 100, 1000 + seq);

	if (!p)
		return 0;
	assert_int_equal((uintptr_t)p % 8, 0);
	fill(p, seq, len);
	return seq;
}

static inline uint64_t publish(struct fixture *f, unsigned i, uint32_t len)
{
	struct ring_batch b;
	uint64_t seq;

	ring_begin(&f->r, &b);
	seq = add(f, &b, i, len);
	ring_commit(&f->r, &b);
	return seq;
}

/* Every readable record is whole. */
static inline void verify(const struct fixture *f)
{
	uint8_t got[BYTES], expected[BYTES];
	struct ring_record rec;
	uint64_t seq;

	check(f);
	for (seq = ring_oldest(&f->r); seq < ring_tail(&f->r); seq++) {
		assert_int_equal(ring_read(&f->r, seq, &rec), 0);
		assert_int_equal(rec.seq, seq);
		assert_int_equal(ring_copy(&f->r, &rec, got), 0);
		fill(expected, seq, rec.len);
		assert_memory_equal(got, expected, rec.len);
	}
}

/* The oldest readable record of the topic in [from, below), by looking at all. */
static inline uint64_t seek_plainly(const struct fixture *f, unsigned t, uint64_t from, uint64_t below)
{
	struct ring_record rec;
	uint64_t seq;

	for (seq = ring_oldest(&f->r); seq < below; seq++)
		if (seq >= from && ring_read(&f->r, seq, &rec) == 0 && rec.topic == f->topic[t] &&
		    rec.generation == topic(f, t)->generation)
			return seq;
	return 0;
}

/* All topics, all ranges, all hints. */
static inline void compare_seeks(const struct fixture *f)
{
	uint64_t tail = ring_tail(&f->r), low = tail > DESCS + 4 ? tail - DESCS - 4 : 0, from, below, hint, expected;
	struct ring_record rec;
	unsigned t;

	for (t = 0; t < TOPICS; t++)
		for (from = low; from <= tail + 1; from++)
			for (below = from; below <= tail; below++) {
				expected = seek_plainly(f, t, from, below);
				for (hint = 0; hint < tail + 3; hint = hint < low ? low : hint + 1) {
					/* a hint that is of the topic must be at or before the record sought */
					if (hint > expected && expected)
						break;
					if (ring_seek(&f->r, f->topic[t], topic(f, t)->generation, from, below, hint, &rec) < 0)
						rec.seq = 0;
					assert_int_equal(rec.seq, expected);
				}
			}
}

/* A ring with `n` records behind it. */
static inline struct fixture *used_ring(void **state, unsigned n)
{
	struct fixture *f = fresh(state);
	unsigned i;

	for (i = 0; i < n; i++)
		publish(f, i % 4, i % 3 * 100 + 8);
	return f;
}

#endif
