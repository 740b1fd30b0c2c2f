/*
 * New connections. All workers accept from the same listen sockets, which the master opened. A connection that waits there goes to the worker that
 * accepts first.
 *
 * So that the workers' shares stay alike, a worker that has clearly more connections than the least loaded one stops listening until the others
 * have caught up, or for PAUSE_MAX seconds.
 */
#include "worker/io/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "shm/crash.h"
#include "shm/log.h"
#include "worker/io/peer.h"
#include "worker/io/shares.h"

#define ACCEPTS_A_TURN 32
/* A worker pauses when it has this many connections, and a sixteenth of its own, more than the least loaded worker. */
#define SLACK 64
#define PAUSE_MAX 2		/* seconds */
#define BALANCE 0.01	/* seconds between looks at the other workers' shares, during a pause */

static uint32_t least_loaded(const struct listeners *all)
{
	uint32_t least = UINT32_MAX;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		uint32_t n;

		if (!shares_takes(all->base, i))
			continue;
		n = atomic_load_explicit(&all->base->hub.shm->slot[i].connections, memory_order_relaxed);
		if (n < least)
			least = n;
	}
	return least;
}

static bool above_share(const struct listeners *all)
{
	uint32_t mine = atomic_load_explicit(&all->base->self->connections, memory_order_relaxed);
	uint32_t least = least_loaded(all);

	return mine > SLACK && least < mine - SLACK && mine - SLACK - least > mine / 16;
}

static bool has_room(const struct listeners *all)
{
	return atomic_load_explicit(&all->base->self->connections, memory_order_relaxed) < all->base->self->connections_max;
}

bool listener_drains(const struct listeners *all)
{
	return atomic_load_explicit(&all->base->self->drain, memory_order_relaxed) != 0;
}

/* (Who drains is as good as full, whatever room there is.) */
static bool slot_full(const struct listeners *all)
{
	return listener_drains(all) || !has_room(all);
}

/*
 * Whether no worker can take a connection: max_connections is reached, or every slot is full or draining. A slot whose worker is being replaced
 * still counts, as its next worker will take connections.
 */
static bool server_full(const struct listeners *all)
{
	uint64_t max = (uint64_t)all->base->settings->max_connections;

	if (max && hub_connections(&all->base->hub) >= max)
		return true;
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		const struct hub_slot_shm *s = &all->base->hub.shm->slot[i];

		if (atomic_load_explicit(&s->state, memory_order_relaxed) != SLOT_UNUSED &&
		    atomic_load_explicit(&s->accepting, memory_order_relaxed) && atomic_load_explicit(&s->drain, memory_order_relaxed) == 0 &&
		    atomic_load_explicit(&s->connections, memory_order_relaxed) < s->connections_max)
			return false;
	}
	return true;
}

/*
 * Counts one more connection, if max_connections allows it. With that limit it holds the hub lock, so that two workers don't both take the last
 * place.
 */
static bool count_in(struct listeners *all, uint64_t spare)
{
	uint64_t max = (uint64_t)all->base->settings->max_connections;
	bool room;

	if (max)
		lock_acquire(&all->base->hub.shm->lock, all->base->number + 1);
	room = !max || hub_connections(&all->base->hub) < max + spare;
	if (room)
		atomic_fetch_add_explicit(&all->base->self->connections, 1, memory_order_relaxed);
	if (max)
		lock_release(&all->base->hub.shm->lock, all->base->number + 1);
	return room;
}

bool listener_counts(struct listeners *all, int fd, int proto)
{
	return has_room(all) && (uint32_t)fd < all->base->slot.shm->sessions_max && count_in(all, proto == PROTO_ADMIN ? LISTENER_ADMIN_SPARE : 0);
}

static void pause_listening(struct listeners *all)
{
	all->paused_at = all->base->now;
	all->overdue = false;
	atomic_store_explicit(&all->base->self->accepting, !slot_full(all), memory_order_relaxed);
	listener_stop(all);
	ev_timer_again(all->base->loop, &all->balance);
}

static void on_listener(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct listener *l = (struct listener *)io;
	struct listeners *all = l->all;

	(void)loop;
	(void)events;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		bool full = slot_full(all);
		struct sockaddr_storage address;
		struct event_peer peer;
		socklen_t len;
		int fd;

		if (l->tls && all->tls_held)
			return;
		if ((full && !server_full(all)) || (above_share(all) && !all->overdue)) {
			pause_listening(all);
			return;
		}
		len = sizeof(address);
		fd = accept4(io->fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK);
		if (fd < 0 && errno == EMFILE && all->refuse_fewer(all->above))
			continue;
		if (fd < 0) {
			all->overdue = false;
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
				log_warning_limited("accept: %s", strerror(errno));
				pause_listening(all);
			}
			return;
		}
		CRASH_POINT("accept-accepted");
		peer = peer_of((const struct sockaddr *)&address, len);
		all->accepted(all->above, fd, l, &peer);
	}
}

void listener_start(struct listeners *all)
{
	if (all->listening || all->ended)
		return;
	all->listening = true;
	/* (Full or not: who listens sees for himself when he has room again.) */
	atomic_store_explicit(&all->base->self->accepting, 1, memory_order_relaxed);
	for (unsigned i = 0; i < all->count; i++)
		if (!all->each[i].tls || !all->tls_held)
			ev_io_start(all->base->loop, &all->each[i].io);
}

void listener_stop(struct listeners *all)
{
	if (!all->listening)
		return;
	all->listening = false;
	for (unsigned i = 0; i < all->count; i++)
		ev_io_stop(all->base->loop, &all->each[i].io);
}

void listener_hold_tls(struct listeners *all, bool hold)
{
	if (all->tls_held == hold)
		return;
	all->tls_held = hold;
	for (unsigned i = 0; i < all->count && all->listening; i++) {
		if (!all->each[i].tls)
			continue;
		if (hold)
			ev_io_stop(all->base->loop, &all->each[i].io);
		else
			ev_io_start(all->base->loop, &all->each[i].io);
	}
}

/*
 * During a pause: listens again when this worker's share is no longer too large, or after PAUSE_MAX. A worker that is full listens again only when
 * the whole server is full, to refuse connections.
 */
static void balance(struct listeners *all)
{
	if (all->ended || all->listening) {
		ev_timer_stop(all->base->loop, &all->balance);
		return;
	}
	atomic_store_explicit(&all->base->self->accepting, !slot_full(all), memory_order_relaxed);
	all->overdue = all->base->now - all->paused_at >= PAUSE_MAX;
	if (slot_full(all) ? server_full(all) : (all->overdue || !above_share(all))) {
		ev_timer_stop(all->base->loop, &all->balance);
		listener_start(all);
	}
}

static void on_balance(struct ev_loop *loop, struct ev_timer *t, int events)
{
	struct listeners *all = t->data;

	(void)loop;
	(void)events;
	balance(all);
}

int listener_init(struct listeners *all, unsigned count)
{
	all->each = calloc(count, sizeof(*all->each));
	ev_init(&all->balance, on_balance);
	all->balance.repeat = BALANCE;
	all->balance.data = all;
	return all->each ? 0 : -1;
}

void listener_add(struct listeners *all, int fd, const struct listener *what)
{
	struct listener *l = &all->each[all->count++];

	*l = *what;
	l->all = all;
	ev_io_init(&l->io, on_listener, fd, EV_READ);
}

void listener_end(struct listeners *all)
{
	listener_stop(all);
	all->ended = true;
}
