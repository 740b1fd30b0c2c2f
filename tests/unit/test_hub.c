/*
 * The hub as a whole: what is counted over its slots, and what is put right when a worker has died or a slot is emptied.
 */
#include "tests/unit/hub_fixture.h"

#include <signal.h>
#include <sys/wait.h>

#define DEAD 5			/* the slot whose worker died */

static void subscribers_are_those_of_slots_that_joined(void **state)
{
	struct fixture *f = *state;
	uint32_t a = join(f, 0, "a", 3), b = join(f, 63, "b", 1);

	assert_int_equal(hub_subscribers(&f->hub, a), 3);
	assert_int_equal(hub_subscribers(&f->hub, b), 1);
	join(f, 7, "a", 40);
	join(f, 63, "a", UINT32_MAX);
	assert_int_equal(hub_subscribers(&f->hub, a), 43ull + UINT32_MAX);
	assert_int_equal(hub_subscribers(&f->hub, b), 1);
	/* what stands in the row of a slot that has not joined is left over */
	atomic_store(hub_count_of(&f->hub, 8, a), 1000);
	assert_int_equal(hub_subscribers(&f->hub, a), 43ull + UINT32_MAX);
	index_leave(&f->hub.index, 63, a);
	assert_int_equal(hub_subscribers(&f->hub, a), 43);
	index_leave(&f->hub.index, 0, a);
	assert_int_equal(hub_subscribers(&f->hub, a), 40);
	check(f);
}

/* Each slot has a place of its own for each topic, and all of them are in the part that is theirs. */
static void counts_do_not_overlap(void **state)
{
	struct fixture *f = *state;
	const uint8_t *base = (const uint8_t *)f->hub.shm;

	for (unsigned slot = 0; slot < INDEX_SLOTS_MAX; slot++)
		for (uint32_t t = 1; t <= TOPICS_MAX; t++)
			atomic_store(hub_count_of(&f->hub, slot, t), slot * 1000 + t);
	for (unsigned slot = 0; slot < INDEX_SLOTS_MAX; slot++)
		for (uint32_t t = 1; t <= TOPICS_MAX; t++)
			assert_int_equal(atomic_load(hub_count_of(&f->hub, slot, t)), slot * 1000 + t);
	assert_ptr_equal((const uint8_t *)hub_count_of(&f->hub, 0, 0), base + f->hub.shm->counts_at);
	assert_true((const uint8_t *)(hub_count_of(&f->hub, INDEX_SLOTS_MAX - 1, TOPICS_MAX) + 1) <=
		    base + f->hub.shm->counts_at + f->hub.shm->counts_size);
	check(f);
}

static void attach_refuses(struct fixture *f, uint64_t *field, uint64_t value)
{
	uint64_t right = *field;
	struct hub other;

	*field = value;
	errno = 0;
	assert_int_equal(hub_attach(&other, f->fd, false), -1);
	assert_int_equal(errno, EPROTO);
	assert_null(other.shm);
	*field = right;
	assert_int_equal(hub_attach(&other, f->fd, false), 0);
	hub_detach(&other);
}

static void a_hub_that_contradicts_itself_is_refused(void **state)
{
	struct fixture *f = *state;
	struct hub_shm *shm = f->hub.shm;

	attach_refuses(f, &shm->counts_size, INDEX_SLOTS_MAX * (TOPICS_MAX + 1) * sizeof(uint32_t) - 1);
	attach_refuses(f, &shm->counts_size, shm->counts_size + 1);
	attach_refuses(f, &shm->index_size, shm->index_size + 1);
	attach_refuses(f, &shm->ring_size, shm->size);
	attach_refuses(f, &shm->size, shm->size - 1);
}

static void connections_of_all_slots(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(hub_connections(&f->hub), 0);
	atomic_store(&slot_of(f, 0)->connections, 7);
	atomic_store(&slot_of(f, 63)->connections, UINT32_MAX);
	assert_int_equal(hub_connections(&f->hub), 7ull + UINT32_MAX);
}

static void lag_is_the_slowest_slots(void **state)
{
	struct fixture *f = *state;
	uint64_t asleep;
	struct ring_batch b;

	go_live(f, 1, true);
	go_live(f, 2, false);
	go_live(f, 3, true);
	join(f, 1, "a", 1);
	for (int i = 0; i < 40; i++) {
		ring_begin(&f->hub.ring, &b);
		assert_non_null(ring_add(&f->hub.ring, &b, find(f, "a"), 8, 0, 1));
		ring_commit(&f->hub.ring, &b);
	}
	atomic_store(&slot_of(f, 3)->delivered, 41);
	assert_int_equal(hub_lag(&f->hub, 40 * 1024 / RING_MESSAGES - 1, &asleep), 40 * 1024 / RING_MESSAGES);
	assert_int_equal(asleep, 1 << 1);
	assert_int_equal(hub_lag(&f->hub, 40 * 1024 / RING_MESSAGES, &asleep), 40 * 1024 / RING_MESSAGES);
	assert_int_equal(asleep, 0);
	atomic_store(&slot_of(f, 1)->state, SLOT_UNUSED);
	atomic_store(&slot_of(f, 2)->delivered, 31);
	assert_int_equal(hub_lag(&f->hub, 0, &asleep), 10 * 1024 / RING_MESSAGES);
	assert_int_equal(asleep, 0);
}

/* ---- a worker has died ---- */

static void intend(struct fixture *f, uint64_t first)
{
	struct intent_shm *intent = &slot_of(f, DEAD)->intent;

	intent->first = first;
	atomic_store(&intent->state, INTENT_WRITTEN);
}

static uint32_t settled(struct fixture *f)
{
	hub_repair(&f->hub, DEAD);
	check(f);
	return atomic_load(&slot_of(f, DEAD)->intent.state);
}

/* A record beyond the tail, by the worker that dies. */
static uint64_t write_record(struct fixture *f, struct ring_batch *b)
{
	lock_acquire(&f->hub.shm->lock, DEAD + 1);
	ring_begin(&f->hub.ring, b);
	assert_non_null(ring_add(&f->hub.ring, b, join(f, 1, "a", 1), 100, 0, 1));
	return b->first;
}

static void settles_a_publish(void **state)
{
	struct fixture *f = *state;
	struct ring_batch b;
	uint64_t first;

	assert_int_equal(settled(f), INTENT_NONE);
	/* written and no more */
	first = write_record(f, &b);
	assert_int_equal(settled(f), INTENT_NONE);
	/* intended */
	assert_int_equal(write_record(f, &b), first);
	intend(f, first);
	assert_int_equal(settled(f), INTENT_NONE);
	assert_int_equal(ring_tail(&f->hub.ring), first);
	/* committed */
	assert_int_equal(write_record(f, &b), first);
	intend(f, first);
	ring_commit(&f->hub.ring, &b);
	assert_int_equal(settled(f), INTENT_DONE);
	assert_int_equal(ring_tail(&f->hub.ring), first + 1);
	assert_int_equal(settled(f), INTENT_DONE);	/* by another, when the keeper has died, too */
	/* let go of the lock: whatever the tail is */
	intend(f, first + 1);
	assert_int_equal(settled(f), INTENT_DONE);
}

/* The dead one was making a topic, and had the index's chains half changed. */
static void settles_a_join(void **state)
{
	struct fixture *f = *state;
	struct index *ix = &f->hub.index;
	uint32_t old = join(f, 1, "old", 1), new;

	lock_acquire(&f->hub.shm->lock, DEAD + 1);
	new = join(f, DEAD, "new", 1);
	atomic_store(&ix->shm->dirty, 1);
	memset(ix->heads, 0, ix->shm->buckets * sizeof(*ix->heads));
	ix->shm->used--;
	assert_int_equal(settled(f), INTENT_NONE);
	assert_int_equal(find(f, "old"), old);
	assert_int_equal(find(f, "new"), new);
	assert_int_not_equal(join(f, 1, "newer", 1), TOPIC_NONE);
	check(f);
}

/* Another's lock is not touched, and what it has under way neither. */
static void settles_beside_another(void **state)
{
	struct fixture *f = *state;
	struct ring_batch b;
	uint64_t first;

	join(f, 1, "a", 1);
	lock_acquire(&f->hub.shm->lock, 1 + 1);
	ring_begin(&f->hub.ring, &b);
	assert_non_null(ring_add(&f->hub.ring, &b, find(f, "a"), 100, 0, 1));
	first = b.first;
	hub_repair(&f->hub, DEAD);
	assert_int_equal(lock_owner(&f->hub.shm->lock), 2);
	ring_commit(&f->hub.ring, &b);
	lock_release(&f->hub.shm->lock, 2);
	assert_int_equal(ring_tail(&f->hub.ring), first + 1);
	check(f);
}

static void settling_wakes_all(void **state)
{
	struct fixture *f = *state;

	go_live(f, 0, true);
	go_live(f, 9, false);
	hub_repair(&f->hub, DEAD);
	assert_int_equal(woken(f, 0), 1);
	assert_int_equal(woken(f, 9), 1);
	assert_int_equal(woken(f, 10), 0);
}

/* Has a process with this number die with the lock, behind what it does there. */
static void die_with_the_lock(struct fixture *f, unsigned number, void (*at)(struct fixture *f))
{
	pid_t pid = fork();

	if (pid == 0) {
		f->hub.pid = (uint32_t)getpid();
		lock_acquire(&f->hub.shm->lock, lock_as(number, getpid()));
		at(f);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(lock_number(lock_owner(&f->hub.shm->lock)), number);
}

static void leave_the_index_torn(struct fixture *f)
{
	atomic_store(&f->hub.index.shm->dirty, 1);
	memset(f->hub.index.heads, 0, f->hub.index.shm->buckets * sizeof(*f->hub.index.heads));
}

/* The master in the midst of clearing a slot, when there is no other: who waits for the lock puts right what it has left. */
static void who_waits_repairs(void **state)
{
	struct fixture *f = *state;
	uint32_t a = join(f, 1, "a", 1);

	die_with_the_lock(f, HUB_NUMBER_MASTER, leave_the_index_torn);
	lock_acquire(&f->hub.shm->lock, 2);
	assert_int_equal(find(f, "a"), a);
	lock_release(&f->hub.shm->lock, 2);
	check(f);
}

static void publish_of_a_peer(struct fixture *f, bool commit)
{
	struct intent_shm *intent = &slot_of(f, SLOT_BRIDGE)->intent;
	struct ring_batch b;

	ring_begin(&f->hub.ring, &b);
	ring_add(&f->hub.ring, &b, find(f, "a"), 100, 0, 1);
	intent->fd = 3;
	intent->parsed += 7;
	intent->first = b.first;
	atomic_store(&intent->state, INTENT_WRITTEN);
	if (commit)
		ring_commit(&f->hub.ring, &b);
}

static void write_of_a_peer(struct fixture *f)
{
	publish_of_a_peer(f, false);
}

static void commit_of_a_peer(struct fixture *f)
{
	publish_of_a_peer(f, true);
}

/* A bridge's publish, and how far its peer is, are one, whoever settles it: a waiter while there is no master, or the master. */
static void a_bridges_publish_is_settled_once(void **state)
{
	struct fixture *f = *state;
	const struct intent_shm *intent = &slot_of(f, SLOT_BRIDGE)->intent;
	const _Atomic uint64_t *seq = &f->hub.shm->nodes.peer[3].seq;
	uint64_t tail = ring_tail(&f->hub.ring);

	join(f, 1, "a", 1);
	for (int waiter = 0; waiter < 2; waiter++) {
		uint64_t before = *seq;

		die_with_the_lock(f, SLOT_BRIDGE + 1, write_of_a_peer);
		if (waiter) {
			lock_acquire(&f->hub.shm->lock, 2);
			lock_release(&f->hub.shm->lock, 2);
		}
		hub_repair(&f->hub, SLOT_BRIDGE);
		assert_int_equal(ring_tail(&f->hub.ring), tail);
		assert_int_equal(*seq, before);
		assert_int_equal(intent->state, INTENT_NONE);
		die_with_the_lock(f, SLOT_BRIDGE + 1, commit_of_a_peer);
		if (waiter) {
			lock_acquire(&f->hub.shm->lock, 2);
			lock_release(&f->hub.shm->lock, 2);
		}
		hub_repair(&f->hub, SLOT_BRIDGE);
		assert_int_equal(ring_tail(&f->hub.ring), ++tail);
		assert_int_equal(*seq, intent->parsed);
		assert_int_equal(intent->state, INTENT_NONE);
		check(f);
	}
}

static void a_slot_is_cleared(void **state)
{
	struct fixture *f = *state;
	uint32_t a = join(f, DEAD, "a", 3);
	struct hub_slot_shm *dead = slot_of(f, DEAD), *other = slot_of(f, 6);

	join(f, DEAD, "only here", 1);
	join(f, 6, "a", 4);
	hub_count(&f->hub, DEAD, COUNTER_accepted, 9);
	atomic_store(&dead->intent.state, INTENT_DONE);
	for (unsigned i = DEAD; i <= 6; i++) {
		struct hub_slot_shm *s = slot_of(f, i);

		atomic_store(&s->connections, 10 + i);
		atomic_store(&s->behind, 1);
		atomic_store(&s->subscriptions, 4);
		atomic_store(&s->sleeping, 1);
		for (unsigned t = 0; t < TRANSPORT_GROUPS; t++)
			atomic_store(&s->by_transport[t], t + i);
	}
	hub_clear_slot(&f->hub, DEAD, 100);
	assert_int_equal(dead->intent.state, INTENT_NONE);
	assert_int_equal(dead->connections + dead->behind + dead->subscriptions + dead->sleeping, 0);
	assert_int_equal(dead->delivered, ring_tail(&f->hub.ring));
	assert_int_equal(dead->counters[COUNTER_accepted], 9);
	assert_int_equal(other->connections, 16);
	for (unsigned t = 0; t < TRANSPORT_GROUPS; t++) {
		assert_int_equal(dead->by_transport[t], 0);
		assert_int_equal(other->by_transport[t], t + 6);
	}
	assert_int_equal(find(f, "only here"), TOPIC_NONE);
	assert_int_equal(index_topic(&f->hub.index, a)->interest, 1 << 6);
	assert_int_equal(hub_subscribers(&f->hub, a), 4);
	check(f);
}

/* A program of the same layout that follows goes on with them. */
static void counters_keep_their_numbers(void **state)
{
	static const char *const given[] = {
		"accepted", "adopted", "closed", "refused", "closed_blamed", "closed_slot", "closed_slow", "closed_uncertain",
		"closed_late", "closed_flood", "closed_idle", "bad_input", "no_buffer", "subscribed", "unsubscribed", "published",
		"published_unheard", "publish_deferred", "delivered", "dropped_overtaken", "behind", "heartbeats", "bytes_in",
		"bytes_out", "sends", "send_batches", "wakeups", "loops",
	};
	bool seen[COUNTERS_MAX] = { false };

	(void)state;
	for (unsigned i = 0; i < COUNTERS; i++) {
		unsigned number = counters[i].number;

		assert_in_range(number, 0, COUNTERS_MAX - 1);
		assert_false(seen[number]);
		seen[number] = true;
		if (number < sizeof(given) / sizeof(given[0]))
			assert_string_equal(counters[i].name, given[number]);
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(subscribers_are_those_of_slots_that_joined),
		TEST(counts_do_not_overlap),
		TEST(a_hub_that_contradicts_itself_is_refused),
		TEST(connections_of_all_slots),
		TEST(lag_is_the_slowest_slots),
		TEST(settles_a_publish),
		TEST(settles_a_join),
		TEST(settles_beside_another),
		TEST(settling_wakes_all),
		TEST(who_waits_repairs),
		TEST(a_bridges_publish_is_settled_once),
		TEST(a_slot_is_cleared),
		cmocka_unit_test(counters_keep_their_numbers),
	};

	alarm(60);
	return cmocka_run_group_tests_name("hub", tests, NULL, NULL);
}
