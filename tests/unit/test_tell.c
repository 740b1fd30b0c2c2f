/*
 * What a worker tells of its sessions: whose it is, why they end, and how much of what may happen often.
 */
#include "tests/unit/worker_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <time.h>

#include "shm/client_id.h"
#include "worker/io/peer.h"
#include "worker/session/tell.h"

/* The next event that the worker has written since the last call. False: there is none. */
static bool told(struct worker_fixture *w, struct event_shm *event)
{
	static struct worker_fixture *of;
	static uint64_t next;
	uint64_t lost = 0;

	if (of != w)
		next = 1;
	of = w;
	return events_read(&w->base.hub.events, SLOT, &next, event, &lost);
}

static void whose_it_is(void **state)
{
	struct worker_fixture *w = *state;
	int sid = opened(w, TRANSPORT_WEBSOCKET);
	struct event_peer peer = { .family = EVENT_UNIX };
	struct event_shm event;

	memset(session(&w->base, sid)->token, 7, TOKEN_BYTES);
	tell_session(&w->base, sid, EVENT_LOGIN, 3, "bob", 3, &peer);
	assert_true(told(w, &event));
	assert_int_equal(event.kind, EVENT_LOGIN);
	assert_int_equal(event.slot, SLOT);
	assert_int_equal(event.session, sid);
	assert_int_equal(event.check, client_id_check(session(&w->base, sid)->token));
	assert_int_equal(event.transport, TRANSPORT_WEBSOCKET);
	assert_int_equal(event.family, EVENT_UNIX);
	assert_int_equal(event.n, 3);
	tell_refused(&w->base, COUNTER_refused, TRANSPORT_FLASH, &peer);
	assert_true(told(w, &event));
	assert_int_equal(event.session, EVENT_NO_SESSION);
	assert_int_equal(event.why, COUNTER_refused);
	assert_int_equal(event.transport, TRANSPORT_FLASH);
	assert_false(told(w, &event));
}

static void why_it_ends(void **state)
{
	struct worker_fixture *w = *state;
	int sid = opened(w, TRANSPORT_FLASH);
	uint64_t before = atomic_load(&w->base.self->counters[COUNTER_bad_input]);
	struct event_shm event;

	assert_int_equal(tell_reason(&w->base, sid), EVENT_WHY_PEER);
	tell_ends(&w->base, sid, COUNTER_bad_input, "what is wrong");
	assert_int_equal(atomic_load(&w->base.self->counters[COUNTER_bad_input]), before + 1);
	assert_true(told(w, &event));
	assert_int_equal(event.kind, EVENT_REFUSE);
	assert_int_equal(event.why, COUNTER_bad_input);
	assert_memory_equal(event.text, "what is wrong", event.text_len);
	/* The first reason is why: what follows, follows from it. */
	tell_ends(&w->base, sid, COUNTER_closed_gone, NULL);
	tell_ends_as(&w->base, sid, EVENT_WHY_RESET);
	assert_false(told(w, &event));
	assert_int_equal(tell_reason(&w->base, sid), COUNTER_bad_input);
	assert_int_equal(tell_reason(&w->base, sid), EVENT_WHY_PEER);
	session(&w->base, sid)->state.flags |= SESSION_CLOSE;
	assert_int_equal(tell_reason(&w->base, sid), EVENT_WHY_DONE);
	session_abort(&w->base, sid, COUNTER_closed_slow);
	assert_int_equal(tell_reason(&w->base, sid), COUNTER_closed_slow);
}

static void what_happens_often(void **state)
{
	struct worker_fixture *w = *state;
	int sid = opened(w, TRANSPORT_FLASH);
	struct event_shm event;
	unsigned n = 0;

	for (unsigned second = 1; second <= 2; second++) {
		w->base.now += 1;
		for (unsigned i = 0; i < 500; i++)
			tell_often(&w->base, sid, EVENT_DROP, i, "a", 1);
		assert_int_equal(atomic_load(&w->base.self->counters[COUNTER_events_muted]), 300 * second);
	}
	for (; told(w, &event); n++)
		assert_int_equal(event.n, n % 200);
	assert_int_equal(n, 400);
}

static void becoming_a_stream_and_falling_behind(void **state)
{
	struct worker_fixture *w = *state;
	int sid = opened(w, TRANSPORT_HTTP);
	struct session_state_shm st = session(&w->base, sid)->state;
	struct event_shm event;

	st.transport = TRANSPORT_SSE;
	session_commit(&w->base, sid, &st);
	assert_true(told(w, &event));
	assert_int_equal(event.kind, EVENT_STREAM);
	assert_int_equal(event.transport, TRANSPORT_SSE);
	st.flags |= SESSION_BEHIND;
	session_commit(&w->base, sid, &st);
	assert_true(told(w, &event));
	assert_int_equal(event.kind, EVENT_BEHIND);
	st.flags &= ~(uint32_t)SESSION_BEHIND;
	session_commit(&w->base, sid, &st);
	assert_true(told(w, &event));
	assert_int_equal(event.kind, EVENT_CAUGHT_UP);
	/* Who is to end has not caught up. */
	st.flags |= SESSION_BEHIND;
	session_commit(&w->base, sid, &st);
	assert_true(told(w, &event));
	session_forfeit(&w->base, sid);
	assert_false(told(w, &event));
}

/* Said, not asserted: JANUS_EVENTS_COST=1 says it. */
static void cost(void **state)
{
	struct worker_fixture *w = *state;
	int sid = opened(w, TRANSPORT_FLASH), listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), fd;
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	unsigned times = 1000000;

	if (getenv("JANUS_EVENTS_COST") && bind(listener, (struct sockaddr *)&address, len) == 0 && listen(listener, 1) == 0 &&
	    getsockname(listener, (struct sockaddr *)&address, &len) == 0 && connect(client, (struct sockaddr *)&address, len) == 0) {
		fd = accept(listener, NULL, NULL);
		for (int kind = 0; kind < 2; kind++) {
			struct event_peer peer = { .family = EVENT_IPV4 };
			struct timespec a, b;

			clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
			for (unsigned i = 0; i < times; i++) {
				if (kind)
					peer = peer_ask(fd);
				tell_why(&w->base, sid, EVENT_DISCONNECT, EVENT_WHY_PEER, i, &peer);
			}
			clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
			print_message("%s: %.1f ns\n", kind ? "with getpeername()" : "told", ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / times);
		}
		close(fd);
	}
	close(client);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_ON(base, whose_it_is),
		TEST_ON(base, why_it_ends),
		TEST_ON(base, what_happens_often),
		TEST_ON(base, becoming_a_stream_and_falling_behind),
		TEST_ON(base, cost),
	};

	alarm(60);
	return cmocka_run_group_tests_name("tell", tests, NULL, NULL);
}
