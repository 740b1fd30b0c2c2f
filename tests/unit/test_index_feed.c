/*
 * The index' feed of entries whose interest has changed.
 */
#include "tests/unit/hub_fixture.h"

#include "shm/nodes.h"

static uint32_t taken[NODES_PIECE];

static void begin(struct fixture *f)
{
	index_feed_clear(&f->hub.index);
	index_feed_begin(&f->hub.index);
}

static void leave(struct fixture *f, unsigned slot, const char *name)
{
	index_leave(&f->hub.index, slot, find(f, name));
	check(f);
}

/* What is taken are these, in this order; 0 ends them. */
static void expect(struct fixture *f, const uint32_t *topics)
{
	unsigned n = index_feed_take(&f->hub.index, taken, NODES_PIECE), i;

	check(f);
	for (i = 0; topics[i]; i++)
		assert_true(i < n && taken[i] == topics[i]);
	assert_int_equal(n, i);
	assert_false(index_has_changes(&f->hub.index));
}
#define EXPECT(f, ...) expect(f, (uint32_t[]){ __VA_ARGS__ })

static void without_it_nothing_is_noted(void **state)
{
	struct fixture *f = *state;

	join(f, 1, "a", 1);
	leave(f, 1, "a");
	assert_false(index_has_changes(&f->hub.index));
	for (unsigned i = 0; i <= TOPICS_MAX; i++)
		assert_int_equal(f->hub.index.changed[i], 0);
	join(f, 1, "b", 1);
	begin(f);
	EXPECT(f, 0);
}

/* Only the first to come and the last to go change it; each entry is there once, in the order in which they changed first. */
static void interest_begins_and_ends(void **state)
{
	struct fixture *f = *state;
	uint32_t a, b;

	begin(f);
	a = join(f, 1, "a", 1);
	b = join(f, 2, "b", 1);
	join(f, 2, "a", 1);
	check(f);
	EXPECT(f, a, b, 0);
	join(f, 3, "a", 1);
	leave(f, 1, "a");
	leave(f, 2, "a");
	EXPECT(f, 0);
	leave(f, 2, "b");
	leave(f, 3, "a");
	assert_int_equal(join(f, 1, "c", 1), a);	/* (the entry that was free last) */
	EXPECT(f, b, a, 0);
}

/* A topic that is kept stays in the index; interest in it comes and goes. Keeping is none. */
static void kept_topics(void **state)
{
	struct fixture *f = *state;
	uint32_t k = index_keep(&f->hub.index, index_hash("k", 1), "k", 1, 1);

	begin(f);
	index_release(&f->hub.index, k);
	k = index_keep(&f->hub.index, index_hash("k", 1), "k", 1, 1);
	EXPECT(f, 0);
	join(f, 1, "k", 1);
	EXPECT(f, k, 0);
	index_release(&f->hub.index, k);
	EXPECT(f, 0);
	k = index_keep(&f->hub.index, index_hash("k", 1), "k", 1, 1);
	leave(f, 1, "k");
	EXPECT(f, k, 0);
}

static void taken_in_pieces(void **state)
{
	struct fixture *f = *state;
	char name[2] = "a";
	uint32_t topics[5];

	begin(f);
	for (unsigned i = 0; i < 5; i++, name[0]++)
		topics[i] = join(f, 1, name, 1);
	assert_int_equal(index_feed_take(&f->hub.index, taken, 2), 2);
	check(f);
	assert_true(index_has_changes(&f->hub.index));
	leave(f, 1, "a");		/* it was taken: behind the others */
	leave(f, 1, "d");		/* it is in it */
	EXPECT(f, topics[2], topics[3], topics[4], topics[0], 0);
}

/* A slot that is cleared takes its interest out of all topics. */
static void a_slot_is_cleared(void **state)
{
	struct fixture *f = *state;
	uint32_t a = join(f, 1, "a", 1), b = join(f, 1, "b", 1);

	join(f, 2, "b", 1);
	begin(f);
	hub_clear_slot(&f->hub, 1, INDEX_SLOTS_MAX + 1);
	EXPECT(f, a, 0);
	hub_clear_slot(&f->hub, 2, INDEX_SLOTS_MAX + 1);
	EXPECT(f, b, 0);
}

static void a_death_in_the_middle_loses_it(void **state)
{
	struct fixture *f = *state;

	begin(f);
	join(f, 1, "a", 1);
	atomic_store(&f->hub.index.shm->feed, FEED_CHANGING);
	lock_acquire(&f->hub.shm->lock, 2);
	hub_repair(&f->hub, 1);
	assert_int_equal(f->hub.index.shm->feed, FEED_LOST);
	check(f);
	join(f, 1, "b", 1);		/* nothing is noted */
	begin(f);
	EXPECT(f, 0);
	join(f, 1, "c", 1);
	EXPECT(f, find(f, "c"), 0);
}

/* ---- what the bridge asks ---- */

static void the_bridge_sees_entries_as_they_are(void **state)
{
	struct fixture *f = *state;
	struct nodes_interest seen[NODES_PIECE];
	uint32_t next = 1, a = join(f, 1, "a", 1);

	assert_int_equal(nodes_take_changes(&f->hub, seen), -1);
	nodes_feed_begin(&f->hub);
	assert_int_equal(nodes_take_changes(&f->hub, seen), 0);
	assert_int_equal(nodes_scan(&f->hub, &next, seen), 1);
	assert_int_equal(seen[0].number, a);
	assert_true(seen[0].wanted);
	assert_int_equal(seen[0].name_len, 1);
	assert_memory_equal(seen[0].name, "a", 1);
	assert_int_equal(nodes_scan(&f->hub, &next, seen), 0);
	leave(f, 1, "a");
	nodes_feed_begin(&f->hub);		/* it goes on */
	assert_int_equal(nodes_take_changes(&f->hub, seen), 1);
	assert_int_equal(seen[0].number, a);
	assert_false(seen[0].wanted);
	assert_int_equal(join(f, 1, "other", 1), a);
	assert_int_equal(nodes_take_changes(&f->hub, seen), 1);
	assert_int_equal(seen[0].generation, index_topic(&f->hub.index, a)->generation);
	assert_memory_equal(seen[0].name, "other", 5);
	check(f);
}

/* It is woken only if it sleeps, and there is something. */
static void the_bridge_is_told(void **state)
{
	struct fixture *f = *state;
	struct nodes_interest seen[NODES_PIECE];

	nodes_feed_begin(&f->hub);
	assert_true(nodes_may_sleep(&f->hub, ring_tail(&f->hub.ring)));
	nodes_tell(&f->hub);
	assert_int_equal(woken(f, SLOT_BRIDGE), 0);
	join(f, 1, "a", 1);
	nodes_tell(&f->hub);
	nodes_tell(&f->hub);
	assert_int_equal(slot_of(f, SLOT_BRIDGE)->sleeping, 0);
	assert_false(nodes_may_sleep(&f->hub, ring_tail(&f->hub.ring)));
	assert_int_equal(slot_of(f, SLOT_BRIDGE)->sleeping, 0);
	assert_int_equal(woken(f, SLOT_BRIDGE), 1);
	assert_int_equal(nodes_take_changes(&f->hub, seen), 1);
	assert_true(nodes_may_sleep(&f->hub, ring_tail(&f->hub.ring)));
	nodes_awake(&f->hub);
	assert_int_equal(slot_of(f, SLOT_BRIDGE)->sleeping, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_it_nothing_is_noted, setup, teardown),
		cmocka_unit_test_setup_teardown(interest_begins_and_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(kept_topics, setup, teardown),
		cmocka_unit_test_setup_teardown(taken_in_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(a_slot_is_cleared, setup, teardown),
		cmocka_unit_test_setup_teardown(a_death_in_the_middle_loses_it, setup, teardown),
		cmocka_unit_test_setup_teardown(the_bridge_sees_entries_as_they_are, setup, teardown),
		cmocka_unit_test_setup_teardown(the_bridge_is_told, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
