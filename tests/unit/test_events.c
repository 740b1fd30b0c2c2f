/*
 * Events: what is written is read, by any number of readers, each of whom knows what it has lost; whatever a writer's death leaves, and while one writes.
 */
#include "tests/unit/hub_fixture.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "shm/events.h"
#include "worker/io/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#define RING 3
#define OTHER 7

/* An event whose every part follows from its number. */
static void write_event(const struct events *e, unsigned ring, uint64_t n)
{
	char text[EVENT_TEXT];
	struct event event = { .kind = EVENT_DROP, .why = (uint8_t)n, .slot = (uint8_t)ring, .session = (uint32_t)n, .check = ~(uint32_t)n, .n = n, .text = text, .text_len = n % EVENT_TEXT };

	memset(text, (int)(n & 255), sizeof(text));
	events_write(e, ring, &event);
}

static bool is_whole(const struct event_shm *event)
{
	uint64_t n = event->n;

	if (event->kind != EVENT_DROP || event->why != (uint8_t)n || event->session != (uint32_t)n || event->check != ~(uint32_t)n || event->text_len != n % EVENT_TEXT)
		return false;
	for (unsigned i = 0; i < event->text_len; i++)
		if ((uint8_t)event->text[i] != (n & 255))
			return false;
	return true;
}

static void comes_as_it_was_written(void **state)
{
	const struct events *e = &((struct fixture *)*state)->hub.events;
	uint64_t next = 1, lost = 0, before = hub_now();
	struct event_peer peer = { .family = EVENT_IPV4, .port = 4711, .address = { 192, 0, 2, 1 } };
	struct event_shm got;

	assert_false(events_read(e, RING, &next, &got, &lost));
	events_write(e, RING, &(struct event){ .kind = EVENT_LOGIN, .why = 9, .slot = RING, .transport = 4, .session = 5, .check = 6, .n = 7, .peer = &peer, .text = "bob", .text_len = 3 });
	assert_true(events_read(e, RING, &next, &got, &lost));
	assert_int_equal(got.kind, EVENT_LOGIN);
	assert_int_equal(got.why, 9);
	assert_int_equal(got.slot, RING);
	assert_int_equal(got.transport, 4);
	assert_int_equal(got.session, 5);
	assert_int_equal(got.check, 6);
	assert_int_equal(got.n, 7);
	assert_int_equal(got.family, EVENT_IPV4);
	assert_int_equal(got.port, 4711);
	assert_memory_equal(got.address, peer.address, 16);
	assert_int_equal(got.text_len, 3);
	assert_memory_equal(got.text, "bob", 3);
	assert_in_range(got.time, before, hub_now());
	assert_int_equal(lost, 0);
	assert_false(events_read(e, RING, &next, &got, &lost));
	next = 1;
	assert_false(events_read(e, OTHER, &next, &got, &lost));	/* each ring has its own */
}

/* What was in the place before is not in it any more. */
static void nothing_of_another_is_left(void **state)
{
	const struct events *e = &((struct fixture *)*state)->hub.events;
	uint64_t next, lost = 0;
	struct event_peer peer = { .family = EVENT_IPV6, .port = 1 };
	struct event_shm got;

	for (unsigned i = 0; i < EVENTS_KEPT; i++)
		events_write(e, RING, &(struct event){ .kind = EVENT_LOGIN, .peer = &peer, .text = "somebody", .text_len = 8 });
	events_say(e, RING, EVENT_START, 12, "%s", "");
	next = events_next(e, RING) - 1;
	assert_true(events_read(e, RING, &next, &got, &lost));
	assert_int_equal(got.kind, EVENT_START);
	assert_int_equal(got.n, 12);
	assert_int_equal(got.family, EVENT_NOWHERE);
	assert_int_equal(got.text_len, 0);
	assert_int_equal(got.session, EVENT_NO_SESSION);
}

static void long_texts_are_cut(void **state)
{
	const struct events *e = &((struct fixture *)*state)->hub.events;
	uint64_t next = 1, lost = 0;
	char text[300];
	struct event_shm got;

	memset(text, 'x', sizeof(text));
	events_write(e, RING, &(struct event){ .kind = EVENT_REFUSE, .text = text, .text_len = sizeof(text) });
	events_say(e, RING, EVENT_RELOAD, 0, "%.*s", (int)sizeof(text), text);
	for (int i = 0; i < 2; i++) {
		assert_true(events_read(e, RING, &next, &got, &lost));
		assert_int_equal(got.text_len, EVENT_TEXT);
		assert_memory_equal(got.text, text, EVENT_TEXT);
	}
}

static void reader_that_is_overtaken_knows_by_how_many(void **state)
{
	const struct events *e = &((struct fixture *)*state)->hub.events;
	uint64_t next = 1, other, lost = 0, none = 0, n = 0;
	struct event_shm got;

	for (n = 1; n <= 10; n++)
		write_event(e, RING, n);
	assert_true(events_read(e, RING, &next, &got, &lost));
	other = events_next(e, RING);
	for (; n <= EVENTS_KEPT + 110; n++)
		write_event(e, RING, n);
	assert_true(events_read(e, RING, &next, &got, &lost));
	assert_int_equal(lost, 109);				/* 2 to 110 */
	assert_int_equal(got.n, 111);
	for (n = 112; events_read(e, RING, &next, &got, &lost); n++) {
		assert_int_equal(got.n, n);
		assert_true(is_whole(&got));
	}
	assert_int_equal(n, EVENTS_KEPT + 111);
	assert_int_equal(lost, 109);
	/* Another reader is at a place of its own. */
	assert_true(events_read(e, RING, &other, &got, &none));
	assert_int_equal(got.n, 111);
	assert_int_equal(none, 100);
}

/* A writer dies within an event: its successor writes the next one there, and nobody sees half of it. */
static void death_within_an_event(void **state)
{
	const struct events *e = &((struct fixture *)*state)->hub.events;
	uint64_t next = 1, lost = 0;
	struct event_shm got, *half;

	for (unsigned n = 1; n <= EVENTS_KEPT; n++)
		write_event(e, RING, n);
	half = &e->event[RING * EVENTS_KEPT + 1];		/* the place of number 1, and of the one to come */
	atomic_store(&half->seq, 0);
	half->n = 4711;
	assert_true(events_read(e, RING, &next, &got, &lost));	/* number 1 is gone, and that is known */
	assert_int_equal(got.n, 2);
	assert_int_equal(lost, 1);
	while (events_read(e, RING, &next, &got, &lost))
		assert_true(is_whole(&got));
	assert_int_equal(next, EVENTS_KEPT + 1);
	/* The same, when it died behind the number: the event was not there yet. */
	atomic_store(&half->seq, EVENTS_KEPT + 1);
	assert_false(events_read(e, RING, &next, &got, &lost));
	write_event(e, RING, EVENTS_KEPT + 1);
	assert_true(events_read(e, RING, &next, &got, &lost));
	assert_int_equal(got.n, EVENTS_KEPT + 1);
	assert_true(is_whole(&got));
	assert_int_equal(lost, 1);
}

/* A process writes as fast as it can, and is killed; two readers follow it, one of them slowly. All that they get is whole, in order, and what is missing they count. */
static void readers_of_a_writer_that_is_killed(void **state)
{
	struct fixture *f = *state;
	uint64_t next[2] = { 1, 1 }, lost[2] = { 0, 0 }, last[2] = { 0, 0 }, got_some[2] = { 0, 0 };

	for (int life = 0; life < 3; life++) {
		uint64_t first = events_next(&f->hub.events, RING), until = first + 20 * EVENTS_KEPT;
		pid_t writer = fork();

		if (writer == 0)
			prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (writer == 0)
			for (uint64_t n = first;; n++)
				write_event(&f->hub.events, RING, n);
		for (bool killed = false;;) {
			bool more = false;

			for (int r = 0; r < 2; r++) {
				struct event_shm got;

				for (int i = 0; i < (r ? 1 : 4096) && events_read(&f->hub.events, RING, &next[r], &got, &lost[r]); i++) {
					assert_int_equal(got.n, got.seq);
					assert_true(is_whole(&got));
					assert_true(got.n > last[r]);
					last[r] = got.n;
					got_some[r]++;
					more = true;
				}
			}
			if (killed && !more)
				break;
			if (!killed && events_next(&f->hub.events, RING) >= until) {
				kill(writer, SIGKILL);
				waitpid(writer, NULL, 0);
				killed = true;
			}
		}
	}
	for (int r = 0; r < 2; r++) {
		assert_int_equal(got_some[r] + lost[r], events_next(&f->hub.events, RING) - 1);
		assert_true(got_some[r] > 0);
	}
}

/* A reader is always at the event that is about to be overwritten: what it gets is whole all the same. */
static void reader_just_ahead_of_the_writer(void **state)
{
	struct fixture *f = *state;
	uint64_t some = 0, lost = 0;
	struct timespec begun, now;
	pid_t writer = fork();

	if (writer == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (writer == 0)
		for (uint64_t n = 1;; n++)
			write_event(&f->hub.events, RING, n);
	clock_gettime(CLOCK_MONOTONIC, &begun);
	do {
		for (unsigned i = 0; i < 10000; i++) {
			uint64_t next = events_oldest(&f->hub.events, RING);
			struct event_shm got;

			if (!events_read(&f->hub.events, RING, &next, &got, &lost))
				continue;
			some++;
			assert_int_equal(got.n, got.seq);
			assert_true(is_whole(&got));
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((some < 1000 || lost < 1000) ? now.tv_sec - begun.tv_sec < 20 : now.tv_sec - begun.tv_sec < 1);
	kill(writer, SIGKILL);
	waitpid(writer, NULL, 0);
	assert_true(some >= 1000);
}

static void found_in_a_hub_of_another_layout(void **state)
{
	struct fixture *f = *state;
	struct events_map map;
	struct event_shm got;
	uint64_t next = 1, lost = 0;

	write_event(&f->hub.events, RING, 1);
	f->hub.shm->layout = HUB_LAYOUT + 50;
	assert_int_equal(events_map(&map, f->fd), 0);
	assert_int_equal(map.started, f->hub.shm->started);
	assert_true(events_read(&map.events, RING, &next, &got, &lost));
	assert_true(is_whole(&got));
	events_unmap(&map);
	f->hub.events.shm->version++;
	assert_int_equal(events_map(&map, f->fd), -1);
	assert_int_equal(errno, EPROTO);
	f->hub.events.shm->version--;
	f->hub.shm->events_at = f->hub.size;
	assert_int_equal(events_map(&map, f->fd), -1);
	f->hub.shm->events_at = UINT64_MAX - 100;
	assert_int_equal(events_map(&map, f->fd), -1);
	f->hub.shm->layout = 10;		/* it had none */
	assert_int_equal(events_map(&map, f->fd), -1);
}

static void beats(void **state)
{
	const struct events *e = &((struct fixture *)*state)->hub.events;

	assert_int_equal(events_newest_beat(e), 0);
	events_beat(e, RING, 100);
	events_beat(e, OTHER, 90);
	assert_int_equal(events_newest_beat(e), 100);
	events_beat(e, EVENTS_DATA, 110);
	assert_int_equal(events_newest_beat(e), 110);
}

static void addresses(void **state)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(0xc0000201) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(81) };
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	struct event_peer peer;

	(void)state;
	peer = peer_of((struct sockaddr *)&v4, sizeof(v4));
	assert_int_equal(peer.family, EVENT_IPV4);
	assert_int_equal(peer.port, 80);
	assert_memory_equal(peer.address, ((uint8_t[16]){ 192, 0, 2, 1 }), 16);
	inet_pton(AF_INET6, "2001:db8::1", &v6.sin6_addr);
	peer = peer_of((struct sockaddr *)&v6, sizeof(v6));
	assert_int_equal(peer.family, EVENT_IPV6);
	assert_int_equal(peer.port, 81);
	assert_memory_equal(peer.address, &v6.sin6_addr, 16);
	inet_pton(AF_INET6, "::ffff:192.0.2.1", &v6.sin6_addr);
	peer = peer_of((struct sockaddr *)&v6, sizeof(v6));
	assert_int_equal(peer.family, EVENT_IPV4);
	assert_memory_equal(peer.address, ((uint8_t[16]){ 192, 0, 2, 1 }), 16);
	peer = peer_of((struct sockaddr *)&local, sizeof(local.sun_family));
	assert_int_equal(peer.family, EVENT_UNIX);
	assert_int_equal(peer_of((struct sockaddr *)&v4, 1).family, EVENT_NOWHERE);
	assert_int_equal(peer_ask(-1).family, EVENT_NOWHERE);
}

/* Said, not asserted: machines differ. JANUS_EVENTS_COST=1 says it. */
static void cost(void **state)
{
	const struct events *e = &((struct fixture *)*state)->hub.events;
	struct event_peer peer = { .family = EVENT_IPV4 };
	struct timespec a, b;
	unsigned times = 1000000;

	if (!getenv("JANUS_EVENTS_COST"))
		return;
	for (int warm = 0; warm < 2; warm++) {
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
		for (unsigned i = 0; i < times; i++)
			events_write(e, RING, &(struct event){ .kind = EVENT_CONNECT, .session = i, .peer = &peer });
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
		print_message("an event: %.1f ns\n", ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / times);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(comes_as_it_was_written), TEST(nothing_of_another_is_left), TEST(long_texts_are_cut),
		TEST(reader_that_is_overtaken_knows_by_how_many), TEST(death_within_an_event), TEST(readers_of_a_writer_that_is_killed), TEST(reader_just_ahead_of_the_writer),
		TEST(found_in_a_hub_of_another_layout), TEST(beats), TEST(addresses), TEST(cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
