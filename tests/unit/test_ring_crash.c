/*
 * What a producer may leave that dies within a call: half-written states are forged in a plain buffer, then repaired, checked
 * and used. tests/stress/ring_stress.c makes them for real.
 */
#include "tests/unit/ring_fixture.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_dead_in_add, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dead_in_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dead_in_repair, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dead_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dead_after_leave, setup, teardown),
		cmocka_unit_test_setup_teardown(test_give_up, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
