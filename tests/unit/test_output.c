/*
 * What a session is sent along its own stream, against sockets that are full: nothing is lost, doubled or out of order.
 */
#define RING_BYTES (1 << 22)		/* for more than a session's share */
#include "tests/unit/worker_fixture.h"

static void answer(struct worker_fixture *w, int fd, const char *text, uint32_t flags)
{
	struct session_state_shm st = *state_of(w, fd);

	assert_int_equal(session_append(&w->base, fd, &st, text, strlen(text)), 0);
	st.flags |= flags;
	session_commit(&w->base, fd, &st);
}

static bool at_end(const struct worker_fixture *w, int fd)
{
	char byte;

	return recv(w->peer[fd], &byte, 1, MSG_DONTWAIT) == 0;
}

static void break_connection(struct worker_fixture *w, int fd)
{
	close(w->peer[fd]);
	w->peer[fd] = -1;
}

static void an_answer_is_sent_at_once(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);

	answer(w, fd, "yes", 0);
	output_flush(&w->output, fd);
	expect_bytes(w, "yes", 3);
	assert_got_expected(w, fd);
	assert_int_equal(state_of(w, fd)->sent, 3);
	assert_int_equal(state_of(w, fd)->flags, 0);
	assert_int_equal(lent(w), 0);
}

/* Nothing else is sent meanwhile, and each has its own. One whose socket is full waits for writability. */
static void answers_are_sent_together(void **state)
{
	struct worker_fixture *w = *state;
	int one = opened(w, TRANSPORT_FLASH), full = opened(w, TRANSPORT_FLASH), behind = opened(w, TRANSPORT_FLASH);

	cram(full);
	answer(w, behind, "later", SESSION_BEHIND);
	answer(w, one, "yes", 0);
	answer(w, full, "no", 0);
	output_add(&w->output, one);
	output_add(&w->output, full);
	output_add(&w->output, behind);
	batch_flush(w->batch);
	expect_bytes(w, "yes", 3);
	assert_got_expected(w, one);
	assert_int_equal(state_of(w, one)->flags, 0);
	assert_int_equal(state_of(w, full)->flags, SESSION_BEHIND);
	assert_int_equal(state_of(w, full)->sent, 0);
	assert_int_equal(state_of(w, behind)->sent, 0);
	assert_int_equal(lent(w), 2);
}

/* It waits for writability, and then has all: its input may go on, if it waited for that. */
static void an_answer_waits_for_room(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);

	for (int blocked = 0; blocked < 2; blocked++) {
		cram(fd);
		answer(w, fd, "yes", 0);
		output_flush(&w->output, fd);
		assert_int_equal(state_of(w, fd)->flags, SESSION_BEHIND);
		assert_int_equal(watched(w, fd), EV_READ | EV_WRITE);
		if (blocked)
			session_mark(&w->base, fd, MARK_OUTPUT_BLOCKED);
		assert_false(output_run(&w->output, fd));
		assert_int_equal(session_has(&w->base, fd, MARK_OUTPUT_BLOCKED), blocked);
		drain(w, fd);
		answer(w, fd, "!", 0);
		output_flush(&w->output, fd);
		assert_int_equal(receive_all(w, fd), 0);	/* not before it is its turn */
		assert_int_equal(output_run(&w->output, fd), blocked);
		expect_bytes(w, "yes!", 4);
		assert_got_expected(w, fd);
		if (blocked) {		/* its input comes first; what it may still be owed comes the next time */
			assert_int_equal(state_of(w, fd)->flags, SESSION_BEHIND);
			assert_false(output_run(&w->output, fd));
		}
		assert_int_equal(state_of(w, fd)->flags, 0);
		assert_int_equal(watched(w, fd), EV_READ);
	}
}

/* The rest of the frame that it is in the middle of, then answers, then the ring. */
static void all_comes_in_order(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	uint64_t first;

	subscribe(w, fd, "a");
	subscribe(w, fd, "b");
	first = put(w, "a", 50);
	expect(w, fd, first);
	look_at_all(w);
	assert_int_equal(send(fd, w->expected.at, 9, 0), 9);
	assert_int_equal(landed_advance(&w->streams, fd, 9, true), 0);
	cram(fd);
	answer(w, fd, "yes", 0);
	expect_bytes(w, "yes", 3);
	expect(w, fd, put(w, "b", 5));
	put(w, "others", 5);
	expect(w, fd, put(w, "a", 5));
	look_at_all(w);
	assert_false(output_run(&w->output, fd));
	assert_int_equal(state_of(w, fd)->cut, 9);
	drain(w, fd);
	output_run(&w->output, fd);
	memmove(w->expected.at, w->expected.at + 9, w->expected.len -= 9);
	assert_got_expected(w, fd);
	assert_int_equal(state_of(w, fd)->flags, 0);
	assert_int_equal(state_of(w, fd)->pos, w->topics.scanned);
	assert_int_equal(counted(w, COUNTER_delivered), 3);
	assert_int_equal(w->base.self->behind, 0);
}

/* A reader that takes little at a time gets all of it, whatever the pieces are. */
static void a_slow_reader_gets_all(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_SSE), least = 1;
	unsigned pieces = 0;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	subscribe(w, fd, "a");
	landed_defer(&w->streams, fd);
	for (unsigned i = 0; i < 60; i++)
		expect(w, fd, put(w, "a", 37 * (i % 7) * (i % 11) + 1));
	look_at_all(w);
	while (state_of(w, fd)->flags & SESSION_BEHIND) {
		output_run(&w->output, fd);
		assert_true(receive_all(w, fd) > 0);
		assert_in_range(++pieces, 1, 10000);
	}
	assert_in_range(pieces, 4, 10000);
	assert_got_expected(w, fd);
	assert_int_equal(counted(w, COUNTER_delivered), 60);
	assert_int_equal(counted(w, COUNTER_dropped_overtaken), 0);
}

/* One session does not keep the others waiting, though its socket would take more. */
static void each_has_its_share_of_a_turn(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_SSE), much = 1 << 20;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &much, sizeof(much));
	subscribe(w, fd, "a");
	landed_defer(&w->streams, fd);
	for (int i = 0; i < 20; i++)
		expect(w, fd, put(w, "a", 40000));
	look_at_all(w);
	output_run(&w->output, fd);
	assert_in_range(receive_all(w, fd), SESSION_SHARE - 65536, SESSION_SHARE + 65536);
	assert_int_equal(watched(w, fd), EV_READ | EV_WRITE);
	while (state_of(w, fd)->flags & SESSION_BEHIND) {
		output_run(&w->output, fd);
		receive_all(w, fd);
	}
	assert_got_expected(w, fd);
}

/* The last answer, then the end: it is nobody's subscriber any more, and its input is of no interest. */
static void the_end_comes_behind_what_is_owed(void **state)
{
	struct worker_fixture *w = *state;

	for (int full = 0; full < 2; full++) {
		int fd = opened(w, TRANSPORT_FLASH);
		struct session_state_shm st;

		subscribe(w, fd, "a");
		subscribe(w, fd, "b");
		st = *state_of(w, fd);
		st.in = session_buffer(&w->base, fd, 10);
		session_commit(&w->base, fd, &st);
		if (full)
			cram(fd);
		answer(w, fd, "bye", SESSION_CLOSE);
		output_flush(&w->output, fd);
		if (full) {
			assert_int_equal(state_of(w, fd)->flags, SESSION_CLOSE | SESSION_BEHIND);
			assert_int_equal(watched(w, fd), EV_WRITE);
			drain(w, fd);
			output_run(&w->output, fd);
		}
		expect_bytes(w, "bye", 3);
		assert_got_expected(w, fd);
		assert_true(at_end(w, fd));
		assert_int_equal(state_of(w, fd)->flags, SESSION_CLOSE | SESSION_LINGER);
		assert_int_equal(watched(w, fd), EV_READ);
		assert_int_equal(lent(w), 0);
		assert_int_equal(session(&w->base, fd)->count, 0);
		assert_int_equal(find(w->hub, "a"), TOPIC_NONE);
		assert_int_equal(w->base.self->behind, 0);
	}
}

/* Who reads from it finds it broken; if nobody does, it is watched for it. */
static void one_that_is_broken_is_found_so(void **state)
{
	struct worker_fixture *w = *state;
	int read = opened(w, TRANSPORT_FLASH), unread = opened(w, TRANSPORT_FLASH), ending = opened(w, TRANSPORT_FLASH);

	break_connection(w, read);
	answer(w, read, "yes", 0);
	output_flush(&w->output, read);
	assert_int_equal(watched(w, read), EV_READ);
	break_connection(w, unread);
	session_mark(&w->base, unread, MARK_ENDED);
	answer(w, unread, "yes", 0);
	output_flush(&w->output, unread);
	assert_int_equal(watched(w, unread), EV_WRITE);
	break_connection(w, ending);
	answer(w, ending, "bye", SESSION_CLOSE);
	output_flush(&w->output, ending);
	assert_int_equal(watched(w, ending), EV_READ);
	assert_int_equal(w->base.over_count, 0);
	output_run(&w->output, unread);
	assert_over(w, unread);
}

static void rules(struct worker_fixture *w, const char *text)
{
	char why[256];

	assert_int_equal(slow_rules_parse(&w->base.slow, text, why, sizeof(why)), 0);
}

static uint64_t overtaken(struct worker_fixture *w, int fd)
{
	uint64_t last;

	subscribe(w, fd, "a");
	landed_defer(&w->streams, fd);
	for (int i = 0; i < 3; i++)
		put(w, "a", 5);
	put_others(w, RING_MESSAGES);
	last = put(w, "a", 5);
	look_at_all(w);
	return last;
}

static void who_is_overtaken_loses_messages(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	uint64_t last;

	rules(w, "skip");
	last = overtaken(w, fd);
	output_check(&w->output, fd);
	assert_int_equal(counted(w, COUNTER_dropped_overtaken), 0);	/* it is looked at for those who are to go */
	output_run(&w->output, fd);
	assert_frames(w, fd, last);
	assert_int_equal(counted(w, COUNTER_dropped_overtaken), 3);	/* once */
	assert_int_equal(counted(w, COUNTER_delivered), 1);
	assert_int_equal(state_of(w, fd)->flags, 0);
}

static void or_its_connection(void **state)
{
	for (int check = 0; check < 2; check++) {
		struct worker_fixture *w = *state;
		int fd = opened(w, TRANSPORT_FLASH);

		rules(w, "disconnect");
		overtaken(w, fd);
		if (check)
			output_check(&w->output, fd);
		else
			output_run(&w->output, fd);
		assert_int_equal(counted(w, COUNTER_dropped_overtaken), 3);
		assert_int_equal(counted(w, COUNTER_closed_slow), 1);
		assert_over(w, fd);
		assert_int_equal(receive_all(w, fd), 0);
		down(state);
		delivery_up(state);
	}
}

/* As its listener says, where no rule names the topic. */
static void its_listener_has_a_word(void **state)
{
	static const struct {
		const char *rules;
		enum slow_policy listener;
		enum counter counter;
		uint64_t count;
	} cases[] = {
		{ "skip", SLOW_DISCONNECT, COUNTER_closed_slow, 1 },
		{ "disconnect", SLOW_LATEST, COUNTER_dropped_latest, 3 },
		{ "disconnect", SLOW_SKIP, COUNTER_dropped_overtaken, 3 },
		{ "a: skip; *: latest", SLOW_DISCONNECT, COUNTER_dropped_overtaken, 3 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct worker_fixture *w = *state;
		int fd = opened(w, TRANSPORT_FLASH);

		answer(w, fd, "", SESSION_SLOW_IS(cases[i].listener));
		rules(w, cases[i].rules);
		overtaken(w, fd);
		output_check(&w->output, fd);
		assert_int_equal(counted(w, COUNTER_closed_slow), cases[i].counter == COUNTER_closed_slow);
		if (cases[i].counter == COUNTER_closed_slow) {
			assert_over(w, fd);
		} else {
			output_run(&w->output, fd);
			assert_int_equal(state_of(w, fd)->flags, SESSION_SLOW_IS(cases[i].listener));
		}
		assert_int_equal(counted(w, cases[i].counter), cases[i].count);
		down(state);
		delivery_up(state);
	}
}

static void expect_missed(struct worker_fixture *w, uint32_t transport, const char *topic, uint64_t messages)
{
	char text[TRANSPORT_NOTICE_MAX];

	expect_bytes(w, text, transport_missed(transport, &(struct transport_missed){ MESSAGE_TO_TOPIC, topic, strlen(topic), messages }, text));
}

/* Of each topic by its rule: told what it has lost, and then what is there. Nobody is told twice. */
static void who_loses_messages_is_told(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_JSON_LINES_10);
	uint64_t seq[4];

	rules(w, "tick*: latest; others: disconnect");
	subscribe(w, fd, "news");
	subscribe(w, fd, "ticker");
	subscribe(w, fd, "quiet");
	landed_defer(&w->streams, fd);
	for (int i = 0; i < 3; i++) {
		put(w, "news", 5);
		put(w, "ticker", 5);
	}
	put_others(w, RING_MESSAGES);
	for (int i = 0; i < 4; i++)
		seq[i] = put(w, i % 2 ? "ticker" : "news", 5);
	look_at_all(w);
	expect_missed(w, TRANSPORT_JSON_LINES_10, "ticker", 4);
	expect_missed(w, TRANSPORT_JSON_LINES_10, "news", 3);
	expect(w, fd, seq[0]);
	expect(w, fd, seq[2]);
	expect(w, fd, seq[3]);
	output_run(&w->output, fd);
	assert_got_expected(w, fd);
	assert_int_equal(counted(w, COUNTER_dropped_overtaken), 3);
	assert_int_equal(counted(w, COUNTER_dropped_latest), 4);
	assert_int_equal(counted(w, COUNTER_delivered), 3);
	assert_int_equal(state_of(w, fd)->flags, 0);
	assert_int_equal(lent(w), 0);
}

/* The newest is one that nobody here has looked at yet, or there is none. */
static void the_latest_may_be_further_on(void **state)
{
	for (int there = 0; there < 2; there++) {
		struct worker_fixture *w = *state;
		int fd = opened(w, TRANSPORT_JSON_LINES_10);
		uint64_t seq = 0;

		rules(w, "latest");
		overtaken(w, fd);		/* 3 lost, 1 there */
		if (there)
			seq = put(w, "a", 5);
		else
			put_others(w, RING_MESSAGES);
		expect_missed(w, TRANSPORT_JSON_LINES_10, "a", 4);
		if (!there)
			look_at_all(w);
		output_run(&w->output, fd);
		assert_got_expected(w, fd);
		assert_int_equal(counted(w, COUNTER_dropped_latest), 4);
		if (there) {
			look_at_all(w);
			landed_defer(&w->streams, fd);
			expect(w, fd, seq);
			output_run(&w->output, fd);
			assert_got_expected(w, fd);
		}
		assert_int_equal(counted(w, COUNTER_dropped_latest), 4);
		down(state);
		delivery_up(state);
	}
}

/* What may be overwritten before the notice is sent goes with it. Its socket is full: all waits in the out buffer. */
static void the_next_message_follows_its_notice(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_JSON_LINES_10);
	uint64_t last;

	rules(w, "skip");
	last = overtaken(w, fd);
	expect_missed(w, TRANSPORT_JSON_LINES_10, "a", 3);
	expect(w, fd, last);
	put_others(w, KEEP_RECORDS + 1);
	look_at_all(w);
	cram(fd);
	output_run(&w->output, fd);
	put_others(w, RING_MESSAGES);
	look_at_all(w);
	drain(w, fd);
	output_run(&w->output, fd);
	assert_got_expected(w, fd);
	assert_int_equal(counted(w, COUNTER_dropped_overtaken), 3);
	assert_int_equal(counted(w, COUNTER_delivered), 1);
	assert_int_equal(state_of(w, fd)->flags, 0);
}

/* Without room for the notice it is passed over all the same, and nobody is disconnected to make some. */
static void no_room_for_the_notice(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_JSON_LINES_10);

	rules(w, "skip");
	expect(w, fd, overtaken(w, fd));
	pool_nothing(w);
	output_run(&w->output, fd);
	assert_got_expected(w, fd);
	assert_int_equal(counted(w, COUNTER_dropped_overtaken), 3);
	assert_int_equal(w->asked_for_room, 0);
}

/* A worker dies between committing a notice and what it is about: its successor does the rest. */
static void a_loss_is_told_in_one_step(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_JSON_LINES_10);
	uint32_t number = subscribe(w, fd, "a");
	struct subscription_shm *sub = &w->base.slot.subscriptions[number];
	struct slot_shm *shm = w->base.slot.shm;
	struct session_state_shm st = *state_of(w, fd);

	st.pos += 7;
	for (int other = 0; other < 2; other++) {
		shm->redo = st;
		shm->redo_passed = (struct passed_shm){ .subscription = number, .number = 40, .from = 50 };
		shm->redo_fd = other ? 0 : (uint32_t)fd + 1;
		slot_redo(&w->base.slot);
		assert_int_equal(state_of(w, fd)->pos, st.pos);
		assert_int_equal(sub->number, 40);
		assert_int_equal(sub->from, 50);
		assert_int_equal(shm->redo_passed.subscription, 0);	/* the next redo is not taken for this one's */
		sub->number = 40;
	}
	slot_commit_passed(&w->base.slot, fd, &st, &(struct passed_shm){ .subscription = number, .number = 41, .from = 51 });
	assert_true(sub->number == 41 && sub->from == 51 && shm->redo_fd == 0 && shm->redo_passed.subscription == 0);
}

/* What the ring may overwrite before all of it is sent is kept first. Without room for that, the connection ends. */
static void what_may_be_overwritten_is_kept_first(void **state)
{
	struct worker_fixture *w = *state;

	for (int room = 1; room >= 0; room--) {
		int fd = opened(w, TRANSPORT_FLASH);
		uint64_t seq;

		subscribe(w, fd, "a");
		landed_defer(&w->streams, fd);
		seq = put(w, "a", 100);
		expect(w, fd, seq);
		put_others(w, KEEP_RECORDS + 1);
		look_at_all(w);
		if (!room)
			pool_nothing(w);
		output_run(&w->output, fd);
		assert_int_equal(counted(w, COUNTER_frames_kept), 1);
		assert_int_equal(w->pinned_then, !room);	/* what it may come to on its way stays in history until it is sent, */
		assert_int_equal(hub_pinned(&w->base.hub), UINT64_MAX);		/* and no longer */
		if (room)
			assert_got_expected(w, fd);
		else
			assert_int_equal(receive_all(w, fd), 0);
	}
	assert_int_equal(counted(w, COUNTER_no_buffer), 1);
	assert_int_equal(w->base.over_count, 1);
}

/* It is sent behind nothing else either: what it would come behind may be all that the socket takes. */
static void what_is_kept_first_begins_a_send(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	uint64_t first, seq;

	snprintf(w->settings.history, sizeof(w->settings.history), "old: 100 messages");
	hub_keep(&w->hub->hub, &w->settings);
	hub_keep(&w->base.hub, &w->settings);
	subscribe(w, fd, "old");
	subscribe(w, fd, "new");
	landed_defer(&w->streams, fd);
	first = put(w, "old", 100);
	expect(w, fd, first);
	hub_follow(&w->hub->hub);
	put_others(w, RING_MESSAGES - KEEP_RECORDS - 2);
	for (unsigned i = 0; i < 2; i++) {
		seq = put(w, "new", 100);
		expect(w, fd, seq);
	}
	put_others(w, KEEP_RECORDS + 2);
	look_at_all(w);
	hub_follow(&w->hub->hub);
	assert_false(ring_holds(&w->base.hub.ring, first));	/* history alone has it */
	assert_true(ring_holds(&w->base.hub.ring, seq - 1));
	output_run(&w->output, fd);
	assert_int_equal(counted(w, COUNTER_frames_kept), 2);
	assert_got_expected(w, fd);
	assert_int_equal(counted(w, COUNTER_dropped_overtaken), 0);
	assert_int_equal(state_of(w, fd)->flags, 0);
}

/* A request that waits for a message is sent no records, and waits on from where it was. */
static void who_polls_is_sent_no_records(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_HTTP);
	uint64_t pos;

	subscribe(w, fd, "a");
	pos = state_of(w, fd)->pos;
	cram(fd);
	answer(w, fd, "yes", 0);
	output_flush(&w->output, fd);
	assert_int_equal(state_of(w, fd)->flags, SESSION_BEHIND);
	put(w, "a", 5);
	look_at_all(w);
	drain(w, fd);
	output_run(&w->output, fd);
	expect_bytes(w, "yes", 3);
	assert_got_expected(w, fd);
	assert_int_equal(state_of(w, fd)->flags, 0);
	assert_int_equal(state_of(w, fd)->pos, pos);
	assert_int_equal(w->base.self->behind, 0);
	assert_int_equal(counted(w, COUNTER_delivered), 0);
}

/* One that has caught up is live from where all is served, or from where its only topic begins. */
static void who_has_caught_up_is_live(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	uint64_t tail;

	landed_defer(&w->streams, fd);
	put_others(w, 3);
	look_at_all(w);
	output_run(&w->output, fd);
	assert_int_equal(state_of(w, fd)->flags, 0);
	assert_int_equal(state_of(w, fd)->pos, w->topics.scanned);
	landed_defer(&w->streams, fd);
	put_others(w, 3);
	subscribe(w, fd, "a");
	tail = ring_tail(&w->base.hub.ring);
	output_run(&w->output, fd);
	assert_int_equal(state_of(w, fd)->pos, tail);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_ON(delivery, an_answer_is_sent_at_once),
		TEST_ON(delivery, answers_are_sent_together),
		TEST_ON(delivery, an_answer_waits_for_room),
		TEST_ON(delivery, all_comes_in_order),
		TEST_ON(delivery, a_slow_reader_gets_all),
		TEST_ON(delivery, each_has_its_share_of_a_turn),
		TEST_ON(delivery, the_end_comes_behind_what_is_owed),
		TEST_ON(delivery, one_that_is_broken_is_found_so),
		TEST_ON(delivery, who_is_overtaken_loses_messages),
		TEST_ON(delivery, its_listener_has_a_word),
		TEST_ON(delivery, or_its_connection),
		TEST_ON(delivery, who_loses_messages_is_told),
		TEST_ON(delivery, the_latest_may_be_further_on),
		TEST_ON(delivery, the_next_message_follows_its_notice),
		TEST_ON(delivery, no_room_for_the_notice),
		TEST_ON(delivery, a_loss_is_told_in_one_step),
		TEST_ON(delivery, what_may_be_overwritten_is_kept_first),
		TEST_ON(delivery, what_is_kept_first_begins_a_send),
		TEST_ON(delivery, who_polls_is_sent_no_records),
		TEST_ON(delivery, who_has_caught_up_is_live),
	};

	alarm(60);
	return cmocka_run_group_tests_name("output", tests, NULL, NULL);
}
