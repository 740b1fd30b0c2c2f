/*
 * The publish ring: records, wraps, limits, links, seeking, and what a producer may leave that dies within a call. Half-written
 * states are forged in a plain buffer; tests/stress/ring_stress.c makes them for real.
 */
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

static void *zeroed(size_t size)
{
	void *mem = aligned_alloc(64, (size + 63) / 64 * 64);

	return memset(mem, 0, size);
}

static uint32_t join(struct fixture *f, const char *name)
{
	return index_join(&f->ix, 0, index_hash(name, 1), name, 1);
}

static int setup(void **state)
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

static int teardown(void **state)
{
	struct fixture *f = *state;

	free(f->index_mem);
	free(f->ring_mem);
	free(f);
	return 0;
}

static struct fixture *fresh(void **state)
{
	teardown(state);
	assert_int_equal(setup(state), 0);
	return *state;
}

static struct topic_shm *topic(const struct fixture *f, unsigned i)
{
	return index_topic(&f->ix, f->topic[i]);
}

static struct ring_desc_shm *desc(const struct fixture *f, uint64_t seq)
{
	return &f->r.desc[seq % DESCS];
}

static void check(const struct fixture *f)
{
	const char *why;

	if (ring_check(&f->r, &why) < 0)
		fail_msg("ring_check: %s", why);
}

/* A record's bytes tell its sequence. */
static void fill(uint8_t *p, uint64_t seq, uint32_t len)
{
	uint32_t i;

	for (i = 0; i < len; i++)
		p[i] = (uint8_t)(seq * 31 + i);
}

static uint64_t add(struct fixture *f, struct ring_batch *b, unsigned i, uint32_t len)
{
	uint64_t seq = b->next;
	void *p = ring_add(&f->r, b, f->topic[i], len, i + 100, 1000 + seq);

	if (!p)
		return 0;
	assert_int_equal((uintptr_t)p % 8, 0);
	fill(p, seq, len);
	return seq;
}

static uint64_t publish(struct fixture *f, unsigned i, uint32_t len)
{
	struct ring_batch b;
	uint64_t seq;

	ring_begin(&f->r, &b);
	seq = add(f, &b, i, len);
	ring_commit(&f->r, &b);
	return seq;
}

/* Every readable record is whole. */
static void verify(const struct fixture *f)
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

static void test_attach(void **state)
{
	struct fixture *f = *state;
	struct ring_shm *shm = f->ring_mem;
	size_t size = ring_size(BYTES, DESCS);
	struct ring r;

	assert_int_equal(ring_attach(&r, shm, size - 1, &f->ix), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(ring_attach(&r, shm, 100, &f->ix), -1);
	shm->descs = 24;
	assert_int_equal(ring_attach(&r, shm, size, &f->ix), -1);
	shm->descs = 4;
	assert_int_equal(ring_attach(&r, shm, size, &f->ix), -1);
	shm->descs = DESCS;
	shm->bytes = (uint64_t)1 << 63;
	assert_int_equal(ring_attach(&r, shm, size, &f->ix), -1);
	shm->bytes = 0;
	assert_int_equal(ring_attach(&r, shm, size, &f->ix), -1);
	shm->bytes = BYTES;
	assert_int_equal(ring_attach(&r, shm, size, &f->ix), 0);
	verify(f);
}

static void test_one(void **state)
{
	struct fixture *f = *state;
	struct ring_batch b;
	struct ring_record rec;

	assert_int_equal(ring_tail(&f->r), 1);
	ring_begin(&f->r, &b);
	assert_int_equal(add(f, &b, 2, 100), 1);
	assert_int_equal(ring_tail(&f->r), 1);
	assert_int_equal(ring_seek(&f->r, f->topic[2], 1, 0, ring_tail(&f->r), 0, &rec), -1);
	assert_int_equal(errno, ENOENT);
	ring_commit(&f->r, &b);
	assert_int_equal(ring_tail(&f->r), 2);
	assert_int_equal(ring_read(&f->r, 1, &rec), 0);
	assert_int_equal(rec.len, 100);
	assert_int_equal(rec.topic, f->topic[2]);
	assert_int_equal(rec.generation, 1);
	assert_int_equal(rec.flags, 102);
	assert_int_equal(rec.time, 1001);
	assert_int_equal(rec.number, 1);
	assert_int_equal(rec.prev, 0);
	assert_int_equal(rec.next, 0);
	verify(f);
	assert_int_equal(ring_read(&f->r, 0, &rec), -1);
	assert_int_equal(errno, ESTALE);
	assert_int_equal(ring_read(&f->r, 2, &rec), -1);

	ring_begin(&f->r, &b);		/* an empty batch */
	ring_commit(&f->r, &b);
	assert_int_equal(ring_tail(&f->r), 2);
	verify(f);
}

static void test_wraps(void **state)
{
	struct fixture *f = *state;
	uint64_t seq, by_bytes = 0, by_descs = 0;
	unsigned i;

	srandom(1);
	for (i = 0; i < 5000; i++) {
		uint32_t len = i % 500 < 250 ? (uint32_t)random() % 40 + 1 : (uint32_t)random() % 900 + 1;

		seq = publish(f, i % TOPICS, len);
		assert_int_equal(seq, i + 1);
		verify(f);
		/* no more is given up than has to be */
		if (seq + 1 - ring_oldest(&f->r) == DESCS)
			by_descs++;
		else if (seq > DESCS)
			by_bytes++;
	}
	assert_true(by_descs > 1000 && by_bytes > 1000);
	assert_true(f->r.shm->end > 100 * BYTES);
}

static void test_first_wraps(void **state)
{
	struct fixture *f = *state;
	struct ring_record rec;

	assert_int_equal(publish(f, 0, 300), 1);
	assert_int_equal(ring_read(&f->r, 1, &rec), 0);
	assert_int_equal(rec.at, BYTES);	/* did not fit before the end */
	f = fresh(state);
	publish(f, 0, 256);			/* fits exactly */
	publish(f, 0, 1);
	assert_int_equal(ring_read(&f->r, 1, &rec), 0);
	assert_int_equal(rec.at, BYTES - 256);
	assert_int_equal(ring_read(&f->r, 2, &rec), 0);
	assert_int_equal(rec.at, BYTES);
	verify(f);
}

static void test_limits(void **state)
{
	struct fixture *f = *state;
	struct ring_batch b;
	unsigned i, n;

	for (i = 0; i < 40; i++) {
		ring_begin(&f->r, &b);		/* by bytes: half of the ring, with what is skipped at its end */
		for (n = 0; add(f, &b, 0, 400); n++)
			;
		assert_int_equal(errno, ENOSPC);
		assert_in_range(n, 4, 5);
		ring_commit(&f->r, &b);
		verify(f);
		ring_begin(&f->r, &b);		/* by descriptors */
		for (n = 0; add(f, &b, 1, 8); n++)
			;
		assert_int_equal(errno, ENOSPC);
		assert_int_equal(n, DESCS / 2);
		ring_commit(&f->r, &b);
		verify(f);
		assert_true(ring_oldest(&f->r) < b.first);
	}
	for (i = 0; i < BYTES / 8; i++) {	/* the largest record goes in wherever the ring stands */
		f = fresh(state);
		f->r.shm->end = BYTES + i * 8;
		publish(f, 2, 1);
		ring_begin(&f->r, &b);
		assert_int_equal(add(f, &b, 0, BYTES / 2 + 1), 0);
		assert_int_equal(errno, EMSGSIZE);
		assert_int_not_equal(add(f, &b, 0, BYTES / 2), 0);
		assert_int_equal(add(f, &b, 0, 1), 0);
		assert_int_equal(errno, ENOSPC);
		ring_commit(&f->r, &b);
		verify(f);
		publish(f, 2, 1);
		verify(f);
	}
}

static void test_time(void **state)
{
	struct fixture *f = *state;
	struct ring_record rec;
	struct ring_batch b;
	uint64_t seq;

	ring_begin(&f->r, &b);
	ring_add(&f->r, &b, f->topic[0], 8, 0, 5000);
	ring_add(&f->r, &b, f->topic[0], 8, 0, 5000);
	ring_commit(&f->r, &b);
	ring_begin(&f->r, &b);
	ring_add(&f->r, &b, f->topic[0], 8, 0, 4000);
	ring_add(&f->r, &b, f->topic[0], 8, 0, 6000);
	ring_commit(&f->r, &b);
	for (seq = 1; seq <= 4; seq++) {
		assert_int_equal(ring_read(&f->r, seq, &rec), 0);
		assert_int_equal(rec.time, seq < 4 ? 4999 + seq : 6000);
	}
	check(f);
}

static void test_overwritten(void **state)
{
	struct fixture *f = *state;
	struct ring_record early, rec;
	struct ring_batch b;
	uint8_t got[BYTES];
	unsigned i;

	publish(f, 0, 200);
	assert_int_equal(ring_read(&f->r, 1, &early), 0);
	for (i = 0; i < DESCS - 1; i++)
		publish(f, 1, 8);
	assert_int_equal(ring_copy(&f->r, &early, got), 0);
	ring_begin(&f->r, &b);			/* not published yet, but it may be written to */
	add(f, &b, 1, 8);
	assert_int_equal(ring_copy(&f->r, &early, got), -1);
	assert_int_equal(errno, ESTALE);
	assert_int_equal(ring_read(&f->r, 1, &rec), -1);
	assert_int_equal(errno, ESTALE);
	assert_int_equal(ring_read(&f->r, 2, &rec), 0);
	ring_commit(&f->r, &b);
	f = fresh(state);
	publish(f, 0, 200);
	assert_int_equal(ring_read(&f->r, 1, &early), 0);
	for (i = 0; i < 4; i++) {
		assert_int_equal(ring_copy(&f->r, &early, got), 0);
		publish(f, 1, 1000);
	}
	assert_int_equal(ring_copy(&f->r, &early, got), -1);
	verify(f);
}

static void test_links(void **state)
{
	uint64_t last[TOPICS] = { 0 }, number[TOPICS] = { 0 }, seq;
	struct fixture *f = *state;
	struct ring_record rec, prev;
	unsigned i, t;

	srandom(2);
	for (i = 0; i < 3000; i++) {
		t = (unsigned)random() % TOPICS;
		if (t == 4 && i % 64)		/* one topic is rare: its previous record is always gone */
			t = 0;
		seq = publish(f, t, (uint32_t)random() % 300 + 1);
		assert_int_equal(ring_read(&f->r, seq, &rec), 0);
		assert_int_equal(rec.prev, last[t]);
		assert_int_equal(rec.number, ++number[t]);
		if (ring_read(&f->r, rec.prev, &prev) == 0)
			assert_int_equal(prev.next, seq);
		last[t] = seq;
		assert_int_equal(atomic_load(&topic(f, t)->last), seq);
		assert_int_equal(topic(f, t)->published, number[t]);
		check(f);
	}
}

/* The oldest readable record of the topic in [from, below), by looking at all. */
static uint64_t seek_plainly(const struct fixture *f, unsigned t, uint64_t from, uint64_t below)
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
static void compare_seeks(const struct fixture *f)
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

static void test_seek(void **state)
{
	struct fixture *f = *state;
	struct ring_batch b;
	unsigned i;

	srandom(3);
	for (i = 0; i < 120; i++) {
		publish(f, (unsigned)random() % 4, i < 60 ? 20 : (uint32_t)random() % 1000 + 1);
		if (i % 7 == 0)
			compare_seeks(f);
	}
	/* topics' `last` names unpublished records, which link back into the published ones */
	ring_begin(&f->r, &b);
	for (i = 0; i < 5; i++) {
		assert_int_not_equal(add(f, &b, i % 3, 16), 0);
		compare_seeks(f);
	}
	ring_commit(&f->r, &b);
	compare_seeks(f);
}

static void test_remade_topic(void **state)
{
	struct fixture *f = *state;
	struct ring_record rec;

	publish(f, 0, 10);
	publish(f, 0, 10);
	index_leave(&f->ix, 0, f->topic[0]);
	check(f);
	assert_int_equal(join(f, "z"), f->topic[0]);
	assert_int_equal(topic(f, 0)->generation, 2);
	assert_int_equal(ring_seek(&f->r, f->topic[0], 2, 0, ring_tail(&f->r), 0, &rec), -1);
	assert_int_equal(ring_seek(&f->r, f->topic[0], 2, 2, ring_tail(&f->r), 1, &rec), -1);
	assert_int_equal(publish(f, 0, 10), 3);
	check(f);
	assert_int_equal(ring_read(&f->r, 3, &rec), 0);
	assert_int_equal(rec.number, 1);
	assert_int_equal(rec.prev, 0);
	assert_int_equal(ring_seek(&f->r, f->topic[0], 2, 0, ring_tail(&f->r), 0, &rec), 0);
	assert_int_equal(rec.seq, 3);
	assert_int_equal(ring_seek(&f->r, f->topic[0], 1, 0, ring_tail(&f->r), 0, &rec), -1);
	compare_seeks(f);
}

static void test_lag(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	assert_int_equal(ring_lag(&f->r, 1), 0);
	for (i = 0; i < DESCS; i++) {
		assert_int_equal(ring_lag(&f->r, 1), i * 1024 / DESCS);
		publish(f, 0, 8);
	}
	assert_int_equal(ring_lag(&f->r, 1), 1024);
	publish(f, 0, 8);
	assert_int_equal(ring_lag(&f->r, 1), 1024);
	assert_int_equal(ring_lag(&f->r, ring_tail(&f->r)), 0);
	assert_int_equal(ring_lag(&f->r, ring_tail(&f->r) + 9), 0);
	i = (unsigned)publish(f, 0, 1024);
	assert_int_equal(ring_lag(&f->r, i), 256);
	publish(f, 0, 512);
	publish(f, 0, 512);
	assert_int_equal(ring_lag(&f->r, i), 512);
}

/* ---- what a dead producer may leave ---- */

/* ring_add() by hand up to `step`; 7 is all of it. */
#define ADD_STEPS 7
static void add_until(struct fixture *f, int step, unsigned i, uint32_t len, uint64_t *end)
{
	struct ring_shm *shm = f->r.shm;
	uint64_t seq = atomic_load(&shm->claimed), oldest = atomic_load(&shm->oldest);
	struct ring_desc_shm *d = desc(f, seq);

	if (BYTES - *end % BYTES < len)
		*end += BYTES - *end % BYTES;
	if (step >= 1) {
		if (oldest + DESCS <= seq)
			oldest = seq - DESCS + 1;
		while (oldest < seq && desc(f, oldest)->at + BYTES < *end + len)
			oldest++;
		atomic_store(&shm->oldest, oldest);
		atomic_store(&d->seq, 0);
	}
	if (step >= 2)
		atomic_store(&shm->claimed, seq + 1);
	if (step >= 3) {			/* half a descriptor, and a topic that must not be believed */
		d->at = *end;
		d->len = len;
		d->topic = f->topic[TOPICS - 1];
		d->generation = 1;
		d->prev = 3;
		d->number = 99;
	}
	if (step >= 4) {
		d->topic = f->topic[i];
		d->generation = topic(f, i)->generation;
		d->time = shm->time + seq;
		d->prev = atomic_load(&topic(f, i)->last);
		atomic_store(&d->next, 0);
		d->number = topic(f, i)->published + 1;
		atomic_store(&d->seq, seq);
		memset(f->r.data + *end % BYTES, 0xee, len);
	}
	if (step >= 5)
		topic(f, i)->published++;
	if (step >= 6 && d->prev >= oldest)
		atomic_store(&desc(f, d->prev)->next, seq);
	if (step >= 7)
		atomic_store(&topic(f, i)->last, seq);
	*end += len;
}

struct before {
	uint64_t tail, end, time, last[TOPICS], published[TOPICS];
};

static struct before remember(const struct fixture *f)
{
	struct before b = { ring_tail(&f->r), f->r.shm->end, f->r.shm->time, { 0 }, { 0 } };
	unsigned i;

	for (i = 0; i < TOPICS; i++) {
		b.last[i] = atomic_load(&topic(f, i)->last);
		b.published[i] = topic(f, i)->published;
	}
	return b;
}

static void assert_as_before(const struct fixture *f, const struct before *b)
{
	unsigned i;

	verify(f);
	assert_int_equal(ring_tail(&f->r), b->tail);
	assert_int_equal(f->r.shm->end, b->end);
	assert_int_equal(f->r.shm->time, b->time);
	for (i = 0; i < TOPICS; i++) {
		assert_int_equal(atomic_load(&topic(f, i)->last), b->last[i]);
		assert_int_equal(topic(f, i)->published, b->published[i]);
	}
	compare_seeks(f);
}

static void publish_more(struct fixture *f)
{
	unsigned i;

	for (i = 0; i < 24; i++) {
		publish(f, i % TOPICS, i * 16 + 1);
		verify(f);
	}
}

/* A ring with `n` records behind it. */
static struct fixture *used_ring(void **state, unsigned n)
{
	struct fixture *f = fresh(state);
	unsigned i;

	for (i = 0; i < n; i++)
		publish(f, i % 4, i % 3 * 100 + 8);
	return f;
}

/* Dies in the first, second... record of a batch whose records are of one topic, or of two; whose previous record is
 * readable, or gets lost by this batch, or never was. */
static void test_dead_in_add(void **state)
{
	int step, whole, kind, age;

	for (age = 0; age < 40; age += 5)
		for (kind = 0; kind < 3; kind++)
			for (whole = 0; whole < DESCS / 2; whole++)
				for (step = 0; step <= ADD_STEPS; step++) {
					struct fixture *f = used_ring(state, (unsigned)age);
					struct before b = remember(f);
					uint64_t end = f->r.shm->end;
					int i;

					for (i = 0; i < whole; i++)
						add_until(f, ADD_STEPS, kind == 0 ? 0 : (unsigned)(i % (kind * 2)), 64, &end);
					add_until(f, step, kind == 0 ? 0 : (unsigned)(whole % (kind * 2)), 64, &end);
					if (step > 3)
						compare_seeks(f);	/* readers don't wait for the repair */
					ring_repair(&f->r);
					assert_as_before(f, &b);
					ring_repair(&f->r);
					assert_as_before(f, &b);
					publish_more(f);
				}
}

static void test_dead_in_commit(void **state)
{
	unsigned age;

	for (age = 0; age < 40; age++) {
		struct fixture *f = used_ring(state, age);
		struct before b = remember(f), after;
		struct ring_batch batch;

		ring_begin(&f->r, &batch);
		assert_int_equal(add(f, &batch, 0, 100), b.tail);
		assert_int_equal(add(f, &batch, 1, 100), b.tail + 1);
		ring_commit(&f->r, &batch);
		after = remember(f);
		f->r.shm->end = b.end;		/* the tail was the last it stored */
		f->r.shm->time = b.time;
		ring_repair(&f->r);
		assert_as_before(f, &after);
		publish_more(f);
	}
}

/* A repair is cut short after n topics were put back: the next one does all again. */
static void test_dead_in_repair(void **state)
{
	unsigned undone;

	for (undone = 0; undone < 4; undone++) {
		struct fixture *f = used_ring(state, 11);
		struct before b = remember(f);
		struct ring_batch batch;
		uint64_t seq;
		unsigned i;

		ring_begin(&f->r, &batch);
		for (i = 0; i < 4; i++)
			add(f, &batch, i / 2, 64);
		for (i = 0, seq = batch.next - 1; i < undone; i++, seq--) {
			atomic_store(&topic(f, (3 - i) / 2)->last, desc(f, seq)->prev);
			topic(f, (3 - i) / 2)->published--;
		}
		ring_repair(&f->r);
		assert_as_before(f, &b);
		publish_more(f);
	}
}

/* What a dead batch left complete in a slot must not be taken for the next batch's, should that die there as well. */
static void test_dead_twice(void **state)
{
	int step;

	for (step = 0; step < 4; step++) {
		struct fixture *f = used_ring(state, 11);
		uint64_t end = f->r.shm->end;
		struct before b;
		int i;

		for (i = 0; i < 3; i++)
			add_until(f, ADD_STEPS, 0, 64, &end);
		ring_repair(&f->r);
		publish(f, 0, 8);
		b = remember(f);
		end = f->r.shm->end;
		add_until(f, ADD_STEPS, 1, 64, &end);
		add_until(f, step, 1, 64, &end);
		ring_repair(&f->r);
		assert_as_before(f, &b);
		publish_more(f);
	}
}

/* The topic was left, or left and made anew, by the one that died with an unpublished record of it. */
static void test_dead_after_leave(void **state)
{
	int remade;

	for (remade = 0; remade < 2; remade++) {
		struct fixture *f = used_ring(state, 11);
		uint64_t end = f->r.shm->end;

		add_until(f, ADD_STEPS, 0, 64, &end);
		index_leave(&f->ix, 0, f->topic[0]);
		if (remade)
			assert_int_equal(join(f, "z"), f->topic[0]);
		ring_repair(&f->r);
		verify(f);
		if (!remade)
			assert_int_equal(join(f, "z"), f->topic[0]);
		assert_int_equal(topic(f, 0)->published, 0);
		publish_more(f);
	}
}

static void test_give_up(void **state)
{
	struct fixture *f = used_ring(state, 21);
	struct before b = remember(f);
	struct ring_batch batch;

	ring_begin(&f->r, &batch);
	add(f, &batch, 0, 64);
	add(f, &batch, 0, 64);
	ring_repair(&f->r);
	assert_as_before(f, &b);
	publish_more(f);
}

#define BREAKS(statement)							\
	do {									\
		const char *why;						\
										\
		memcpy(saved, f->ring_mem, ring_size(BYTES, DESCS));		\
		memcpy(saved_index, f->index_mem, index_size(TOPICS));		\
		statement;							\
		assert_int_equal(ring_check(&f->r, &why), -1);			\
		assert_non_null(why);						\
		memcpy(f->ring_mem, saved, ring_size(BYTES, DESCS));		\
		memcpy(f->index_mem, saved_index, index_size(TOPICS));		\
		check(f);							\
	} while (0)

static void test_check_sees(void **state)
{
	struct fixture *f = used_ring(state, 50);
	void *saved = malloc(ring_size(BYTES, DESCS)), *saved_index = malloc(index_size(TOPICS));
	struct ring_shm *shm = f->r.shm;
	struct ring_desc_shm *d = desc(f, ring_tail(&f->r) - 5);

	BREAKS(shm->claimed++);
	BREAKS(shm->tail++);
	BREAKS(shm->oldest--);
	BREAKS(shm->oldest = ring_tail(&f->r) + 1);
	BREAKS(shm->end += 8);
	BREAKS(shm->time++);
	BREAKS(d->seq++);
	BREAKS(d->len = 0);
	BREAKS(d->len = 4000);
	BREAKS(d->at += 8000);
	BREAKS(d->at -= 8);
	BREAKS(d->topic = 0);
	BREAKS(d->topic = 3000000000u);
	BREAKS(d->topic = f->topic[4]);
	BREAKS(d->generation++);
	BREAKS(d->time = 1);
	BREAKS(d->prev++);
	BREAKS(d->next = 0);
	BREAKS(d->next++);
	BREAKS(d->number++);
	BREAKS(d->number = 0);
	BREAKS(topic(f, 1)->last = ring_tail(&f->r));
	BREAKS(topic(f, 1)->last = 0);
	BREAKS(topic(f, 1)->last--);
	BREAKS(topic(f, 1)->published++);
	BREAKS(topic(f, 4)->published = 1);
	free(saved);
	free(saved_index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_attach, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wraps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_first_wraps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overwritten, setup, teardown),
		cmocka_unit_test_setup_teardown(test_links, setup, teardown),
		cmocka_unit_test_setup_teardown(test_seek, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remade_topic, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lag, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dead_in_add, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dead_in_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dead_in_repair, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dead_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dead_after_leave, setup, teardown),
		cmocka_unit_test_setup_teardown(test_give_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_check_sees, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
