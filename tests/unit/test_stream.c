/*
 * A session's stream: what it is owed of all its topics, in the ring's order, and what of that the ring has overwritten.
 */
#include "tests/unit/worker_fixture.h"

/* The sequences that come along the stream, to its end. */
static unsigned walk(struct stream *s, uint64_t *seq)
{
	struct stream_topic *t;
	unsigned n = 0;

	while ((t = stream_next(s)) != NULL) {
		seq[n++] = t->next.seq;
		stream_step(s, t);
	}
	return n;
}

/* The session's stream before `below` is these records. */
#define assert_stream(w, fd, below, ...) check_stream(w, fd, below, (const uint64_t[]){ __VA_ARGS__, 0 })
static void check_stream(struct worker_fixture *w, int fd, uint64_t below, const uint64_t *expected)
{
	uint64_t seq[RING_MESSAGES];
	struct stream s;
	unsigned n;

	assert_int_equal(stream_open(&s, &w->streams, fd, state_of(w, fd), below), 0);
	n = walk(&s, seq);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(seq[i], expected[i]);
	assert_int_equal(expected[n], 0);
	assert_int_equal(s.lost, 0);
}

/* The session, which was live, is behind from here on. */
static void fall_behind(struct worker_fixture *w, int fd)
{
	struct session_state_shm st = *state_of(w, fd);
	struct stream s;

	st.flags |= SESSION_BEHIND;
	stream_owed(&s, &w->streams, fd, &st);
	stream_commit(&s, &st);
}

static void topics_are_merged_in_the_rings_order(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	uint64_t a, b, c, d, e;

	put(w, "a", 1);			/* before it subscribes */
	subscribe(w, fd, "a");
	subscribe(w, fd, "b");
	a = put(w, "a", 1);
	b = put(w, "b", 1);
	put(w, "others", 1);
	put(w, "c", 1);
	subscribe(w, fd, "c");
	c = put(w, "b", 1);
	d = put(w, "c", 1);
	e = put(w, "a", 1);
	for (int behind = 0; behind < 2; behind++) {
		assert_stream(w, fd, e + 1, a, b, c, d, e);
		assert_stream(w, fd, e, a, b, c, d);
		assert_stream(w, fd, a, 0);
		fall_behind(w, fd);
	}
}

static void it_begins_where_the_session_is(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	uint64_t seq[3];

	subscribe(w, fd, "a");
	for (int i = 0; i < 3; i++)
		seq[i] = put(w, "a", 1);
	state_of(w, fd)->pos = seq[1];
	assert_stream(w, fd, seq[2] + 1, seq[1], seq[2]);
	state_of(w, fd)->flags |= SESSION_CUT;		/* in the middle of that one, which comes first and is not of the stream */
	assert_stream(w, fd, seq[2] + 1, seq[2]);
}

static void without_topics_there_is_nothing(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);

	put(w, "a", 1);
	assert_stream(w, fd, ring_tail(&w->base.hub.ring), 0);
}

/* What is committed behind a record is where the stream goes on. */
static void it_goes_on_where_it_was_committed(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	struct session_state_shm st;
	uint64_t seq[6];
	uint32_t a, b;
	struct stream s;

	a = subscribe(w, fd, "a");
	b = subscribe(w, fd, "b");
	fall_behind(w, fd);
	for (int i = 0; i < 6; i++)
		seq[i] = put(w, i % 2 ? "b" : "a", 1);
	st = *state_of(w, fd);
	assert_int_equal(stream_open(&s, &w->streams, fd, &st, seq[5] + 1), 0);
	for (int i = 0; i < 3; i++) {
		struct stream_topic *t = stream_next(&s);

		assert_int_equal(t->next.seq, seq[i]);
		stream_step(&s, t);
	}
	st.pos = seq[2] + 1;
	assert_int_equal(w->base.slot.subscriptions[a].number, 1);
	stream_commit(&s, &st);
	assert_int_equal(state_of(w, fd)->pos, seq[2] + 1);
	assert_int_equal(w->base.slot.subscriptions[a].number, 3);
	assert_int_equal(w->base.slot.subscriptions[a].from, seq[2]);
	assert_int_equal(w->base.slot.subscriptions[b].number, 2);
	assert_int_equal(w->base.slot.subscriptions[b].from, seq[1]);
	assert_stream(w, fd, seq[5] + 1, seq[3], seq[4], seq[5]);
}

/* However far the ring has gone: those that it has overwritten are counted one by one, the others come. */
static void what_the_ring_overtook_is_counted(void **state)
{
	for (unsigned others = 0; others < 2 * RING_MESSAGES; others += 5) {
		struct worker_fixture *w = *state;
		int fd = opened(w, TRANSPORT_FLASH);
		uint64_t seq[10], got[RING_MESSAGES];
		unsigned lost = 0, n;
		struct stream s;

		subscribe(w, fd, "a");
		subscribe(w, fd, "b");
		fall_behind(w, fd);
		for (int i = 0; i < 10; i++) {
			seq[i] = put(w, i % 3 ? "b" : "a", 1);
			put_others(w, 3);
		}
		put_others(w, others);
		while (lost < 10 && seq[lost] < ring_oldest(&w->base.hub.ring))
			lost++;
		assert_int_equal(stream_open(&s, &w->streams, fd, state_of(w, fd), ring_tail(&w->base.hub.ring)), 0);
		assert_int_equal(s.lost, lost);
		n = walk(&s, got);
		assert_int_equal(n, 10 - lost);
		for (unsigned i = 0; i < n; i++)
			assert_int_equal(got[i], seq[lost + i]);
		down(state);
		delivery_up(state);
	}
}

/* All that was owed is gone, and what there is was not looked at yet: told now, and not again. */
static void what_is_lost_is_told_once(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	uint64_t below, a, b;
	struct stream s;

	subscribe(w, fd, "a");
	fall_behind(w, fd);
	for (int i = 0; i < 3; i++)
		put(w, "a", 1);
	below = ring_tail(&w->base.hub.ring);
	put_others(w, RING_MESSAGES);
	a = put(w, "a", 1);
	b = put(w, "a", 1);
	assert_int_equal(stream_open(&s, &w->streams, fd, state_of(w, fd), below), 0);
	assert_int_equal(s.lost, 3);
	assert_null(stream_next(&s));
	stream_commit(&s, state_of(w, fd));
	assert_stream(w, fd, b + 1, a, b);
}

/* When it falls behind, it is owed what it has not had: of that, losses are told. */
static void one_that_falls_behind_is_owed_what_it_has_not_had(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	uint64_t seq[5];
	struct stream s;

	subscribe(w, fd, "a");
	for (int i = 0; i < 5; i++)
		seq[i] = put(w, "a", 1);
	state_of(w, fd)->pos = seq[2];		/* it has had two */
	fall_behind(w, fd);
	put_others(w, RING_MESSAGES);
	assert_int_equal(stream_open(&s, &w->streams, fd, state_of(w, fd), ring_tail(&w->base.hub.ring)), 0);
	assert_int_equal(s.lost, 3);
}

/* Of a live session nothing is lost that it was not owed: its topic may be old. */
static void a_live_session_has_lost_nothing(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	uint64_t a;

	put(w, "a", 1);
	subscribe(w, fd, "a");
	put_others(w, RING_MESSAGES);
	state_of(w, fd)->pos = ring_tail(&w->base.hub.ring);
	a = put(w, "a", 1);
	assert_stream(w, fd, a + 1, a);
}

/* Records that workers die of are passed over, and counted when it is their turn. */
static void what_is_skipped_is_passed_over(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	uint64_t a, b, c;
	struct stream s;

	subscribe(w, fd, "a");
	subscribe(w, fd, "b");
	a = put(w, "a", 1);
	b = put(w, "b", 1);
	c = put(w, "a", 1);
	w->base.slot.shm->skip[0] = ENCODING(b, TRANSPORT_FLASH);
	w->base.slot.shm->skip[1] = ENCODING(c, TRANSPORT_SSE);		/* another's */
	w->base.slot.shm->skips = 2;
	assert_int_equal(stream_open(&s, &w->streams, fd, state_of(w, fd), c + 1), 0);
	assert_int_equal(stream_next(&s)->next.seq, a);
	assert_int_equal(s.skipped, 0);
	stream_step(&s, stream_next(&s));
	assert_int_equal(stream_next(&s)->next.seq, c);
	assert_int_equal(s.skipped, 1);
	assert_int_equal(s.lost, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_ON(delivery, topics_are_merged_in_the_rings_order),
		TEST_ON(delivery, it_begins_where_the_session_is),
		TEST_ON(delivery, without_topics_there_is_nothing),
		TEST_ON(delivery, it_goes_on_where_it_was_committed),
		TEST_ON(delivery, what_the_ring_overtook_is_counted),
		TEST_ON(delivery, what_is_lost_is_told_once),
		TEST_ON(delivery, one_that_falls_behind_is_owed_what_it_has_not_had),
		TEST_ON(delivery, a_live_session_has_lost_nothing),
		TEST_ON(delivery, what_is_skipped_is_passed_over),
	};

	alarm(60);
	return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
