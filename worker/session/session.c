/*
 * Sessions. See session.h.
 */
#include "worker/session/session.h"

#include <string.h>
#include <sys/socket.h>

#include "shm/crash.h"
#include "shm/slot_rights.h"
#include "worker/session/tell.h"

struct session_shm *session(const struct base *base, session_id sid)
{
	return slot_session(&base->slot, sid);
}

bool session_lingers(const struct base *base, session_id sid)
{
	const struct session_shm *s = session(base, sid);

	return base->settings->session_linger > 0 && s->until != 0 && s->count > 0 && s->state.transport != TRANSPORT_HTTP &&
	       !(s->state.flags & (SESSION_CLOSE | SESSION_LINGER));
}

/* (Descriptors are used again, and tokens are not.) */
int session_waiting(const struct base *base, session_id sid)
{
	const struct session_shm *s = session(base, sid);

	for (uint64_t all = base->waiting; all; all &= all - 1) {
		int place = __builtin_ctzll(all);
		const struct waiting_shm *w = &base->self->waiting[place];

		if (w->fd == (uint32_t)sid && w->at == s->state.parsed && s->status == SESSION_OPEN && s->state.in != BUFFER_NONE &&
		    !(s->state.flags & (SESSION_CLOSE | SESSION_LINGER | SESSION_PARKED)) && token_is(w->token, s->token))
			return place;
	}
	return -1;
}

/* Whether so much waits behind a request that is not answered yet that no more is read. */
static bool has_enough(const struct base *base, session_id sid)
{
	const struct session_state_shm *st = &session(base, sid)->state;
	const struct buffer_shm *head;

	if ((!session_polls(base, sid) && !session_waits(base, sid)) || st->in == BUFFER_NONE)
		return false;
	head = pool_header(&base->slot, st->in);
	return head->base + head->len - st->parsed > SESSION_WAITING_MAX;
}

static int wanted_events(const struct base *base, session_id sid)
{
	const struct session_state_shm *st = &session(base, sid)->state;
	int events = 0;

	if (session_has(base, sid, MARK_OVER) || st->flags & SESSION_PARKED)
		return 0;
	if (st->flags & SESSION_LINGER)
		return EV_READ;
	if (st->flags & SESSION_BEHIND)
		events |= EV_WRITE;
	if (!(st->flags & SESSION_CLOSE) && !session_has(base, sid, MARK_STALLED | MARK_ENDED | MARK_OUTPUT_BLOCKED) &&
	    st->out_end - st->out_start <= SESSION_OUT_MAX && !has_enough(base, sid))
		events |= EV_READ;
	return events;
}

void session_watch(struct base *base, session_id sid)
{
	struct ev_io *io = &base->io[sid];
	int events = wanted_events(base, sid);

	if (ev_is_active(io)) {
		if ((io->events & (EV_READ | EV_WRITE)) == events)
			return;
		ev_io_stop(base->loop, io);
	}
	ev_io_set(io, sid, events);
	if (events)
		ev_io_start(base->loop, io);
}

static void behind_changed(struct base *base, session_id sid)
{
	if (session_is_behind(base, sid)) {
		atomic_fetch_add_explicit(&base->self->behind, 1, memory_order_relaxed);
		base_count(base, COUNTER_behind, 1);
		tell_often(base, sid, EVENT_BEHIND, 0, NULL, 0);
	} else {
		atomic_fetch_sub_explicit(&base->self->behind, 1, memory_order_relaxed);
		if (!(session(base, sid)->state.flags & (SESSION_CLOSE | SESSION_LINGER | SESSION_PARKED)))
			tell_often(base, sid, EVENT_CAUGHT_UP, 0, NULL, 0);
	}
	base->behind_changed(base->above, sid);
}

static void commit(struct base *base, session_id sid, const struct session_state_shm *st, const struct passed_shm *passed)
{
	const struct session_state_shm was = session(base, sid)->state;
	bool was_behind = session_is_behind(base, sid);

	if ((was.flags | st->flags) & SESSION_CUT)
		base->cut_moved(base->above, sid, &was, st);
	if (passed)
		slot_commit_passed(&base->slot, sid, st, passed);
	else
		slot_commit(&base->slot, sid, st);
	if (was.in != st->in)
		pool_give(&base->pool, was.in);
	if (was.out != st->out)
		pool_give(&base->pool, was.out);
	if (was.transport != st->transport) {
		session_count(base, was.transport, -1);
		session_count(base, st->transport, 1);
		tell_session(base, sid, EVENT_STREAM, 0, NULL, 0, NULL);
	}
	if (session_is_behind(base, sid) != was_behind)
		behind_changed(base, sid);
}

void session_commit(struct base *base, session_id sid, const struct session_state_shm *st)
{
	commit(base, sid, st, NULL);
}

void session_commit_passed(struct base *base, session_id sid, const struct session_state_shm *st, const struct passed_shm *passed)
{
	commit(base, sid, st, passed);
}

void session_count(struct base *base, uint32_t transport, int n)
{
	atomic_fetch_add_explicit(&base->self->by_transport[transport_group(transport)], (uint32_t)n, memory_order_relaxed);
}

bool session_is_polled(const struct base *base, session_id parked)
{
	return base->io[parked].data != NULL;
}

session_id session_polled_by(const struct base *base, session_id parked)
{
	session_id sid = (session_id)((uintptr_t)base->io[parked].data >> MARK_BITS) - 1;

	return sid >= 0 && session_polls(base, sid) ? sid : -1;
}

void session_poll_by(struct base *base, session_id parked, session_id sid)
{
	base->io[parked].data = (void *)((uintptr_t)(sid + 1) << MARK_BITS);
}

void session_wake_polled(struct base *base, session_id parked)
{
	session_id sid = session_polled_by(base, parked);

	if (!session_is_polled(base, parked))
		return;
	base->io[parked].data = NULL;
	for (uint32_t i = 0; i < base->polled_count; i++)
		if (base->polled[i] == parked) {
			base->polled[i] = base->polled[--base->polled_count];
			break;
		}
	if (sid >= 0)
		base->go_on(base->above, sid);
}

void session_not_over(struct base *base, session_id sid)
{
	if (!session_unmark(base, sid, MARK_OVER))
		return;
	for (uint32_t i = 0; i < base->over_count; i++)
		if (base->over[i] == sid) {
			base->over[i] = base->over[--base->over_count];
			return;
		}
}

void session_over(struct base *base, session_id sid)
{
	if (session_mark(base, sid, MARK_OVER))
		return;
	base->over[base->over_count++] = sid;		/* the list has room for all sessions */
	session_watch(base, sid);
}

void session_abort(struct base *base, session_id sid, enum counter why)
{
	tell_ends(base, sid, why, NULL);
	/* If the worker dies before the loop closes the session, its successor finds the connection broken. */
	shutdown(session_fd(base, sid), SHUT_RDWR);
	session_over(base, sid);
}

int session_next_over(struct base *base)
{
	return base->over_count > 0 ? base->over[--base->over_count] : -1;
}

/* Nothing more is sent to the session or received, so what TLS keeps is not needed. */
static void drop_pending(struct base *base, session_id sid)
{
	uint32_t ref = session_pending(base, sid), held = session_held(base, sid);
	struct tls_flow_shm flow;

	if (ref == BUFFER_NONE && held == BUFFER_NONE)
		return;
	flow = tls_entry(&base->tls, session_fd(base, sid))->flow;
	flow.pending = flow.pending_start = flow.pending_end = flow.held = flow.held_len = 0;
	tls_commit(&base->tls, session_fd(base, sid), &flow);
	pool_give(&base->pool, ref);
	pool_give(&base->pool, held);
}

void session_forfeit(struct base *base, session_id sid)
{
	struct session_state_shm st = session(base, sid)->state;

	st.flags = SESSION_CLOSE | SESSION_LINGER | (st.flags & SESSION_TLS);
	st.in = st.out = BUFFER_NONE;
	st.out_start = st.out_end = st.cut = 0;
	st.last_out = base->now;
	session_commit(base, sid, &st);
	drop_pending(base, sid);
	session_set_rights(base, sid, NULL);
}

static uint32_t take(struct base *base, session_id sid, size_t bytes, bool must)
{
	uint32_t ref = pool_take(&base->pool, bytes);

	if (ref == BUFFER_NONE && must && bytes <= pool_room_max(&base->slot) && base->make_room(base->above, sid, bytes + BUFFER_MORE))
		ref = pool_take(&base->pool, bytes);
	if (ref != BUFFER_NONE)
		pool_header(&base->slot, ref)->owner = (uint32_t)(sid + 1);
	return ref;
}

uint32_t session_buffer(struct base *base, session_id sid, size_t bytes)
{
	return take(base, sid, bytes, true);
}

bool session_buffer_grow(struct base *base, session_id sid, uint32_t ref, size_t bytes)
{
	return pool_grow(&base->pool, ref, bytes) == 0 || (base->make_room(base->above, sid, bytes) && pool_grow(&base->pool, ref, bytes) == 0);
}

static int append(struct base *base, session_id sid, struct session_state_shm *st, const void *bytes, size_t len, bool must)
{
	uint32_t left = st->out_end - st->out_start;

	if (st->out == BUFFER_NONE || pool_room(&base->slot, st->out) - st->out_end < len) {
		uint32_t bigger = take(base, sid, left + len, must);

		if (bigger == BUFFER_NONE)
			return -1;
		if (left)
			memcpy(pool_bytes(&base->slot, bigger), pool_bytes(&base->slot, st->out) + st->out_start, left);
		if (st->out != session(base, sid)->state.out)
			pool_give(&base->pool, st->out);	/* no committed state names it */
		st->out = bigger;
		st->out_start = 0;
		st->out_end = left;
	} else if (must ? !session_buffer_grow(base, sid, st->out, st->out_end + len) : pool_grow(&base->pool, st->out, st->out_end + len) < 0) {
		return -1;
	}
	memcpy(pool_bytes(&base->slot, st->out) + st->out_end, bytes, len);
	st->out_end += (uint32_t)len;
	return 0;
}

int session_append(struct base *base, session_id sid, struct session_state_shm *st, const void *bytes, size_t len)
{
	return append(base, sid, st, bytes, len, true);
}

int session_append_if_room(struct base *base, session_id sid, struct session_state_shm *st, const void *bytes, size_t len)
{
	return append(base, sid, st, bytes, len, false);
}

bool session_answer(struct base *base, session_id sid, uint64_t parsed, const void *bytes, size_t len)
{
	struct session_state_shm st = session(base, sid)->state;

	if (session_append(base, sid, &st, bytes, len) < 0) {
		session_abort(base, sid, COUNTER_no_buffer);
		return false;
	}
	st.parsed = parsed;
	session_commit(base, sid, &st);
	return true;
}

const struct rights *session_rights(const struct base *base, session_id sid)
{
	uint32_t ref = slot_rights_ref(&base->slot, sid);

	return ref ? (const struct rights *)pool_bytes(&base->slot, ref) : NULL;
}

int session_change_rights(struct base *base, session_id sid, const struct rights *block, uint32_t *was)
{
	uint32_t ref = BUFFER_NONE;

	*was = slot_rights_ref(&base->slot, sid);
	if (!block && !*was)
		return 0;
	if (block) {
		ref = session_buffer(base, sid, block->size);
		if (ref == BUFFER_NONE)
			return -1;
		memcpy(pool_bytes(&base->slot, ref), block, block->size);
		pool_header(&base->slot, ref)->len = block->size;
		if (*was)	/* (the connection stays whose it is) */
			((struct rights *)pool_bytes(&base->slot, ref))->certified |= ((const struct rights *)pool_bytes(&base->slot, *was))->certified;
	}
	CRASH_POINT("rights-written");
	slot_rights_put(&base->slot, sid, ref);
	CRASH_POINT("rights-put");
	return 0;
}

void session_restore_rights(struct base *base, session_id sid, uint32_t was)
{
	uint32_t ref = slot_rights_ref(&base->slot, sid);

	slot_rights_put(&base->slot, sid, was);
	pool_give(&base->pool, ref);
}

int session_set_rights(struct base *base, session_id sid, const struct rights *block)
{
	uint32_t was;

	if (session_change_rights(base, sid, block, &was) < 0)
		return -1;
	pool_give(&base->pool, was);
	return 0;
}

/* Clients of streams are to connect again after the setting's time, more or less, lest all come in the same moment: by the token, so that a
 * successor that deals with a request again says the same. */
static uint32_t retry_of(const struct base *base, const uint8_t *token)
{
	uint32_t retry = (uint32_t)base->settings->retry, random;

	memcpy(&random, token, sizeof(random));
	return retry / 2 + random % (retry + 1);
}

struct transport_hello session_hello(const struct base *base, session_id sid)
{
	const uint8_t *token = session(base, sid)->token;

	return (struct transport_hello){ .now = hub_now(), .token = token, .has = base_has(base), .retry = retry_of(base, token) };
}
