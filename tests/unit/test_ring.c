/*
 * The publish ring: records, wraps, limits, links, seeking. What a dead producer leaves is in test_ring_crash.c.
 */
#include "tests/unit/ring_fixture.h"

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

/* Clocks that are set: forward is followed, back by a little is not, back by more than RING_TIME_BACK is, once. */
static void test_clock_is_set(void **state)
{
	static const struct { uint64_t now, time; } at[] = {
		{ 1000000, 1000000 }, { 3601000000, 3601000000 },
		{ 3601000000 - RING_TIME_BACK, 3601000001 }, { 3601000001 - RING_TIME_BACK, 3601000002 },
		{ 1000100, 1000100 }, { 1000100, 1000101 }, { 1000050, 1000102 }, { 2000000, 2000000 },
		{ 2000000 + RING_TIME_BACK, 2000000 + RING_TIME_BACK }, { 1999999, 1999999 }, { 1999999, 2000000 },
	};
	struct fixture *f = *state;
	struct ring_record rec;
	struct ring_batch b;

	for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		ring_begin(&f->r, &b);
		ring_add(&f->r, &b, f->topic[0], 8, 0, at[i].now);
		if (i % 3 == 0)
			ring_repair(&f->r);	/* what is given up or left by a death leaves no time behind */
		else
			ring_commit(&f->r, &b);
		if (i % 3 == 0) {
			ring_begin(&f->r, &b);
			ring_add(&f->r, &b, f->topic[0], 8, 0, at[i].now);
			ring_commit(&f->r, &b);
		}
		ring_repair(&f->r);
		assert_int_equal(ring_read(&f->r, i + 1, &rec), 0);
		assert_int_equal(rec.time, at[i].time);
		check(f);
	}
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

static void test_subscription_list(void **state)
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
		cmocka_unit_test_setup_teardown(test_clock_is_set, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overwritten, setup, teardown),
		cmocka_unit_test_setup_teardown(test_subscription_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_seek, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remade_topic, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lag, setup, teardown),
		cmocka_unit_test_setup_teardown(test_check_sees, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
