/*
 * Sessions with several topics, and those whose frames are their own: record by record, in the ring's order, also if a session changes between
 * its being noted and its being served.
 */
#define RING_BYTES (1 << 20)
#include "tests/unit/worker_fixture.h"

#define CROWD 300			/* more than are sent to in a turn */

static uint64_t delivered(struct worker_fixture *w)
{
	fanout_publish_delivered(&w->fanout);
	return w->base.self->delivered;
}

static void deliver(struct worker_fixture *w)
{
	while (fanout_poll(&w->fanout) || fanout_run(&w->fanout))
		;
	assert_int_equal(delivered(w), ring_tail(&w->base.hub.ring));
}

static int subscriber(struct worker_fixture *w, const char *a, const char *b)
{
	int fd = opened(w, TRANSPORT_FLASH);

	subscribe(w, fd, a);
	subscribe(w, fd, b);
	return fd;
}

static void topics_come_in_order(void **state)
{
	struct worker_fixture *w = *state;
	int ab = subscriber(w, "a", "b"), bc = subscriber(w, "b", "c"), a = opened(w, TRANSPORT_FLASH);
	uint64_t seq[6];

	subscribe(w, a, "a");
	for (int i = 0; i < 6; i++)
		seq[i] = put(w, (const char *[]){ "a", "b", "c" }[i % 3], 10);
	deliver(w);
	assert_frames(w, ab, seq[0], seq[1], seq[3], seq[4]);
	assert_frames(w, bc, seq[1], seq[2], seq[4], seq[5]);
	assert_frames(w, a, seq[0], seq[3]);
	assert_int_equal(counted(w, COUNTER_sends), 3);
	assert_int_equal(counted(w, COUNTER_delivered), 10);
	assert_int_equal(state_of(w, ab)->pos, ring_tail(&w->base.hub.ring));
}

static void a_new_topic_begins_where_it_was_subscribed(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH), both = subscriber(w, "a", "b");
	uint64_t a, b;

	subscribe(w, fd, "a");
	subscribe(w, fd, "c");
	a = put(w, "b", 10);
	subscribe(w, fd, "b");
	b = put(w, "b", 10);
	deliver(w);
	assert_frames(w, fd, b);
	assert_frames(w, both, a, b);
}

/* Its frames are its own: it counts from where it began. */
static void a_page_is_served_by_itself(void **state)
{
	struct worker_fixture *w = *state;
	int early = opened(w, TRANSPORT_PAGE), late = opened(w, TRANSPORT_PAGE);
	uint64_t a, b;

	subscribe(w, early, "a");
	a = put(w, "a", 5);
	deliver(w);
	assert_frames(w, early, a);
	subscribe(w, late, "a");
	session(&w->base, late)->page_base = 1;
	a = put(w, "a", 5);
	b = put(w, "a", 5);
	deliver(w);
	assert_frames(w, early, a, b);
	assert_frames(w, late, a, b);
	receive_all(w, late);
	expect(w, early, a);
	session(&w->base, early)->page_base = 1;
	expect(w, early, a);
	assert_memory_not_equal(w->expected.at, w->expected.at + w->expected.len / 2, w->expected.len / 2);
}

static void nobody_apart_costs_nothing(void **state)
{
	struct worker_fixture *w = *state;

	put_others(w, 3);
	fanout_poll(&w->fanout);
	assert_false(multi_topic_run(w->multi_topic));
	assert_int_equal(multi_topic_served(w->multi_topic), w->topics.scanned);
	assert_int_equal(counted(w, COUNTER_sends), 0);
}

/* ---- between noting and serving ---- */

/* Others, several of whom hear by one connection. They are served before those that subscribe later: of them only some in the first turn. */
static void crowd(struct worker_fixture *w)
{
	int fd = -1;

	for (int i = 0; i < CROWD; i++) {
		fd = i % 20 ? open_session(w, dup(fd), dup(w->peer[fd]), TRANSPORT_FLASH) : opened(w, TRANSPORT_FLASH);
		subscribe(w, fd, "a");
		subscribe(w, fd, "b");
	}
}

/* A window is begun, and of those whom it concerns not all are served. */
static void begin_window(struct worker_fixture *w)
{
	fanout_poll(&w->fanout);
	assert_true(fanout_run(&w->fanout));
}

static void until_all_are_served_nothing_is_delivered(void **state)
{
	struct worker_fixture *w = *state;
	uint64_t a, b, c;
	int fd;

	crowd(w);
	fd = subscriber(w, "a", "b");
	put(w, "others", 1);
	a = put(w, "a", 10);
	b = put(w, "b", 10);
	begin_window(w);
	assert_in_range(multi_topic_served(w->multi_topic), 1, a);
	assert_in_range(delivered(w), 1, a);
	assert_int_equal(receive_all(w, fd), 0);
	c = put(w, "a", 10);
	deliver(w);
	assert_frames(w, fd, a, b, c);
	assert_int_equal(counted(w, COUNTER_delivered), 3 * (CROWD + 1));
}

static void one_that_gives_a_topic_up_gets_the_other(void **state)
{
	struct worker_fixture *w = *state;
	uint64_t b, d;
	int fd;

	crowd(w);
	fd = subscriber(w, "a", "b");
	put(w, "a", 10);
	b = put(w, "b", 10);
	put(w, "a", 10);
	d = put(w, "b", 10);
	begin_window(w);
	unsubscribe(w, fd, subscription_list_find(&w->topics, fd, find(w->hub, "a")));
	deliver(w);
	assert_frames(w, fd, b, d);
}

/* And subscribes it again at once: what came before is not for it. */
static void one_that_comes_back_begins_anew(void **state)
{
	struct worker_fixture *w = *state;
	uint64_t b, c;
	int fd;

	crowd(w);
	fd = subscriber(w, "a", "b");
	put(w, "a", 10);
	b = put(w, "b", 10);
	begin_window(w);
	unsubscribe(w, fd, subscription_list_find(&w->topics, fd, find(w->hub, "a")));
	subscribe(w, fd, "a");
	c = put(w, "a", 10);
	deliver(w);
	assert_frames(w, fd, b, c);
}

/* It ends, and its descriptor is another's, who gets nothing of it. */
static void one_that_ends_leaves_nothing_to_the_next(void **state)
{
	struct worker_fixture *w = *state;
	uint64_t c;
	int fd;

	crowd(w);
	fd = subscriber(w, "a", "b");
	put(w, "a", 10);
	put(w, "b", 10);
	begin_window(w);
	end_session(w, fd);
	assert_int_equal(opened(w, TRANSPORT_FLASH), fd);
	subscribe(w, fd, "b");
	subscribe(w, fd, "c");
	state_of(w, fd)->pos = 0;		/* (as nothing but its subscriptions says what it gets) */
	c = put(w, "b", 10);
	deliver(w);
	assert_frames(w, fd, c);
}

static void one_that_falls_behind_gets_it_along_its_stream(void **state)
{
	struct worker_fixture *w = *state;
	uint64_t a, b;
	int fd;

	crowd(w);
	fd = subscriber(w, "a", "b");
	a = put(w, "a", 10);
	b = put(w, "b", 10);
	begin_window(w);
	landed_defer(&w->streams, fd);
	deliver(w);
	assert_nothing(w, fd);
	output_run(&w->output, fd);
	assert_frames(w, fd, a, b);
}

/* ---- much, and what can't be had ---- */

/* More than goes into one send: in order all the same, and if the socket is full in between, from there on along its stream. */
static void much_comes_in_several_sends(void **state)
{
	struct worker_fixture *w = *state;

	for (int narrow = 0; narrow < 2; narrow++) {
		int fd = subscriber(w, "a", "b"), least = 1;
		uint64_t sends = counted(w, COUNTER_sends);

		if (narrow)
			setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
		for (int i = 0; i < 8; i++)
			expect(w, fd, put(w, i % 2 ? "a" : "b", i == 3 ? 70000 : 12000));
		deliver(w);
		if (!narrow)
			assert_in_range(counted(w, COUNTER_sends) - sends, 3, 8);
		assert_int_equal(state_of(w, fd)->flags & SESSION_BEHIND, narrow);
		receive_all(w, fd);
		while (state_of(w, fd)->flags & SESSION_BEHIND) {
			output_run(&w->output, fd);
			receive_all(w, fd);
		}
		assert_got_expected(w, fd);
		leave_all(&w->topics, w->multi_topic, fd, TRANSPORT_FLASH);
	}
	assert_int_equal(counted(w, COUNTER_delivered), 16);
}

static void what_is_skipped_is_passed_over(void **state)
{
	struct worker_fixture *w = *state;
	int fd = subscriber(w, "a", "b");
	uint64_t a = put(w, "a", 10), b = put(w, "b", 10);

	w->base.slot.shm->skip[0] = ENCODING(a, TRANSPORT_FLASH);
	w->base.slot.shm->skips = 1;
	deliver(w);
	assert_frames(w, fd, b);
	assert_int_equal(counted(w, COUNTER_dropped_unencodable), 1);
	a = put(w, "a", 10);
	w->base.slot.shm->skip[0] = ENCODING(a, TRANSPORT_FLASH);
	deliver(w);
	assert_nothing(w, fd);
	assert_int_equal(state_of(w, fd)->pos, a + 1);
	assert_int_equal(counted(w, COUNTER_dropped_unencodable), 2);
}

/* The ring went round, as flow control prevents: what is there comes along each one's own stream. */
static void what_is_left_of_the_ring_comes_all_the_same(void **state)
{
	struct worker_fixture *w = *state;
	int fd = subscriber(w, "a", "b"), other = subscriber(w, "c", "d");
	uint64_t a;

	put_others(w, RING_MESSAGES / 2);
	a = put(w, "a", 10);
	fanout_poll(&w->fanout);
	put_others(w, RING_MESSAGES / 2);
	assert_int_equal(ring_oldest(&w->base.hub.ring) > 1, 1);
	deliver(w);
	assert_int_equal(state_of(w, fd)->flags, SESSION_BEHIND);
	assert_int_equal(state_of(w, other)->flags, 0);
	output_run(&w->output, fd);
	assert_frames(w, fd, a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_ON(delivery, topics_come_in_order),
		TEST_ON(delivery, a_new_topic_begins_where_it_was_subscribed),
		TEST_ON(delivery, a_page_is_served_by_itself),
		TEST_ON(delivery, nobody_apart_costs_nothing),
		TEST_ON(delivery, until_all_are_served_nothing_is_delivered),
		TEST_ON(delivery, one_that_gives_a_topic_up_gets_the_other),
		TEST_ON(delivery, one_that_comes_back_begins_anew),
		TEST_ON(delivery, one_that_ends_leaves_nothing_to_the_next),
		TEST_ON(delivery, one_that_falls_behind_gets_it_along_its_stream),
		TEST_ON(delivery, much_comes_in_several_sends),
		TEST_ON(delivery, what_is_skipped_is_passed_over),
		TEST_ON(delivery, what_is_left_of_the_ring_comes_all_the_same),
	};

	alarm(60);
	return cmocka_run_group_tests_name("multi_topic", tests, NULL, NULL);
}
