/*
 * Parked sessions. See park.h.
 *
 * They end in the order in which they were parked, as all of them stay for as long: so the worker has them in a list, in which those that have ended
 * otherwise are passed over. (A setting that changes by a reload counts for those that are there.)
 *
 * Where there are too many, who has most of them loses his oldest, so that nobody pushes out others' by making many: they are a user's if the connection had shown who that is, else an address's.
 */
#include "worker/loop/park.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/transport.h"
#include "shm/crash.h"
#include "worker/delivery/leave.h"
#include "worker/io/last_words.h"
#include "worker/io/session_peer.h"
#include "worker/io/tls_out.h"
#include "worker/service/quota.h"
#include "worker/service/attach.h"
#include "worker/session/session.h"
#include "worker/session/tell.h"
#include "worker/session/watch.h"

#define TAKEN_OVER "another connection has attached to this session"
#define LOOKED_AT 1024		/* parked sessions, for who has most of them; of more, each second, third... one */
#define OWNERS (2 * LOOKED_AT)	/* places in the table in which they are counted */
#define OWNER_UNKNOWN 0
#define OWNER_SHOWN 1u		/* a bit: it has shown who it is */

static uint32_t parked_count(const struct worker *w)
{
	return atomic_load_explicit(&w->base.self->parked, memory_order_relaxed);
}

/* How many this slot may have: its share, rounded up. */
static uint64_t most(const struct worker *w)
{
	uint64_t workers = (uint64_t)w->base.settings->workers;

	return workers ? ((uint64_t)w->base.settings->max_parked + workers - 1) / workers : 0;
}

/* Those of all slots. (One that has more than its share keeps them as long as others have less.) */
static uint64_t parked_everywhere(const struct worker *w)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		n += atomic_load_explicit(&w->base.hub.shm->slot[i].parked, memory_order_relaxed);
	return n;
}

static bool is_parked(const struct worker *w, const struct parked *p)
{
	const struct session_shm *s = session(&w->base, p->sid);

	return s->status == SESSION_OPEN && s->state.flags & SESSION_PARKED && s->state.last_out == p->since && token_is(s->token, p->token);
}

/* The oldest; -1: there is none. */
static session_id oldest(struct worker *w)
{
	while (w->parked_at < w->parked_listed && !is_parked(w, &w->parked[w->parked_at]))
		w->parked_at++;
	return w->parked_at < w->parked_listed ? w->parked[w->parked_at].sid : -1;
}

/* Whose the session is that is about to be parked: a hash, by which those of one owner are counted together. */
static uint32_t owner_of(const struct worker *w, session_id sid)
{
	const struct client_limits *l = &w->base.hub.limits;
	const struct rights *shown = session_rights(&w->base, sid);
	struct event_peer peer;

	if (shown && shown->sub_len > 0)
		return (uint32_t)client_limits_sub(l, shown->sub, shown->sub_len) | OWNER_SHOWN;
	peer = session_peer(&w->base, sid);
	return ((uint32_t)client_limits_address(l, peer.family, peer.address) | 2u) & ~OWNER_SHOWN;
}

/* How much there is to be said for ending one of an owner's of whom `count` were seen. Of two that have as many, who has not shown who it is comes first. */
static uint32_t weight(uint32_t owner, uint32_t count)
{
	return owner == OWNER_UNKNOWN ? 2 : 2 * count + !(owner & OWNER_SHOWN);
}

struct owner {
	uint32_t hash, count;		/* count 0: the place is free */
};

/* The owner's place in the table, or the one that it is to have. */
static struct owner *place_of(struct owner *owners, uint32_t hash)
{
	uint32_t i = (hash >> 2) % OWNERS;	/* (two bits say what kind of owner it is) */

	while (owners[i].count > 0 && owners[i].hash != hash)
		i = (i + 1) % OWNERS;
	return &owners[i];
}

/* The one to be ended if one must: the oldest of who has most. -1: there is none. */
static session_id one_too_many(struct worker *w)
{
	static struct owner owners[OWNERS];
	uint32_t step = (w->parked_listed - w->parked_at) / LOOKED_AT + 1, most = 0;
	session_id found = -1;

	memset(owners, 0, sizeof(owners));
	for (uint32_t i = w->parked_at; i < w->parked_listed; i += step)
		if (is_parked(w, &w->parked[i])) {
			uint32_t hash = session(&w->base, w->parked[i].sid)->state.cut;
			struct owner *owner = place_of(owners, hash);

			owner->hash = hash;
			owner->count++;
		}
	for (uint32_t i = w->parked_at; i < w->parked_listed; i += step) {
		session_id sid = w->parked[i].sid;
		uint32_t hash, his;

		if (!is_parked(w, &w->parked[i]) || sid + 1 == w->base.held)
			continue;
		hash = session(&w->base, sid)->state.cut;
		his = weight(hash, place_of(owners, hash)->count);
		if (his > most) {
			most = his;
			found = sid;
		}
	}
	return found;
}

/* Takes those out of the list that are not parked any more, or were polled since. */
static void drop_stale(struct worker *w)
{
	uint32_t kept = 0;

	for (uint32_t i = w->parked_at; i < w->parked_listed; i++)
		if (is_parked(w, &w->parked[i]))
			w->parked[kept++] = w->parked[i];
	w->parked_at = 0;
	w->parked_listed = kept;
}

/* Appends it to the list. Without memory for that the worker gives way to a successor, which makes the list anew. */
static void list(struct worker *w, session_id sid)
{
	struct parked *p;

	if (w->parked_listed == w->parked_room)
		drop_stale(w);
	if (2 * w->parked_listed >= w->parked_room) {
		uint32_t room = w->parked_room ? 2 * w->parked_room : 64;

		p = realloc(w->parked, room * sizeof(*p));
		if (!p)
			_exit(WORKER_SHORTAGE);
		w->parked = p;
		w->parked_room = room;
	}
	p = &w->parked[w->parked_listed++];
	*p = (struct parked){ .sid = sid, .since = session(&w->base, sid)->state.last_out };
	memcpy(p->token, session(&w->base, sid)->token, sizeof(p->token));
}

/* Closes what the session's descriptor is, and keeps the number taken. */
static void close_connection(struct worker *w, session_id sid)
{
	watch_end(&w->base.slot, session_fd(&w->base, sid));
	park_keep_number(w, session_fd(&w->base, sid));
}

/* The session's state changes first: with the old one, a successor would count what is sent below as a part of its stream. */
static void park(struct worker *w, session_id sid, bool tell)
{
	struct session_state_shm was = session(&w->base, sid)->state, st = was;
	char bytes[TRANSPORT_NOTICE_MAX];
	size_t len = tell && !(was.flags & SESSION_BEHIND) && !was.out ? transport_error(was.transport, hub_now(), 409, TAKEN_OVER, bytes) : 0;
	struct event_peer peer;

	st.flags = SESSION_PARKED | SESSION_BEHIND;
	st.in = st.out = BUFFER_NONE;
	st.out_start = st.out_end = 0;
	st.cut = owner_of(w, sid);
	st.last_out = w->base.now;
	if (session_is_tls(&was))
		tls_end(&w->base.tls, session_fd(&w->base, sid));
	session_commit(&w->base, sid, &st);
	CRASH_POINT("park-committed");
	quota_leave(&w->service, sid);
	session_set_rights(&w->base, sid, NULL);	/* who comes back shows a token anew */
	if (len)
		last_words(&w->base, sid, &was, bytes, len);
	if (session_is_tls(&was))
		tls_out_end(&w->base, sid);
	session_not_over(&w->base, sid);
	w->base.marks[sid] = 0;
	peer = session_peer(&w->base, sid);
	slot_peers_put(&w->base.slot, sid, &(struct event_peer){ .family = EVENT_NOWHERE }, PEER_BY_NOBODY);
	close_connection(w, sid);
	CRASH_POINT("park-closed");
	if (topics_park(&w->topics, was.transport, sid) < 0)
		_exit(WORKER_SHORTAGE);		/* as in list() */
	list(w, sid);
	multi_topic_gone(w->multi_topic, sid);
	session_count(&w->base, was.transport, -1);
	atomic_fetch_sub_explicit(&w->base.self->subscriptions, session(&w->base, sid)->count, memory_order_relaxed);
	base_count(&w->base, COUNTER_closed, 1);
	base_count(&w->base, COUNTER_parked, 1);
	tell_why(&w->base, sid, EVENT_PARK, tell ? EVENT_WHY_TAKEN : tell_reason(&w->base, sid), 0, &peer);
	atomic_fetch_sub_explicit(&w->base.self->connections, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&w->base.self->parked, 1, memory_order_relaxed);
}

static void keep_within_most(struct worker *w)
{
	while (parked_count(w) > most(w) && parked_everywhere(w) > (uint64_t)w->base.settings->max_parked && park_fewer(w))
		;
}

void park_session(struct worker *w, session_id sid)
{
	park(w, sid, false);
	keep_within_most(w);
}

/* (It is about to be taken over, so there may be one too many.) */
void park_take_connection(struct worker *w, session_id sid)
{
	park(w, sid, true);
}

void park_touch(struct worker *w, session_id sid)
{
	struct session_state_shm st = session(&w->base, sid)->state;

	if (st.last_out == w->base.now)
		return;
	st.last_out = w->base.now;
	session_commit(&w->base, sid, &st);
	list(w, sid);
}

void park_end(struct worker *w, session_id sid, enum counter why)
{
	struct session_shm *s = session(&w->base, sid);

	/* release: a successor sees the session whole or not at all */
	atomic_store_explicit(&s->status, SESSION_FREE, memory_order_release);
	CRASH_POINT("park-freed");
	session_wake_polled(&w->base, sid);
	park_let_go(w, sid);
	close(session_fd(&w->base, sid));
	atomic_fetch_sub_explicit(&w->base.self->parked, 1, memory_order_relaxed);
	tell_why(&w->base, sid, EVENT_END, why == COUNTER_closed ? tell_reason(&w->base, sid) : why, 0, NULL);
	base_count(&w->base, why, 1);
}

bool park_fewer(struct worker *w)
{
	session_id sid = one_too_many(w);

	/* (Between those that are looked at there may be some, if the list is long and most of it stale.) */
	if (sid < 0 && w->parked_listed - w->parked_at > LOOKED_AT) {
		drop_stale(w);
		sid = one_too_many(w);
	}
	if (sid < 0)
		return false;
	park_end(w, sid, COUNTER_parked_evicted);
	return true;
}

void park_make_room(struct worker *w)
{
	uint32_t room = w->base.self->connections_max;

	while (parked_count(w) + atomic_load_explicit(&w->base.self->connections, memory_order_relaxed) > room && park_fewer(w))
		;
}

static int by_age(const void *a, const void *b)
{
	const struct parked *p = a, *q = b;

	return p->since < q->since ? -1 : p->since > q->since;
}

static void sort(struct worker *w)
{
	if (w->parked_listed - w->parked_at > 1)
		qsort(w->parked + w->parked_at, w->parked_listed - w->parked_at, sizeof(*w->parked), by_age);
	w->parked_unsorted = false;
}

void park_let_go(struct worker *w, session_id sid)
{
	attach_forget(&w->base, sid);
	leave_all(&w->topics, w->multi_topic, sid, TOPICS_PARKED);
}

void park_keep_number(struct worker *w, int fd)
{
	while (dup2(w->start->wake[w->base.number], fd) < 0 && errno == EINTR)
		;
}

void park_arrived(struct worker *w, session_id sid)
{
	list(w, sid);
	w->parked_unsorted = true;
	atomic_fetch_add_explicit(&w->base.self->parked, 1, memory_order_relaxed);
}

void park_sweep(struct worker *w)
{
	int64_t limit = w->base.settings->session_linger;
	session_id first;

	if (w->parked_unsorted)
		sort(w);
	/* (A second is taken off, as that in which it was parked may have been over.) */
	while ((first = oldest(w)) >= 0 && ((int64_t)(w->base.now - session(&w->base, first)->state.last_out) - 1) * 1000 >= limit)
		if (session_polled_by(&w->base, first) >= 0)
			park_touch(w, first);
		else
			park_end(w, first, COUNTER_parked_ended);
	keep_within_most(w);
}

void park_recover(struct worker *w)
{
	uint32_t end = atomic_load_explicit(&w->base.slot.shm->fd_end, memory_order_relaxed);

	for (session_id sid = 0; sid < (session_id)end; sid++) {
		if (session(&w->base, sid)->status != SESSION_OPEN || !session_parked(&w->base, sid))
			continue;
		close_connection(w, sid);
		list(w, sid);
	}
	atomic_store_explicit(&w->base.self->parked, w->parked_listed, memory_order_relaxed);
	sort(w);
}
