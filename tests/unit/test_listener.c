/*
 * Listening: what is accepted, when it is not, and when it is again. The listen sockets are those of the loopback, on ports that the kernel
 * chooses; the other workers are what the hub says of them.
 */
#include "tests/unit/worker_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>

#include "worker/io/listener.h"

#define MOST 100

static struct listeners all;
static int listening[2];
static int client[MOST], clients;

/* What the higher storey was asked, and answers. */
static int accepted_fd[MOST], accepted_proto[MOST], accepted;
static int refused;
static int hold_at;		/* so many accepted: those with TLS are held */
static int given_up;		/* a descriptor that refusing fewer closes, -1 none */

static void on_accepted(void *above, int fd, const struct listener *from, const struct event_peer *peer)
{
	assert_int_equal(from->slow, from->proto == PROTO_HTTP ? SLOW_LATEST : SLOW_UNSAID);
	assert_int_equal(from->tls, from->proto == PROTO_HTTP);
	assert_ptr_equal(above, &accepted);
	assert_int_equal(peer->family, EVENT_IPV4);
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	accepted_fd[accepted] = fd;
	accepted_proto[accepted++] = from->proto;
	if (accepted == hold_at)
		listener_hold_tls(&all, true);
}

static bool on_refuse_fewer(void *above)
{
	assert_ptr_equal(above, &accepted);
	refused++;
	if (given_up < 0)
		return false;
	close(given_up);
	given_up = -1;
	return true;
}

static int listen_up(void **state)
{
	struct worker_fixture *w;

	base_up(state);
	w = *state;
	accepted = clients = refused = 0;
	given_up = -1;
	all = (struct listeners){ .base = &w->base, .above = &accepted, .accepted = on_accepted, .refuse_fewer = on_refuse_fewer };
	assert_int_equal(listener_init(&all, 2), 0);
	for (int i = 0; i < 2; i++) {
		struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

		listening[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		assert_int_equal(bind(listening[i], (struct sockaddr *)&a, sizeof(a)), 0);
		assert_int_equal(listen(listening[i], MOST), 0);
		listener_add(&all, listening[i], &(struct listener){ .proto = i ? PROTO_HTTP : PROTO_FLASH, .tls = i, .slow = i ? SLOW_LATEST : SLOW_UNSAID });
	}
	w->base.now = 1000;
	w->base.self->connections_max = 1000;
	return 0;
}

static int listen_down(void **state)
{
	struct worker_fixture *w = *state;

	listener_end(&all);
	ev_timer_stop(w->base.loop, &all.balance);
	free(all.each);
	for (int i = 0; i < 2; i++)
		close(listening[i]);
	while (accepted > 0)
		close(accepted_fd[--accepted]);
	while (clients > 0)
		close(client[--clients]);
	return down(state);
}

static void connect_to(int listener)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	getsockname(listening[listener], (struct sockaddr *)&a, &len);
	client[clients] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(client[clients], (struct sockaddr *)&a, sizeof(a)), 0);
	clients++;
}

/* A turn of the loop, in which no timer runs. */
static void turn(struct worker_fixture *w)
{
	bool pausing = ev_is_active(&all.balance);

	ev_timer_stop(w->base.loop, &all.balance);
	ev_run(w->base.loop, EVRUN_NOWAIT);
	if (pausing)
		ev_timer_again(w->base.loop, &all.balance);
}

/* The balance's time has come. */
static void balance(struct worker_fixture *w)
{
	assert_true(ev_is_active(&all.balance));
	ev_invoke(w->base.loop, &all.balance, EV_TIMER);
}

static void assert_pausing(const struct worker_fixture *w, bool accepting)
{
	assert_false(all.listening);
	assert_true(ev_is_active(&all.balance));
	assert_int_equal(w->base.self->accepting, accepting);
}

static void other_has(struct worker_fixture *w, uint32_t connections, uint32_t max)
{
	struct hub_slot_shm *s = slot_of(w->hub, OTHER);

	go_live(w->hub, OTHER, false);
	s->worker_beat = w->base.self->worker_beat;
	s->accepting = 1;
	s->connections = connections;
	s->connections_max = max;
}

static void what_is_accepted_is_passed_on(void **state)
{
	struct worker_fixture *w = *state;

	connect_to(0);
	connect_to(1);
	connect_to(1);
	turn(w);
	assert_int_equal(accepted, 0);
	listener_start(&all);
	assert_int_equal(w->base.self->accepting, 1);
	turn(w);
	assert_int_equal(accepted, 3);
	assert_int_equal((accepted_proto[0] == PROTO_HTTP) + (accepted_proto[1] == PROTO_HTTP) + (accepted_proto[2] == PROTO_HTTP), 2);
	assert_true(all.listening);
}

static void one_that_has_ended_does_not_start_again(void **state)
{
	struct worker_fixture *w = *state;

	listener_start(&all);
	listener_stop(&all);
	listener_start(&all);
	assert_true(all.listening);
	listener_end(&all);
	listener_start(&all);
	connect_to(0);
	turn(w);
	assert_int_equal(accepted, 0);
}

/* Others have room: it leaves what waits to them, until it has some itself. */
/* Who comes to a listener with TLS waits while those are held; others don't; also over a pause. */
static void those_with_tls_are_held(void **state)
{
	struct worker_fixture *w = *state;

	listener_start(&all);
	for (int i = 0; i < 3; i++)
		connect_to(1);
	connect_to(0);
	listener_hold_tls(&all, true);
	turn(w);
	assert_int_equal(accepted, 1);
	assert_int_equal(accepted_proto[0], PROTO_FLASH);
	listener_stop(&all);
	listener_start(&all);
	turn(w);
	assert_int_equal(accepted, 1);
	listener_hold_tls(&all, false);
	turn(w);
	assert_int_equal(accepted, 4);
	/* and not beyond the one with whom there are enough */
	for (int i = 0; i < 3; i++)
		connect_to(1);
	hold_at = 6;
	turn(w);
	assert_int_equal(accepted, 6);
	hold_at = 0;
	listener_stop(&all);
	connect_to(1);
	listener_hold_tls(&all, false);
	turn(w);
	assert_int_equal(accepted, 6);
	listener_start(&all);
	turn(w);
	assert_int_equal(accepted, 8);
}

static void a_full_worker_pauses(void **state)
{
	struct worker_fixture *w = *state;

	listener_start(&all);
	other_has(w, 10, 20);
	w->base.self->connections = w->base.self->connections_max = 10;
	connect_to(0);
	turn(w);
	assert_int_equal(accepted, 0);
	assert_pausing(w, false);
	balance(w);
	assert_pausing(w, false);
	w->base.self->connections = 9;
	balance(w);
	assert_true(all.listening);
	assert_false(ev_is_active(&all.balance));
	turn(w);
	assert_int_equal(accepted, 1);
}

/* Nobody has room: then it is accepted, so that it can be told so. */
static void a_full_server_accepts_to_refuse(void **state)
{
	struct worker_fixture *w = *state;

	listener_start(&all);
	other_has(w, 20, 20);
	w->base.self->connections = w->base.self->connections_max = 10;
	connect_to(0);
	turn(w);
	assert_int_equal(accepted, 1);
	assert_true(all.listening);
	assert_false(listener_counts(&all, accepted_fd[0], PROTO_HTTP));
	assert_int_equal(w->base.self->connections, 10);
}

/* With clearly more than the least loaded one; but not for ever, as that one may take none. */
static void one_with_more_than_its_share_pauses(void **state)
{
	struct worker_fixture *w = *state;

	listener_start(&all);
	other_has(w, 10, 1000);
	w->base.self->connections = 10 + 64 + 5;	/* 64, and a sixteenth of what it has */
	connect_to(0);
	turn(w);
	assert_pausing(w, true);
	assert_int_equal(accepted, 0);
	w->base.self->connections = 10 + 64 + 4;
	balance(w);
	assert_true(all.listening);
	turn(w);
	assert_int_equal(accepted, 1);

	w->base.self->connections = 200;
	connect_to(0);
	turn(w);
	assert_pausing(w, true);
	balance(w);
	assert_pausing(w, true);
	w->base.now += 2;
	balance(w);
	turn(w);
	assert_int_equal(accepted, 2);
}

/* One that makes no turns, is full or does not live takes no share: it is not waited for. */
static void those_that_take_no_share_are_not_waited_for(void **state)
{
	struct worker_fixture *w = *state;
	struct hub_slot_shm *s = slot_of(w->hub, OTHER);

	listener_start(&all);
	w->base.self->connections = 500;
	for (int i = 0; i < 3; i++) {
		other_has(w, 0, 1000);
		if (i == 0)
			s->worker_beat -= 501;
		else if (i == 1)
			s->accepting = 0;
		else
			s->state = SLOT_STARTING;
		connect_to(0);
		turn(w);
		assert_int_equal(accepted, i + 1);
	}
}

/* At the limit of descriptors: one that is being refused is given up for it; if there is none, it pauses. */
static void without_descriptors_fewer_are_refused(void **state)
{
	struct worker_fixture *w = *state;
	struct rlimit before, none;

	listener_start(&all);
	connect_to(0);
	connect_to(0);
	given_up = dup(0);
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = (rlim_t)given_up + 1;
	setrlimit(RLIMIT_NOFILE, &none);
	turn(w);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_int_equal(accepted, 1);
	assert_int_equal(refused, 2);
	assert_pausing(w, true);
	balance(w);
	turn(w);
	assert_int_equal(accepted, 2);
}

/* A connection counts where there is room: in the segment, of this worker, and of all together. */
static void what_there_is_room_for_counts(void **state)
{
	struct worker_fixture *w = *state;

	assert_true(listener_counts(&all, 50, PROTO_HTTP));
	assert_int_equal(w->base.self->connections, 1);
	assert_false(listener_counts(&all, SESSIONS, PROTO_HTTP));
	w->settings.max_connections = 12;
	other_has(w, 10, 1000);
	assert_true(listener_counts(&all, 51, PROTO_HTTP));
	assert_false(listener_counts(&all, 52, PROTO_HTTP));
	assert_int_equal(w->base.self->connections, 2);
	assert_int_equal(lock_owner(&w->base.hub.shm->lock), 0);
	w->settings.max_connections = 0;
	w->base.self->connections_max = 3;
	assert_true(listener_counts(&all, 52, PROTO_HTTP));
	assert_false(listener_counts(&all, 53, PROTO_HTTP));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, listen_up, listen_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_accepted_is_passed_on),
		TEST(one_that_has_ended_does_not_start_again),
		TEST(those_with_tls_are_held),
		TEST(a_full_worker_pauses),
		TEST(a_full_server_accepts_to_refuse),
		TEST(one_with_more_than_its_share_pauses),
		TEST(those_that_take_no_share_are_not_waited_for),
		TEST(without_descriptors_fewer_are_refused),
		TEST(what_there_is_room_for_counts),
	};

	alarm(60);
	return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
