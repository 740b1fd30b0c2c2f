/*
 * New connections. All workers accept from the same listen sockets, which the master opened: what waits in a queue waits for whoever comes.
 *
 * So that the workers' shares stay alike, one that has clearly more connections than the least loaded one stops listening until the
 * others have caught up, or until nobody has for a while.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shm/crash.h"
#include "shm/log.h"
#include "worker/service/subscribe.h"
#include "worker/worker.h"

#define ACCEPTS_A_TURN 32
#define SLACK 64		/* connections more than the least loaded worker, plus a sixteenth, before it pauses */
#define PAUSE_MAX 2		/* seconds */
#define BEAT_MAX 500		/* milliseconds without a sign of life, after which a worker is not waited for; a live one gives some every 100 */

/* Whether it gets its share of new connections now, if it is left to it: is no longer starting, not full, not draining and not stuck. */
static bool takes_share(const struct worker *w, const struct hub_slot_shm *s)
{
	uint64_t now = atomic_load_explicit(&w->self->worker_beat, memory_order_relaxed);
	uint64_t beat = atomic_load_explicit(&s->worker_beat, memory_order_relaxed);

	return atomic_load_explicit(&s->state, memory_order_relaxed) == SLOT_LIVE &&
	       atomic_load_explicit(&s->accepting, memory_order_relaxed) && (beat >= now || now - beat <= BEAT_MAX);
}

static uint32_t least_loaded(const struct worker *w)
{
	uint32_t least = UINT32_MAX;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		const struct hub_slot_shm *s = &w->hub.shm->slot[i];
		uint32_t n;

		if (!takes_share(w, s))
			continue;
		n = atomic_load_explicit(&s->connections, memory_order_relaxed);
		if (n < least)
			least = n;
	}
	return least;
}

static bool above_share(const struct worker *w)
{
	uint32_t mine = atomic_load_explicit(&w->self->connections, memory_order_relaxed);
	uint32_t least = least_loaded(w);

	return mine > SLACK && least < mine - SLACK && mine - SLACK - least > mine / 16;
}

static bool slot_full(const struct worker *w)
{
	return atomic_load_explicit(&w->self->connections, memory_order_relaxed) >= w->self->connections_max;
}

/* Nobody has room, nor will have it when his worker, who is being replaced, is back. */
static bool server_full(const struct worker *w)
{
	uint64_t max = (uint64_t)w->settings->max_connections;

	if (max && hub_connections(&w->hub) >= max)
		return true;
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		const struct hub_slot_shm *s = &w->hub.shm->slot[i];

		if (atomic_load_explicit(&s->state, memory_order_relaxed) != SLOT_UNUSED &&
		    atomic_load_explicit(&s->accepting, memory_order_relaxed) &&
		    atomic_load_explicit(&s->connections, memory_order_relaxed) < s->connections_max)
			return false;
	}
	return true;
}

/*
 * Counts one more, if max_connections allows it. Close to it, workers do so one after the other; before, as each adds one at a time, it can't
 * be reached by those who have just looked.
 */
static bool count_in(struct worker *w)
{
	uint64_t max = (uint64_t)w->settings->max_connections;
	bool close_to = max && hub_connections(&w->hub) + INDEX_SLOTS_MAX >= max, room;

	if (close_to)
		lock_acquire(&w->hub.shm->lock, w->number + 1);
	room = !max || hub_connections(&w->hub) < max;
	if (room)
		atomic_fetch_add_explicit(&w->self->connections, 1, memory_order_relaxed);
	if (close_to)
		lock_release(&w->hub.shm->lock, w->number + 1);
	return room;
}

bool accept_counts(struct worker *w, int fd)
{
	return !slot_full(w) && (uint32_t)fd < w->slot.shm->sessions_max && count_in(w);
}

static void on_session(struct ev_loop *loop, struct ev_io *io, int events)
{
	ready(ev_userdata(loop), io->fd, events);
}

void accept_watcher(struct worker *w, int fd)
{
	ev_init(&w->io[fd], on_session);
	w->io[fd].fd = fd;
	w->io[fd].data = NULL;
	if (kernel_is_local(fd)) {
		session_mark(w, fd, MARK_LOCAL);
		kernel_peek_anew(fd);
	}
	session_watch(w, fd);
}

uint32_t accept_transport(int proto)
{
	return proto == PROTO_HTTP ? TRANSPORT_HTTP : proto == PROTO_PACKET ? TRANSPORT_PACKET : TRANSPORT_FLASH;
}

/* Puts the greeting into the out buffer of a session that is not there yet. */
static int greet(struct worker *w, int fd, struct session_state_shm *st)
{
	char frame[SPEAK_MAX];
	size_t len = speak_greeting(st->transport, hub_now(), session(w, fd)->token, frame);

	return len ? session_append(w, fd, st, frame, len) : 0;
}

void accept_adopt(struct worker *w, int fd, int proto)
{
	struct session_shm *s = session(w, fd);
	struct session_state_shm st = { .last_out = w->now, .transport = accept_transport(proto) };

	memset(s, 0, sizeof(*s));
	if (w->flood)
		w->flood[fd] = (struct flood){ 0 };
	s->last_in = w->now;
	if (getrandom(s->token, sizeof(s->token), 0) != sizeof(s->token) || greet(w, fd, &st) < 0) {
		log_warning_limited("a connection could not be taken in: %s", strerror(errno));
		atomic_fetch_sub_explicit(&w->self->connections, 1, memory_order_relaxed);
		close(fd);
		return;
	}
	s->state = st;
	if (atomic_load_explicit(&w->slot.shm->fd_end, memory_order_relaxed) <= (uint32_t)fd)
		atomic_store_explicit(&w->slot.shm->fd_end, (uint32_t)fd + 1, memory_order_relaxed);
	/* release: the session is whole, with its greeting to be sent, when it is there */
	atomic_store_explicit(&s->status, SESSION_OPEN, memory_order_release);
	CRASH_POINT("accept-opened");
	session_count(w, st.transport, 1);
	action_join_everybody(w, fd);
	accept_watcher(w, fd);
	session_flush(w, fd);
}

static void accept_pause(struct worker *w)
{
	w->paused_at = w->now;
	w->overdue = false;
	atomic_store_explicit(&w->self->accepting, !slot_full(w), memory_order_relaxed);
	accept_stop(w);
	ev_timer_again(w->loop, &w->balance);
}

static void on_listener(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct listener *l = (struct listener *)io;
	struct worker *w = l->worker;

	(void)loop;
	(void)events;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		bool full = slot_full(w);
		int fd;

		if ((full && !server_full(w)) || (above_share(w) && !w->overdue)) {
			accept_pause(w);
			return;
		}
		fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK);
		if (fd < 0 && errno == EMFILE && refuse_fewer(w))
			continue;
		if (fd < 0) {
			w->overdue = false;
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
				log_warning_limited("accept: %s", strerror(errno));
				accept_pause(w);
			}
			return;
		}
		CRASH_POINT("accept-accepted");
		if (!accept_counts(w, fd)) {
			refuse_take(w, fd, accept_transport(l->proto));
			continue;
		}
		worker_count(w, COUNTER_accepted, 1);
		accept_adopt(w, fd, l->proto);
	}
}

void accept_start(struct worker *w)
{
	if (w->listening || w->stopping || w->start->drain)
		return;
	w->listening = true;
	atomic_store_explicit(&w->self->accepting, 1, memory_order_relaxed);
	for (unsigned i = 0; i < w->start->listeners_count; i++) {
		struct listener *l = &w->listeners[i];

		l->worker = w;
		l->proto = w->start->listeners[i].proto;
		ev_io_init(&l->io, on_listener, w->start->listeners[i].fd, EV_READ);
		ev_io_start(w->loop, &l->io);
	}
}

void accept_stop(struct worker *w)
{
	if (!w->listening)
		return;
	w->listening = false;
	for (unsigned i = 0; i < w->start->listeners_count; i++)
		ev_io_stop(w->loop, &w->listeners[i].io);
}

void accept_balance(struct worker *w)
{
	if (w->stopping || w->listening) {
		ev_timer_stop(w->loop, &w->balance);
		return;
	}
	atomic_store_explicit(&w->self->accepting, !slot_full(w), memory_order_relaxed);
	w->overdue = w->now - w->paused_at >= PAUSE_MAX;
	if (slot_full(w) ? server_full(w) : (w->overdue || !above_share(w))) {
		ev_timer_stop(w->loop, &w->balance);
		accept_start(w);
	}
}
