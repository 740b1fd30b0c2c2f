/*
 * Receiving: into a session's buffer, where a successor finds it.
 */
#include "tests/unit/worker_fixture.h"

#include "worker/io/receive.h"
#include "worker/io/tcp_counts.h"

/* An open session, of a Unix socket as such or taken for another one. */
static int receiver(struct worker_fixture *w, bool local)
{
	int fd = opened(w, TRANSPORT_FLASH);

	if (local) {
		session_mark(&w->base, fd, MARK_LOCAL);
		socket_peek_anew(fd);
	}
	return fd;
}

static void say(const struct worker_fixture *w, int fd, const char *bytes, size_t len)
{
	assert_int_equal(send(w->peer[fd], bytes, len, 0), len);
}

static enum received receive_some(struct worker_fixture *w, int fd, size_t expected)
{
	struct intake in;
	enum received what = receive(&w->base, fd, &in);

	assert_int_equal(in.bytes, expected);
	assert_int_equal(in.wire, expected);
	assert_int_equal(in.bare, 0);
	return what;
}

static void assert_input(const struct worker_fixture *w, int fd, const char *bytes, size_t len)
{
	const struct session_state_shm *st = state_of(w, fd);
	const struct buffer_shm *head = pool_header(&w->base.slot, st->in);

	assert_int_equal(head->base + head->len - st->parsed, len);
	assert_memory_equal(pool_bytes(&w->base.slot, st->in) + (st->parsed - head->base), bytes, len);
}

/* So much of the input is dealt with. */
static void take(struct worker_fixture *w, int fd, size_t bytes)
{
	struct session_state_shm st = *state_of(w, fd);

	st.parsed += bytes;
	session_commit(&w->base, fd, &st);
}

static void what_comes_is_put_behind_what_is_there(void **state)
{
	struct worker_fixture *w = *state;

	for (int local = 0; local < 2; local++) {
		int fd = receiver(w, local);
		uint64_t before = counted(w, COUNTER_bytes_in);

		say(w, fd, "one ", 4);
		assert_int_equal(receive_some(w, fd, 4), RECEIVED);
		say(w, fd, "two", 3);
		assert_int_equal(receive_some(w, fd, 3), RECEIVED);
		assert_input(w, fd, "one two", 7);
		take(w, fd, 4);
		say(w, fd, "!", 1);
		assert_int_equal(receive_some(w, fd, 1), RECEIVED);
		assert_input(w, fd, "two!", 4);
		assert_int_equal(counted(w, COUNTER_bytes_in) - before, 8);
		assert_int_equal(pool_header(&w->base.slot, state_of(w, fd)->in)->owner, fd + 1);
	}
}

/* Nothing is in the socket any more, nor said to be on its way out of it: a successor counts neither twice. */
static void of_a_unix_socket_all_is_taken(void **state)
{
	struct worker_fixture *w = *state;
	int fd = receiver(w, true);
	char byte;

	say(w, fd, "abc", 3);
	assert_int_equal(receive_some(w, fd, 3), RECEIVED);
	assert_int_equal(w->base.slot.shm->receiving, 0);
	assert_int_equal(socket_peeked(fd), 0);
	assert_true(recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
}

static void without_input_there_is_no_buffer(void **state)
{
	struct worker_fixture *w = *state;

	for (int local = 0; local < 2; local++) {
		int fd = receiver(w, local);

		assert_int_equal(receive_some(w, fd, 0), RECEIVED_NOTHING);
		assert_int_equal(lent(w), 0);
		say(w, fd, "half", 4);
		receive_some(w, fd, 4);
		assert_int_equal(receive_some(w, fd, 0), RECEIVED_NOTHING);
		assert_input(w, fd, "half", 4);
		take(w, fd, 4);
		assert_int_equal(receive_some(w, fd, 0), RECEIVED_NOTHING);
		assert_int_equal(lent(w), 0);
		assert_int_equal(state_of(w, fd)->in, BUFFER_NONE);
	}
}

static void the_end_is_told_from_an_error(void **state)
{
	struct worker_fixture *w = *state;

	for (int local = 0; local < 2; local++) {
		int fd = receiver(w, local);

		say(w, fd, "last", 4);
		shutdown(w->peer[fd], SHUT_WR);
		assert_int_equal(receive_some(w, fd, 4), RECEIVED);
		assert_int_equal(receive_some(w, fd, 0), RECEIVED_END);
		assert_input(w, fd, "last", 4);

		fd = receiver(w, local);
		assert_int_equal(send(fd, "unread", 6, 0), 6);
		close(w->peer[fd]);
		w->peer[fd] = -1;
		assert_int_equal(receive_some(w, fd, 0), RECEIVED_ERROR);
	}
}

/* Input that fills its buffer goes on in a larger one, from where it is not dealt with yet. */
static void a_full_buffer_is_replaced_by_a_larger_one(void **state)
{
	struct worker_fixture *w = *state;
	static char bytes[100000];
	int fd = receiver(w, false);
	struct buffer_shm *head;
	size_t all;
	struct intake in;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i % 251);
	say(w, fd, bytes, sizeof(bytes));
	assert_int_equal(receive(&w->base, fd, &in), RECEIVED_FULL);
	assert_in_range(in.bytes, 60000, 65536);
	all = in.bytes;
	take(w, fd, 1000);
	head = pool_header(&w->base.slot, state_of(w, fd)->in);
	head->scan[1] = 4711;
	head->since = 42;
	assert_int_equal(receive(&w->base, fd, &in), RECEIVED);
	assert_int_equal(all + in.bytes, sizeof(bytes));
	assert_input(w, fd, bytes + 1000, sizeof(bytes) - 1000);
	assert_int_equal(lent(w), 1);
	head = pool_header(&w->base.slot, state_of(w, fd)->in);
	assert_int_equal(head->base, 1000);
	assert_int_equal(head->scan[1], 4711);
	assert_int_equal(head->since, 42);
}

/* Input that nothing is taken of stays in the socket when the largest buffer is full: that is neither the end nor an error. */
static void what_has_no_room_stays_in_the_socket(void **state)
{
	struct worker_fixture *w = *state;
	static char bytes[10000];

	for (int local = 0; local < 2; local++) {
		int fd = receiver(w, local);
		size_t all = 0;
		struct intake in;
		enum received what;
		char byte;

		do {
			while (send(w->peer[fd], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
				;
			what = receive(&w->base, fd, &in);
			all += in.bytes;
		} while (what == RECEIVED || what == RECEIVED_FULL);
		assert_int_equal(what, RECEIVED_NOTHING);
		assert_int_equal(receive_some(w, fd, 0), RECEIVED_NOTHING);
		assert_int_equal(pool_header(&w->base.slot, state_of(w, fd)->in)->len, all);
		assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK), 1);
		take(w, fd, all);
		assert_int_equal(receive(&w->base, fd, &in), RECEIVED_FULL);
	}
}

/* A unit's time begins with its first byte: dribbling does not help. Nor does it keep a request of HTTP young. */
static void time_runs_from_the_first_byte(void **state)
{
	struct worker_fixture *w = *state;
	int flash = receiver(w, false), http = receiver(w, false);

	state_of(w, http)->transport = TRANSPORT_HTTP;
	for (w->base.now = 100; w->base.now < 103; w->base.now++) {
		say(w, flash, "x", 1);
		say(w, http, "x", 1);
		receive_some(w, flash, 1);
		receive_some(w, http, 1);
	}
	assert_int_equal(pool_header(&w->base.slot, state_of(w, flash)->in)->since, 100);
	assert_int_equal(session(&w->base, flash)->last_in, 102);
	assert_int_equal(session(&w->base, http)->last_in, 100);
}

static void without_memory_nothing_is_taken(void **state)
{
	struct worker_fixture *w = *state;
	int fd = receiver(w, false);
	char byte;

	pool_nothing(w);
	say(w, fd, "a", 1);
	assert_int_equal(receive_some(w, fd, 0), RECEIVED_NO_MEMORY);
	assert_int_equal(w->asked_for_room, 1);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 1);
}

static void what_nobody_wants_is_thrown_away(void **state)
{
	struct worker_fixture *w = *state;
	int fd = receiver(w, false);

	say(w, fd, "rubbish", 7);
	w->base.now = 77;
	receive_nothing(&w->base, fd);
	assert_int_equal(session(&w->base, fd)->last_in, 77);
	assert_int_equal(lent(w), 0);
	receive_nothing(&w->base, fd);
	assert_int_equal(w->base.over_count, 0);
	shutdown(w->peer[fd], SHUT_WR);
	receive_nothing(&w->base, fd);
	assert_over(w, fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_ON(base, what_comes_is_put_behind_what_is_there),
		TEST_ON(base, of_a_unix_socket_all_is_taken),
		TEST_ON(base, without_input_there_is_no_buffer),
		TEST_ON(base, the_end_is_told_from_an_error),
		TEST_ON(base, a_full_buffer_is_replaced_by_a_larger_one),
		TEST_ON(base, what_has_no_room_stays_in_the_socket),
		TEST_ON(base, time_runs_from_the_first_byte),
		TEST_ON(base, without_memory_nothing_is_taken),
		TEST_ON(base, what_nobody_wants_is_thrown_away),
	};

	alarm(60);
	return cmocka_run_group_tests_name("receive", tests, NULL, NULL);
}
