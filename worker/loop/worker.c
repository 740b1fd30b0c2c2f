/*
 * The worker's loop.
 *
 * In a turn, the worker first deals with what the kernel reports: input, writability, connections, timers. Then it looks through the ring's new
 * records, serves a share of the fan-out, and brings the slot's `delivered` up to date. If nothing is left to do, it says that it sleeps, looks at
 * the ring's tail once more, and blocks. From then on, a publisher that has something for it owes it a wake-up. A worker that is awake needs no
 * wake-ups.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "proto/http_response.h"
#include "shm/crash.h"
#include "shm/shortage.h"
#include "shm/log.h"
#include "shm/nodes.h"
#include "shm/metrics.h"
#include "shm/segment.h"
#include "shm/snapshot.h"
#include "shm/title.h"
#include "worker/delivery/fanout.h"
#include "worker/delivery/landed.h"
#include "worker/delivery/local_topics.h"
#include "worker/delivery/multi_topic.h"
#include "worker/delivery/partial_frame.h"
#include "worker/delivery/subscription_list.h"
#include "worker/io/gate.h"
#include "worker/io/listener.h"
#include "worker/io/tcp_counts.h"
#include "worker/loop/balance.h"
#include "worker/loop/connection.h"
#include "worker/loop/departed.h"
#include "worker/loop/handshakes.h"
#include "worker/loop/move.h"
#include "worker/loop/orders.h"
#include "worker/loop/orphans.h"
#include "worker/loop/proxied.h"
#include "worker/loop/recover.h"
#include "worker/loop/sweep.h"
#include "worker/loop/turn.h"
#include "worker/loop/upcalls.h"
#include "worker/protocol/answer.h"
#include "worker/protocol/http_page.h"
#include "worker/protocol/input.h"
#include "worker/service/publish_batch.h"
#include "worker/service/access.h"
#include "worker/service/quota.h"
#include "worker/service/waiting.h"
#include "worker/session/tell.h"
#include "worker/session/watch.h"

#define TICK 0.1			/* seconds; see sweep.c */
#define RETRY 0.002			/* seconds until stalled publishing is tried again */
/* Milliseconds in which no reader that is behind has taken anything, after which a worker that was told to stop leaves. */
#define STOP_PATIENCE 1000

static void on_wake(struct ev_loop *loop, struct ev_io *io, int events)
{
	uint64_t n;

	(void)loop;
	(void)events;
	/* Resets the eventfd: all that matters is that the worker is awake now. */
	if (read(io->fd, &n, sizeof(n)) < 0)
		return;
}

/*
 * Stores how far this worker's live subscribers are served (`delivered`). That lets publishers overwrite old records, so frames of them that are
 * still needed are kept first. True: keeping them takes more than a turn; `delivered` has not moved, and publishers may have to wait.
 */
static bool move_delivered(struct worker *w)
{
	bool more = !partial_protect(w->partial);

	if (!more && !w->base.departed)
		fanout_publish_delivered(&w->fanout);
	partial_trim(w->partial);
	return more;
}

/* Whether the worker may sleep until something happens. If so, it says that it sleeps. */
static bool may_sleep(struct worker *w)
{
	atomic_store(&w->base.self->sleeping, 1);
	/* Either a publisher sees that we sleep, or we see its records (see claim_wakeups() in publish.c). */
	atomic_thread_fence(memory_order_seq_cst);
	if (ring_tail(&w->base.hub.ring) == w->topics.scanned)
		return true;
	if (!fanout_poll(&w->fanout) && !w->topics.queue && multi_topic_served(w->multi_topic) == w->topics.scanned && !move_delivered(w))
		return true;
	atomic_store(&w->base.self->sleeping, 0);
	return false;
}

/*
 * For a worker that was told to stop: notes when the readers that are behind have last taken anything. What is in their sockets tells it, long
 * before there is room for more.
 */
static void watch_takers(struct worker *w)
{
	uint32_t end = atomic_load_explicit(&w->base.slot.shm->fd_end, memory_order_relaxed);
	uint64_t taken = 0;

	for (session_id sid = 0; sid < (session_id)end; sid++) {
		const struct session_shm *s = session(&w->base, sid);

		if (s->status == SESSION_OPEN && s->state.flags & SESSION_BEHIND)
			taken += s->state.sent - socket_queued(session_fd(&w->base, sid));
	}
	if (taken != w->taken)
		w->taken_at = w->base.now_ms;
	w->taken = taken;
}

/* Whether nothing is under way to this slot or from it: its gate is closed. */
static bool may_leave(const struct worker *w)
{
	return gate_is_quiet(&w->base, w->start->queue[w->base.number]) && !move_under_way(w);
}

/*
 * Whether a worker that was told to stop may leave: no request waits, and sessions have what they are owed, or those behind have taken nothing for STOP_PATIENCE, or time
 * is up. `more`: something is left to do in the next turn.
 */
static bool may_stop(const struct worker *w, bool more)
{
	if (w->base.now_ms >= w->stop_by)
		return true;
	return !more && !w->service.waits && may_leave(w) && (atomic_load_explicit(&w->base.self->behind, memory_order_relaxed) == 0 || w->base.now_ms - w->taken_at >= STOP_PATIENCE);
}

static void on_prepare(struct ev_loop *loop, struct ev_prepare *p, int events)
{
	struct worker *w = ev_userdata(loop);
	bool more;

	(void)p;
	(void)events;
	connection_close_over(w);
	departed_run(w);
	more = fanout_poll(&w->fanout);
	more |= fanout_run(&w->fanout);
	more |= move_delivered(w);
	if (more)
		CRASH_POINT("fanout-left");
	waiting_run(&w->service);
	if (w->protocols.stalled_count > 0)
		more |= input_retry_stalled(&w->protocols);
	more |= turn_run(w);
	move_run(w);
	more |= balance_run(w);
	more |= handshakes_run(w);
	more |= presence_run(&w->presence);
	arrived_settle(w);
	more |= w->base.over_count > 0;
	if (w->stopping && (more || atomic_load_explicit(&w->base.self->behind, memory_order_relaxed) == 0)) {
		base_beat(&w->base);
		/* Patience runs only while there is nothing to wait for but readers that are behind. */
		w->taken_at = w->base.now_ms;
	}
	if (w->stopping ? may_stop(w, more) : w->snapshot_wanted && may_leave(w)) {
		ev_break(loop, EVBREAK_ALL);
		return;
	}
	nodes_tell(&w->base.hub);
	if (more || !may_sleep(w))
		ev_idle_start(loop, &w->idle);
	else
		ev_idle_stop(loop, &w->idle);
}

static void on_check(struct ev_loop *loop, struct ev_check *c, int events)
{
	struct worker *w = ev_userdata(loop);

	(void)c;
	(void)events;
	atomic_store(&w->base.self->sleeping, 0);
	base_beat(&w->base);
	w->turn_began = base_clock();
	atomic_fetch_add_explicit(&w->base.self->turns, 1, memory_order_relaxed);
	base_count(&w->base, COUNTER_loops, 1);
}

static void on_idle(struct ev_loop *loop, struct ev_idle *i, int events)
{
	(void)loop;
	(void)i;
	(void)events;
}

/* How much memory the segments take, for gauges. */
static void look_at_memory(struct worker *w)
{
	if (w->memory_seen == w->base.now)
		return;
	w->memory_seen = w->base.now;
	atomic_store_explicit(&w->base.self->segment_used, segment_used(w->start->slot_fd), memory_order_relaxed);
	atomic_store_explicit(&w->base.hub.shm->used, segment_used(w->start->hub_fd), memory_order_relaxed);
}

/* What ps shows. (Called a few times a second: a peer that connects and goes does not have it written each time.) */
static void show_connections(struct worker *w)
{
	uint32_t n = atomic_load_explicit(&w->base.self->connections, memory_order_relaxed);

	if (w->shown_at == w->base.now || w->shown == n)
		return;
	w->shown_at = w->base.now;
	w->shown = n;
	title_set("janus: worker %u (%" PRIu32 " connection%s)", w->base.number, n, n == 1 ? "" : "s");
}

/* Whether nobody is left here, connections that are no sessions yet among them. */
static bool is_deserted(const struct worker *w)
{
	return atomic_load_explicit(&w->base.self->connections, memory_order_relaxed) == 0 && atomic_load_explicit(&w->base.self->parked, memory_order_relaxed) == 0 &&
	       !handshakes_any(w) && !proxied_any(w);
}

/* A slot that is to end does when it is empty, and nothing will come any more. */
static void end_drained(struct worker *w)
{
	if (w->stopping || w->snapshot_wanted)
		return;
	if (!is_deserted(w)) {
		gate_open(&w->base);
		return;
	}
	gate_close(&w->base);
	if (!may_leave(w))
		return;
	w->drained = true;
	ev_break(w->base.loop, EVBREAK_ALL);
}

static void on_tick(struct ev_loop *loop, struct ev_timer *t, int events)
{
	struct worker *w = ev_userdata(loop);

	(void)t;
	(void)events;
	sweep(w);
	handshakes_sweep(w);
	proxied_sweep(w);
	events_beat(&w->base.hub.events, w->base.number, w->base.now_ms);
	presence_tick(&w->presence);
	look_at_memory(w);
	show_connections(w);
	orders_drain(w);
	balance_look(w);
	move_tick(w);
	if (w->stopping && atomic_load_explicit(&w->base.self->behind, memory_order_relaxed) > 0)
		watch_takers(w);
	if (w->start->drain)
		end_drained(w);
}

/* Has the loop make a turn, in which stalled sessions are tried again (on_prepare()). */
static void on_retry(struct ev_loop *loop, struct ev_timer *t, int events)
{
	struct worker *w = ev_userdata(loop);

	(void)events;
	if (w->protocols.stalled_count == 0)
		ev_timer_stop(loop, t);
}

/* SIGTERM, stop: takes no new connections. What is in the ring is still delivered, also to sessions behind. */
static void on_term(struct ev_loop *loop, struct ev_signal *s, int events)
{
	struct worker *w = ev_userdata(loop);

	(void)s;
	(void)events;
	/* The order to hand over may come together with this one, before or after it. As no successor would deliver the rest, this worker stays. */
	w->snapshot_wanted = false;
	ev_break(loop, EVBREAK_CANCEL);
	listener_end(&w->listeners);
	handshakes_end(w);
	proxied_end(w);
	atomic_store_explicit(&w->base.self->draining, 1, memory_order_relaxed);
	gate_close(&w->base);
	base_beat(&w->base);
	w->stopping = true;
	w->stop_by = w->base.now_ms + (uint64_t)w->base.settings->stop_limit;
	w->taken_at = w->base.now_ms;
}

/* SIGHUP, hand over: leaves at once, as everything that counts is in the slot segment at the end of every turn. */
static void on_hup(struct ev_loop *loop, struct ev_signal *s, int events)
{
	const struct worker *w = ev_userdata(loop);

	(void)s;
	(void)events;
	if (!w->stopping)
		ev_break(loop, EVBREAK_ALL);
}

/* SIGUSR1: leaves a snapshot for a program with another layout. */
static void on_snapshot(struct ev_loop *loop, struct ev_signal *s, int events)
{
	struct worker *w = ev_userdata(loop);

	(void)s;
	(void)events;
	if (w->stopping)
		return;
	w->snapshot_wanted = true;
	gate_close(&w->base);		/* on_prepare() goes on when nothing is under way */
}

static void say_goodbye(struct worker *w)
{
	uint32_t end = atomic_load_explicit(&w->base.slot.shm->fd_end, memory_order_relaxed);

	for (session_id sid = 0; sid < (session_id)end; sid++)
		if (session(&w->base, sid)->status == SESSION_OPEN) {
			session_goodbye(&w->protocols, sid);
			tell_why(&w->base, sid, session_parked(&w->base, sid) ? EVENT_END : EVENT_DISCONNECT, EVENT_WHY_GOODBYE, 0, NULL);
		}
}

static void beat(void *of)
{
	base_beat(of);
}

/* Their notes do not go along: requests that wait are answered with what is known so far. */
static void answer_waiting(struct worker *w)
{
	uint64_t all = w->base.waiting;

	waiting_hurry(&w->service);
	for (; all; all &= all - 1) {
		session_id sid = (session_id)w->base.self->waiting[__builtin_ctzll(all)].fd;

		if (session_waits(&w->base, sid))
			input_resume(&w->protocols, sid);
	}
}

static int leave_snapshot(struct worker *w)
{
	/* Another program may make frames differently, so it must not have to finish frames of ours. */
	w->base.pool.hub = NULL;		/* without max_buffered: nothing else is taken after this */
	partial_keep_all(w->partial);
	if (snapshot_write_slot(&w->base.hub, &w->base.slot, &w->base.tls, w->start->snapshot_fd, beat, &w->base) == 0)
		return WORKER_SNAPSHOT;
	log_error("snapshot: %s", strerror(errno));
	return WORKER_NO_SNAPSHOT;
}

static void start_watchers(struct worker *w)
{
	ev_io_init(&w->wake_io, on_wake, w->start->wake[w->base.number], EV_READ);
	ev_io_start(w->base.loop, &w->wake_io);
	turn_start(w);
	ev_prepare_init(&w->prepare, on_prepare);
	ev_prepare_start(w->base.loop, &w->prepare);
	ev_check_init(&w->check, on_check);
	ev_set_priority(&w->check, EV_MAXPRI);
	ev_check_start(w->base.loop, &w->check);
	ev_idle_init(&w->idle, on_idle);
	ev_timer_init(&w->tick, on_tick, TICK, TICK);
	ev_timer_start(w->base.loop, &w->tick);
	ev_init(&w->protocols.retry, on_retry);
	w->protocols.retry.repeat = RETRY;
	ev_signal_init(&w->on_term, on_term, SIGTERM);
	ev_signal_start(w->base.loop, &w->on_term);
	ev_signal_init(&w->on_hup, on_hup, SIGHUP);
	ev_signal_start(w->base.loop, &w->on_hup);
	ev_signal_init(&w->on_snapshot, on_snapshot, SIGUSR1);
	ev_signal_start(w->base.loop, &w->on_snapshot);
}

/* Allocates for libev. Without memory libev would abort, which would count as the worker's own fault: it exits with WORKER_SHORTAGE instead. */
static void *loop_memory(void *p, long size)
{
	if (size == 0) {
		free(p);
		return NULL;
	}
	p = realloc(p, (size_t)size);
	if (!p)
		_exit(WORKER_SHORTAGE);
	return p;
}

static void loop_error(const char *what)
{
	log_error("%s: %m", what);
	if (is_shortage(errno))
		_exit(WORKER_SHORTAGE);
	abort();
}

/* ---- from the first instruction on ---- */

/* Settings that are rules. (Whoever read the configuration has said before what is wrong with them.) */
static void read_rules(struct base *base)
{
	const char *wrong;
	size_t wrong_len;
	char why[256];

	if (slow_rules_parse(&base->slow, base->settings->slow, why, sizeof(why)) < 0)
		log_error("slow: %s", why);
	(void)!address_list_read(&base->proxies, base->settings->trusted_proxies, &wrong, &wrong_len);
}

/* 0, or -1 with errno. */
static int base_init(struct worker *w)
{
	struct base *base = &w->base;
	const struct worker_start *start = w->start;
	uint32_t sessions;

	base->settings = start->settings;
	base->number = start->slot;
	upcalls_give(w);
	if (hub_attach(&base->hub, start->hub_fd, true) < 0 || slot_attach(&base->slot, start->slot_fd, true) < 0 ||
	    tls_attach(&base->tls, start->tls_fd, base->slot.shm->sessions_max) < 0) {
		log_error("shared memory: %s", strerror(errno));
		return -1;
	}
	base->hub.wake = start->wake;
	base->epoch = position_epoch(base->hub.shm->epoch / 1000);
	read_rules(base);
	hub_keep(&base->hub, base->settings);
	hub_keep_from_now(&base->hub, base->number, base->settings);
	base->hub.once.keep = (uint64_t)base->settings->once_time;
	base->hub.ring.firsts = calloc(RING_FIRSTS, sizeof(*base->hub.ring.firsts));	/* NULL is allowed: searches are then slower */
	base->hub.history.notes = calloc(HISTORY_NOTES, sizeof(*base->hub.history.notes));	/* the same */
	base->self = &base->hub.shm->slot[base->number];
	atomic_store_explicit(&base->self->accepting, !start->drain, memory_order_relaxed);
	atomic_store_explicit(&base->self->draining, start->drain, memory_order_relaxed);
	gate_open(base);
	base_beat(base);
	CRASH_POINT("recover-begun");
	if (watch_open(&base->slot) < 0) {
		log_error("epoll: %m");
		return -1;
	}
	if (orphans_close(w) < 0)
		return -1;
	/*
	 * A record grows most on a page of HTML, where an apostrophe becomes five bytes. A quotation mark becomes six, but in JSON at most two of
	 * them stand side by side, so three bytes become 13.
	 */
	base->scratch_room = 5 * publish_batch_record_max(base) + 8192;
	if (base->scratch_room < PAGE_MAX + HTTP_ANSWER_MAX)
		base->scratch_room = PAGE_MAX + HTTP_ANSWER_MAX;
	if (base->scratch_room < 2 * (METRICS_MAX + HTTP_ANSWER_MAX))	/* (touched when they are asked for) */
		base->scratch_room = 2 * (METRICS_MAX + HTTP_ANSWER_MAX);
	base->scratch = malloc(base->scratch_room);
	base->copy = calloc(1, sizeof(*base->copy));
	sessions = base->slot.shm->sessions_max;
	base->marks = base_reserve(sessions * sizeof(*base->marks));
	base->over = base_reserve(sessions * sizeof(*base->over));
	base->why = base_reserve(sessions);
	if (!base->marks || !base->over || !base->why || !base->scratch || !base->copy || pool_init(&base->pool, &base->slot) < 0) {
		errno = ENOMEM;
		log_error("%m");
		return -1;
	}
	pool_charge_to(&base->pool, &base->hub, base->number);
	ev_set_allocator(loop_memory);
	ev_set_syserr_cb(loop_error);
	/* A handful of descriptors, of which one is the sessions' set. (An epoll set that is added to another one is walked, for the kernel to see that there is no circle.) */
	base->loop = ev_loop_new(EVBACKEND_POLL | EVFLAG_NOENV);
	if (!base->loop) {
		log_error("no event loop: %m");
		return -1;
	}
	ev_set_userdata(base->loop, w);
	return 0;
}

static int listeners_init(struct worker *w)
{
	w->listeners.base = &w->base;
	w->listeners.ended = w->start->drain;
	if (listener_init(&w->listeners, w->start->listeners_count) < 0)
		return -1;
	for (unsigned i = 0; i < w->start->listeners_count; i++) {
		const struct worker_listener *l = &w->start->listeners[i];

		listener_add(&w->listeners, l->fd, &(struct listener){ .proto = l->proto, .tls = l->tls, .slow = l->slow, .proxy = l->proxy });
	}
	return 0;
}

/* Gives each module the modules that it stands on. 0, or -1: no memory. */
static int delivery_init(struct worker *w)
{
	w->topics.base = &w->base;
	w->partial = partial_create(&w->base, w->batch, w->base.slot.shm->sessions_max);
	w->streams = (struct streams){ .base = &w->base, .topics = &w->topics, .partial = w->partial };
	w->multi_topic = multi_topic_create(&w->base, w->batch, &w->topics, &w->streams);
	w->output = (struct output){
		.base = &w->base, .batch = w->batch, .topics = &w->topics, .partial = w->partial, .streams = &w->streams,
		.multi_topic = w->multi_topic,
	};
	w->fanout = (struct fanout){
		.base = &w->base, .batch = w->batch, .topics = &w->topics, .streams = &w->streams, .multi_topic = w->multi_topic,
	};
	w->service.base = &w->base;
	w->service.queue = w->start->queue;
	w->service.topics = &w->topics;
	w->service.streams = &w->streams;
	w->service.multi_topic = w->multi_topic;
	w->presence = (struct presence){ .base = &w->base, .topics = &w->topics, .output = &w->output };
	w->service.presence = &w->presence;
	w->protocols.base = &w->base;
	w->protocols.topics = &w->topics;
	w->protocols.multi_topic = w->multi_topic;
	w->protocols.output = &w->output;
	w->protocols.service = &w->service;
	if (!w->partial || !w->multi_topic || topics_init(&w->topics) < 0 || subscription_list_init(&w->topics) < 0 || presence_init(&w->presence) < 0)
		return -1;
	return fanout_init(&w->fanout);
}

/* 0, or -1 with errno. */
static int worker_init(struct worker *w, const struct worker_start *start)
{
	w->start = start;
	w->shown = UINT32_MAX;
	if (base_init(w) < 0)
		return -1;
	w->batch = batch_create(&w->base, (int)start->settings->io, 1024 * 1024 + w->base.scratch_room, landed_record, &w->streams);
	if (!w->batch)
		return -1;
	json_init(&w->protocols.json);
	if (w->base.settings->flood_messages || w->base.settings->flood_bytes)
		w->service.flood = calloc(w->base.slot.shm->sessions_max, sizeof(*w->service.flood));
	w->service.base = &w->base;
	if (quota_init(&w->service) < 0) {
		log_error("limits: %m");
		return -1;
	}
	w->service.access = access_create(&w->base, start->secrets_fd, start->fetched_fd);
	if (!w->service.access)
		return -1;
	if (listeners_init(w) < 0 || delivery_init(w) < 0 || publish_batch_init(&w->service) < 0) {
		errno = ENOMEM;
		log_error("%m");
		return -1;
	}
	return 0;
}

int worker_run(const struct worker_start *start)
{
	static struct worker worker;
	struct worker *w = &worker;
	sigset_t none;

	CRASH_ALWAYS("start-abort");
	if (start->settings->io == IO_SEND)
		CRASH_ALWAYS("start-abort-send");	/* for tests: settings that a worker can't live with */
	signal(SIGINT, SIG_IGN);	/* a terminal sends it to all processes, and the master decides */
	if (worker_init(w, start) < 0)
		return is_shortage(errno) ? WORKER_SHORTAGE : 1;
	start_watchers(w);
	errno = ENOMEM;
	if (recover(w) < 0) {
		log_error("sessions could not be taken over: %m");
		return is_shortage(errno) ? WORKER_SHORTAGE : 1;
	}
	if (proxied_init(w) < 0 || handshakes_init(w) < 0)
		return WORKER_SHORTAGE;
	orphans_adopt(w);
	presence_recover(&w->presence);
	/* Before it is live, as the master reports it then. */
	atomic_store(&w->base.self->taken_over, w->base.self->connections);
	show_connections(w);
	if (start->died)
		atomic_store(&w->base.self->paused, hub_now() - start->died);
	atomic_store(&w->base.self->state, SLOT_LIVE);
	for (uint32_t i = 1; i <= w->base.hub.index.shm->topics_max && index_topic(&w->base.hub.index, i)->generation; i++)
		if (w->topics.of[i])
			topics_tell(&w->topics, i);
	if (start->died) {
		base_count(&w->base, COUNTER_pauses, 1);
		base_count(&w->base, COUNTER_paused_time, w->base.self->paused);
		log_info("took over %u connections in %.1f ms", (unsigned)w->base.self->connections, (double)w->base.self->paused / 1000);
	}
	events_say(&w->base.hub.events, w->base.number, EVENT_START, w->base.self->connections, "process %d, worker %u of its slot", (int)getpid(),
		   (unsigned)w->base.self->generation);
	log_debug("sends with %s", batch_kind(w->batch));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (handshakes_start(w) < 0)
		return WORKER_SHORTAGE;
	listener_start(&w->listeners);
	move_start(w);
	ev_run(w->base.loop, 0);
	if (w->snapshot_wanted)
		answer_waiting(w);
	while (connection_close_over(w))
		;
	if (w->stopping)
		say_goodbye(w);
	batch_destroy(w->batch);
	return w->snapshot_wanted ? leave_snapshot(w) : w->stopping ? WORKER_STOPPED : w->drained ? WORKER_DRAINED : 0;
}
