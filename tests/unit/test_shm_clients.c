/*
 * Clients as operators see them: read from a slot segment by who may only read, whatever stands there.
 */
#include "tests/unit/hub_fixture.h"

#include <string.h>
#include <sys/mman.h>

#include "shm/clients.h"

#define NOW 1000
#define SESSION 7

static struct slot slot, reader;
static int fd;

static int up(void **state)
{
	struct slot_size size = { .sessions = 64, .frame = 4096, .buffered = 1 << 20, .subscriptions = 64 };

	setup(state);
	fd = slot_create("janus-slot-0", &size);
	assert_int_equal(slot_attach(&slot, fd, true), 0);
	assert_int_equal(clients_attach(&reader, fd), 0);
	return 0;
}

static int down(void **state)
{
	slot_detach(&slot);
	slot_detach(&reader);
	close(fd);
	return teardown(state);
}

static struct session_shm *open_session(uint32_t number)
{
	struct session_shm *s = &slot.sessions[number];

	*s = (struct session_shm){ .last_in = NOW - 30, .page_base = NOW - 100,
		.state = { .transport = TRANSPORT_SSE, .sent = 500, .parsed = 60, .last_out = NOW - 20 } };
	memset(s->token, (int)number, TOKEN_BYTES);
	s->status = SESSION_OPEN;
	if (slot.shm->fd_end <= number)
		slot.shm->fd_end = number + 1;
	return s;
}

static void subscribe(struct session_shm *s, uint32_t place, uint32_t topic)
{
	slot.subscriptions[place] = (struct subscription_shm){ .topic = topic, .next = s->subscriptions };
	s->subscriptions = place;
	s->count++;
}

static char told[256];
static unsigned names;

static bool note(void *arg, const char *name, size_t len)
{
	assert_null(arg);
	assert_true(strlen(told) + len + 2 < sizeof(told));
	strncat(told, name, len);
	strcat(told, " ");
	return ++names < 1000;
}

static bool read_names(const struct fixture *f, const struct client_info *info)
{
	told[0] = '\0';
	names = 0;
	return clients_names(&f->hub, &reader, info, note, NULL);
}

static void test_a_client(void **state)
{
	struct fixture *f = *state;
	struct session_shm *s = open_session(SESSION);
	struct client_info info;
	struct client_id id = { 3, SESSION, client_id_check(s->token) };
	const char bob[] = { NAME_INBOX, 'b', 'o', 'b', 0 };

	subscribe(s, 1, join(f, 3, "news", 1));
	subscribe(s, 2, join(f, 3, bob, 1));
	assert_true(clients_read(&f->hub, &reader, 3, SESSION, NOW, &info));
	assert_int_equal(info.slot, 3);
	assert_int_equal(info.transport, TRANSPORT_SSE);
	assert_int_equal(info.bytes_in, 60);
	assert_int_equal(info.bytes_out, 500);
	assert_int_equal(info.idle, 20);
	assert_int_equal(info.age, 100);
	assert_int_equal(info.count, 2);
	assert_false(info.behind || info.parked || info.ending || info.tls);
	assert_true(read_names(f, &info));
	assert_string_equal(told, "\1bob news ");
	assert_true(clients_find(&f->hub, &reader, &id, NOW, &info));
	id.check ^= 1;
	assert_false(clients_find(&f->hub, &reader, &id, NOW, &info));
	id = (struct client_id){ 3, SESSION + 1, client_id_check(s->token) };
	assert_false(clients_find(&f->hub, &reader, &id, NOW, &info));
	id.session = UINT32_MAX;
	assert_false(clients_find(&f->hub, &reader, &id, NOW, &info));
}

static void test_tls(void **state)
{
	struct fixture *f = *state;
	struct session_shm *s = open_session(SESSION);
	struct client_info info;

	s->state.flags = SESSION_TLS;
	assert_true(clients_read(&f->hub, &reader, 0, SESSION, NOW, &info));
	assert_true(info.tls && !info.behind && !info.parked && !info.ending);
}

static void test_when_it_connected(void **state)
{
	struct fixture *f = *state;
	struct session_shm *s = open_session(SESSION);
	struct client_info info;

	/* Of these, the member means something else. */
	static const uint32_t others[] = { TRANSPORT_HTTP, TRANSPORT_PAGE, TRANSPORT_PAGE_10 };

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		s->state.transport = others[i];
		assert_true(clients_read(&f->hub, &reader, 0, SESSION, NOW, &info));
		assert_int_equal(info.age, CLIENT_UNKNOWN);
	}
}

static void test_lag(void **state)
{
	struct fixture *f = *state;
	struct session_shm *s = open_session(SESSION);
	struct client_info info;

	atomic_store(&slot_of(f, 0)->delivered, ring_tail(&f->hub.ring) - 1);
	s->state.pos = ring_tail(&f->hub.ring);
	assert_true(clients_read(&f->hub, &reader, 0, SESSION, NOW, &info));
	assert_int_equal(info.lag, 0);
	s->state.flags = SESSION_BEHIND;
	s->state.pos = 0;
	assert_true(clients_read(&f->hub, &reader, 0, SESSION, NOW, &info));
	assert_true(info.behind);
	assert_int_equal(info.lag, ring_tail(&f->hub.ring));
	assert_int_not_equal(info.lag, 0);
	s->state.flags |= SESSION_PARKED;
	assert_true(clients_read(&f->hub, &reader, 0, SESSION, NOW, &info));
	assert_true(info.parked && !info.behind);
}

/* Nothing that stands in the segment leads out of it, or round and round. */
static void test_nonsense(void **state)
{
	struct fixture *f = *state;
	struct session_shm *s = open_session(SESSION);
	struct client_info info;

	subscribe(s, 1, join(f, 0, "news", 1));
	subscribe(s, 2, UINT32_MAX);
	subscribe(s, 3, f->hub.index.shm->high + 1);
	assert_true(clients_read(&f->hub, &reader, 0, SESSION, NOW, &info));
	assert_true(read_names(f, &info));
	assert_string_equal(told, "news ");
	slot.subscriptions[1].next = 3;			/* a circle */
	info.count = 7;
	assert_false(read_names(f, &info));
	assert_true(names <= 7);
	slot.subscriptions[1].next = UINT32_MAX - 5;
	info.count = UINT32_MAX;
	assert_false(read_names(f, &info));
	s->subscriptions = slot.shm->subscriptions_max + 1;
	assert_false(read_names(f, &info));
	slot.shm->fd_end = UINT32_MAX;
	assert_int_equal(clients_end(&reader), 64);
	assert_false(clients_read(&f->hub, &reader, 0, 64, NOW, &info));
	s->state.transport = UINT32_MAX;
	assert_false(clients_read(&f->hub, &reader, 0, SESSION, NOW, &info));
}

/* Another one has the place by now: its topics are not told as the first one's. */
static void test_another_one(void **state)
{
	struct fixture *f = *state;
	struct session_shm *s = open_session(SESSION);
	struct client_info info;

	subscribe(s, 1, join(f, 0, "news", 1));
	assert_true(clients_read(&f->hub, &reader, 0, SESSION, NOW, &info));
	s->token[0] ^= 1;
	assert_false(read_names(f, &info));
	assert_string_equal(told, "");
	s->status = SESSION_FREE;
	assert_false(clients_read(&f->hub, &reader, 0, SESSION, NOW, &info));
}

static void test_attach(void **state)
{
	struct slot other;

	(void)state;
	assert_int_equal(slot.shm->sessions_at % 64, 0);
	slot.shm->sessions_at += 1ull << 40;
	assert_int_equal(clients_attach(&other, fd), -1);
	assert_int_equal(errno, EPROTO);
	slot.shm->sessions_at -= 1ull << 40;
	slot.shm->subscriptions_max = UINT32_MAX;
	assert_int_equal(clients_attach(&other, fd), -1);
	slot.shm->layout++;
	assert_int_equal(clients_attach(&other, fd), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_client, up, down),
		cmocka_unit_test_setup_teardown(test_tls, up, down),
		cmocka_unit_test_setup_teardown(test_when_it_connected, up, down),
		cmocka_unit_test_setup_teardown(test_lag, up, down),
		cmocka_unit_test_setup_teardown(test_nonsense, up, down),
		cmocka_unit_test_setup_teardown(test_another_one, up, down),
		cmocka_unit_test_setup_teardown(test_attach, up, down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
