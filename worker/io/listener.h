/*
 * New connections: whether this worker listens, and whether there is room. What becomes of an accepted connection, the function `accepted` decides.
 */
#ifndef WORKER_IO_LISTENER_H
#define WORKER_IO_LISTENER_H

#include "worker/session/session.h"

struct listener {
	struct ev_io io;
	struct listeners *all;
	int proto;			/* PROTO_ */
	bool tls;			/* it is spoken within TLS */
	enum slow_policy slow;		/* what it says of its connections that read slowly */
	bool proxy;			/* they begin with the PROXY protocol's header */
};

struct listeners {
	struct base *base;
	struct listener *each;
	unsigned count;
	struct ev_timer balance;	/* runs while listening is paused */
	uint32_t paused_at;		/* when that began, seconds as base.now */
	bool listening;
	bool overdue;			/* the pause has lasted PAUSE_MAX: accept whatever the balance */
	bool tls_held;			/* nobody is taken from listeners with TLS, as enough handshakes are under way */
	bool ended;			/* this worker takes no new connections any more */

	/* ---- functions of the higher storey; `above` is their first argument ---- */
	void *above;
	void (*accepted)(void *above, int fd, const struct listener *from, const struct event_peer *peer);
	bool (*refuse_fewer)(void *above);	/* frees a descriptor, by closing a connection that is over or refused; false: there is none */
};

/* Makes room for `count` listeners, which listener_add() adds. 0, or -1: no memory. */
int listener_init(struct listeners *all, unsigned count);
void listener_add(struct listeners *all, int fd, const struct listener *what);	/* what: proto, tls, slow and proxy of it */
void listener_start(struct listeners *all);	/* does nothing after listener_end() */
void listener_stop(struct listeners *all);
void listener_end(struct listeners *all);	/* stops listening for good */
void listener_hold_tls(struct listeners *all, bool hold);	/* whether those with TLS wait; what comes meanwhile waits in the kernel */
/* Whether clients are sent away, so that none are taken but who runs the server. */
bool listener_drains(const struct listeners *all);
/* True: there is room for the connection, which came by a listener of this protocol (PROTO_), and it is counted. False: there is no room. Who runs the server
 * gets in when others don't: LISTENER_ADMIN_SPARE connections more than max_connections. */
#define LISTENER_ADMIN_SPARE 16
bool listener_counts(struct listeners *all, int fd, int proto);

#endif
