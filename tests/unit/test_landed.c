/*
 * What the kernel took of a session's stream: the session is moved along it by exactly so many bytes.
 */
#include "tests/unit/worker_fixture.h"

/* The outcome of a fan-out's send of these records to the session: so many bytes were taken. */
static void land(struct worker_fixture *w, int fd, size_t len, uint64_t last, uint32_t messages, int result)
{
	struct batch_send send = { .sid = fd, .len = (uint32_t)len, .pos = last + 1, .messages = messages };

	landed_record(&w->streams, &send, result);
}

static void all_of_it_was_taken(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	struct batch_send send = { .sid = fd, .len = 100, .pos = 12, .messages = 3, .skipped = 2 };

	subscribe(w, fd, "news");
	w->base.now = 77;
	landed_record(&w->streams, &send, 100);
	assert_int_equal(state_of(w, fd)->pos, 12);
	assert_int_equal(state_of(w, fd)->sent, 100);
	assert_int_equal(state_of(w, fd)->last_out, 77);
	assert_int_equal(state_of(w, fd)->flags, 0);
	assert_int_equal(counted(w, COUNTER_delivered), 3);
	assert_int_equal(counted(w, COUNTER_dropped_unencodable), 2);
	assert_int_equal(watched(w, fd), EV_READ);
}

/* In the middle of the second frame: it is behind, and in the middle of that. sseq: as in put_of_stream(). */
static void land_in_the_middle(struct worker_fixture *w, uint32_t transport, uint64_t sseq)
{
	int fd = opened(w, transport);
	uint64_t a, b;
	size_t first, second;

	subscribe(w, fd, "news");
	a = put_of_stream(w, "news", sseq, 20);
	b = put_of_stream(w, "news", sseq ? sseq + 3 : 0, 30);
	look_at_all(w);
	first = expect(w, fd, a);
	second = expect(w, fd, b);
	land(w, fd, first + second, b, 2, (int)first + 5);
	assert_int_equal(state_of(w, fd)->pos, b);
	assert_int_equal(state_of(w, fd)->cut, 5);
	assert_int_equal(state_of(w, fd)->flags, SESSION_BEHIND | SESSION_CUT);
	assert_int_equal(state_of(w, fd)->sent, first + 5);
	assert_int_equal(counted(w, COUNTER_delivered), 1);
	assert_int_equal(counted(w, COUNTER_behind), 1);
	assert_int_equal(watched(w, fd), EV_READ | EV_WRITE);
	assert_true(w->cut_to & SESSION_CUT);
}

static void a_part_of_it_was_taken(void **state)
{
	land_in_the_middle(*state, TRANSPORT_FLASH, 0);
}

/* The lengths of frames follow from the record, by whose id they have. */
static void a_part_of_the_streams_was_taken(void **state)
{
	land_in_the_middle(*state, TRANSPORT_SSE, 9998);
}

/* Nothing was, for whatever reason: it is behind, and what it loses from here on can be told. */
static void nothing_of_it_was_taken(void **state)
{
	static const int result[] = { -EAGAIN, -EPIPE, -ENOBUFS };

	for (int i = 0; i < 3; i++) {
		struct worker_fixture *w = *state;
		int fd = opened(w, TRANSPORT_FLASH);
		struct stream s;
		uint64_t a, b;

		subscribe(w, fd, "news");
		a = put(w, "news", 20);
		b = put(w, "news", 30);
		look_at_all(w);
		land(w, fd, 100, b, 2, result[i]);
		assert_int_equal(state_of(w, fd)->pos, a);
		assert_int_equal(state_of(w, fd)->flags, SESSION_BEHIND);
		assert_int_equal(state_of(w, fd)->sent, 0);
		assert_int_equal(watched(w, fd), EV_READ | EV_WRITE);
		put_others(w, RING_MESSAGES);
		assert_int_equal(stream_open(&s, &w->streams, fd, state_of(w, fd), ring_tail(&w->base.hub.ring)), 0);
		assert_int_equal(s.lost, 2);
		down(state);
		delivery_up(state);
	}
}

/* Of a send of its out buffer: what was not taken stays there, and comes when the socket has room. */
static void the_out_buffer_was_taken(void **state)
{
	static const int result[] = { 4, 3, 0, -EAGAIN };

	for (int i = 0; i < 4; i++) {
		struct worker_fixture *w = *state;
		int fd = opened(w, TRANSPORT_FLASH), taken = result[i] > 0 ? result[i] : 0;
		struct session_state_shm st = *state_of(w, fd);
		struct batch_send send = { .sid = fd, .len = 4, .pos = st.pos };

		assert_int_equal(session_append(&w->base, fd, &st, "PING", 4), 0);
		session_commit(&w->base, fd, &st);
		landed_record(&w->streams, &send, result[i]);
		assert_int_equal(state_of(w, fd)->sent, taken);
		assert_int_equal(state_of(w, fd)->pos, send.pos);
		assert_int_equal(state_of(w, fd)->out_end - state_of(w, fd)->out_start, 4 - taken);
		assert_int_equal(state_of(w, fd)->flags, taken == 4 ? 0 : SESSION_BEHIND);
		assert_int_equal(watched(w, fd), taken == 4 ? EV_READ : EV_READ | EV_WRITE);
		assert_int_equal(lent(w), taken < 4);
		assert_int_equal(counted(w, COUNTER_delivered), 0);
		down(state);
		delivery_up(state);
	}
}

static void nobody_knows_what_was_taken(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);

	land(w, fd, 100, 7, 1, BATCH_UNKNOWN);
	assert_int_equal(counted(w, COUNTER_closed_uncertain), 1);
	assert_over(w, fd);
	assert_int_equal(state_of(w, fd)->sent, 0);
}

/* The ring no longer has what was sent: where that ended can't be told. */
static void what_was_taken_is_gone(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	uint64_t seq;

	subscribe(w, fd, "news");
	seq = put(w, "news", 20);
	put_others(w, RING_MESSAGES);
	land(w, fd, 100, seq, 1, 10);
	assert_int_equal(counted(w, COUNTER_closed_uncertain), 1);
	assert_over(w, fd);
	assert_int_equal(state_of(w, fd)->sent, 0);
}

/*
 * A session in the middle of a frame, with answers to be sent behind it and records of two topics owed, of which one is skipped: whatever
 * part of all that was taken, the rest is what is sent then.
 */
static size_t make_stream(struct worker_fixture *w, int *fd)
{
	struct session_state_shm st;
	uint64_t first;
	size_t had = 7;

	*fd = opened(w, TRANSPORT_FLASH);
	subscribe(w, *fd, "a");
	subscribe(w, *fd, "b");
	first = put(w, "a", 10);
	look_at_all(w);
	assert_int_equal(landed_advance(&w->streams, *fd, had, true), 0);
	expect(w, *fd, first);
	st = *state_of(w, *fd);
	assert_int_equal(session_append(&w->base, *fd, &st, "an answer", 9), 0);
	session_commit(&w->base, *fd, &st);
	expect_bytes(w, "an answer", 9);
	expect(w, *fd, put(w, "b", 3));
	put(w, "others", 1);
	w->base.slot.shm->skip[0] = ENCODING(put(w, "b", 6), TRANSPORT_FLASH);
	w->base.slot.shm->skips = 1;
	expect(w, *fd, put(w, "a", 4));
	look_at_all(w);
	return had;
}

static void after_any_byte_the_rest_is_sent(void **state)
{
	size_t taken = 0, all = 1;

	for (; taken <= all; taken++) {
		struct worker_fixture *w = *state;
		size_t had;
		int fd;

		had = make_stream(w, &fd);
		all = w->expected.len - had;
		assert_int_equal(landed_advance(&w->streams, fd, taken, false), 0);
		assert_int_equal(state_of(w, fd)->sent, had + taken);
		output_run(&w->output, fd);
		receive_all(w, fd);
		assert_int_equal(w->got.len, all - taken);
		assert_memory_equal(w->got.at, w->expected.at + had + taken, w->got.len);
		assert_int_equal(state_of(w, fd)->flags, 0);
		assert_int_equal(counted(w, COUNTER_delivered), 3);
		assert_int_equal(counted(w, COUNTER_dropped_unencodable), 1);
		assert_int_equal(counted(w, COUNTER_dropped_overtaken), 0);
		assert_int_equal(lent(w), 0);
		down(state);
		delivery_up(state);
	}
}

/* More than there is on its stream can't have been taken. */
static void more_than_all_is_an_error(void **state)
{
	struct worker_fixture *w = *state;
	size_t had;
	int fd;

	had = make_stream(w, &fd);
	assert_int_equal(landed_advance(&w->streams, fd, w->expected.len - had + 1, false), -1);
	assert_int_equal(state_of(w, fd)->sent, had);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_ON(delivery, all_of_it_was_taken),
		TEST_ON(delivery, a_part_of_it_was_taken),
		TEST_ON(delivery, a_part_of_the_streams_was_taken),
		TEST_ON(delivery, nothing_of_it_was_taken),
		TEST_ON(delivery, the_out_buffer_was_taken),
		TEST_ON(delivery, nobody_knows_what_was_taken),
		TEST_ON(delivery, what_was_taken_is_gone),
		TEST_ON(delivery, after_any_byte_the_rest_is_sent),
		TEST_ON(delivery, more_than_all_is_an_error),
	};

	alarm(60);
	return cmocka_run_group_tests_name("landed", tests, NULL, NULL);
}
