/*
 * The topic index: use, limits, and what a process may leave that dies within a call.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/index.h"

#define TOPICS 40

struct fixture {
	void *mem;
	struct index ix;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	f->mem = aligned_alloc(64, index_size(TOPICS));
	memset(f->mem, 0, index_size(TOPICS));
	index_format(f->mem, TOPICS);
	*state = f;
	return index_attach(&f->ix, f->mem, index_size(TOPICS));
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	free(f->mem);
	free(f);
	return 0;
}

static void check(const struct fixture *f)
{
	const char *why;

	if (index_check(&f->ix, &why) < 0)
		fail_msg("index_check: %s", why);
}

static uint32_t find(struct fixture *f, const char *name)
{
	return index_find(&f->ix, index_hash(name, strlen(name)), name, strlen(name));
}

static uint32_t join(struct fixture *f, unsigned slot, const char *name)
{
	return index_join(&f->ix, slot, index_hash(name, strlen(name)), name, strlen(name), 1);
}

static const char *name_of(unsigned n)
{
	static char name[16];

	snprintf(name, sizeof name, "topic %u", n);
	return name;
}

static void fill(struct fixture *f)
{
	unsigned n;

	for (n = 0; n < TOPICS; n++)
		assert_int_not_equal(join(f, 0, name_of(n)), TOPIC_NONE);
}

/* After a repair: everything is usable, to the last entry. */
static void check_usable(struct fixture *f)
{
	uint32_t topic;
	unsigned n;

	check(f);
	for (n = 0; f->ix.shm->used < TOPICS; n++) {
		char name[16];

		snprintf(name, sizeof name, "more %u", n);
		assert_int_not_equal(join(f, 1, name), TOPIC_NONE);
		check(f);
	}
	assert_int_equal(join(f, 1, "one too many"), TOPIC_NONE);
	for (topic = 1; topic <= TOPICS; topic++)
		for (n = 0; n < INDEX_SLOTS_MAX; n++)
			if (atomic_load(&index_topic(&f->ix, topic)->interest) >> n & 1)
				index_leave(&f->ix, n, topic);
	check(f);
	assert_int_equal(f->ix.shm->used, 0);
}

static void test_attach(void **state)
{
	struct fixture *f = *state;
	struct index ix;
	struct index_shm *shm = f->mem;

	assert_int_equal(index_attach(&ix, f->mem, index_size(TOPICS) - 1), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(index_attach(&ix, f->mem, 10), -1);
	shm->buckets *= 2;
	assert_int_equal(index_attach(&ix, f->mem, index_size(TOPICS)), -1);
	shm->buckets /= 2;
	shm->topics_max = 0;
	assert_int_equal(index_attach(&ix, f->mem, index_size(TOPICS)), -1);
	shm->topics_max = UINT32_MAX;
	assert_int_equal(index_attach(&ix, f->mem, index_size(TOPICS)), -1);
	shm->topics_max = TOPICS;
	assert_int_equal(index_attach(&ix, f->mem, index_size(TOPICS)), 0);
	assert_int_equal((uintptr_t)ix.topics % 64, 0);
	assert_ptr_equal((char *)&ix.topics[TOPICS + 1], ix.sieve);
	assert_ptr_equal(ix.sieve + INDEX_SIEVE * shm->buckets, ix.changed);
	assert_int_equal(index_size(TOPICS) % 64, 0);
	assert_in_range((char *)f->mem + index_size(TOPICS) - (char *)(ix.changed + TOPICS + 1), 0, 63);
	shm->shapes = INDEX_SHAPES_MAX + 1;
	assert_int_equal(index_attach(&ix, f->mem, index_size(TOPICS)), -1);
}

static void test_join_leave(void **state)
{
	struct fixture *f = *state;
	struct topic_shm *t;
	uint32_t a, b;

	assert_int_equal(find(f, "a"), TOPIC_NONE);
	a = join(f, 3, "a");
	b = join(f, 3, "b");
	assert_int_equal(find(f, "a"), a);
	assert_int_equal(find(f, "b"), b);
	assert_int_equal(join(f, 63, "a"), a);
	check(f);
	t = index_topic(&f->ix, a);
	assert_int_equal(t->generation, 1);
	assert_int_equal(atomic_load(&t->interest), (uint64_t)1 << 63 | 1 << 3);
	index_leave(&f->ix, 3, a);
	index_leave(&f->ix, 5, a);		/* was not there: nothing happens */
	assert_int_equal(find(f, "a"), a);
	index_leave(&f->ix, 63, a);
	assert_int_equal(find(f, "a"), TOPIC_NONE);
	check(f);

	/* made anew: free entries first, a new generation, nothing of the old one left */
	atomic_store(&t->last, 77);
	t->published = 7;
	assert_int_equal(join(f, 0, "c"), a);
	assert_int_equal(t->generation, 2);
	assert_int_equal(atomic_load(&t->last), 0);
	assert_int_equal(t->published, 0);
	assert_int_equal(atomic_load(&t->interest), 1);
	assert_int_equal(f->ix.shm->high, 2);
	check(f);
	index_leave(&f->ix, 0, a);
	t->generation = UINT32_MAX;
	assert_int_equal(join(f, 0, "c"), a);
	assert_int_equal(t->generation, 1);
	check(f);
}

static void test_names(void **state)
{
	struct fixture *f = *state;
	char longest[TOPIC_NAME_MAX];
	uint32_t a, b, c, d;

	memset(longest, 'x', sizeof longest);
	a = index_join(&f->ix, 0, index_hash(longest, 255), longest, 255, 1);
	b = index_join(&f->ix, 0, index_hash(longest, 254), longest, 254, 1);
	c = index_join(&f->ix, 0, index_hash("", 1), "", 1, 1);
	d = index_join(&f->ix, 0, index_hash("\0", 2), "\0", 2, 1);
	assert_true(a && b && c && d && a != b && c != d);
	assert_int_equal(index_find(&f->ix, index_hash(longest, 255), longest, 255), a);
	assert_int_equal(index_find(&f->ix, index_hash(longest, 254), longest, 254), b);
	assert_int_equal(index_find(&f->ix, index_hash("", 1), "", 1), c);
	check(f);
	/* one hash, two names: the names decide */
	assert_int_equal(index_find(&f->ix, index_hash("", 1), "y", 1), TOPIC_NONE);
}

static void test_full(void **state)
{
	struct fixture *f = *state;
	size_t before = (size_t)((char *)&f->ix.topics[2] - (char *)f->mem), i;
	unsigned n;

	join(f, 0, name_of(0));
	for (i = before; i < index_size(TOPICS); i++)	/* entries never used are not touched */
		assert_int_equal(((char *)f->mem)[i], 0);
	fill(f);
	check(f);
	assert_int_equal(f->ix.shm->used, TOPICS);
	assert_int_equal(join(f, 1, "new"), TOPIC_NONE);
	assert_int_equal(errno, ENOSPC);
	check(f);
	assert_int_not_equal(join(f, 1, name_of(5)), TOPIC_NONE);	/* one that is there can still be joined */
	for (n = 0; n < TOPICS; n++)
		assert_int_not_equal(find(f, name_of(n)), TOPIC_NONE);
	index_leave(&f->ix, 0, find(f, name_of(20)));
	assert_int_not_equal(join(f, 1, "new"), TOPIC_NONE);
	check_usable(f);
}

static void test_random(void **state)
{
	uint64_t model[60] = { 0 };
	struct fixture *f = *state;
	unsigned i, n, slot;

	srandom(1);
	for (i = 0; i < 20000; i++) {
		n = (unsigned)random() % 60;
		slot = (unsigned)random() % 3;
		if (random() % 2) {
			if (join(f, slot, name_of(n)))
				model[n] |= (uint64_t)1 << slot;
			else
				assert_int_equal(model[n], 0);
		} else if (model[n]) {
			index_leave(&f->ix, slot, find(f, name_of(n)));
			model[n] &= ~((uint64_t)1 << slot);
		}
		assert_int_equal(find(f, name_of(n)) != TOPIC_NONE, model[n] != 0);
		if (i % 100 == 0)
			check(f);
	}
	check_usable(f);
}

/* ---- kept ---- */

static uint32_t keep(struct fixture *f, const char *name, uint64_t since)
{
	return index_keep(&f->ix, index_hash(name, strlen(name)), name, strlen(name), since);
}

static void test_kept(void **state)
{
	struct fixture *f = *state;
	uint32_t a = keep(f, "a", 77), b;

	assert_int_equal(find(f, "a"), a);
	assert_int_equal(index_topic(&f->ix, a)->since, 77);
	assert_int_equal(atomic_load(&index_topic(&f->ix, a)->interest), 0);
	check(f);
	assert_int_equal(join(f, 3, "a"), a);
	assert_int_equal(index_topic(&f->ix, a)->since, 77);
	index_leave(&f->ix, 3, a);		/* the last one: but it is kept */
	assert_int_equal(find(f, "a"), a);
	check(f);
	index_release(&f->ix, a);
	assert_int_equal(find(f, "a"), TOPIC_NONE);
	check(f);
	b = join(f, 3, "b");
	assert_int_equal(b, a);
	assert_int_equal(index_topic(&f->ix, b)->kept, 0);
	assert_int_equal(index_topic(&f->ix, b)->since, 1);
	assert_int_equal(keep(f, "b", 9), b);
	assert_int_equal(index_topic(&f->ix, b)->since, 1);
	index_release(&f->ix, b);		/* somebody is interested */
	assert_int_equal(find(f, "b"), b);
	check(f);
	index_leave(&f->ix, 3, b);
	assert_int_equal(find(f, "b"), TOPIC_NONE);
	check_usable(f);
}

/* What is kept takes three quarters at most: the rest is for subscribers. What is there already can be kept in any case. */
static void test_kept_and_full(void **state)
{
	const unsigned kept = TOPICS - TOPICS / 4;
	struct fixture *f = *state;

	for (unsigned n = 0; n < kept; n++)
		assert_int_not_equal(keep(f, name_of(n), 5), TOPIC_NONE);
	errno = 0;
	assert_int_equal(keep(f, "more", 5), TOPIC_NONE);
	assert_int_equal(errno, ENOSPC);
	for (unsigned n = kept; n < TOPICS; n++)
		assert_int_not_equal(join(f, 3, name_of(n)), TOPIC_NONE);
	assert_int_equal(join(f, 3, "more"), TOPIC_NONE);
	for (unsigned n = 0; n < TOPICS; n++)
		assert_int_equal(keep(f, name_of(n), 6), find(f, name_of(n)));
	check(f);
	for (unsigned n = 0; n < TOPICS; n++)
		index_release(&f->ix, find(f, name_of(n)));
	for (unsigned n = kept; n < TOPICS; n++)
		index_leave(&f->ix, 3, find(f, name_of(n)));
	check_usable(f);
}

/* A topic that is kept stays over a repair; an entry that was about to be freed is not kept. */
static void test_kept_and_repaired(void **state)
{
	struct fixture *f = *state;
	uint32_t a = keep(f, "a", 1), b = keep(f, "b", 1);

	atomic_store(&f->ix.shm->dirty, 1);
	atomic_store(&index_topic(&f->ix, b)->state, TOPIC_FREE);
	index_repair(&f->ix);
	check(f);
	assert_int_equal(find(f, "a"), a);
	assert_int_equal(find(f, "b"), TOPIC_NONE);
	assert_int_equal(index_topic(&f->ix, b)->kept, 0);
	index_release(&f->ix, a);
	check_usable(f);
}

/* ---- what a dead process may leave ---- */

/* index_join() of a new topic, by hand, up to `step`. */
static void join_until(struct fixture *f, int step, const char *name)
{
	struct index_shm *shm = f->ix.shm;
	struct topic_shm *t;
	uint32_t topic;

	if (step >= 1)
		atomic_store(&shm->dirty, 1);
	topic = shm->free ? shm->free : shm->high + 1;
	t = index_topic(&f->ix, topic);
	if (step >= 2) {
		if (shm->free)
			shm->free = t->next;
		else
			shm->high++;
	}
	if (step >= 3) {
		t->generation++;
		t->hash = index_hash(name, strlen(name));
	}
	if (step >= 4) {
		t->name_len = (uint8_t)strlen(name);
		memcpy(t->name, name, t->name_len);
		t->next = 9999;				/* rubbish */
		atomic_store(&t->interest, 2);
	}
	if (step >= 5)
		atomic_store(&t->state, TOPIC_USED);
	if (step >= 6) {
		t->next = 0;
		f->ix.heads[0] = topic;			/* the wrong chain: derived, so it must not matter */
	}
	if (step >= 7)
		shm->used++;
}

static void test_dead_in_join(void **state)
{
	int step, used;

	for (step = 0; step <= 7; step++)
		for (used = 0; used < 3; used++) {	/* entries never used; a free one; chains of some length */
			struct fixture *f;
			unsigned n;

			teardown(state);
			assert_int_equal(setup(state), 0);
			f = *state;
			if (used == 1)
				index_leave(&f->ix, 0, join(f, 0, "gone"));
			for (n = 0; used == 2 && n < TOPICS - 1; n++)
				join(f, 0, name_of(n));
			join_until(f, step, "new");
			index_repair(&f->ix);
			check(f);
			assert_int_equal(find(f, "new") != TOPIC_NONE, step >= 5);
			for (n = 0; used == 2 && n < TOPICS - 1; n++)
				assert_int_not_equal(find(f, name_of(n)), TOPIC_NONE);
			assert_int_not_equal(join(f, 1, "new"), TOPIC_NONE);
			check_usable(f);
		}
}

static void test_dead_in_leave(void **state)
{
	int step, which;

	for (step = 0; step <= 6; step++)
		for (which = 0; which < TOPICS; which += 7) {
			struct fixture *f;
			struct topic_shm *t;
			uint32_t topic;

			teardown(state);
			assert_int_equal(setup(state), 0);
			f = *state;
			fill(f);
			topic = find(f, name_of((unsigned)which));
			t = index_topic(&f->ix, topic);
			if (step >= 1)
				atomic_store(&f->ix.shm->dirty, 1);
			if (step >= 2)
				atomic_store(&t->state, TOPIC_FREE);
			if (step >= 3)
				atomic_store(&t->interest, 0);
			if (step >= 4)
				t->next = f->ix.shm->free;	/* its chain is cut in two */
			if (step >= 5)
				f->ix.shm->free = topic;
			if (step >= 6)
				f->ix.shm->used--;
			index_repair(&f->ix);
			check(f);
			assert_int_equal(find(f, name_of((unsigned)which)) != TOPIC_NONE, step < 2);
			assert_int_equal(f->ix.shm->used, step < 2 ? TOPICS : TOPICS - 1);
			check_usable(f);
		}
}

/* A repair that dies leaves chains half built and `dirty`: the next one starts from nothing. */
static void test_dead_in_repair(void **state)
{
	struct fixture *f = *state;

	fill(f);
	atomic_store(&f->ix.shm->dirty, 1);
	memset(f->ix.heads, 0, f->ix.shm->buckets * sizeof f->ix.heads[0]);
	f->ix.shm->used = 3;
	f->ix.heads[1] = 5;
	index_repair(&f->ix);
	assert_int_equal(f->ix.shm->used, TOPICS);
	check_usable(f);
}

#define BREAKS(statement)						\
	do {								\
		const char *why;					\
									\
		memcpy(saved, f->mem, index_size(TOPICS));		\
		statement;						\
		assert_int_equal(index_check(&f->ix, &why), -1);	\
		assert_non_null(why);					\
		memcpy(f->mem, saved, index_size(TOPICS));		\
		check(f);						\
	} while (0)

static void test_check_sees(void **state)
{
	struct fixture *f = *state;
	void *saved = malloc(index_size(TOPICS));
	struct topic_shm *t;
	uint32_t gone;

	fill(f);
	gone = find(f, name_of(7));
	index_leave(&f->ix, 0, gone);
	index_leave(&f->ix, 0, find(f, name_of(8)));
	t = index_topic(&f->ix, find(f, name_of(9)));
	BREAKS(atomic_store(&f->ix.shm->dirty, 1));
	BREAKS(f->ix.shm->used++);
	BREAKS(f->ix.shm->used--);
	BREAKS(f->ix.shm->high = TOPICS + 1);
	BREAKS(f->ix.shm->high--);
	BREAKS(f->ix.shm->free = 0);
	BREAKS(f->ix.shm->free = (uint32_t)(t - f->ix.topics));
	BREAKS(index_topic(&f->ix, gone)->next = gone);
	BREAKS(atomic_store(&index_topic(&f->ix, gone)->interest, 1));
	BREAKS(atomic_store(&t->interest, 0));
	BREAKS(index_topic(&f->ix, gone)->kept = 1);
	BREAKS(t->kept = TOPIC_WAS_KEPT + 1);
	BREAKS(atomic_store(&t->state, TOPIC_FREE));
	BREAKS(t->name[0] ^= 1);
	BREAKS(t->hash ^= 1);
	BREAKS(t->name_len = 0);
	BREAKS(t->generation = 0);
	BREAKS(t->next = (uint32_t)(t - f->ix.topics));
	BREAKS(t->next = gone);
	BREAKS(f->ix.shm->seed ^= 1);
	free(saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_attach, setup, teardown),
		cmocka_unit_test_setup_teardown(test_join_leave, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept_and_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept_and_repaired, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dead_in_join, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dead_in_leave, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dead_in_repair, setup, teardown),
		cmocka_unit_test_setup_teardown(test_check_sees, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
