/*
 * Input, with a transport of the test's own: what arrives is dealt with once, in order and in turn, and what is left of it stays.
 *
 * The source is included, with another step in place of the flash socket's. A unit of its input is a letter and its end, '.'; the letters:
 *
 *   p publishes, and is not answered    a is answered with 'A'    b is answered with more than a client may leave unread
 *   w is put off, once    . alone is nothing
 */
#define flash_step test_step
#include "worker/protocol/input.c"
#undef flash_step

#include "tests/unit/tls_peer.h"

struct test {
	struct worker_fixture *w;
	struct protocols protocols;
};

static char dealt_with[256];
static bool waits;		/* w is put off */

static bool answer(struct protocols *protocols, struct cursor *c, size_t len)
{
	static char text[SESSION_OUT_MAX + 1];

	memset(text, 'A', sizeof(text));
	return publish_batch_begin(protocols->service, c) && session_answer(protocols->base, c->sid, c->at + 2, text, len);
}

bool test_step(struct protocols *protocols, struct cursor *c)
{
	char letter = *cursor_text(c), *dst;

	if (cursor_left(c) < 2)
		return false;
	if (letter == 'w' && waits) {
		cursor_stall(c);
		return false;
	}
	if (letter == 'p') {
		dst = publish_batch_add(protocols->service, c, "a", 1, 1, c->at + 2, 0);
		*dst = 'm';
	}
	if ((letter == 'a' && !answer(protocols, c, 1)) || (letter == 'b' && !answer(protocols, c, SESSION_OUT_MAX + 1)))
		return false;
	strncat(dealt_with, &letter, 1);
	cursor_take(c, 2);
	return !c->stop;
}

static int up(void **state)
{
	struct test *t = calloc(1, sizeof(*t));
	int r = service_up((void **)&t->w);

	t->protocols = (struct protocols){
		.base = &t->w->base, .topics = &t->w->topics, .multi_topic = t->w->multi_topic, .output = &t->w->output, .service = &t->w->service,
	};
	dealt_with[0] = '\0';
	waits = false;
	*state = t;
	return r;
}

static int test_down(void **state)
{
	struct test *t = *state;
	int r;

	ev_timer_stop(t->w->base.loop, &t->protocols.retry);
	r = down((void **)&t->w);
	free(t->protocols.stalled);
	free(t);
	return r;
}

static void on_retry(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	(void)loop;
	(void)timer;
	(void)events;
}

static int client(struct test *t)
{
	ev_init(&t->protocols.retry, on_retry);
	t->protocols.retry.repeat = 1;
	return opened(t->w, TRANSPORT_FLASH);
}

static void arrives(struct test *t, int fd, const char *text)
{
	assert_int_equal(send(t->w->peer[fd], text, strlen(text), MSG_DONTWAIT), strlen(text));
	input_ready(&t->protocols, fd);
}

static void assert_dealt_with(const char *letters)
{
	assert_string_equal(dealt_with, letters);
}

static void each_unit_once(void **state)
{
	struct test *t = *state;
	int fd = client(t);
	uint64_t tail = ring_tail(&t->w->base.hub.ring);

	subscribe(t->w, fd, "a");
	arrives(t, fd, "p.a.p.p.");
	assert_dealt_with("papp");
	assert_int_equal(ring_tail(&t->w->base.hub.ring), tail + 3);
	assert_int_equal(state_of(t->w, fd)->parsed, 8);
	assert_int_equal(state_of(t->w, fd)->in, BUFFER_NONE);		/* nothing is left: nothing is kept */
	expect_bytes(t->w, "A", 1);
	assert_got_expected(t->w, fd);
	assert_int_equal(base_at(&t->w->base), -1);
}

static void a_unit_that_is_not_whole_waits(void **state)
{
	struct test *t = *state;
	int fd = client(t);
	const struct buffer_shm *head;

	arrives(t, fd, "a.a");
	assert_dealt_with("a");
	assert_int_equal(state_of(t->w, fd)->parsed, 2);
	head = pool_header(&t->w->base.slot, state_of(t->w, fd)->in);
	assert_int_equal(head->len - (state_of(t->w, fd)->parsed - head->base), 1);
	assert_in_range(pool_room(&t->w->base.slot, state_of(t->w, fd)->in), 1, 1024);	/* in a small buffer */
	arrives(t, fd, ".a.");
	assert_dealt_with("aaa");
	assert_int_equal(state_of(t->w, fd)->in, BUFFER_NONE);
}

/* Put off, it is tried again from there, and in the meantime nothing is read. */
static void what_is_put_off_is_tried_again(void **state)
{
	struct test *t = *state;
	int fd = client(t);

	waits = true;
	arrives(t, fd, "a.w.a.");
	assert_dealt_with("a");
	assert_true(session_has(&t->w->base, fd, MARK_STALLED));
	assert_int_equal(watched(t->w, fd), 0);
	assert_int_equal(t->protocols.stalled_count, 1);
	input_retry_stalled(&t->protocols);
	assert_dealt_with("a");
	assert_int_equal(t->protocols.stalled_count, 1);
	waits = false;
	assert_false(input_retry_stalled(&t->protocols));
	assert_dealt_with("awa");
	assert_int_equal(t->protocols.stalled_count, 0);
	assert_false(session_has(&t->w->base, fd, MARK_STALLED));
	assert_int_equal(watched(t->w, fd), EV_READ);
}

/* A client that reads no answers is not listened to, until it does. */
static void answers_that_are_not_read_hold_up_input(void **state)
{
	struct test *t = *state;
	int fd = client(t);

	cram(fd);
	arrives(t, fd, "b.a.");
	assert_dealt_with("b");
	assert_true(session_has(&t->w->base, fd, MARK_OUTPUT_BLOCKED));
	assert_int_equal(watched(t->w, fd), EV_WRITE);
	drain(t->w, fd);
	assert_true(output_run(&t->w->output, fd));
	input_resume(&t->protocols, fd);
	assert_dealt_with("ba");
}

static void the_end_comes_behind_what_was_sent(void **state)
{
	struct test *t = *state;
	int fd = client(t);

	waits = true;
	arrives(t, fd, "w.");
	shutdown(t->w->peer[fd], SHUT_WR);
	input_ready(&t->protocols, fd);
	assert_true(session_has(&t->w->base, fd, MARK_ENDED));
	assert_int_equal(t->w->base.over_count, 0);
	waits = false;
	input_retry_stalled(&t->protocols);
	assert_dealt_with("w");
	assert_over(t->w, fd);
}

static void an_end_within_a_frame_is_an_error(void **state)
{
	struct test *t = *state;
	int fd = client(t);

	arrives(t, fd, "a");
	shutdown(t->w->peer[fd], SHUT_WR);
	input_ready(&t->protocols, fd);
	receive_all(t->w, fd);
	assert_non_null(memmem(t->w->got.at, t->w->got.len, "within a frame", 14));
	assert_int_equal(counted(t->w, COUNTER_bad_input), 1);
}

/* Many are put off: each is tried, in the order in which they came, and one who was closed meanwhile is passed over. */
static void those_put_off_go_in_turn(void **state)
{
	struct test *t = *state;
	int fd[3];

	waits = true;
	for (int i = 0; i < 3; i++)
		arrives(t, fd[i] = client(t), "w.");
	session_over(&t->w->base, fd[1]);
	assert_int_equal(t->protocols.stalled_count, 3);
	waits = false;
	while (input_retry_stalled(&t->protocols))
		;		/* (time was up, on a busy machine) */
	assert_dealt_with("ww");
	assert_int_equal(t->protocols.stalled_count, 0);
}

static void without_memory_it_ends(void **state)
{
	struct test *t = *state;
	int fd = client(t);

	pool_nothing(t->w);
	arrives(t, fd, "a.");
	assert_int_equal(t->w->no_memory, fd);
	assert_dealt_with("");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, up, test_down)

/*
 * A client of TLS sends what is none, and does not read. What its socket does not take of the alert is pending, so nothing may be sealed for it any more; and a
 * message that comes in the same turn is for the others.
 */
static void who_can_not_be_told_is_live_no_more(void **state)
{
	struct test *t = *state;
	struct worker_fixture *w = t->w;
	static const char noise[32768] = "GET / HTTP/1.1\r\n\r\n";
	int fd, other = client(t);

	fd = opened_tls(w, TRANSPORT_FLASH, &peer_kinds[0]);
	subscribe(w, fd, "a");
	subscribe(w, other, "a");
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){ 4096 }, sizeof(int));
	setsockopt(w->peer[fd], SOL_SOCKET, SO_RCVBUF, &(int){ 4096 }, sizeof(int));
	do {
		while (send(fd, noise, sizeof(noise), MSG_DONTWAIT) > 0)
			;
	} while (poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 10) > 0);
	assert_int_equal(send(w->peer[fd], noise, 18, 0), 18);
	assert_true(readable(fd));
	input_ready(&t->protocols, fd);
	assert_true(session_has(&w->base, fd, MARK_OVER));
	assert_int_not_equal(session_pending(&w->base, fd), BUFFER_NONE);
	expect(w, other, put(w, "a", 10));
	while (fanout_poll(&w->fanout) | fanout_run(&w->fanout))
		;
	receive_all(w, other);
	assert_got_expected(w, other);
	assert_int_equal(counted(w, COUNTER_closed_uncertain), 0);
	peer_free(fd);
}

/* What it sends without text: an empty record, a KeyUpdate, a warning. */
static void say_nothing(struct test *t, int fd, int what, int times)
{
	static const struct {
		uint8_t type, text[5];
		size_t len;
	} says[] = { { TLS_APPLICATION_DATA, { 0 }, 0 }, { TLS_HANDSHAKE, { 24, 0, 0, 1, 0 }, 5 }, { TLS_ALERT, { 1, 90 }, 2 } };
	struct tls_entry_shm *e = tls_entry(&t->w->base.tls, fd);
	struct tls_keys keys = e->in;
	uint64_t seq = e->flow.in_seq;
	uint8_t record[64];

	for (int i = 0; i < times; i++) {
		size_t n = tls_seal(t->w->base.crypto, e->kind, &keys, seq++, says[what].type, says[what].text, says[what].len, record);

		assert_int_equal(send(t->w->peer[fd], record, n, 0), n);
		if (says[what].type == TLS_HANDSHAKE) {
			tls_keys_next(&keys, e->kind.suite);
			seq = 0;
		}
	}
	while (readable(fd) && !(state_of(t->w, fd)->flags & (SESSION_CLOSE | SESSION_LINGER))) {
		input_ready(&t->protocols, fd);
		if (recv(fd, record, 1, MSG_PEEK | MSG_DONTWAIT) < 0)
			break;
	}
}

/* Records of TLS without text count as pings do, and their bytes as those of others. */
static void what_says_nothing_is_a_flood_too(void **state)
{
	struct test *t = *state;
	struct worker_fixture *w = t->w;

	t->w->service.flood = calloc(SESSIONS, sizeof(*t->w->service.flood));
	for (int what = 0; what < 3; what++)
		for (int limit = 0; limit < 2; limit++) {
			int fd = opened_tls(w, TRANSPORT_FLASH, &peer_kinds[0]);

			ev_init(&t->protocols.retry, on_retry);
			w->service.flood[fd] = (struct flood){ 0 };
			w->settings.flood_messages = limit ? 0 : 20;
			w->settings.flood_bytes = limit ? 20 * 30 : 0;
			say_nothing(t, fd, what, 20);
			assert_int_equal(state_of(w, fd)->flags, SESSION_TLS);
			assert_int_equal(counted(w, COUNTER_closed_flood), 0);
			say_nothing(t, fd, what, 12);
			assert_true(state_of(w, fd)->flags & (SESSION_CLOSE | SESSION_LINGER));
			assert_int_equal(counted(w, COUNTER_closed_flood), 1);
			atomic_store(&w->base.self->counters[COUNTER_closed_flood], 0);
			end_session(w, fd);
			peer_free(fd);
		}
	free(w->service.flood);
	w->service.flood = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_unit_once),
		TEST(a_unit_that_is_not_whole_waits),
		TEST(what_is_put_off_is_tried_again),
		TEST(answers_that_are_not_read_hold_up_input),
		TEST(the_end_comes_behind_what_was_sent),
		TEST(an_end_within_a_frame_is_an_error),
		TEST(those_put_off_go_in_turn),
		TEST(without_memory_it_ends),
		TEST(who_can_not_be_told_is_live_no_more),
		TEST(what_says_nothing_is_a_flood_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
