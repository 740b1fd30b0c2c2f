/*
 * The fan-out: each subscriber gets each record once, in order, whoever else is slow, comes or goes; and `delivered` says so no earlier.
 */
#define RING_BYTES (1 << 20)
#include "tests/unit/worker_fixture.h"

#include "worker/delivery/landed.h"

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

static int subscriber(struct worker_fixture *w, uint32_t transport, const char *topic)
{
	int fd = opened(w, transport);

	subscribe(w, fd, topic);
	return fd;
}

static void all_subscribers_get_it(void **state)
{
	struct worker_fixture *w = *state;
	int flash = subscriber(w, TRANSPORT_FLASH, "news"), sse = subscriber(w, TRANSPORT_SSE, "news");
	int second = subscriber(w, TRANSPORT_FLASH, "news"), other = subscriber(w, TRANSPORT_FLASH, "other");
	uint64_t a = put(w, "news", 10), b = put(w, "other", 10), c = put(w, "news", 10);

	deliver(w);
	assert_frames(w, flash, a, c);
	assert_frames(w, second, a, c);
	assert_frames(w, sse, a, c);
	assert_frames(w, other, b);
	assert_int_equal(counted(w, COUNTER_sends), 4);
	assert_int_equal(counted(w, COUNTER_delivered), 7);
	a = put(w, "news", 5);
	deliver(w);
	assert_frames(w, sse, a);
	assert_nothing(w, other);
}

/* What came before it subscribed, it does not get, though others do at the same time. */
static void who_comes_later_gets_what_comes_later(void **state)
{
	struct worker_fixture *w = *state;
	int first = subscriber(w, TRANSPORT_FLASH, "news"), second;
	uint64_t a = put(w, "news", 10), b;

	second = subscriber(w, TRANSPORT_FLASH, "news");
	b = put(w, "news", 10);
	deliver(w);
	assert_frames(w, first, a, b);
	assert_frames(w, second, b);
}

/* A pass over many takes several turns: those that come and go meanwhile, and what is published, disturb nobody. */
static void slices_reach_everybody_once(void **state)
{
	struct worker_fixture *w = *state;
	int fd[9], late;
	uint64_t a, b;

	w->settings.fanout_slice = 2;
	for (int i = 0; i < 9; i++)
		fd[i] = subscriber(w, TRANSPORT_FLASH, "news");
	a = put(w, "news", 10);
	fanout_poll(&w->fanout);
	assert_int_equal(delivered(w), a);
	assert_true(fanout_run(&w->fanout));
	assert_int_equal(delivered(w), a);
	b = put(w, "news", 20);
	fanout_poll(&w->fanout);
	late = subscriber(w, TRANSPORT_FLASH, "news");
	unsubscribe(w, fd[0], session(&w->base, fd[0])->subscriptions);
	session(&w->base, fd[0])->subscriptions = 0;
	assert_true(fanout_run(&w->fanout));
	assert_int_equal(delivered(w), a);
	deliver(w);
	assert_frames(w, fd[0], a);
	for (int i = 1; i < 9; i++)
		assert_frames(w, fd[i], a, b);
	assert_nothing(w, late);
}

/* A topic with few subscribers does not wait for one with many. */
static void topics_take_turns(void **state)
{
	struct worker_fixture *w = *state;
	int one;

	w->settings.fanout_slice = 2;
	for (int i = 0; i < 9; i++)
		subscriber(w, TRANSPORT_FLASH, "many");
	one = subscriber(w, TRANSPORT_FLASH, "few");
	put(w, "many", 10);
	put(w, "few", 10);
	fanout_poll(&w->fanout);
	assert_true(fanout_run(&w->fanout));
	assert_true(receive_all(w, one) > 0);
	assert_int_equal(counted(w, COUNTER_delivered), 3);
	deliver(w);
}

/* Who takes nothing is behind, from where it was; the others get theirs. From then on it is served along its own stream. */
static void one_that_is_full_is_left_behind(void **state)
{
	struct worker_fixture *w = *state;
	int full = subscriber(w, TRANSPORT_FLASH, "news"), other = subscriber(w, TRANSPORT_FLASH, "news");
	uint64_t a, b, c;

	cram(full);
	a = put(w, "news", 10);
	deliver(w);
	assert_int_equal(state_of(w, full)->flags, SESSION_BEHIND);
	assert_int_equal(state_of(w, full)->pos, a);
	drain(w, full);
	b = put(w, "news", 10);
	deliver(w);
	assert_int_equal(receive_all(w, full), 0);	/* not b without a */
	assert_frames(w, other, a, b);
	output_run(&w->output, full);
	assert_frames(w, full, a, b);
	c = put(w, "news", 10);
	deliver(w);
	assert_frames(w, full, c);
}

/* Those behind are not passed one by one: no slice is for them, and a topic that has no others does not wait for its turn. */
static void those_behind_cost_nothing(void **state)
{
	struct worker_fixture *w = *state;
	int behind[9], other;
	uint64_t a, b, c;

	w->settings.fanout_slice = 2;
	for (int i = 0; i < 9; i++)
		behind[i] = subscriber(w, TRANSPORT_FLASH, "news");
	for (int i = 0; i < 9; i++)
		landed_defer(&w->streams, behind[i]);
	a = put(w, "news", 10);
	fanout_poll(&w->fanout);
	assert_int_equal(w->topics.queued, 0);
	assert_int_equal(delivered(w), a + 1);
	other = subscriber(w, TRANSPORT_FLASH, "news");
	b = put(w, "news", 10);
	fanout_poll(&w->fanout);
	assert_false(fanout_run(&w->fanout));		/* (one slice) */
	assert_frames(w, other, b);
	assert_int_equal(w->fanout.passes, 0);		/* nothing is kept for a second one */
	output_run(&w->output, behind[3]);
	assert_frames(w, behind[3], a, b);
	c = put(w, "news", 10);
	deliver(w);
	assert_frames(w, behind[3], c);
	assert_frames(w, other, c);
	assert_nothing(w, behind[4]);
	output_run(&w->output, behind[4]);
	assert_frames(w, behind[4], a, b, c);
}

/* Of each slice some fall behind, and some before it is their turn: all others get it once, in the same pass. */
static void some_fall_behind_in_each_slice(void **state)
{
	struct worker_fixture *w = *state;
	int fd[20];
	uint64_t a, b, c;

	w->settings.fanout_slice = 4;
	for (int i = 0; i < 20; i++) {
		fd[i] = subscriber(w, TRANSPORT_FLASH, "news");
		if (i % 3 == 0)
			cram(fd[i]);
	}
	a = put(w, "news", 10);
	fanout_poll(&w->fanout);
	for (int slice = 0; fanout_run(&w->fanout); slice++) {
		assert_in_range(slice, 0, 4);
		if (slice == 1)
			landed_defer(&w->streams, fd[19]);
		if (slice == 2) {
			drain(w, fd[0]);
			output_run(&w->output, fd[0]);
		}
		assert_int_equal(delivered(w), a);
	}
	assert_int_equal(delivered(w), a + 1);
	assert_int_equal(w->base.self->behind, 7);	/* of 0, 3...18 and 19, all but the first */
	assert_frames(w, fd[0], a);
	b = put(w, "news", 10);
	deliver(w);
	assert_frames(w, fd[0], b);
	for (int i = 1; i < 19; i++)
		if (i % 3)
			assert_frames(w, fd[i], a, b);
	drain(w, fd[18]);
	output_run(&w->output, fd[18]);
	assert_frames(w, fd[18], a, b);
	output_run(&w->output, fd[19]);
	assert_frames(w, fd[19], a, b);
	c = put(w, "news", 10);
	deliver(w);
	assert_frames(w, fd[18], c);
	assert_frames(w, fd[19], c);
}

/* All that are left of a pass fall behind before their turn comes. */
static void the_rest_of_a_pass_falls_behind(void **state)
{
	struct worker_fixture *w = *state;
	int fd[5];
	uint64_t a, b;

	w->settings.fanout_slice = 2;
	for (int i = 0; i < 5; i++)
		fd[i] = subscriber(w, TRANSPORT_FLASH, "news");
	a = put(w, "news", 10);
	fanout_poll(&w->fanout);
	assert_true(fanout_run(&w->fanout));
	b = put(w, "news", 10);
	fanout_poll(&w->fanout);
	for (int i = 0; i < 5; i++)
		landed_defer(&w->streams, fd[i]);
	assert_true(fanout_run(&w->fanout));
	assert_false(fanout_run(&w->fanout));
	assert_int_equal(delivered(w), b + 1);
	for (int i = 0; i < 5; i++) {
		output_run(&w->output, fd[i]);
		assert_frames(w, fd[i], a, b);
	}
}

static void who_is_closing_gets_nothing(void **state)
{
	struct worker_fixture *w = *state;
	int fd = subscriber(w, TRANSPORT_FLASH, "news");

	state_of(w, fd)->flags = SESSION_CLOSE;
	put(w, "news", 10);
	deliver(w);
	assert_nothing(w, fd);
}

/* More than goes into a pass, and one record that is larger than a pass. */
static void much_comes_in_several_passes(void **state)
{
	struct worker_fixture *w = *state;
	int a = subscriber(w, TRANSPORT_FLASH, "news"), b = subscriber(w, TRANSPORT_SSE, "news");
	size_t all = 0, other = 0;

	for (int i = 0; i < 20; i++)
		expect(w, a, put(w, "news", i == 10 ? 140000 : 20000));
	fanout_poll(&w->fanout);
	while (fanout_run(&w->fanout)) {
		all += receive_all(w, a);
		while (recv(w->peer[b], w->got.at + w->got.len, sizeof(w->got.at) - w->got.len, MSG_DONTWAIT) > 0)
			other++;
	}
	assert_int_equal(state_of(w, a)->flags, 0);
	assert_got_expected(w, a);
	assert_int_equal(counted(w, COUNTER_delivered), 40);
	assert_true(all > 0 && other > 0);
}

/* Records that workers die of are passed over: those who would get them have had them. */
static void what_is_skipped_is_counted_for_each(void **state)
{
	struct worker_fixture *w = *state;
	int flash = subscriber(w, TRANSPORT_FLASH, "news"), second = subscriber(w, TRANSPORT_FLASH, "news"), sse = subscriber(w, TRANSPORT_SSE, "news");
	uint64_t a = put(w, "news", 10), b = put(w, "news", 10);

	w->base.slot.shm->skip[0] = ENCODING(a, TRANSPORT_FLASH);
	w->base.slot.shm->skips = 1;
	deliver(w);
	assert_frames(w, flash, b);
	assert_frames(w, second, b);
	assert_frames(w, sse, a, b);
	assert_int_equal(counted(w, COUNTER_dropped_unencodable), 2);
	a = put(w, "news", 10);
	w->base.slot.shm->skip[0] = ENCODING(a, TRANSPORT_FLASH);
	deliver(w);
	assert_nothing(w, flash);
	assert_frames(w, sse, a);
	assert_int_equal(state_of(w, flash)->pos, a + 1);
	assert_int_equal(counted(w, COUNTER_dropped_unencodable), 4);
}

/* It slept while the ring went round: what came for it at last is there. */
static void a_sleeper_finds_what_woke_it(void **state)
{
	struct worker_fixture *w = *state;
	int fd = subscriber(w, TRANSPORT_FLASH, "news"), sse = subscriber(w, TRANSPORT_SSE, "news"), other = subscriber(w, TRANSPORT_FLASH, "other");
	uint64_t a;

	put_others(w, 3 * RING_MESSAGES);
	a = put(w, "news", 10);
	deliver(w);
	assert_frames(w, fd, a);
	assert_frames(w, sse, a);
	assert_nothing(w, other);
}

/* Overwritten before it was made into frames, which flow control prevents: what is left of it comes along each one's own stream. */
static void what_is_left_of_the_ring_comes_all_the_same(void **state)
{
	struct worker_fixture *w = *state;
	int fd = subscriber(w, TRANSPORT_FLASH, "news");
	uint64_t a;

	put(w, "news", 10);
	fanout_poll(&w->fanout);
	put_others(w, RING_MESSAGES);
	deliver(w);
	assert_int_equal(state_of(w, fd)->flags, SESSION_BEHIND);
	a = put(w, "news", 10);
	deliver(w);
	assert_nothing(w, fd);
	output_run(&w->output, fd);
	assert_frames(w, fd, a);
	assert_int_equal(state_of(w, fd)->flags, 0);
}

/* Where many topics wait, `delivered` need not be exact; when the ring has moved on, it is. */
static void delivered_is_exact_when_it_matters(void **state)
{
	struct worker_fixture *w = *state;
	uint64_t first;

	subscriber(w, TRANSPORT_FLASH, "news");
	first = put(w, "news", 10);
	fanout_poll(&w->fanout);
	w->topics.queued += 100;		/* as if */
	w->base.self->delivered = ring_tail(&w->base.hub.ring);		/* (without lag, but wrong) */
	fanout_publish_delivered(&w->fanout);
	assert_int_equal(w->base.self->delivered, ring_tail(&w->base.hub.ring));
	put_others(w, RING_MESSAGES / 16);
	assert_int_equal(delivered(w), first);
	w->topics.queued -= 100;
	deliver(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_ON(delivery, all_subscribers_get_it),
		TEST_ON(delivery, who_comes_later_gets_what_comes_later),
		TEST_ON(delivery, slices_reach_everybody_once),
		TEST_ON(delivery, topics_take_turns),
		TEST_ON(delivery, one_that_is_full_is_left_behind),
		TEST_ON(delivery, those_behind_cost_nothing),
		TEST_ON(delivery, some_fall_behind_in_each_slice),
		TEST_ON(delivery, the_rest_of_a_pass_falls_behind),
		TEST_ON(delivery, who_is_closing_gets_nothing),
		TEST_ON(delivery, much_comes_in_several_passes),
		TEST_ON(delivery, what_is_skipped_is_counted_for_each),
		TEST_ON(delivery, a_sleeper_finds_what_woke_it),
		TEST_ON(delivery, what_is_left_of_the_ring_comes_all_the_same),
		TEST_ON(delivery, delivered_is_exact_when_it_matters),
	};

	alarm(60);
	return cmocka_run_group_tests_name("fanout", tests, NULL, NULL);
}
