/*
 * TLS handshakes that are under way. See handshakes.h.
 *
 * A handshake costs as much time as hundreds of deliveries, so a turn has some milliseconds for all of them together, in the order in which something came for
 * them; live delivery goes on in between. And it costs tens of kilobytes: so there is a limit (tls_handshakes), beyond which who comes waits in the kernel, where
 * he costs next to nothing. libssl's object is made when the first bytes come: who connects and says nothing costs his descriptor alone.
 *
 * A successor closes the connections of handshakes that were begun, as they have no session (orphans.c).
 */
#include "worker/loop/handshakes.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/stranger.h"
#include "proto/transport.h"
#include "shm/log.h"
#include "shm/secrets.h"
#include "shm/tickets.h"
#include "worker/io/tls_certificate.h"
#include "worker/io/tls_handshake.h"
#include "worker/loop/connection.h"
#include "worker/loop/refuse.h"
#include "worker/session/tell.h"

#define RUN_US 5000			/* microseconds of a turn */
#define KEYS_ROOM (1 << 20)		/* bytes of locked memory for private keys, those of handshakes under way among them; a power of two */
#define KEY_LEAST 64
#define CROWD 64			/* handshakes at one time, whose memory is worth giving back: some megabytes */
#define NOT_TLS "this address speaks TLS: connect with https://, wss://, or TLS around what you speak"

struct handshake {
	struct ev_io io;
	TAILQ_ENTRY(handshake) age, turn;
	bool waits;			/* for its turn: it is in `ready` */
	struct arrival arrival;
	uint64_t ready_at;		/* since when it waits for that, milliseconds */
	uint64_t since;			/* when it was taken, the same; later by as long as it has waited for its turn */
	struct tls_handshake *tls;	/* NULL: nothing has come yet */
};

TAILQ_HEAD(handshake_list, handshake);

struct handshakes {
	struct tls_server *server;
	struct handshake_list all;	/* the oldest first */
	struct handshake_list ready;	/* those for which something has come */
	uint32_t count;
	uint32_t most;			/* of `count`, since there were none */
	bool ended;
};

/* ---- beginning ---- */

static struct tls_server *make_server(const struct worker *w)
{
	const struct worker_start *start = w->start;
	struct tickets_shm *tickets = start->tickets_fd < 0 ? NULL : tickets_map(start->tickets_fd, false);
	struct secrets secrets;
	struct tls_server *server;
	char why[TLS_WHY_MAX];

	if (start->secrets_fd < 0 || secrets_map(&secrets, start->secrets_fd) < 0) {
		log_error("TLS: the certificates did not come along: %m");
		return NULL;
	}
	/* (Where it can't be had or locked, libcrypto takes other memory.) */
	(void)!CRYPTO_secure_malloc_init(KEYS_ROOM, KEY_LEAST);
	server = tls_server_create(w->base.settings, &secrets, tickets, why);
	secrets_unmap(&secrets);
	if (!server)
		log_error("TLS: %s", why);
	return server;
}

int handshakes_init(struct worker *w)
{
	struct handshakes *hs;
	bool wanted = false;

	for (unsigned i = 0; i < w->start->listeners_count; i++)
		wanted |= w->start->listeners[i].tls;
	atomic_store_explicit(&w->base.self->handshakes, 0, memory_order_relaxed);
	if (!wanted)
		return 0;
	hs = calloc(1, sizeof(*hs));
	if (!hs)
		return -1;
	TAILQ_INIT(&hs->all);
	TAILQ_INIT(&hs->ready);
	w->handshakes = hs;
	return 0;
}

int handshakes_start(struct worker *w)
{
	if (!w->handshakes)
		return 0;
	w->handshakes->server = make_server(w);
	return w->handshakes->server ? 0 : -1;
}

static void count_under_way(struct worker *w, int change)
{
	struct handshakes *hs = w->handshakes;

	hs->count += (uint32_t)change;
	atomic_store_explicit(&w->base.self->handshakes, hs->count, memory_order_relaxed);
	listener_hold_tls(&w->listeners, hs->count >= (uint64_t)w->base.settings->tls_handshakes);
	hs->most = hs->count > hs->most ? hs->count : hs->most;
	if (hs->count > 0)
		return;
	if (hs->most >= CROWD)
		malloc_trim(0);		/* malloc keeps what libssl has freed, with little in between */
	hs->most = 0;
}

static void on_handshake(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct worker *w = ev_userdata(loop);
	struct handshake *h = (struct handshake *)io;

	(void)events;
	if (h->waits)
		return;
	h->waits = true;
	h->ready_at = w->base.now_ms;
	TAILQ_INSERT_TAIL(&w->handshakes->ready, h, turn);
}

void handshakes_take(struct worker *w, int fd, const struct arrival *a)
{
	struct handshakes *hs = w->handshakes;
	/* (A successor does not look for descriptors beyond the session table.) */
	struct handshake *h = hs && !hs->ended && (uint32_t)fd < w->base.slot.shm->sessions_max ? calloc(1, sizeof(*h)) : NULL;

	if (!h) {
		base_count(&w->base, COUNTER_tls_failed_dropped, 1);
		close(fd);
		return;
	}
	h->arrival = *a;
	h->since = w->base.now_ms;
	TAILQ_INSERT_TAIL(&hs->all, h, age);
	ev_io_init(&h->io, on_handshake, fd, EV_READ);
	ev_set_priority(&h->io, 1);	/* what has come is noted before the sweep looks for who is late */
	ev_io_start(w->base.loop, &h->io);
	count_under_way(w, 1);
}

/* ---- end ---- */

/* It is none any more. Its descriptor stays open. */
static void forget(struct worker *w, struct handshake *h)
{
	ev_io_stop(w->base.loop, &h->io);
	TAILQ_REMOVE(&w->handshakes->all, h, age);
	if (h->waits)
		TAILQ_REMOVE(&w->handshakes->ready, h, turn);
	tls_handshake_destroy(h->tls);
	free(h);
	count_under_way(w, -1);
}

/* What a client is told that speaks no TLS, in its own words. */
static void tell_stranger(const struct handshake *h)
{
	static const uint32_t transports[] = {
		[STRANGER_HTTP] = TRANSPORT_HTTP, [STRANGER_FLASH] = TRANSPORT_FLASH, [STRANGER_JSON] = TRANSPORT_FLASH, [STRANGER_PACKET] = TRANSPORT_PACKET,
		[STRANGER_NONE] = TRANSPORTS, [STRANGER_TLS] = TRANSPORTS, [STRANGER_PART] = TRANSPORTS,
	};
	char frame[TRANSPORT_NOTICE_MAX];
	size_t len;
	const uint8_t *begin = tls_handshake_begin(h->tls, &len);
	uint32_t transport = transports[stranger_find((const char *)begin, len)];

	if (transport < TRANSPORTS) {
		len = transport_error(transport, hub_now(), 400, NOT_TLS, frame);
		(void)!send(h->io.fd, frame, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

/* Ends one that has come to nothing. Who may read what he was sent is given the time to. */
static void fail(struct worker *w, struct handshake *h, enum counter why, bool told)
{
	int fd = h->io.fd;

	base_count(&w->base, why, 1);
	tell_refused(&w->base, why, protocol_transport(h->arrival.proto), &h->arrival.peer);
	forget(w, h);
	if (told)
		refuse_told(w, fd);
	else
		close(fd);
}

static enum counter reason_of(enum tls_step step)
{
	switch (step) {
	case TLS_NOT_TLS:
		return COUNTER_tls_failed_stranger;
	case TLS_UNSUPPORTED:
		return COUNTER_tls_failed_unsupported;
	case TLS_BAD_CERTIFICATE:
		return COUNTER_tls_failed_certificate;
	case TLS_ALERT_CAME:
		return COUNTER_tls_failed_alert;
	case TLS_CLOSED:
		return COUNTER_tls_failed_closed;
	case TLS_BAD:
	case TLS_GOES_ON:
	case TLS_DONE:
		break;
	}
	return COUNTER_tls_failed_bad;
}

/* A connection whose handshake is done is not taken. It is told so within TLS, by libssl, as no key of it was used by anybody else yet. */
static void refuse(struct worker *w, struct handshake *h, const struct refusal *why)
{
	uint32_t transport = protocol_transport(h->arrival.proto);
	char frame[TRANSPORT_NOTICE_MAX];
	int fd = h->io.fd;

	tls_handshake_say(h->tls, frame, transport_error(transport, hub_now(), why->status, why->text, frame));
	tls_handshake_run(h->tls, h->io.fd);
	forget(w, h);
	refuse_told(w, fd);
}

/* The handshake is done. */
static void finish(struct worker *w, struct handshake *h)
{
	struct tls_outcome outcome;
	struct refusal why;
	const uint8_t *unsent;
	size_t len;
	int fd = h->io.fd, r;

	if (!connection_may(w, fd, &h->arrival, &why)) {
		refuse(w, h, &why);
		return;
	}
	if (!tls_handshake_outcome(h->tls, &outcome)) {
		connection_not(w, fd);
		log_warning_limited("a TLS handshake came to nothing: %s", tls_handshake_error(h->tls));
		fail(w, h, COUNTER_tls_failed_unsupported, false);
		return;
	}
	base_count(&w->base, COUNTER_tls_handshakes, 1);
	base_count(&w->base, COUNTER_tls_resumed, outcome.resumed);
	ev_io_stop(w->base.loop, &h->io);
	unsent = tls_handshake_output(h->tls, &len);
	r = connection_open_tls(w, fd, &h->arrival, &outcome.entry, unsent, len);
	explicit_bzero(&outcome, sizeof(outcome));
	forget(w, h);
	if (r < 0)
		close(fd);
}

/* ---- in between ---- */

static void step(struct worker *w, struct handshake *h)
{
	enum tls_step step;

	if (!h->tls)
		h->tls = tls_handshake_create(w->handshakes->server, h->arrival.proto == PROTO_HTTP || h->arrival.proto == PROTO_ADMIN);
	if (!h->tls) {
		fail(w, h, COUNTER_tls_failed_bad, false);
		return;
	}
	step = tls_handshake_run(h->tls, h->io.fd);
	if (step == TLS_DONE) {
		finish(w, h);
	} else if (step == TLS_GOES_ON) {
		int events = EV_READ | (tls_handshake_sends(h->tls) ? EV_WRITE : 0);

		if (h->io.events == events)
			return;
		ev_io_stop(w->base.loop, &h->io);
		ev_io_set(&h->io, h->io.fd, events);
		ev_io_start(w->base.loop, &h->io);
	} else {
		if (step == TLS_NOT_TLS)
			tell_stranger(h);
		fail(w, h, reason_of(step), step != TLS_CLOSED);
	}
}

bool handshakes_run(struct worker *w)
{
	struct handshakes *hs = w->handshakes;
	uint64_t since;
	struct handshake *h;

	if (!hs || TAILQ_EMPTY(&hs->ready))
		return false;
	since = base_clock();
	while ((h = TAILQ_FIRST(&hs->ready)) != NULL && base_clock() - since < RUN_US) {
		TAILQ_REMOVE(&hs->ready, h, turn);
		h->waits = false;
		h->since += w->base.now_ms - h->ready_at;
		step(w, h);
		base_beat(&w->base);
	}
	return !TAILQ_EMPTY(&hs->ready);
}

/* Whose turn has not come is not late by that: in a crowd, who waits longest would be turned away, and would come again. */
void handshakes_sweep(struct worker *w)
{
	struct handshakes *hs = w->handshakes;
	struct handshake *h, *next;

	for (h = hs ? TAILQ_FIRST(&hs->all) : NULL; h != NULL; h = next) {
		next = TAILQ_NEXT(h, age);
		if (h->waits || w->base.now_ms - h->since < (uint64_t)w->base.settings->tls_handshake_timeout)
			continue;
		fail(w, h, COUNTER_tls_failed_late, false);
	}
}

bool handshakes_fewer(struct worker *w)
{
	struct handshakes *hs = w->handshakes;
	struct handshake *h = hs ? TAILQ_FIRST(&hs->all) : NULL;

	if (h)
		fail(w, h, COUNTER_tls_failed_dropped, false);
	return h != NULL;
}

void handshakes_end(struct worker *w)
{
	if (!w->handshakes)
		return;
	w->handshakes->ended = true;
	while (handshakes_fewer(w))
		;
}
