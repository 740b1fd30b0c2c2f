/*
 * New connections. All workers accept from the same listen sockets, which the master opened: what waits in a queue waits for whoever comes.
 *
 * So that the workers' shares stay alike, one that has clearly more connections than the least loaded one stops listening until the
 * others have caught up, or until nobody has for a while.
 */
#include "worker/io/listener.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "shm/crash.h"
#include "shm/log.h"

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

/* Counts one more, if max_connections allows it; with such a limit, workers do so one after the other. */
static bool count_in(struct worker *w)
{
	uint64_t max = (uint64_t)w->settings->max_connections;
	bool room;

	if (max)
		lock_acquire(&w->hub.shm->lock, w->number + 1);
	room = !max || hub_connections(&w->hub) < max;
	if (room)
		atomic_fetch_add_explicit(&w->self->connections, 1, memory_order_relaxed);
	if (max)
		lock_release(&w->hub.shm->lock, w->number + 1);
	return room;
}

bool listener_counts(struct worker *w, int fd)
{
	return !slot_full(w) && (uint32_t)fd < w->slot.shm->sessions_max && count_in(w);
}

static void pause_listening(struct worker *w)
{
	w->paused_at = w->now;
	w->overdue = false;
	atomic_store_explicit(&w->self->accepting, !slot_full(w), memory_order_relaxed);
	listener_stop(w);
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
			pause_listening(w);
			return;
		}
		fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK);
		if (fd < 0 && errno == EMFILE && w->refuse_fewer(w))
			continue;
		if (fd < 0) {
			w->overdue = false;
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
				log_warning_limited("accept: %s", strerror(errno));
				pause_listening(w);
			}
			return;
		}
		CRASH_POINT("accept-accepted");
		w->accepted(w, fd, l->proto);
	}
}

void listener_start(struct worker *w)
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

void listener_stop(struct worker *w)
{
	if (!w->listening)
		return;
	w->listening = false;
	for (unsigned i = 0; i < w->start->listeners_count; i++)
		ev_io_stop(w->loop, &w->listeners[i].io);
}

void listener_balance(struct worker *w)
{
	if (w->stopping || w->listening) {
		ev_timer_stop(w->loop, &w->balance);
		return;
	}
	atomic_store_explicit(&w->self->accepting, !slot_full(w), memory_order_relaxed);
	w->overdue = w->now - w->paused_at >= PAUSE_MAX;
	if (slot_full(w) ? server_full(w) : (w->overdue || !above_share(w))) {
		ev_timer_stop(w->loop, &w->balance);
		listener_start(w);
	}
}
