/*
 * A worker's topics and who subscribes them: what the hub is told, that those behind stand last, and that a pass serves each once, whoever goes, falls
 * behind or comes back in the middle of it.
 */
#include "tests/unit/worker_fixture.h"

static uint32_t told(const struct worker_fixture *w, const char *name)
{
	return *hub_count_of(&w->base.hub, SLOT, find(w->hub, name));
}

static struct local_topic *topic_of(const struct worker_fixture *w, const char *name)
{
	return topics_find(&w->topics, find(w->hub, name));
}

static void set_flags(struct worker_fixture *w, int fd, uint32_t flags)
{
	struct session_state_shm st = *state_of(w, fd);

	st.flags = flags;
	session_commit(&w->base, fd, &st);
}

/* Every subscription's place is where its session stands; and those behind, and no others, stand where no pass comes. */
static void check_places(const struct worker_fixture *w, const char *name)
{
	for (const struct local_topic *t = topic_of(w, name); t; t = t->sibling) {
		bool all_live = t->is_apart || t->transport == TRANSPORT_HTTP;

		assert_true(t->live <= t->count && t->at <= t->live);
		for (uint32_t i = 0; i < t->count; i++) {
			int fd = t->is_apart ? t->apart[i].sid : t->subscribers[i];
			uint32_t sub = t->is_apart ? t->apart[i].subscription : session(&w->base, fd)->subscriptions;

			assert_int_equal(w->base.slot.subscriptions[sub].place & 0x7fffffffu, i);
			assert_int_equal(topics_is_apart(&w->topics, sub), t->is_apart);
			assert_int_equal(w->base.slot.subscriptions[sub].topic, t->topic);
			assert_int_equal(i < t->live, all_live || !session_is_behind(&w->base, fd));
		}
	}
}

static void the_hub_is_told_how_many(void **state)
{
	struct worker_fixture *w = *state;
	int fd[4] = { opened(w, TRANSPORT_FLASH), opened(w, TRANSPORT_FLASH), opened(w, TRANSPORT_SSE), opened(w, TRANSPORT_PAGE) };
	uint32_t sub[4];

	for (unsigned i = 0; i < 4; i++) {
		sub[i] = subscribe(w, fd[i], "news");
		assert_int_equal(told(w, "news"), i + 1);
	}
	check_places(w, "news");
	assert_int_equal(w->topics.apart_subscriptions, 1);
	unsubscribe(w, fd[0], sub[0]);
	assert_int_equal(told(w, "news"), 3);
	check_places(w, "news");
	for (int i = 1; i < 4; i++)
		unsubscribe(w, fd[i], sub[i]);
	assert_int_equal(find(w->hub, "news"), TOPIC_NONE);
	assert_int_equal(w->topics.apart_subscriptions, 0);
	check(w->hub);
}

/* Until a new worker has counted all of its subscribers, what the last one told stands. */
static void one_that_starts_tells_nothing_yet(void **state)
{
	struct worker_fixture *w = *state;
	uint32_t topic = join(w->hub, SLOT, "news", 7);

	w->base.self->state = SLOT_STARTING;
	subscribe(w, opened(w, TRANSPORT_FLASH), "news");
	assert_int_equal(told(w, "news"), 7);
	w->base.self->state = SLOT_LIVE;
	topics_tell(&w->topics, topic);
	assert_int_equal(told(w, "news"), 1);
}

/* Each transport has its own list, and so have those apart; the topic is left with the last of all. */
static void siblings_are_told_apart(void **state)
{
	struct worker_fixture *w = *state;
	int flash = opened(w, TRANSPORT_FLASH), sse = opened(w, TRANSPORT_SSE);
	uint32_t first = subscribe(w, flash, "news"), second = subscribe(w, sse, "news");
	struct local_topic *t = topic_of(w, "news");

	assert_non_null(t->sibling);
	assert_null(t->sibling->sibling);
	assert_int_equal(t->transport + t->sibling->transport, TRANSPORT_FLASH + TRANSPORT_SSE);
	unsubscribe(w, flash, first);
	t = topic_of(w, "news");
	assert_int_equal(t->transport, TRANSPORT_SSE);
	assert_null(t->sibling);
	unsubscribe(w, sse, second);
	assert_null(topics_find(&w->topics, w->base.slot.subscriptions[second].topic));
}

static void a_second_topic_moves_the_first_apart(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH), other = opened(w, TRANSPORT_FLASH);
	uint32_t first, second;

	first = subscribe(w, fd, "a");
	subscribe(w, other, "a");
	assert_false(topics_is_apart(&w->topics, first));
	second = subscribe(w, fd, "b");
	assert_true(topics_is_apart(&w->topics, first) && topics_is_apart(&w->topics, second));
	assert_int_equal(told(w, "a"), 2);
	assert_int_equal(w->topics.apart_subscriptions, 2);
	check_places(w, "a");
	check_places(w, "b");
	assert_int_equal(topics_move_apart(&w->topics, TRANSPORT_FLASH, fd), 0);	/* it is */
	assert_int_equal(w->topics.apart_subscriptions, 2);
}

/*
 * A pass over 9 subscribers, of which some are served: whoever goes then, those left are served once in all, and nobody twice.
 */
static void one_is_removed_in_the_middle_of_a_pass(void **state)
{
	struct worker_fixture *w = *state;

	for (uint32_t served = 0; served <= 9; served++)
		for (int goes = 0; goes < 9; goes++) {
			int fd[9];
			unsigned times[SESSIONS] = { 0 };
			uint32_t sub[9];
			struct local_topic *t;

			for (int i = 0; i < 9; i++)
				sub[i] = subscribe(w, fd[i] = opened(w, TRANSPORT_FLASH), "news");
			t = topic_of(w, "news");
			for (t->at = 0; t->at < served; t->at++)
				times[t->subscribers[t->at]]++;
			unsubscribe(w, fd[goes], sub[goes]);
			check_places(w, "news");
			assert_int_equal(t->count, 8);
			for (; t->at < t->count; t->at++)
				times[t->subscribers[t->at]]++;
			for (int i = 0; i < 9; i++) {
				if (i != goes)
					assert_int_equal(times[fd[i]], 1);
				else
					assert_in_range(times[fd[i]], 0, 1);
				end_session(w, fd[i]);
			}
		}
	assert_int_equal(find(w->hub, "news"), TOPIC_NONE);
}

/* The same with one that falls behind, of which some were before: they all stay where no pass comes, until they come back to be looked at. */
static void one_falls_behind_in_the_middle_of_a_pass(void **state)
{
	struct worker_fixture *w = *state;

	for (uint32_t served = 0; served <= 7; served++)
		for (int falls = 2; falls < 9; falls++) {
			int fd[9];
			unsigned times[SESSIONS] = { 0 };
			struct local_topic *t;

			for (int i = 0; i < 9; i++)
				subscribe(w, fd[i] = opened(w, TRANSPORT_FLASH), "news");
			set_flags(w, fd[0], SESSION_BEHIND);
			set_flags(w, fd[1], SESSION_BEHIND);
			t = topic_of(w, "news");
			assert_int_equal(t->live, 7);
			for (t->at = 0; t->at < served; t->at++)
				times[t->subscribers[t->at]]++;
			set_flags(w, fd[falls], SESSION_BEHIND);
			check_places(w, "news");
			assert_int_equal(t->live, 6);
			set_flags(w, fd[0], 0);
			check_places(w, "news");
			assert_int_equal(t->live, 7);
			assert_int_equal(told(w, "news"), 9);
			for (; t->at < t->live; t->at++)
				times[t->subscribers[t->at]]++;
			for (int i = 0; i < 9; i++) {
				if (i == falls)
					assert_in_range(times[fd[i]], 0, 1);
				else
					assert_int_equal(times[fd[i]], i != 1);
				end_session(w, fd[i]);
			}
		}
}

/* Whatever they do, and in whatever order, in the middle of passes. */
static void any_number_fall_behind_come_back_and_go(void **state)
{
	struct worker_fixture *w = *state;
	int fd[12];
	uint32_t sub[12];
	unsigned times[12] = { 0 }, seed = 7;

	for (int i = 0; i < 12; i++)
		sub[i] = subscribe(w, fd[i] = opened(w, TRANSPORT_FLASH), "news");
	for (int step = 0; step < 20000; step++) {
		int i = rand_r(&seed) % 12, what = rand_r(&seed) % 8;
		struct local_topic *t = topic_of(w, "news");

		if (what < 3 && t) {			/* one more is served; or the pass is over, and all that are live have been */
			if (t->at < t->live) {
				for (int j = 0; j < 12; j++)
					times[j] += sub[j] && fd[j] == t->subscribers[t->at];
				t->at++;
			} else {
				for (int j = 0; j < 12; j++) {
					assert_in_range(times[j], sub[j] && !session_is_behind(&w->base, fd[j]), 1);
					times[j] = 0;
				}
				t->at = 0;
			}
		} else if (what < 6 && sub[i]) {
			/* (One that comes back is looked at again, though it may have been served in this pass.) */
			times[i] = session_is_behind(&w->base, fd[i]) ? 0 : times[i];
			set_flags(w, fd[i], session_is_behind(&w->base, fd[i]) ? 0 : SESSION_BEHIND);
		} else if (what == 6 && sub[i]) {
			unsubscribe(w, fd[i], sub[i]);
			sub[i] = 0;
			set_flags(w, fd[i], SESSION_BEHIND * (rand_r(&seed) % 2));
		} else if (what == 7 && !sub[i]) {
			sub[i] = subscribe(w, fd[i], "news");
			times[i] = 0;
		}
		if (topic_of(w, "news"))
			check_places(w, "news");
	}
	assert_true(counted(w, COUNTER_behind) > 1000);
}

/* One that is behind and takes a second topic, is parked, or ends; and one that is closed for want of memory. */
static void one_behind_can_go_elsewhere(void **state)
{
	struct worker_fixture *w = *state;
	int fd[5];
	struct local_topic *t;

	for (int i = 0; i < 5; i++) {
		subscribe(w, fd[i] = opened(w, TRANSPORT_SSE), "news");
		set_flags(w, fd[i], i ? SESSION_BEHIND : 0);
	}
	t = topic_of(w, "news");
	assert_int_equal(t->live, 1);
	subscribe(w, fd[1], "other");
	check_places(w, "news");
	check_places(w, "other");
	assert_int_equal(told(w, "news"), 5);
	assert_int_equal(topic_of(w, "news")->live, 1);		/* of those apart, it is */
	set_flags(w, fd[1], 0);
	check_places(w, "news");
	set_flags(w, fd[2], SESSION_BEHIND | SESSION_PARKED);
	assert_int_equal(topics_park(&w->topics, TRANSPORT_SSE, fd[2]), 0);
	check_places(w, "news");
	assert_int_equal(told(w, "news"), 4);
	leave_all(&w->topics, w->multi_topic, fd[2], TOPICS_PARKED);
	assert_int_equal(t->count, 3);
	end_session(w, fd[3]);
	check_places(w, "news");
	session_forfeit(&w->base, fd[4]);
	check_places(w, "news");
	assert_int_equal(t->live, 2);
	assert_int_equal(told(w, "news"), 3);
}

/* As a new worker finds them: some that are behind. And one that is behind and waits for a message is to be told of it all the same. */
static void those_behind_stand_last_from_the_start(void **state)
{
	struct worker_fixture *w = *state;
	int fd[4], poll = opened(w, TRANSPORT_HTTP);

	for (int i = 0; i < 4; i++) {
		fd[i] = opened(w, TRANSPORT_FLASH);
		state_of(w, fd[i])->flags = i % 2 ? 0 : SESSION_BEHIND;
		subscribe(w, fd[i], "news");
		check_places(w, "news");
	}
	assert_int_equal(topic_of(w, "news")->live, 2);
	assert_int_equal(told(w, "news"), 4);
	set_flags(w, poll, SESSION_BEHIND);
	subscribe(w, poll, "news");
	check_places(w, "news");
	set_flags(w, poll, 0);
	set_flags(w, poll, SESSION_BEHIND);
	check_places(w, "news");
}

/* Topics with news whose last subscriber goes: the queue holds together, whichever they were. */
static void one_that_is_queued_can_go(void **state)
{
	struct worker_fixture *w = *state;
	static const char *name[] = { "a", "b", "c" };

	for (int goes = 0; goes < 3; goes++) {
		int fd[3];
		uint32_t sub[3];
		unsigned n = 0;

		for (int i = 0; i < 3; i++) {
			sub[i] = subscribe(w, fd[i] = opened(w, TRANSPORT_FLASH), name[i]);
			put(w, name[i], 1);
		}
		fanout_poll(&w->fanout);
		assert_int_equal(w->topics.queued, 3);
		unsubscribe(w, fd[goes], sub[goes]);
		assert_int_equal(w->topics.queued, 2);
		put(w, name[(goes + 1) % 3], 1);	/* it is there already, */
		sub[goes] = subscribe(w, fd[goes], name[goes]);
		put(w, name[goes], 1);			/* and this one goes to the end */
		fanout_poll(&w->fanout);
		for (const struct local_topic *t = w->topics.queue; t; t = t->queued_next)
			n++;
		assert_int_equal(n, 3);
		assert_int_equal(w->topics.queued, 3);
		assert_ptr_equal(w->topics.queue_end, &topic_of(w, name[goes])->queued_next);
		for (int i = 0; i < 3; i++)
			unsubscribe(w, fd[i], sub[i]);
		assert_null(w->topics.queue);
		assert_ptr_equal(w->topics.queue_end, &w->topics.queue);
	}
}

/* A session is owed something as long as its topic waits, unless it has had all that was looked at. */
static void what_is_queued_may_be_owed(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	uint64_t seq;

	subscribe(w, fd, "news");
	subscribe(w, opened(w, TRANSPORT_SSE), "other");
	look_at_all(w);
	assert_false(topics_owe(&w->topics, fd, w->topics.scanned));
	put(w, "other", 1);
	fanout_poll(&w->fanout);
	assert_false(topics_owe(&w->topics, fd, w->topics.scanned - 1));
	seq = put(w, "news", 1);
	fanout_poll(&w->fanout);
	assert_true(topics_owe(&w->topics, fd, seq));
	assert_false(topics_owe(&w->topics, fd, seq + 1));
}

static void subscriptions_are_used_again(void **state)
{
	struct worker_fixture *w = *state;
	uint32_t most = w->base.slot.shm->subscriptions_max;

	for (uint32_t i = 1; i <= most; i++)
		assert_int_equal(topics_take_subscription(&w->topics), i);
	assert_int_equal(topics_take_subscription(&w->topics), 0);
	for (uint32_t i = 1; i <= 300; i++)
		topics_give_subscription(&w->topics, i);
	for (uint32_t i = 300; i >= 1; i--)
		assert_int_equal(topics_take_subscription(&w->topics), i);
	assert_int_equal(topics_take_subscription(&w->topics), 0);
	free(w->topics.free_subscriptions);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_ON(delivery, the_hub_is_told_how_many),
		TEST_ON(delivery, one_that_starts_tells_nothing_yet),
		TEST_ON(delivery, siblings_are_told_apart),
		TEST_ON(delivery, a_second_topic_moves_the_first_apart),
		TEST_ON(delivery, one_is_removed_in_the_middle_of_a_pass),
		TEST_ON(delivery, one_falls_behind_in_the_middle_of_a_pass),
		TEST_ON(delivery, any_number_fall_behind_come_back_and_go),
		TEST_ON(delivery, one_behind_can_go_elsewhere),
		TEST_ON(delivery, those_behind_stand_last_from_the_start),
		TEST_ON(delivery, one_that_is_queued_can_go),
		TEST_ON(delivery, what_is_queued_may_be_owed),
		TEST_ON(delivery, subscriptions_are_used_again),
	};

	alarm(60);
	return cmocka_run_group_tests_name("local_topics", tests, NULL, NULL);
}
