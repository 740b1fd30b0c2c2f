/*
 * Guests. See entrance.h.
 */
#include "worker/io/entrance.h"

/* Each guest that is found is one still: who leaves is taken out of what was found, too. */
static void on_guests(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct entrance *e = (struct entrance *)io;

	(void)loop;
	(void)events;
	e->count = epoll_wait(io->fd, e->found, ENTRANCE_FOUND, 0);
	for (e->at = 0; e->at < e->count; e->at++) {
		struct guest *g = e->found[e->at].data.ptr;

		if (g && g->events)
			g->come(e->above, g);
	}
	e->count = 0;
}

int entrance_open(struct entrance *e, struct ev_loop *loop, void *above)
{
	int set;

	if (ev_is_active(&e->io))
		return 0;
	set = epoll_create1(0);
	if (set < 0)
		return -1;
	e->above = above;
	ev_io_init(&e->io, on_guests, set, EV_READ);
	ev_set_priority(&e->io, 1);	/* what has come is noted before the sweep looks for who is late */
	ev_io_start(loop, &e->io);
	return 0;
}

void guest_watch(struct entrance *e, struct guest *g, int events)
{
	struct epoll_event event = { .events = (events & EV_READ ? EPOLLIN : 0u) | (events & EV_WRITE ? EPOLLOUT : 0u), .data.ptr = g };
	int had = g->events;

	if (had == events)
		return;
	g->events = events;
	if (epoll_ctl(e->io.fd, !events ? EPOLL_CTL_DEL : had ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, g->fd, &event) < 0)
		g->events = 0;
}

void guest_leave(struct entrance *e, struct guest *g)
{
	guest_watch(e, g, 0);
	for (int i = e->at; i < e->count; i++)
		if (e->found[i].data.ptr == g)
			e->found[i].data.ptr = NULL;
}
