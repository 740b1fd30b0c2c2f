/*
 * What one client may have. See quota.h.
 */
#include "worker/service/quota.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/log.h"
#include "worker/io/session_peer.h"
#include "worker/service/access.h"
#include "worker/service/refused.h"
#include "worker/session/tell.h"

#define TOO_MANY_OF_ADDRESS "too many connections from this address (max_connections_address)"
#define TOO_MANY_OF_SUB "too many connections of this user (max_connections_sub)"
#define TOO_FAST_OF_ADDRESS "too many new connections from this address (connect_rate_address)"

struct quota_session {
	uint32_t address, sub;				/* the cells that it has joined, 0 none */
	_Atomic uint64_t rate[CLIENT_RATES];
};

struct quota {
	int64_t connections_address, connections_sub;
	int64_t rate[CLIENT_RATES], rate_sub[CLIENT_RATES];	/* a second of a connection (of connects: of an address), and of a user */
	struct quota_session *session;			/* by number */
};

int quota_init(struct service *service)
{
	struct base *base = service->base;
	const struct settings *s = base->settings;
	struct quota q = {
		.connections_address = s->max_connections_address, .connections_sub = s->max_connections_sub,
		.rate = { [CLIENT_CONNECTS] = s->connect_rate_address, [CLIENT_SUBSCRIBES] = s->subscribe_rate, [CLIENT_PUBLISHES] = s->publish_rate },
		.rate_sub = { [CLIENT_SUBSCRIBES] = s->subscribe_rate_sub, [CLIENT_PUBLISHES] = s->publish_rate_sub },
	};
	bool any = q.connections_address || q.connections_sub;

	/* (What the last worker has counted, perhaps by other settings.) */
	client_limits_clear(&base->hub.limits, base->number);
	for (unsigned i = 0; i < CLIENT_RATES; i++)
		any |= q.rate[i] || q.rate_sub[i];
	if (!any)
		return 0;
	q.session = base_reserve(base->slot.shm->sessions_max * sizeof(*q.session));
	service->quota = malloc(sizeof(q));
	if (!q.session || !service->quota)
		return -1;
	*service->quota = q;
	return 0;
}

static uint64_t now_ns(void)
{
	return base_clock() * 1000;
}

static void lock(struct base *base)
{
	lock_acquire(&base->hub.shm->lock, base->number + 1);
}

static void unlock(struct base *base)
{
	lock_release(&base->hub.shm->lock, base->number + 1);
}

/* With the lock. Joins the cell, if that has fewer than `most` connections (0: any number). False: it has not. */
static bool join(struct base *base, uint64_t hash, int64_t most, uint32_t *joined)
{
	struct client_limits *l = &base->hub.limits;
	uint32_t cell = client_limits_cell(l, hash, now_ns());

	if (!cell) {
		base_count(base, COUNTER_limits_full, 1);
		return true;
	}
	if (most && client_limits_connections(l, cell) >= (uint64_t)most)
		return false;
	client_limits_join(l, cell, base->number);
	*joined = cell;
	return true;
}

static void leave(struct base *base, uint32_t *joined)
{
	if (*joined)
		client_limits_leave(&base->hub.limits, *joined, base->number);
	*joined = 0;
}

static bool has_address(const struct base *base, const struct event_peer *peer)
{
	return (peer->family == EVENT_IPV4 || peer->family == EVENT_IPV6) && !peer_is_proxy(base, peer);
}

static uint64_t hash_of(const struct base *base, const struct event_peer *peer)
{
	return client_limits_address(&base->hub.limits, peer->family, peer->address);
}

static void log_refused(const struct event_peer *peer, const char *text)
{
	char address[INET6_ADDRSTRLEN] = "?";

	inet_ntop(peer->family == EVENT_IPV4 ? AF_INET : AF_INET6, peer->address, address, sizeof(address));
	log_warning_limited("a connection of %s is refused: %s", address, text);
}

static void note_refused(struct base *base, uint32_t transport, const struct event_peer *peer, const struct refusal *refusal)
{
	base_count(base, refusal->why, 1);
	tell_refused(base, refusal->why, transport, peer);
	log_refused(peer, refusal->text);
}

/* With the lock. False: the address has had its new connections of this second. */
static bool take_connect(struct base *base, const struct quota *q, uint64_t hash)
{
	uint64_t now = now_ns();
	uint32_t cell = q->rate[CLIENT_CONNECTS] ? client_limits_cell(&base->hub.limits, hash, now) : 0;

	return !cell || client_rate_take(&base->hub.limits.cell[cell].rate[CLIENT_CONNECTS], (uint64_t)q->rate[CLIENT_CONNECTS], 1, now);
}

bool quota_connect(struct service *service, session_id sid, uint32_t transport, const struct event_peer *peer, struct refusal *refusal)
{
	struct base *base = service->base;
	struct quota *q = service->quota;
	bool room, in_time;
	uint64_t hash;

	if (!q)
		return true;
	memset(&q->session[sid], 0, sizeof(q->session[sid]));
	if (!has_address(base, peer) || (!q->connections_address && !q->rate[CLIENT_CONNECTS]))
		return true;
	hash = hash_of(base, peer);
	lock(base);
	in_time = take_connect(base, q, hash);
	room = in_time && (!q->connections_address || join(base, hash, q->connections_address, &q->session[sid].address));
	unlock(base);
	if (room)
		return true;
	*refusal = in_time ? (struct refusal){ COUNTER_refused_address, 429, TOO_MANY_OF_ADDRESS } : (struct refusal){ COUNTER_refused_connects, 429, TOO_FAST_OF_ADDRESS };
	note_refused(base, transport, peer, refusal);
	return false;
}

/* With the lock. Leaves the cell of the user that the session was, and joins that of whom it becomes. False: that one has no room, and it stays in the old one. */
static bool change_user(struct base *base, int64_t most, const struct rights *shown, uint32_t *joined)
{
	uint64_t hash;
	uint32_t cell = 0;

	if (most && shown && shown->sub_len > 0) {
		hash = client_limits_sub(&base->hub.limits, shown->sub, shown->sub_len);
		if (*joined && base->hub.limits.cell[*joined].hash == hash)
			return true;
		if (!join(base, hash, most, &cell))
			return false;
	}
	leave(base, joined);
	*joined = cell;
	return true;
}

bool quota_connect_user(struct service *service, session_id sid, uint32_t transport, const struct event_peer *peer, const struct rights *who, struct refusal *refusal)
{
	struct base *base = service->base;
	struct quota *q = service->quota;
	bool room;

	if (!q)
		return true;
	lock(base);
	room = change_user(base, q->connections_sub, who, &q->session[sid].sub);
	unlock(base);
	if (room)
		return true;
	*refusal = (struct refusal){ COUNTER_refused_sub, 429, TOO_MANY_OF_SUB };
	note_refused(base, transport, peer, refusal);
	return false;
}

/* Whether a request has named its client, and the next one may name another. */
static bool is_passing(const struct base *base, session_id sid)
{
	struct event_peer peer;

	return session(base, sid)->state.transport == TRANSPORT_HTTP && slot_peers_get(&base->slot, sid, &peer) == PEER_BY_REQUEST;
}

void quota_found(struct service *service, session_id sid)
{
	struct base *base = service->base;
	struct quota *q = service->quota;
	const struct rights *rights;
	struct event_peer peer;

	if (!q || session_is_admin(&session(base, sid)->state))
		return;
	memset(&q->session[sid], 0, sizeof(q->session[sid]));
	peer = session_peer(base, sid);
	rights = session_rights(base, sid);
	lock(base);
	if (q->connections_address && has_address(base, &peer) && !is_passing(base, sid))
		join(base, hash_of(base, &peer), 0, &q->session[sid].address);
	if (q->connections_sub && rights && rights->sub_len > 0)
		join(base, client_limits_sub(&base->hub.limits, rights->sub, rights->sub_len), 0, &q->session[sid].sub);
	unlock(base);
}

void quota_leave(struct service *service, session_id sid)
{
	struct quota *q = service->quota;

	if (!q)
		return;
	leave(service->base, &q->session[sid].address);
	leave(service->base, &q->session[sid].sub);
}

static void tell_too_much(struct service *service, session_id sid, enum counter why, unsigned code, const char *error, const struct rights *who)
{
	refused_tell(service, sid, why, code, error, &(struct refused_about){ .len = 0 }, who);
}

const char *quota_become(struct service *service, session_id sid, const struct rights *shown)
{
	struct base *base = service->base;
	struct quota *q = service->quota;
	bool room = true, room_of_sub = true;
	uint32_t address = 0;
	struct event_peer named;

	if (!q || session_is_admin(&session(base, sid)->state))
		return NULL;
	lock(base);
	if (q->connections_address && !q->session[sid].address && slot_peers_get(&base->slot, sid, &named) != PEER_BY_NOBODY && has_address(base, &named))
		room = join(base, hash_of(base, &named), q->connections_address, &address);
	if (room)
		room_of_sub = change_user(base, q->connections_sub, shown, &q->session[sid].sub);
	if (!room_of_sub)
		leave(base, &address);
	unlock(base);
	if (address)
		q->session[sid].address = address;
	if (room && room_of_sub)
		return NULL;
	tell_too_much(service, sid, room ? COUNTER_refused_sub : COUNTER_refused_address, 429, room ? TOO_MANY_OF_SUB : TOO_MANY_OF_ADDRESS, shown);
	return room ? TOO_MANY_OF_SUB : TOO_MANY_OF_ADDRESS;
}

/* ---- rates ---- */

/* With the lock. Takes or gives what the session's user has of this rate. False: that is used up. */
static bool user_has(struct service *service, session_id sid, enum client_rate rate, unsigned n, bool take)
{
	struct base *base = service->base;
	const struct quota *q = service->quota;
	const struct rights *shown = access_rights(service, sid);
	uint64_t a_second = (uint64_t)q->rate_sub[rate], now = now_ns();
	uint32_t cell;
	bool had = true;

	if (!a_second || !shown || shown->sub_len == 0)
		return true;
	lock(base);
	cell = client_limits_cell(&base->hub.limits, client_limits_sub(&base->hub.limits, shown->sub, shown->sub_len), now);
	if (cell && take)
		had = client_rate_take(&base->hub.limits.cell[cell].rate[rate], a_second, n, now);
	else if (cell)
		client_rate_give(&base->hub.limits.cell[cell].rate[rate], a_second, n);
	unlock(base);
	if (!cell)
		base_count(base, COUNTER_limits_full, 1);
	return had;
}

bool quota_too_many(struct service *service, session_id sid, enum client_rate rate, unsigned n, const char **error)
{
	static const char *const texts[CLIENT_RATES] = {
		[CLIENT_SUBSCRIBES] = "more topics at once than may be subscribed in a second (subscribe_rate, subscribe_rate_sub): some now, some later",
		[CLIENT_PUBLISHES] = "more messages at once than may be published in a second (publish_rate, publish_rate_sub): some now, some later",
	};
	const struct quota *q = service->quota;
	const struct rights *shown;

	if (!q || session_is_admin(&session(service->base, sid)->state))
		return false;
	shown = q->rate_sub[rate] ? access_rights(service, sid) : NULL;
	if ((!q->rate[rate] || n <= (uint64_t)q->rate[rate]) && (!shown || shown->sub_len == 0 || n <= (uint64_t)q->rate_sub[rate]))
		return false;
	*error = texts[rate];
	return true;
}

unsigned quota_take(struct service *service, session_id sid, enum client_rate rate, unsigned n, const char **error)
{
	static const struct {
		enum counter why;
		const char *of_connection, *of_user;
	} texts[CLIENT_RATES] = {
		[CLIENT_SUBSCRIBES] = { COUNTER_refused_subscribes, "too many subscriptions at a time (subscribe_rate)", "too many subscriptions of this user at a time (subscribe_rate_sub)" },
		[CLIENT_PUBLISHES] = { COUNTER_refused_publishes, "too many messages at a time (publish_rate)", "too many messages of this user at a time (publish_rate_sub)" },
	};
	struct quota *q = service->quota;

	if (!q || session_is_admin(&session(service->base, sid)->state))
		return 0;
	if (quota_too_many(service, sid, rate, n, error)) {
		tell_too_much(service, sid, texts[rate].why, 413, *error, access_rights(service, sid));
		return 413;
	}
	*error = texts[rate].of_connection;
	if (!q->rate[rate] || client_rate_take(&q->session[sid].rate[rate], (uint64_t)q->rate[rate], n, now_ns())) {
		if (user_has(service, sid, rate, n, true))
			return 0;
		*error = texts[rate].of_user;
		if (q->rate[rate])
			client_rate_give(&q->session[sid].rate[rate], (uint64_t)q->rate[rate], n);
	}
	tell_too_much(service, sid, texts[rate].why, 429, *error, access_rights(service, sid));
	return 429;
}

void quota_give(struct service *service, session_id sid, enum client_rate rate, unsigned n)
{
	struct quota *q = service->quota;

	if (!q || session_is_admin(&session(service->base, sid)->state))
		return;
	if (q->rate[rate])
		client_rate_give(&q->session[sid].rate[rate], (uint64_t)q->rate[rate], n);
	user_has(service, sid, rate, n, false);
}
