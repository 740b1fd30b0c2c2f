/*
 * Connections that wait for their proxy's header. See proxied.h.
 *
 * Not a byte behind the header may be taken, as it is TLS's or the session's. So what is there is peeked at first: if it is a part of a header, all of it is, and is taken;
 * if the header ends in it, as much as that is. Then what the kernel counts as taken, which a session's recovery relies on, begins behind the header.
 */
#include "worker/loop/proxied.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/proxy_protocol.h"
#include "proto/transport.h"
#include "shm/crash.h"
#include "worker/io/session_peer.h"
#include "worker/io/tcp_counts.h"
#include "worker/loop/handshakes.h"
#include "worker/session/tell.h"

#define WAIT 5000		/* milliseconds that a proxy has for its header */

struct waiting {
	struct guest guest;
	TAILQ_ENTRY(waiting) age;
	struct arrival arrival;
	bool tls;
	uint64_t since;			/* when it was taken, milliseconds */
	uint8_t header[PROXY_HEADER_MAX];	/* arrival.header bytes of it */
};

struct proxied {
	TAILQ_HEAD(, waiting) all;	/* the oldest first */
	bool ended;
};

int proxied_init(struct worker *w)
{
	bool wanted = false;

	for (unsigned i = 0; i < w->start->listeners_count; i++)
		wanted |= w->start->listeners[i].proxy;
	if (!wanted)
		return 0;
	w->proxied = calloc(1, sizeof(*w->proxied));
	if (!w->proxied || entrance_open(&w->entrance, w->base.loop, w) < 0)
		return -1;
	TAILQ_INIT(&w->proxied->all);
	return 0;
}

/* It is none any more. Its descriptor stays open. */
static void forget(struct worker *w, struct waiting *p)
{
	guest_leave(&w->entrance, &p->guest);
	TAILQ_REMOVE(&w->proxied->all, p, age);
	free(p);
}

/* (A proxy that is not configured for this would not understand an answer either: its client does not wait for one of ours.) */
static void refuse(struct worker *w, int fd, const struct arrival *a, enum counter why)
{
	base_count(&w->base, why, 1);
	tell_refused(&w->base, why, protocol_transport(a->proto), &a->peer);
	close(fd);
}

static void fail(struct worker *w, struct waiting *p)
{
	refuse(w, p->guest.fd, &p->arrival, COUNTER_refused_header);
	forget(w, p);
}

/* The header is taken. */
static void go_on(struct worker *w, struct waiting *p, const struct proxy_client *client)
{
	struct arrival a = p->arrival;
	int fd = p->guest.fd;
	bool tls = p->tls;

	if (client->family) {
		a.named = true;
		a.peer = (struct event_peer){ .family = client->family, .port = client->port };
		memcpy(a.peer.address, client->address, sizeof(a.peer.address));
	}
	forget(w, p);
	CRASH_POINT("proxy-header");
	if (tls)
		handshakes_take(w, fd, &a);
	else
		connection_take(w, fd, &a);
}

/* Takes `n` bytes, which were peeked at. */
static bool take(struct waiting *p, size_t n)
{
	bool taken = recv(p->guest.fd, p->header + p->arrival.header, n, MSG_DONTWAIT) == (ssize_t)n;

	p->arrival.header += (uint32_t)n;
	return taken;
}

static void on_waiting(void *worker, struct guest *guest)
{
	struct worker *w = worker;
	struct waiting *p = (struct waiting *)guest;
	size_t had = p->arrival.header;
	struct proxy_client client = { 0 };
	const char *error;
	ssize_t n;
	long len;

	/* (Only a Unix socket's peeks are to be counted. A TCP one's would not begin at its beginning any more where the kernel counts those, too.) */
	if (socket_is_local(guest->fd))
		socket_peek_anew(guest->fd);
	n = recv(guest->fd, p->header + had, sizeof(p->header) - had, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	len = n > 0 ? proxy_header_read(p->header, had + (size_t)n, &client, &error) : -1;
	if (len < 0 || (len > 0 && (size_t)len <= had) || !take(p, len > 0 ? (size_t)len - had : (size_t)n)) {
		fail(w, p);
		return;
	}
	if (len > 0)
		go_on(w, p, &client);
}

void proxied_take(struct worker *w, int fd, const struct arrival *a, bool tls)
{
	struct waiting *p;

	if (!peer_is_proxy(&w->base, &a->peer)) {
		refuse(w, fd, a, COUNTER_refused_proxy);
		return;
	}
	/* (A successor does not look for descriptors beyond the session table.) */
	p = w->proxied && !w->proxied->ended && (uint32_t)fd < w->base.slot.shm->sessions_max ? calloc(1, sizeof(*p)) : NULL;
	if (!p) {
		refuse(w, fd, a, COUNTER_refused_header);
		return;
	}
	p->arrival = *a;
	p->tls = tls;
	p->since = w->base.now_ms;
	TAILQ_INSERT_TAIL(&w->proxied->all, p, age);
	p->guest = (struct guest){ .fd = fd, .come = on_waiting };
	guest_watch(&w->entrance, &p->guest, EV_READ);
}

void proxied_sweep(struct worker *w)
{
	struct waiting *p;

	while (w->proxied && (p = TAILQ_FIRST(&w->proxied->all)) != NULL && w->base.now_ms - p->since >= WAIT)
		fail(w, p);
}

bool proxied_fewer(struct worker *w)
{
	struct waiting *p = w->proxied ? TAILQ_FIRST(&w->proxied->all) : NULL;

	if (p)
		fail(w, p);
	return p != NULL;
}

bool proxied_any(const struct worker *w)
{
	return w->proxied && !TAILQ_EMPTY(&w->proxied->all);
}

void proxied_end(struct worker *w)
{
	if (!w->proxied)
		return;
	w->proxied->ended = true;
	while (proxied_fewer(w))
		;
}
