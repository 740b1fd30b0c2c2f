/*
 * TLS handshakes. See handshakes.h.
 *
 * A handshake costs as much time as hundreds of deliveries, so a turn has some milliseconds for all of them together, in the order in which something came for
 * them; live delivery goes on in between. And it costs tens of kilobytes: so there is a limit (tls_handshakes).
 *
 *   quiet     its ClientHello is not whole yet: it costs its descriptor and some hundred bytes. The socket is readable when the record is whole (SO_RCVLOWAT), so
 *             who sends it byte by byte has nobody look at each of them. Quiet ones are closed, the oldest first, where descriptors are needed
 *   whole     the ClientHello is there, in the socket, and waits for a place. As long as somebody does, who comes waits in the kernel
 *   begun     it has a place, and libssl's object. Its client may keep it for as long as nobody waits; else for PATIENCE
 *
 * A successor closes the connections of handshakes that were begun, as they have no session, and takes the others (orphans.c).
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
#include "worker/service/access.h"
#include "worker/session/tell.h"

#define RUN_US 5000			/* microseconds of a turn */
#define KEYS_ROOM (1 << 20)		/* bytes of locked memory for private keys, those of handshakes under way among them; a power of two */
#define KEY_LEAST 64
#define CROWD 64			/* handshakes at one time, whose memory is worth giving back: some megabytes */
#define PATIENCE 3000			/* milliseconds: a client's answers come sooner, also from the other side of the world, with packets lost on the way, or when it is busy itself */
enum { FATAL = 2, ACCESS_DENIED = 49 };

#define NOT_TLS "this address speaks TLS: connect with https://, wss://, or TLS around what you speak"

enum stage { QUIET, WHOLE, BEGUN, STAGES };

struct handshake {
	struct guest guest;
	TAILQ_ENTRY(handshake) age, place, turn;
	enum stage stage;
	bool waits;			/* for its turn: it is in `ready` */
	struct arrival arrival;
	uint64_t ready_at;		/* since when it waits for us, milliseconds: for its turn, or for a place */
	uint64_t since;			/* when it was taken, the same; later by as long as it has waited so */
	uint64_t begun;			/* when it got its place */
	size_t awaited;			/* bytes that the socket is to have before it is looked at again */
	struct tls_handshake *tls;	/* NULL: it is not begun */
};

TAILQ_HEAD(handshake_list, handshake);

struct handshakes {
	struct tls_server *server;
	struct handshake_list all;	/* the oldest first */
	struct handshake_list at[STAGES];	/* the same, by their stages; each as long as it has been at that */
	struct handshake_list ready;	/* those begun for which something has come */
	uint32_t count;			/* of all */
	uint32_t begun;
	uint32_t most;			/* of `begun`, since there were none */
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
	if (!hs || entrance_open(&w->entrance, w->base.loop, w) < 0)
		return -1;
	TAILQ_INIT(&hs->all);
	TAILQ_INIT(&hs->ready);
	for (int i = 0; i < STAGES; i++)
		TAILQ_INIT(&hs->at[i]);
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

static void count_begun(struct worker *w, int change)
{
	struct handshakes *hs = w->handshakes;

	hs->begun += (uint32_t)change;
	atomic_store_explicit(&w->base.self->handshakes, hs->begun, memory_order_relaxed);
	hs->most = hs->begun > hs->most ? hs->begun : hs->most;
	if (hs->begun > 0)
		return;
	if (hs->most >= CROWD)
		malloc_trim(0);		/* malloc keeps what libssl has freed, with little in between */
	hs->most = 0;
}

static void move_on(struct worker *w, struct handshake *h, enum stage stage)
{
	TAILQ_REMOVE(&w->handshakes->at[h->stage], h, place);
	TAILQ_INSERT_TAIL(&w->handshakes->at[stage], h, place);
	h->stage = stage;
}

static void on_quiet(void *worker, struct guest *guest);

static void on_handshake(void *worker, struct guest *guest)
{
	struct worker *w = worker;
	struct handshake *h = (struct handshake *)guest;

	if (h->waits)
		return;
	h->waits = true;
	h->ready_at = w->base.now_ms;
	TAILQ_INSERT_TAIL(&w->handshakes->ready, h, turn);
}

/*
 * Its client may have no more connections. He is told before any cryptography is paid for him: by an alert in the clear (RFC 8446 section 6: access_denied), which is all
 * that he understands yet.
 */
static void refuse_unheard(struct worker *w, int fd)
{
	static const uint8_t alert[] = { TLS_ALERT, 3, 1, 0, 2, FATAL, ACCESS_DENIED };

	(void)!send(fd, alert, sizeof(alert), MSG_DONTWAIT | MSG_NOSIGNAL);
	refuse_told(w, fd);
}

void handshakes_take(struct worker *w, int fd, const struct arrival *a)
{
	struct handshakes *hs = w->handshakes;
	struct handshake *h = NULL;
	struct refusal why;

	/* (A successor does not look for descriptors beyond the session table.) */
	if (hs && !hs->ended && (uint32_t)fd < w->base.slot.shm->sessions_max) {
		if (!connection_client_may(w, fd, a, &why)) {
			refuse_unheard(w, fd);
			return;
		}
		h = calloc(1, sizeof(*h));
		if (!h)
			quota_leave(&w->service, fd);
	}
	if (!h) {
		base_count(&w->base, COUNTER_tls_failed_dropped, 1);
		close(fd);
		return;
	}
	h->arrival = *a;
	h->since = w->base.now_ms;
	h->stage = QUIET;
	TAILQ_INSERT_TAIL(&hs->all, h, age);
	TAILQ_INSERT_TAIL(&hs->at[QUIET], h, place);
	hs->count++;
	h->guest = (struct guest){ .fd = fd, .come = on_quiet };
	guest_watch(&w->entrance, &h->guest, EV_READ);
}

/* ---- end ---- */

/* It is none any more. Its descriptor stays open. */
static void forget(struct worker *w, struct handshake *h)
{
	enum stage stage = h->stage;

	guest_leave(&w->entrance, &h->guest);
	TAILQ_REMOVE(&w->handshakes->all, h, age);
	TAILQ_REMOVE(&w->handshakes->at[stage], h, place);
	if (h->waits)
		TAILQ_REMOVE(&w->handshakes->ready, h, turn);
	tls_handshake_destroy(h->tls);
	free(h);
	w->handshakes->count--;
	if (stage == BEGUN)
		count_begun(w, -1);
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
		(void)!send(h->guest.fd, frame, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

/* Ends one that has come to nothing. Who may read what he was sent is given the time to. */
static void fail(struct worker *w, struct handshake *h, enum counter why, bool told)
{
	int fd = h->guest.fd;

	base_count(&w->base, why, 1);
	tell_refused(&w->base, why, protocol_transport(h->arrival.proto), &h->arrival.peer);
	forget(w, h);
	quota_leave(&w->service, fd);
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

/* There is no room for a connection whose handshake is done. It is told so within TLS, by libssl, as no key of it was used by anybody else yet. */
static void refuse(struct worker *w, struct handshake *h, const struct refusal *why)
{
	uint32_t transport = protocol_transport(h->arrival.proto);
	char frame[TRANSPORT_NOTICE_MAX];
	int fd = h->guest.fd;

	tls_handshake_say(h->tls, frame, transport_error(transport, hub_now(), why->status, why->text, frame));
	tls_handshake_run(h->tls, h->guest.fd);
	forget(w, h);
	quota_leave(&w->service, fd);
	refuse_told(w, fd);
}

/* Who the client is by its certificate. NULL: it has none, or certificates say nothing here. */
static const struct rights *client_of(struct worker *w, const struct handshake *h, const struct tls_outcome *outcome)
{
	return h->arrival.proto == PROTO_ADMIN ? NULL : access_certificate(&w->service, outcome->client);
}

/* The handshake is done. */
static void finish(struct worker *w, struct handshake *h)
{
	const struct rights *rights;
	struct tls_outcome outcome;
	struct refusal why;
	const uint8_t *unsent;
	size_t len;
	int fd = h->guest.fd, r;

	if (!connection_has_room(w, fd, &h->arrival, &why)) {
		refuse(w, h, &why);
		return;
	}
	if (!tls_handshake_outcome(h->tls, &outcome)) {
		connection_not(w, fd);
		log_warning_limited("a TLS handshake came to nothing: %s", tls_handshake_error(h->tls));
		fail(w, h, COUNTER_tls_failed_unsupported, false);
		return;
	}
	rights = client_of(w, h, &outcome);
	if (rights && !quota_connect_user(&w->service, fd, protocol_transport(h->arrival.proto), &h->arrival.peer, rights, &why)) {
		explicit_bzero(&outcome, sizeof(outcome));
		connection_not(w, fd);
		refuse(w, h, &why);
		return;
	}
	base_count(&w->base, COUNTER_tls_handshakes, 1);
	base_count(&w->base, COUNTER_tls_resumed, outcome.resumed);
	guest_watch(&w->entrance, &h->guest, 0);
	unsent = tls_handshake_output(h->tls, &len);
	r = connection_open_tls(w, fd, &h->arrival, &outcome.entry, unsent, len, rights);
	explicit_bzero(&outcome, sizeof(outcome));
	forget(w, h);
	if (r < 0)
		close(fd);
}

/* ---- in between ---- */

static void on_quiet(void *worker, struct guest *guest)
{
	struct worker *w = worker;
	struct handshake *h = (struct handshake *)guest;
	enum tls_step look = tls_handshake_look(guest->fd, &h->awaited);

	if (look == TLS_GOES_ON)
		return;
	if (look == TLS_CLOSED) {
		fail(w, h, COUNTER_tls_failed_closed, false);
		return;
	}
	guest_watch(&w->entrance, guest, 0);
	h->ready_at = w->base.now_ms;
	move_on(w, h, WHOLE);
}

/* It need not wait for us any longer. What it has waited was not its client's time. */
static void served(const struct worker *w, struct handshake *h)
{
	h->since += w->base.now_ms - h->ready_at;
}

/* Whether there is a place. If there is none, it is that of the one who has let us wait the longest, if that is long enough. */
static bool has_place(struct worker *w)
{
	struct handshakes *hs = w->handshakes;
	struct handshake *h;

	if (hs->begun < (uint64_t)w->base.settings->tls_handshakes)
		return true;
	TAILQ_FOREACH(h, &hs->at[BEGUN], place) {
		if (w->base.now_ms - h->begun < PATIENCE)
			break;
		if (h->waits)
			continue;	/* for us */
		fail(w, h, COUNTER_tls_failed_dropped, false);
		return true;
	}
	return false;
}

static void begin(struct worker *w, struct handshake *h)
{
	tls_handshake_looked(h->guest.fd);
	served(w, h);
	h->begun = w->base.now_ms;
	move_on(w, h, BEGUN);
	count_begun(w, 1);
	h->guest.come = on_handshake;
	guest_watch(&w->entrance, &h->guest, EV_READ);
}

/* Whose turn it is. NULL: nobody's. */
static struct handshake *next(struct worker *w)
{
	struct handshakes *hs = w->handshakes;
	struct handshake *h = TAILQ_FIRST(&hs->ready);

	if (h) {
		TAILQ_REMOVE(&hs->ready, h, turn);
		h->waits = false;
		served(w, h);
		return h;
	}
	h = TAILQ_FIRST(&hs->at[WHOLE]);
	if (!h || !has_place(w))
		return NULL;
	begin(w, h);
	return h;
}

static void step(struct worker *w, struct handshake *h)
{
	enum tls_step step;

	if (!h->tls)
		h->tls = tls_handshake_create(w->handshakes->server, h->arrival.proto == PROTO_HTTP || h->arrival.proto == PROTO_ADMIN);
	if (!h->tls) {
		fail(w, h, COUNTER_tls_failed_bad, false);
		return;
	}
	step = tls_handshake_run(h->tls, h->guest.fd);
	if (step == TLS_DONE) {
		finish(w, h);
	} else if (step == TLS_GOES_ON) {
		guest_watch(&w->entrance, &h->guest, EV_READ | (tls_handshake_sends(h->tls) ? EV_WRITE : 0));
	} else {
		if (step == TLS_NOT_TLS)
			tell_stranger(h);
		fail(w, h, reason_of(step), step != TLS_CLOSED);
	}
}

bool handshakes_run(struct worker *w)
{
	struct handshakes *hs = w->handshakes;
	struct handshake *h;
	uint64_t since;
	bool more;

	if (!hs)
		return false;
	more = !TAILQ_EMPTY(&hs->ready) || !TAILQ_EMPTY(&hs->at[WHOLE]);
	for (since = more ? base_clock() : 0; more && base_clock() - since < RUN_US; base_beat(&w->base)) {
		h = next(w);
		more = h != NULL;
		if (h)
			step(w, h);
	}
	listener_hold_tls(&w->listeners, !TAILQ_EMPTY(&hs->at[WHOLE]));
	return more;
}

/* Whose turn has not come is not late by that: in a crowd, who waits longest would be turned away, and would come again. */
void handshakes_sweep(struct worker *w)
{
	struct handshakes *hs = w->handshakes;
	struct handshake *h, *next;

	for (h = hs ? TAILQ_FIRST(&hs->all) : NULL; h != NULL; h = next) {
		next = TAILQ_NEXT(h, age);
		if (h->waits || h->stage == WHOLE || w->base.now_ms - h->since < (uint64_t)w->base.settings->tls_handshake_timeout)
			continue;
		fail(w, h, COUNTER_tls_failed_late, false);
	}
}

void handshakes_yield(struct worker *w)
{
	struct handshakes *hs = w->handshakes;
	struct handshake *h = hs ? TAILQ_FIRST(&hs->at[QUIET]) : NULL;

	if (h && atomic_load_explicit(&w->base.self->connections, memory_order_relaxed) + hs->count >= w->base.self->connections_max)
		fail(w, h, COUNTER_tls_failed_dropped, false);
}

bool handshakes_fewer(struct worker *w)
{
	struct handshakes *hs = w->handshakes;
	struct handshake *h = hs ? TAILQ_FIRST(&hs->at[QUIET]) : NULL;

	if (hs && !h)
		h = TAILQ_FIRST(&hs->all);
	if (h)
		fail(w, h, COUNTER_tls_failed_dropped, false);
	return h != NULL;
}

bool handshakes_any(const struct worker *w)
{
	return w->handshakes && w->handshakes->count > 0;
}

void handshakes_end(struct worker *w)
{
	if (!w->handshakes)
		return;
	w->handshakes->ended = true;
	while (handshakes_fewer(w))
		;
}
