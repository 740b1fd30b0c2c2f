/*
 * Sessions of TLS connections: what their streams become on the wire, what comes in, and what a new worker finds. The other end is libssl.
 */
#define RING_BYTES (1 << 22)
#include "tests/unit/tls_peer.h"

#include <openssl/err.h>

#include "worker/delivery/landed_tls.h"
#include "worker/io/last_words.h"
#include "worker/io/receive.h"
#include "worker/io/tcp_counts.h"
#include "worker/io/tls_in.h"

#define KIND (&peer_kinds[0])

static void answer(struct worker_fixture *w, int fd, const char *text, size_t len)
{
	struct session_state_shm st = *state_of(w, fd);

	assert_int_equal(session_append(&w->base, fd, &st, text, len), 0);
	session_commit(&w->base, fd, &st);
	output_flush(&w->output, fd);
}

static enum received receive_some(struct worker_fixture *w, int fd, const char *expected)
{
	struct intake in;
	size_t len = strlen(expected);
	enum received what = receive(&w->base, fd, &in);

	assert_int_equal(in.bytes, len);
	if (len > 0) {
		const struct buffer_shm *head = pool_header(&w->base.slot, state_of(w, fd)->in);

		assert_memory_equal(pool_bytes(&w->base.slot, state_of(w, fd)->in) + head->len - len, expected, len);
		assert_int_equal(flow_of(w, fd)->opened, head->base + head->len);
	}
	return what;
}

static enum received receive_ready(struct worker_fixture *w, int fd, const char *expected)
{
	assert_true(readable(fd));
	return receive_some(w, fd, expected);
}

/* What is owed to one who waits for writability is sent, as the peer reads it. */
static void catch_up(struct worker_fixture *w, int fd)
{
	for (int i = 0; i < 10000 && state_of(w, fd)->flags & SESSION_BEHIND; i++) {
		output_run(&w->output, fd);
		peer_receive(w, fd, 0);
		if (state_of(w, fd)->flags & SESSION_BEHIND)
			poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 10);
	}
	assert_int_equal(state_of(w, fd)->flags, SESSION_TLS);
	assert_int_equal(flow_of(w, fd)->taken, state_of(w, fd)->sent);
	assert_int_equal(flow_of(w, fd)->pending, 0);
}

static void check_wire(const struct worker_fixture *w, int fd)
{
	uint64_t accepted, taken;

	assert_int_equal(tcp_accepted(fd, &accepted), 0);
	assert_int_equal(tcp_taken(fd, &taken), 0);
	assert_int_equal(flow_of(w, fd)->wire_out, accepted);
	assert_int_equal(flow_of(w, fd)->wire_in, taken);
}

/* ---- both ways ---- */

static void text_goes_both_ways(void **state)
{
	struct worker_fixture *w = *state;

	for (size_t k = 0; k < PEER_KINDS; k++) {
		int fd = opened_tls(w, TRANSPORT_FLASH, &peer_kinds[k]);

		for (int i = 0; i < 3; i++) {
			answer(w, fd, "one", 3);
			answer(w, fd, " two", 4);
			expect_bytes(w, "one two", 7);
			assert_peer_got(w, fd);
			peer_send(w, fd, "three", 5);
			assert_int_equal(receive_ready(w, fd, "three"), RECEIVED);
			assert_int_equal(receive_some(w, fd, ""), RECEIVED_NOTHING);
		}
		assert_int_equal(state_of(w, fd)->sent, 21);
		check_wire(w, fd);
		end_session(w, fd);
		peer_free(fd);
	}
}

static void records_go_out_in_batches(void **state)
{
	struct worker_fixture *w = *state;
	int tls[5], plain = opened(w, TRANSPORT_FLASH);

	subscribe(w, plain, "t");
	for (int i = 0; i < 5; i++) {
		tls[i] = opened_tls(w, TRANSPORT_FLASH, &peer_kinds[i]);
		subscribe(w, tls[i], "t");
	}
	for (size_t size = 1; size < 200000; size *= 9) {
		uint64_t a = put(w, "t", size), b = put(w, "t", 10);

		while (fanout_poll(&w->fanout) | fanout_run(&w->fanout))
			;
		for (int i = 0; i < 5; i++) {
			expect(w, tls[i], a);
			expect(w, tls[i], b);
			catch_up(w, tls[i]);
			assert_peer_got(w, tls[i]);
			check_wire(w, tls[i]);
		}
	}
	assert_int_equal(w->base.slot.shm->flights, 0);
	for (int i = 0; i < 5; i++)
		peer_free(tls[i]);
}

/* Nobody reads for a while: what is cut stays pending, and all of it comes, in order. */
static void a_reader_that_is_slow_gets_all(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened_tls(w, TRANSPORT_FLASH, KIND);

	subscribe(w, fd, "t");
	setsockopt(w->peer[fd], SOL_SOCKET, SO_RCVBUF, &(int){ 4096 }, sizeof(int));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){ 4096 }, sizeof(int));
	while (!(state_of(w, fd)->flags & SESSION_BEHIND)) {
		expect(w, fd, put(w, "t", 3000));
		while (fanout_poll(&w->fanout) | fanout_run(&w->fanout))
			;
	}
	assert_int_equal(flow_of(w, fd)->pending != 0, !peer_by_kernel);
	assert_int_equal(flow_of(w, fd)->taken, state_of(w, fd)->sent);
	assert_int_equal(lent(w), !peer_by_kernel);
	catch_up(w, fd);
	assert_peer_got(w, fd);
	assert_int_equal(lent(w), 0);
	check_wire(w, fd);
	peer_free(fd);
}

/* Nothing is left to be said, but what the socket has not taken of it: that it waits for writability must be seen. */
static void who_has_something_pending_is_behind(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened_tls(w, TRANSPORT_FLASH, KIND);
	static char text[1000];

	memset(text, 'x', sizeof(text));
	setsockopt(w->peer[fd], SOL_SOCKET, SO_RCVBUF, &(int){ 4096 }, sizeof(int));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){ 4096 }, sizeof(int));
	for (int i = 0; i < 1000 && !flow_of(w, fd)->pending; i++) {
		answer(w, fd, text, sizeof(text));
		expect_bytes(w, text, sizeof(text));
	}
	assert_int_not_equal(flow_of(w, fd)->pending, 0);
	assert_int_equal(state_of(w, fd)->out, BUFFER_NONE);
	assert_true(state_of(w, fd)->flags & SESSION_BEHIND);
	catch_up(w, fd);
	assert_peer_got(w, fd);
	peer_free(fd);
}

/* No buffers are lent any more (max_buffered): he falls behind all the same, with as much as the smallest one holds, and has all in the end. */
static void a_reader_that_is_slow_gets_all_without_memory(void **state)
{
	struct worker_fixture *w = *state;

	for (size_t k = 0; k < PEER_KINDS; k++) {
		int fd = opened_tls(w, TRANSPORT_FLASH, &peer_kinds[k]);

		subscribe(w, fd, "t");
		setsockopt(w->peer[fd], SOL_SOCKET, SO_RCVBUF, &(int){ 4096 }, sizeof(int));
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){ 4096 }, sizeof(int));
		pool_nothing(w);
		for (int i = 0; i < 12; i++) {
			expect(w, fd, put(w, "t", 3000));
			while (fanout_poll(&w->fanout) | fanout_run(&w->fanout))
				;
		}
		assert_true(state_of(w, fd)->flags & SESSION_BEHIND);
		for (int i = 0; i < 1000 && !flow_of(w, fd)->pending; i++)
			output_run(&w->output, fd);
		assert_int_not_equal(flow_of(w, fd)->pending, 0);
		assert_int_equal(pool_header(&w->base.slot, flow_of(w, fd)->pending)->charged, BUFFER_LEAST);
		catch_up(w, fd);
		assert_peer_got(w, fd);
		assert_int_equal(w->base.over_count + w->asked_for_room + counted(w, COUNTER_no_buffer), 0);
		check_wire(w, fd);
		w->base.pool.hub = NULL;
		end_session(w, fd);
		peer_free(fd);
	}
}

/* What all of a batch may leave is asked for together. */
static void a_batch_leaves_no_more_than_there_is_room_for(void **state)
{
	struct worker_fixture *w = *state;
	int tls[6];

	for (int i = 0; i < 6; i++) {
		tls[i] = opened_tls(w, TRANSPORT_FLASH, KIND);
		subscribe(w, tls[i], "t");
		setsockopt(w->peer[tls[i]], SOL_SOCKET, SO_RCVBUF, &(int){ 4096 }, sizeof(int));
		setsockopt(tls[i], SOL_SOCKET, SO_SNDBUF, &(int){ 4096 }, sizeof(int));
	}
	pool_nothing(w);
	w->base.hub.shm->buffered_max = 150000;
	expect(w, tls[0], put(w, "t", 60000));
	while (fanout_poll(&w->fanout) | fanout_run(&w->fanout))
		;
	assert_in_range(w->base.pool.held, 1, 150000);
	for (int i = 0; i < 6; i++) {
		w->got.len = 0;
		catch_up(w, tls[i]);
		assert_int_equal(peer_receive(w, tls[i], w->expected.len), SSL_ERROR_WANT_READ);
		assert_int_equal(w->got.len, w->expected.len);
		assert_memory_equal(w->got.at, w->expected.at, w->got.len);
		peer_free(tls[i]);
	}
	assert_int_equal(w->base.over_count + counted(w, COUNTER_no_buffer), 0);
}

/* ---- what TLS itself says ---- */

static void keys_are_updated(void **state)
{
	struct worker_fixture *w = *state;

	for (int k = 0; k < 3; k++) {
		int fd = opened_tls(w, TRANSPORT_FLASH, &peer_kinds[k]);

		for (unsigned i = 1; i <= 3; i++) {
			/* The peer has new keys, and wants us to; then only the peer. */
			assert_int_equal(SSL_key_update(tls_peer[fd].ssl, SSL_KEY_UPDATE_REQUESTED), 1);
			peer_send(w, fd, "new", 3);
			assert_int_equal(receive_ready(w, fd, "new"), RECEIVED);
			assert_int_equal(tls_entry(&w->base.tls, fd)->in.generation, 2 * i - 1);
			answer(w, fd, "ours", 4);
			assert_int_equal(tls_entry(&w->base.tls, fd)->out.generation, i);
			expect_bytes(w, "ours", 4);
			assert_peer_got(w, fd);
			SSL_key_update(tls_peer[fd].ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
			peer_send(w, fd, "newer", 5);
			assert_int_equal(receive_ready(w, fd, "newer"), RECEIVED);
			answer(w, fd, "same", 4);
			expect_bytes(w, "same", 4);
			assert_peer_got(w, fd);
			assert_int_equal(tls_entry(&w->base.tls, fd)->out.generation, i);
			assert_int_equal(tls_entry(&w->base.tls, fd)->in.generation, 2 * i);
		}
		/* A KeyUpdate alone: the answer is owed. */
		SSL_key_update(tls_peer[fd].ssl, SSL_KEY_UPDATE_REQUESTED);
		SSL_do_handshake(tls_peer[fd].ssl);
		peer_send_raw(w, fd);
		assert_int_equal(receive_ready(w, fd, ""), RECEIVED_OWES);
		assert_int_equal(lent(w), 1);		/* its input before */
		output_flush(&w->output, fd);
		assert_int_equal(tls_entry(&w->base.tls, fd)->out.generation, 4);
		check_wire(w, fd);
		end_session(w, fd);
		peer_free(fd);
		session_commit(&w->base, fd, &(struct session_state_shm){ 0 });
	}
}

/* Long before the cipher's limit keys are changed, also if it is a batch that comes there. */
static void keys_are_updated_before_the_limit(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened_tls(w, TRANSPORT_FLASH, KIND);

	subscribe(w, fd, "t");
	for (int i = 0; i < 3; i++) {
		/* (What the peer counts can't be set: nothing more is read.) */
		flow_of(w, fd)->out_seq = tls_records_max(KIND->kind) - 1;
		put(w, "t", 10);
		while (fanout_poll(&w->fanout) | fanout_run(&w->fanout))
			;
		assert_true(state_of(w, fd)->flags & SESSION_BEHIND);
		output_run(&w->output, fd);
		assert_int_equal(state_of(w, fd)->flags, SESSION_TLS);
		assert_int_equal(flow_of(w, fd)->out_seq, 0);
		assert_int_equal(tls_entry(&w->base.tls, fd)->out.generation, i + 1);
	}
	peer_free(fd);
}

static void the_end_is_said(void **state)
{
	struct worker_fixture *w = *state;

	for (size_t k = 0; k < PEER_KINDS; k++) {
		int fd = opened_tls(w, TRANSPORT_FLASH, &peer_kinds[k]);
		struct session_state_shm st;

		/* Ours, behind all that is to be sent. */
		st = *state_of(w, fd);
		assert_int_equal(session_append(&w->base, fd, &st, "bye", 3), 0);
		st.flags |= SESSION_CLOSE;
		session_commit(&w->base, fd, &st);
		output_flush(&w->output, fd);
		assert_true(state_of(w, fd)->flags & SESSION_LINGER && state_of(w, fd)->flags & SESSION_TLS);
		expect_bytes(w, "bye", 3);
		assert_int_equal(peer_receive(w, fd, 4), SSL_ERROR_ZERO_RETURN);
		assert_int_equal(w->got.len, 3);
		w->got.len = w->expected.len = 0;
		end_session(w, fd);
		peer_free(fd);
		/* The peer's, behind data, and without a FIN. */
		fd = opened_tls(w, TRANSPORT_FLASH, &peer_kinds[k]);
		SSL_write(tls_peer[fd].ssl, "bye", 3);
		SSL_shutdown(tls_peer[fd].ssl);
		peer_send_raw(w, fd);
		assert_int_equal(receive_ready(w, fd, "bye"), RECEIVED_FULL);
		assert_true(readable(fd));
		assert_int_equal(receive_some(w, fd, ""), RECEIVED_END);
		assert_int_equal(receive_some(w, fd, ""), RECEIVED_END);
		end_session(w, fd);
		peer_free(fd);
	}
}

static void a_client_hears_why_it_is_sent_nothing_more(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened_tls(w, TRANSPORT_FLASH, KIND);
	struct session_state_shm was = *state_of(w, fd);

	session_forfeit(&w->base, fd);
	last_words(&w->base, fd, &was, "no memory", 9);
	assert_int_equal(peer_receive(w, fd, 10), SSL_ERROR_ZERO_RETURN);
	assert_int_equal(w->got.len, 9);
	assert_memory_equal(w->got.at, "no memory", 9);
	peer_free(fd);
}

/* ---- what is wrong ---- */

static void what_can_not_be_opened_ends_it(void **state)
{
	struct worker_fixture *w = *state;

	for (size_t k = 0; k < PEER_KINDS; k++) {
		for (int what = 0; what < 3; what++) {
			static const uint8_t page[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
			int fd = opened_tls(w, TRANSPORT_FLASH, &peer_kinds[k]);
			uint8_t bytes[1000];
			int n;

			SSL_write(tls_peer[fd].ssl, "text", 4);
			n = BIO_read(tls_peer[fd].out, bytes, sizeof(bytes));
			if (what == 0)
				bytes[n - 1] ^= 1;
			if (what == 1)
				bytes[0] = 99;
			if (what == 2)
				memcpy(bytes, page, sizeof(page));
			send(w->peer[fd], bytes, what == 2 ? sizeof(page) : (size_t)n, 0);
			assert_int_equal(receive_ready(w, fd, ""), RECEIVED_ERROR);
			assert_int_equal(peer_receive(w, fd, 1), SSL_ERROR_SSL);	/* it has the alert */
			assert_int_equal(counted(w, COUNTER_bad_input), 1);
			atomic_store(&w->base.self->counters[COUNTER_bad_input], 0);
			assert_int_equal(state_of(w, fd)->in, BUFFER_NONE);
			assert_int_equal(lent(w), 0);
			end_session(w, fd);
			peer_free(fd);
		}
	}
}

/* A record that is not whole is taken and held: what comes behind it must not wait for room. */
static void a_record_waits_until_it_is_whole(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened_tls(w, TRANSPORT_FLASH, KIND), n;
	uint8_t bytes[40000];
	char text[20000];

	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 3; i++) {
		SSL_write(tls_peer[fd].ssl, "whole", 5);
		n = BIO_read(tls_peer[fd].out, bytes, sizeof(bytes));
		for (int at = 0, part = 3; at < n; at += part, part = n - at < 9 ? n - at : 9) {
			send(w->peer[fd], bytes + at, (size_t)part, 0);
			assert_int_equal(receive_ready(w, fd, at + part == n ? "whole" : ""), at + part == n ? RECEIVED : RECEIVED_NOTHING);
			assert_int_equal(flow_of(w, fd)->held_len, at + part == n ? 0 : at + part);
			assert_int_equal(flow_of(w, fd)->held != 0, at + part < n);
			check_wire(w, fd);
		}
	}
	assert_int_equal(lent(w), 1);		/* its input */
	/* A large one, and the beginning of the next. */
	SSL_write(tls_peer[fd].ssl, text, sizeof(text));
	n = BIO_read(tls_peer[fd].out, bytes, sizeof(bytes));
	send(w->peer[fd], bytes, (size_t)n - 1, 0);
	while (recv(fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT) < n - 1)
		;
	text[TLS_TEXT_MAX] = '\0';
	assert_int_equal(receive_some(w, fd, text), RECEIVED);
	assert_true(flow_of(w, fd)->held_len > 3000);
	check_wire(w, fd);
	assert_int_equal(receive_some(w, fd, ""), RECEIVED_NOTHING);
	/* It will not come. */
	shutdown(w->peer[fd], SHUT_WR);
	assert_int_equal(receive_ready(w, fd, ""), RECEIVED_ERROR);
	tls_end(&w->base.tls, fd);
	tls_out_end(&w->base, fd);
	assert_int_equal(lent(w), 1);
	peer_free(fd);
}

/* Takes what has come of letters in their order, of which `got` were there before. How many. */
static size_t take_all(struct worker_fixture *w, int fd, size_t got)
{
	size_t before = got;
	struct intake took;

	while (receive(&w->base, fd, &took) != RECEIVED_NOTHING) {
		struct session_state_shm st = *state_of(w, fd);
		const uint8_t *in = pool_bytes(&w->base.slot, st.in) + (st.parsed - pool_header(&w->base.slot, st.in)->base);

		for (size_t i = 0; i < took.bytes; i++)
			assert_int_equal(in[i], 'a' + (got + i) % 26);
		got += took.bytes;
		st.parsed += took.bytes;
		st.in = BUFFER_NONE;
		session_commit(&w->base, fd, &st);
	}
	return got - before;
}

/* As much as a client sends at a time, in whatever pieces it comes. */
static void much_input_comes_through(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened_tls(w, TRANSPORT_FLASH, KIND);
	static char text[30000];
	size_t got = 0, written = 0;

	fcntl(w->peer[fd], F_SETFL, O_NONBLOCK);
	SSL_set_mode(tls_peer[fd].ssl, SSL_MODE_ENABLE_PARTIAL_WRITE);
	for (int turn = 0; got < 1000000 && turn < 100000; turn++) {
		uint8_t bytes[4096];

		if (written < 1000000 && BIO_ctrl_pending(tls_peer[fd].out) == 0) {
			size_t piece = 100 + (written * 7) % 15000;

			for (size_t i = 0; i < piece; i++)
				text[i] = (char)('a' + (written + i) % 26);
			assert_int_equal(SSL_write(tls_peer[fd].ssl, text, (int)piece), (int)piece);
			written += piece;
		}
		for (int len; (len = BIO_read(tls_peer[fd].out, bytes, 1 + turn * 37 % 4000)) > 0;) {
			ssize_t sent = 0;

			while (sent < len) {
				ssize_t one = send(w->peer[fd], bytes + sent, (size_t)(len - sent), MSG_DONTWAIT);

				if (one > 0)
					sent += one;
				got += take_all(w, fd, got);
			}
		}
		got += take_all(w, fd, got);
		if (written >= 1000000 && got == written)
			break;
	}
	assert_int_equal(got, written);
	check_wire(w, fd);
	assert_int_equal(lent(w), 0);
	peer_free(fd);
}

/* ---- a new worker ---- */

/* What shared memory says of a session before a send, for a death that leaves it so. */
struct before {
	struct session_state_shm st;
	struct tls_entry_shm entry;
	struct subscription_shm subscription;
};

static struct subscription_shm *subscription_of(const struct worker_fixture *w, int fd)
{
	return &w->base.slot.subscriptions[atomic_load(&session(&w->base, fd)->subscriptions)];
}

static struct before note(const struct worker_fixture *w, int fd)
{
	return (struct before){ .st = *state_of(w, fd), .entry = *tls_entry(&w->base.tls, fd), .subscription = *subscription_of(w, fd) };
}

/* The worker died, and of what it did these are left: the list of flights, and what the kernel has. */
static void die(struct worker_fixture *w, int fd, const struct before *b, bool flow_committed, uint64_t taken)
{
	w->base.slot.shm->flight[0] = (uint32_t)fd;
	w->base.tls.shm->flight_taken[0] = taken;
	if (!flow_committed) {
		if (flow_of(w, fd)->pending)
			pool_give(&w->base.pool, flow_of(w, fd)->pending);
		*tls_entry(&w->base.tls, fd) = b->entry;
	}
	*state_of(w, fd) = b->st;
	subscription_of(w, fd)->from = b->subscription.from;
	subscription_of(w, fd)->number = b->subscription.number;
}

static void land(struct worker_fixture *w, int fd)
{
	assert_true(landed_tls(&w->streams, fd, w->base.tls.shm->flight_taken[0]));
	assert_true(landed_tls_settle(&w->streams, fd, false));
	assert_int_equal(flow_of(w, fd)->taken, state_of(w, fd)->sent);
}

/* With whole records and with cut ones, of an answer and of records of the ring. */
static void a_new_worker_seals_the_same(void **state)
{
	struct worker_fixture *w = *state;
	static const char text[50000] = "an answer";

	for (size_t k = 0; k < PEER_KINDS; k++)
		for (int what = 0; what < 8; what++) {
			bool small = what & 1, committed = what & 2, of_ring = what & 4;
			int fd = opened_tls(w, TRANSPORT_FLASH, &peer_kinds[k]);
			struct before b;

			if (small) {
				setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){ 4096 }, sizeof(int));
				setsockopt(w->peer[fd], SOL_SOCKET, SO_RCVBUF, &(int){ 4096 }, sizeof(int));
			}
			subscribe(w, fd, "t");
			b = note(w, fd);
			if (of_ring) {
				for (int i = 0; i < 3; i++)
					expect(w, fd, put(w, "t", 18000));
				while (fanout_poll(&w->fanout) | fanout_run(&w->fanout))
					;
				die(w, fd, &b, committed, w->expected.len);
			} else {
				answer(w, fd, text, 8000);	/* one record; what follows it is there for the walk */
				expect_bytes(w, text, 8000);
				b.st.out = session_buffer(&w->base, fd, sizeof(text));
				memcpy(pool_bytes(&w->base.slot, b.st.out), text, 8000);
				b.st.out_end = 8000;
				die(w, fd, &b, committed, 8000);
			}
			land(w, fd);
			if (!tls_by_kernel(flow_of(w, fd)))
				assert_int_equal(flow_of(w, fd)->pending != 0, (state_of(w, fd)->flags & SESSION_BEHIND) != 0);
			catch_up(w, fd);
			assert_peer_got(w, fd);
			/* And it goes on. */
			expect(w, fd, put(w, "t", 100));
			while (fanout_poll(&w->fanout) | fanout_run(&w->fanout))
				;
			catch_up(w, fd);
			assert_peer_got(w, fd);
			check_wire(w, fd);
			end_session(w, fd);
			peer_free(fd);
		}
}

/* Pending bytes were sent, and it was not recorded. */
static void a_new_worker_finds_what_was_drained(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened_tls(w, TRANSPORT_FLASH, KIND);
	struct before b;

	subscribe(w, fd, "t");
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){ 4096 }, sizeof(int));
	do {
		expect(w, fd, put(w, "t", 3000));
		while (fanout_poll(&w->fanout) | fanout_run(&w->fanout))
			;
	} while (!flow_of(w, fd)->pending);
	b = note(w, fd);
	peer_receive(w, fd, 3000);
	assert_true(poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 1000) == 1);
	assert_true(send(fd, pool_bytes(&w->base.slot, flow_of(w, fd)->pending) + flow_of(w, fd)->pending_start, 7, MSG_DONTWAIT) == 7);
	assert_true(landed_tls_settle(&w->streams, fd, false));
	assert_int_equal(flow_of(w, fd)->pending_start, b.entry.flow.pending_start + 7);
	catch_up(w, fd);
	assert_peer_got(w, fd);
	/* More than was pending can't be accounted for. */
	send(fd, "x", 1, MSG_DONTWAIT);
	assert_true(landed_tls_settle(&w->streams, fd, false));
	assert_false(landed_tls_settle(&w->streams, fd, true));
	peer_free(fd);
}

/* Somebody died who had noted that TLS has something to say: the session waits for writability with whoever finds that. */
static void a_new_worker_says_what_is_owed(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened_tls(w, TRANSPORT_FLASH, KIND);

	flow_of(w, fd)->control |= TLS_UPDATE_OWED;
	assert_true(landed_tls_settle(&w->streams, fd, false));
	assert_true(state_of(w, fd)->flags & SESSION_BEHIND);
	catch_up(w, fd);
	assert_int_equal(tls_entry(&w->base.tls, fd)->out.generation, 1);
	assert_int_equal(flow_of(w, fd)->control, 0);
	answer(w, fd, "ours", 4);
	expect_bytes(w, "ours", 4);
	assert_peer_got(w, fd);
	peer_free(fd);
}

/* Input was committed, and neither counted nor taken; or counted; or taken in part. */
static void a_new_worker_takes_the_rest_of_input(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened_tls(w, TRANSPORT_FLASH, KIND);
	uint64_t taken, len;

	for (int i = 0; i < 5; i++) {
		struct tls_in in;
		uint8_t rest[100];
		size_t n;
		uint64_t from = flow_of(w, fd)->opened;

		peer_send(w, fd, "text", 4);
		assert_true(readable(fd));
		assert_int_equal(tls_in_look(&w->base, fd, &in), RECEIVED);
		assert_int_equal(tls_in_open(&w->base, fd, &in, rest, sizeof(rest), &n), RECEIVED);
		assert_int_equal(n, 4);
		if (i > 0)
			assert_int_equal(recv(fd, rest, (size_t)i * 6, MSG_DONTWAIT), i * 6);
		assert_int_equal(tcp_taken(fd, &taken), 0);
		assert_int_equal(tls_in_settle(&w->base, fd, taken, from, &len), 0);
		assert_int_equal(len, 4);
		check_wire(w, fd);
	}
	assert_int_equal(tls_in_settle(&w->base, fd, flow_of(w, fd)->wire_in + 1, 0, &len), -1);
	peer_free(fd);
}

/* What an entry says is looked at before it is believed. */
static void a_damaged_entry_is_not_believed(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened_tls(w, TRANSPORT_FLASH, KIND);
	struct tls_entry_shm *e = tls_entry(&w->base.tls, fd), good = *e;

	assert_true(landed_tls_claim(&w->base, fd, state_of(w, fd)));
	e->kind.version = 0;
	assert_false(landed_tls_claim(&w->base, fd, state_of(w, fd)));
	*e = good;
	e->flow.pending = 0x7fffffff;
	e->flow.pending_end = 4;
	assert_false(landed_tls_claim(&w->base, fd, state_of(w, fd)));
	*e = good;
	e->flow.held_len = 1;
	assert_false(landed_tls_claim(&w->base, fd, state_of(w, fd)));
	*e = good;
	state_of(w, fd)->sent = 1;
	assert_false(landed_tls_claim(&w->base, fd, state_of(w, fd)));
	*e = good;
	state_of(w, fd)->sent = 0;
	assert_false(landed_tls(&w->streams, fd, TLS_OUT_TEXT_MAX + 1));
	peer_free(fd);
}

/* ---- the kernel makes the records ---- */

/* For one kind, and for all that this kernel serves. */
static void need_kernel(struct worker_fixture *w, size_t kind)
{
	int fd;

	peer_by_kernel = true;
	fd = opened_tls(w, TRANSPORT_FLASH, &peer_kinds[kind]);
	peer_by_kernel = tls_by_kernel(flow_of(w, fd));
	end_session(w, fd);
	peer_free(fd);
	if (!peer_by_kernel)
		skip();		/* it has no TLS (modprobe tls), or can't change keys */
}

#define BY_KERNEL(test, kind) \
static void test##_by_kernel(void **state) \
{ \
	need_kernel(*state, kind); \
	test(state); \
	peer_by_kernel = false; \
}

enum { NEW, OLD = 3 };		/* of peer_kinds: 1.3; 1.2 */

BY_KERNEL(text_goes_both_ways, OLD)
BY_KERNEL(records_go_out_in_batches, OLD)
BY_KERNEL(a_reader_that_is_slow_gets_all, NEW)
BY_KERNEL(keys_are_updated, NEW)
BY_KERNEL(keys_are_updated_before_the_limit, NEW)
BY_KERNEL(the_end_is_said, OLD)
BY_KERNEL(a_client_hears_why_it_is_sent_nothing_more, NEW)
BY_KERNEL(what_can_not_be_opened_ends_it, OLD)
BY_KERNEL(a_new_worker_seals_the_same, OLD)

/* What the kernel keeps when the end comes is sent before that. */
static void the_end_waits_for_the_kernel(void **state)
{
	struct worker_fixture *w = *state;
	static const char text[30000] = "much";
	struct session_state_shm st;
	int fd;

	need_kernel(w, OLD);
	fd = opened_tls(w, TRANSPORT_FLASH, &peer_kinds[OLD]);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){ 4096 }, sizeof(int));
	setsockopt(w->peer[fd], SOL_SOCKET, SO_RCVBUF, &(int){ 4096 }, sizeof(int));
	while (!(state_of(w, fd)->flags & SESSION_BEHIND)) {
		answer(w, fd, text, sizeof(text));
		expect_bytes(w, text, sizeof(text));
	}
	st = *state_of(w, fd);
	st.flags |= SESSION_CLOSE;
	session_commit(&w->base, fd, &st);
	for (int i = 0; i < 10000 && !(state_of(w, fd)->flags & SESSION_LINGER); i++) {
		output_run(&w->output, fd);
		peer_receive(w, fd, 0);
		poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 10);
	}
	assert_int_equal(peer_receive(w, fd, w->expected.len + 1), SSL_ERROR_ZERO_RETURN);
	assert_int_equal(w->got.len, w->expected.len);
	w->got.len = w->expected.len = 0;
	peer_free(fd);
	peer_by_kernel = false;
}

/* The worker died when the kernel had said what was owed, with the next keys or without. */
static void a_new_worker_finds_what_the_kernel_has_said(void **state)
{
	struct worker_fixture *w = *state;

	for (int what = 0; what < 3; what++) {
		struct tls_entry_shm owed, after;
		int fd;

		need_kernel(w, what < 2 ? NEW : OLD);
		fd = opened_tls(w, TRANSPORT_FLASH, &peer_kinds[what < 2 ? NEW : OLD]);
		flow_of(w, fd)->control |= what < 2 ? TLS_UPDATE_OWED : TLS_CLOSE_OWED;
		owed = *tls_entry(&w->base.tls, fd);
		if (what == 0) {
			static const uint8_t update[] = { 24, 0, 0, 1, 0 };

			assert_int_equal(tls_kernel_say(fd, TLS_HANDSHAKE, update, sizeof(update)), sizeof(update));
		} else {
			assert_int_equal(tls_out_flush(&w->base, fd), 1);
			after = *tls_entry(&w->base.tls, fd);
			*tls_entry(&w->base.tls, fd) = owed;
		}
		assert_true(landed_tls_settle(&w->streams, fd, false));
		if (what > 0)
			assert_memory_equal(tls_entry(&w->base.tls, fd), &after, sizeof(after));
		assert_true(landed_tls_settle(&w->streams, fd, true));
		if (what < 2) {
			assert_int_equal(tls_entry(&w->base.tls, fd)->out.generation, 1);
			answer(w, fd, "more", 4);
			expect_bytes(w, "more", 4);
			assert_peer_got(w, fd);
		} else {
			assert_int_equal(peer_receive(w, fd, 1), SSL_ERROR_ZERO_RETURN);
		}
		check_wire(w, fd);
		/* A record that nobody knows of. */
		assert_true(send(fd, "x", 1, MSG_DONTWAIT) == 1);
		assert_false(landed_tls_settle(&w->streams, fd, true));
		end_session(w, fd);
		peer_free(fd);
	}
	peer_by_kernel = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_ON(delivery, text_goes_both_ways),
		TEST_ON(delivery, records_go_out_in_batches),
		TEST_ON(delivery, a_reader_that_is_slow_gets_all),
		TEST_ON(delivery, who_has_something_pending_is_behind),
		TEST_ON(delivery, a_reader_that_is_slow_gets_all_without_memory),
		TEST_ON(delivery, a_batch_leaves_no_more_than_there_is_room_for),
		TEST_ON(delivery, keys_are_updated),
		TEST_ON(delivery, keys_are_updated_before_the_limit),
		TEST_ON(delivery, the_end_is_said),
		TEST_ON(delivery, a_client_hears_why_it_is_sent_nothing_more),
		TEST_ON(delivery, what_can_not_be_opened_ends_it),
		TEST_ON(delivery, a_record_waits_until_it_is_whole),
		TEST_ON(delivery, much_input_comes_through),
		TEST_ON(delivery, a_new_worker_seals_the_same),
		TEST_ON(delivery, a_new_worker_finds_what_was_drained),
		TEST_ON(delivery, a_new_worker_says_what_is_owed),
		TEST_ON(delivery, a_new_worker_takes_the_rest_of_input),
		TEST_ON(delivery, a_damaged_entry_is_not_believed),
		TEST_ON(delivery, text_goes_both_ways_by_kernel),
		TEST_ON(delivery, records_go_out_in_batches_by_kernel),
		TEST_ON(delivery, a_reader_that_is_slow_gets_all_by_kernel),
		TEST_ON(delivery, keys_are_updated_by_kernel),
		TEST_ON(delivery, keys_are_updated_before_the_limit_by_kernel),
		TEST_ON(delivery, the_end_is_said_by_kernel),
		TEST_ON(delivery, a_client_hears_why_it_is_sent_nothing_more_by_kernel),
		TEST_ON(delivery, what_can_not_be_opened_ends_it_by_kernel),
		TEST_ON(delivery, a_new_worker_seals_the_same_by_kernel),
		TEST_ON(delivery, the_end_waits_for_the_kernel),
		TEST_ON(delivery, a_new_worker_finds_what_the_kernel_has_said),
	};

	log_init("test", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
