/*
 * janus-bridge: joins this server with others by NATS. A child of the master; see ARCHITECTURE.md ("Nodes").
 *
 * Without a master it goes on while there are keepers: the next master ends it and makes another, and what it was at stands in the hub.
 *
 * One loop: what has come goes into the ring, what is in the ring goes out, what NATS is asked for follows the index, marks are sent when they are due. It holds `lock` but for while it sleeps; then
 * libnats' thread may take it, to put into the ring what comes (uplink.h).
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "master/bridge/acks.h"
#include "master/bridge/again.h"
#include "master/bridge/bridge.h"
#include "master/bridge/counts.h"
#include "master/bridge/uplink.h"
#include "master/bridge/incoming.h"
#include "master/bridge/interest.h"
#include "master/bridge/marks.h"
#include "master/bridge/options.h"
#include "master/bridge/outgoing.h"
#include "master/bridge/peers.h"
#include "master/bridge/sender.h"
#include "master/bridge/stream.h"
#include "master/handover.h"
#include "master/process.h"
#include "master/runtime_dir.h"
#include "shm/crash.h"
#include "shm/log.h"
#include "shm/title.h"

#define BEAT_MS 500
#define RETRY_FIRST_MS 50		/* after a connection that was lost; doubled after each failure */
#define RETRY_MOST_MS 2000
#define BLOCKED_MS 1			/* until workers are looked at again */
#define END_MS 4000			/* to send what there is, when it is told to end */
#define CALM_MS 100			/* at the end: until what was sent is NATS' */

struct program {
	struct bridge bridge;
	struct sender sender;
	struct peers peers;
	struct marks marks;
	struct again again;
	struct counts counts;
	struct outgoing outgoing;
	struct interest interest;
	struct stream stream;
	struct acks acks;
	struct incoming incoming;
	pthread_mutex_t lock;		/* of all of this */
	int epoll;
	uint64_t retry_at, retry_ms;	/* milliseconds of CLOCK_MONOTONIC, as those below; and the pause itself */
	uint64_t look_at;		/* without a master: whether there are keepers still */
	uint64_t end_at;		/* 0: it is not told to end */
	uint64_t calm_at;		/* at the end: since when there is nothing left */
};

static volatile sig_atomic_t told_to_end;

static void on_term(int signal)
{
	(void)signal;
	told_to_end = 1;
}

static uint64_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- the connection ---- */

static void begin(struct program *p)
{
	struct bridge *b = &p->bridge;
	char server[NODES_TEXT];

	uplink_server(&b->uplink, server, sizeof(server));
	log_info("NATS: connected to %s", server);
	p->retry_ms = RETRY_FIRST_MS;
	peers_begin(&p->peers);
	again_begin(&p->again);
	marks_begin(&p->marks);
	interest_begin(&p->interest);
	stream_connected(&p->stream);
	outgoing_look(&p->outgoing);
	nodes_set_state(&b->hub, NODES_CONNECTED, server, "");
}

static void lose(struct program *p)
{
	struct bridge *b = &p->bridge;
	char why[NODES_TEXT];

	uplink_why(&b->uplink, why, sizeof(why));
	log_warning("NATS: away: %s; what is published waits in the ring", why);
	nodes_set_state(&b->hub, NODES_AWAY, "", why);
	incoming_drop(&p->incoming);
	stream_end(&p->stream);
	interest_end(&p->interest);
	uplink_close(&b->uplink);
	p->retry_at = b->now + p->retry_ms;
}

/* One that can't be made is logged once a minute. */
static void try_to_connect(struct program *p)
{
	struct bridge *b = &p->bridge;
	char why[256];

	if (uplink_open(&b->uplink, why, sizeof(why)) == 0) {
		b->now = clock_ms();
		begin(p);
		return;
	}
	log_warning_limited("NATS: away: can't connect: %s; what is published waits in the ring", why);
	nodes_set_state(&b->hub, atomic_load(&b->hub.shm->nodes.connected) ? NODES_AWAY : NODES_CONNECTING, "", why);
	p->retry_ms = 2 * p->retry_ms < RETRY_MOST_MS ? 2 * p->retry_ms : RETRY_MOST_MS;
	p->retry_at = clock_ms() + p->retry_ms;
}

/* Publishers wait for the bridge in CONNECTED alone: not while NATS takes nothing. */
static void tell_state(struct program *p)
{
	struct hub *hub = &p->bridge.hub;
	char text[256];

	if (uplink_error(&p->bridge.uplink, text, sizeof(text)))
		log_warning_limited("NATS: %s", text);
	if (outgoing_is_stuck(&p->outgoing) && nodes_state(hub) == NODES_CONNECTED) {
		log_warning_limited("NATS: it takes nothing; what is published waits in the ring");
		nodes_set_state(hub, NODES_AWAY, NULL, "it takes nothing");
	} else if (!outgoing_is_stuck(&p->outgoing) && nodes_state(hub) == NODES_AWAY) {
		nodes_set_state(hub, NODES_CONNECTED, NULL, "");
	}
}

/* ---- the loop ---- */

/* What is to this node comes: answers, and when the stream is known to have what rules keep, marks, from which on nothing else may be missing. (Others answer a mark with theirs.) */
static void begin_whole(struct program *p, bool had_answers)
{
	if (!had_answers && interest_has_answers(&p->interest))
		stream_begin(&p->stream);
	if (!interest_has_answers(&p->interest) || interest_is_whole(&p->interest) || !stream_is_settled(&p->stream))
		return;
	interest_ask_marks(&p->interest);
	marks_begin(&p->marks);
}

/* What is done when it is connected. Whether there is more; *blocked: workers are behind. */
static bool turn(struct program *p, bool *blocked)
{
	bool had_answers = interest_has_answers(&p->interest), more = interest_turn(&p->interest);
	enum came came = incoming_turn(&p->incoming);

	begin_whole(p, had_answers);
	stream_turn(&p->stream);
	more |= came == CAME_MORE;
	*blocked = came == CAME_BLOCKED || stream_opens(&p->stream);
	more |= outgoing_turn(&p->outgoing);
	more |= again_turn(&p->again);
	counts_turn(&p->counts);
	marks_turn(&p->marks);
	uplink_send(&p->bridge.uplink);
	tell_state(p);
	return more;
}

/* Milliseconds until something is due that nobody wakes it for. */
static int wait_ms(const struct program *p, bool blocked)
{
	const struct bridge *b = &p->bridge;
	uint64_t ms = BEAT_MS;

	if (blocked)
		return BLOCKED_MS;
	if (b->uplink.nc == NULL)
		return (int)(p->retry_at <= b->now ? 0 : p->retry_at - b->now < ms ? p->retry_at - b->now : ms);
	if (p->end_at)
		return 10;
	ms = marks_wait(&p->marks) < ms ? marks_wait(&p->marks) : ms;
	return (int)(stream_wait(&p->stream) < ms ? stream_wait(&p->stream) : ms);
}

/* Whether the loop may sleep; then whoever has something for it wakes it. Not the publishers, while NATS takes no more: then epoll tells when it does. */
static bool may_sleep(struct program *p)
{
	struct bridge *b = &p->bridge;

	if (!uplink_may_sleep(&b->uplink))
		return false;
	if (b->uplink.nc == NULL || uplink_is_full(&b->uplink) || nodes_may_sleep(&b->hub, nodes_sent(&b->hub)))
		return true;
	uplink_awake(&b->uplink);
	return false;
}

static void wait_for_something(struct program *p, bool more, bool blocked)
{
	struct bridge *b = &p->bridge;
	struct epoll_event e[2];
	bool sleeps = blocked || (!more && may_sleep(p));
	int n, ms = sleeps ? wait_ms(p, blocked) : 0;

	pthread_mutex_unlock(&p->lock);
	n = epoll_wait(p->epoll, e, 2, ms);
	pthread_mutex_lock(&p->lock);
	nodes_awake(&b->hub);
	uplink_awake(&b->uplink);
	b->now = clock_ms();
	nodes_beat(&b->hub, b->now);
	if (sleeps && n <= 0)
		spent_free(&b->spent);
	for (int i = 0; i < n; i++)
		if (e[i].data.ptr == &b->uplink && e[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			uplink_receive(&b->uplink);
}

/* Something has come while the loop slept. True: that was all, and the loop may go on sleeping. */
static bool at_once(void *with)
{
	struct program *p = with;
	bool due, done = false;

	if (pthread_mutex_trylock(&p->lock) != 0)
		return false;
	due = p->marks.due;
	if (uplink_is_open(&p->bridge.uplink)) {
		p->bridge.now = clock_ms();
		done = incoming_turn(&p->incoming) == CAME_NOTHING && p->again.jobs == 0 && p->marks.due == due && !p->counts.due;
	}
	pthread_mutex_unlock(&p->lock);
	return done;
}

/* Master, keepers and workers have gone, and nobody is there who would tell it. */
static bool is_bereft(struct program *p)
{
	const struct bridge *b = &p->bridge;

	if (b->now < p->look_at || !bridge_is_orphan(b))
		return false;
	p->look_at = b->now + BEAT_MS;
	return process_slots_ended(&b->hub);
}

/* Whether it was told to end, and has done so. */
static bool is_over(struct program *p)
{
	const struct bridge *b = &p->bridge;

	if (is_bereft(p))
		told_to_end = 1;
	if (!told_to_end)
		return false;
	if (!p->end_at)
		p->end_at = b->now + END_MS;
	if (!uplink_is_open(&b->uplink) || b->now >= p->end_at)
		return true;
	if (!outgoing_is_done(&p->outgoing) || !acks_are_done(&p->acks) || uplink_unsent(&b->uplink) > 0 || p->marks.due)
		p->calm_at = b->now;
	return b->now - p->calm_at >= CALM_MS;
}

static void run(struct program *p)
{
	struct bridge *b = &p->bridge;

	pthread_mutex_lock(&p->lock);
	while (!is_over(p)) {
		bool more = false, blocked = false;

		if (b->uplink.nc && !uplink_is_open(&b->uplink))
			lose(p);
		if (b->uplink.nc == NULL && b->now >= p->retry_at)
			try_to_connect(p);
		if (b->uplink.nc)
			more = turn(p, &blocked);
		else
			outgoing_look(&p->outgoing);
		wait_for_something(p, more, blocked);
	}
}

/* ---- start ---- */

static int begin_bridge(struct bridge *b, const struct handover *h)
{
	b->settings = h->settings;
	if (hub_attach(&b->hub, h->hub, true) < 0) {
		log_error("this is for the master to start: %m");
		return -1;
	}
	/* From here on another master ends it; one that it could not know of ends by itself. */
	atomic_store(&b->hub.shm->nodes.pid, (uint32_t)getpid());
	CRASH_POINT("nodes-begun");
	b->master = h->master;
	if (bridge_is_orphan(b))
		return -1;
	b->hub.pid = (uint32_t)getpid();
	b->hub.wake = h->wake;
	settings_log_init("bridge", &b->settings);
	log_follow_level(&b->hub.shm->log_level);
	log_count_lost(&b->hub.shm->slot[SLOT_BRIDGE].counters[COUNTER_log_lost]);
	prctl(PR_SET_NAME, BRIDGE_NAME);
	title_set("janus: bridge");
	hub_keep(&b->hub, &b->settings);
	/* It makes topics that history keeps, and knows of them what workers do that have the same rules (hub_counted_since()). */
	b->hub.rules_hash = index_hash(b->settings.history, strlen(b->settings.history));
	b->epoch = b->hub.shm->epoch;
	snprintf(b->node, sizeof(b->node), "%s", b->hub.shm->nodes.name);
	b->prefix_len = (size_t)snprintf(b->prefix, sizeof(b->prefix), "%s.", b->settings.nats_prefix);
	b->own_len = bridge_subject_to(b, b->own, b->node, "");
	b->now = clock_ms();
	nodes_beat(&b->hub, b->now);
	nodes_awake(&b->hub);
	nodes_set_state(&b->hub, NODES_CONNECTING, "", "");
	return runtime_dir_hold(h->lock);
}

static int start(struct program *p, const struct handover *h)
{
	struct epoll_event e = { .events = EPOLLIN };
	struct bridge *b = &p->bridge;
	natsOptions *options;

	if (begin_bridge(b, h) < 0)
		return -1;
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	e.data.ptr = p;
	if (p->epoll < 0 || epoll_ctl(p->epoll, EPOLL_CTL_ADD, b->hub.wake[SLOT_BRIDGE], &e) < 0) {
		log_error("epoll: %m");
		return -1;
	}
	options = options_make(&b->settings, h->secrets, b->node);
	if (options == NULL || uplink_init(&b->uplink, options, p->epoll, b->hub.wake[SLOT_BRIDGE]) < 0)
		return -1;
	b->uplink.at_once = at_once;
	b->uplink.with = p;
	pthread_mutex_init(&p->lock, NULL);
	peers_init(&p->peers, b);
	marks_init(&p->marks, b, &p->peers);
	if (sender_init(&p->sender, b) < 0 || interest_init(&p->interest, b) < 0 || counts_init(&p->counts, b, &p->peers) < 0 ||
	    incoming_init(&p->incoming, b, &p->peers, &p->marks, &p->again, &p->counts, &p->interest, &p->stream, &p->acks) < 0) {
		log_error("there is no memory");
		return -1;
	}
	again_init(&p->again, b, &p->sender, &p->marks);
	stream_init(&p->stream, b, &p->interest);
	acks_init(&p->acks, b, &p->stream, &p->sender, &p->marks);
	outgoing_init(&p->outgoing, b, &p->sender, &p->marks, &p->acks);
	p->retry_ms = RETRY_FIRST_MS;
	return 0;
}

int main(int argc, char **argv)
{
	static struct program program;
	static struct handover h;
	struct sigaction term = { .sa_handler = on_term };

	log_guard();
	log_init("bridge", LOG_LEVEL_INFO);
	if (argc != 2 || strncmp(argv[1], "--heritage=", 11) != 0) {
		fprintf(stderr, BRIDGE_NAME " is started by janus, where nats is set\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	sigaction(SIGTERM, &term, NULL);
	if (handover_read(&h, atoi(argv[1] + 11)) < 0) {
		log_error("this is for the master to start: %m");
		return 1;
	}
	if (start(&program, &h) < 0)
		return 1;
	run(&program);
	_exit(0);		/* (threads of libnats need not be waited for) */
}
