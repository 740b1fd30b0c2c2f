/*
 * The sweep: heartbeats (heartbeat.c), and the end of sessions whose time is up. A slice of the session table is looked at every tick, and all of
 * it once in sweep_period(). So no connection needs a timer of its own, which would cost memory. And what history need not keep any more.
 */
#include "worker/loop/sweep.h"

#include "shm/crash.h"
#include "worker/delivery/output.h"
#include "worker/loop/expiry.h"
#include "worker/loop/heartbeat.h"
#include "worker/loop/park.h"
#include "worker/loop/refuse.h"
#include "worker/protocol/answer.h"
#include "worker/protocol/input.h"
#include "worker/service/poll.h"
#include "worker/session/tell.h"

#define TICK_MS 100
#define OFTEN 4000		/* milliseconds; if `heartbeat` is less, sessions are looked at more often */
#define LINGER 3		/* seconds without input after which a lingering session is closed */
/*
 * Seconds after which a lingering session is closed in any case. Not sooner, as closing while input still comes resets the connection, which takes
 * from the peer what it has not read yet.
 */
#define LINGER_MAX 30
#define HISTORY_STEPS 1024	/* topics whose history is looked at a tick: a tenth of a millisecond or two, with the lock held */
#define HINT 1000		/* milliseconds of silence within a frame of the flash socket, after which its client may be told what it lacks */
#define LAST_WORDS 10		/* seconds in which a session that is to end takes nothing of what it is still to be sent */

/* Whether more than `limit` milliseconds have passed. Times are whole seconds, so this is exact to a second. */
static bool passed(const struct worker *w, uint32_t since, int64_t limit)
{
	return (w->base.now - since) * 1000ll > limit;
}

/* Ends an HTTP session whose request does not become whole (http_timeout), or does not come (keep_alive). True: it ends. */
static bool http_is_late(struct worker *w, session_id sid)
{
	const struct session_shm *s = session(&w->base, sid);
	const struct session_state_shm *st = &s->state;
	uint32_t last = s->last_in > st->last_out ? s->last_in : st->last_out;

	if (st->transport != TRANSPORT_HTTP || !session_plain(st) || session_has(&w->base, sid, MARK_STALLED | MARK_OUTPUT_BLOCKED) || session_waits(&w->base, sid))
		return false;
	if (session_polls(&w->base, sid)) {
		if (poll_is_over(&w->base, sid))
			input_stall(&w->protocols, sid);
		return false;
	}
	if (st->in != BUFFER_NONE && passed(w, s->last_in, w->base.settings->http_timeout)) {
		tell_ends(&w->base, sid, COUNTER_closed_late, NULL);
		session_end(&w->protocols, sid, st->parsed, 408, "the request did not arrive whole in time (http_timeout)");
		output_flush(&w->output, sid);
		return true;
	}
	if (st->in == BUFFER_NONE && passed(w, last, w->base.settings->keep_alive)) {
		tell_ends_as(&w->base, sid, EVENT_WHY_DONE);
		session_over(&w->base, sid);
		return true;
	}
	return false;
}

/*
 * Ends a session whose frame does not become whole (frame_timeout). True: it ends. We don't read from a session whose input is put off, or whose
 * answers are not read: it is not late.
 */
static bool frame_is_late(struct worker *w, session_id sid)
{
	const struct session_shm *s = session(&w->base, sid);
	const struct session_state_shm *st = &s->state;

	if (!transport_has(st->transport, TRANSPORT_FRAMED) || st->in == BUFFER_NONE || st->flags & (SESSION_CLOSE | SESSION_LINGER) ||
	    session_has(&w->base, sid, MARK_STALLED | MARK_OUTPUT_BLOCKED) || session_waits(&w->base, sid) ||
	    !passed(w, pool_header(&w->base.slot, st->in)->since, w->base.settings->frame_timeout))
		return false;
	tell_ends(&w->base, sid, COUNTER_closed_unfinished, NULL);
	session_end(&w->protocols, sid, st->parsed, 408, "the frame did not arrive whole in time (frame_timeout)");
	output_flush(&w->output, sid);
	return true;
}

/* Whether a client of the flash socket may be waiting for an answer to what is no whole frame. */
static bool frame_waits(const struct worker *w, session_id sid)
{
	const struct session_shm *s = session(&w->base, sid);

	return s->state.transport == TRANSPORT_FLASH && s->state.in != BUFFER_NONE && s->state.out == BUFFER_NONE && session_plain(&s->state) &&
	       !session_has(&w->base, sid, MARK_STALLED | MARK_OUTPUT_BLOCKED) && passed(w, s->last_in, HINT);
}

/* Whether a session that is to end, or an HTTP client, has taken nothing of its answers for too long. */
static bool does_not_read(const struct worker *w, session_id sid)
{
	const struct session_state_shm *st = &session(&w->base, sid)->state;

	if (st->flags & SESSION_CLOSE)
		return passed(w, st->last_out, LAST_WORDS * 1000);
	return st->transport == TRANSPORT_HTTP && st->flags & SESSION_BEHIND && passed(w, st->last_out, w->base.settings->keep_alive);
}

/* Whether a lingering session, whose side is shut, has had time enough for its peer to close. */
static bool lingered(const struct worker *w, session_id sid)
{
	const struct session_shm *s = session(&w->base, sid);
	uint32_t last = s->last_in > s->state.last_out ? s->last_in : s->state.last_out;

	return w->base.now - last >= LINGER || w->base.now - s->state.last_out >= LINGER_MAX;
}

static void look_at(struct worker *w, session_id sid)
{
	const struct session_state_shm *st = &session(&w->base, sid)->state;

	if (st->flags & SESSION_PARKED) {
		return;
	} else if (st->flags & SESSION_LINGER) {
		if (lingered(w, sid))
			session_over(&w->base, sid);
	} else if (does_not_read(w, sid)) {
		session_over(&w->base, sid);
	} else if (expiry_look(w, sid) || http_is_late(w, sid) || frame_is_late(w, sid) || heartbeat(w, sid)) {
		return;
	} else if (frame_waits(w, sid)) {
		flash_hint(&w->protocols, sid);
	} else if (st->flags & SESSION_BEHIND && (w->base.slow.disconnects || session_slow(st) == SLOW_DISCONNECT) &&
		   st->pos < ring_oldest(&w->base.hub.ring) && passed(w, st->last_out, w->base.settings->heartbeat)) {
		output_check(&w->output, sid);
	}
}

/* One worker does that for all: the first slot's that is live. */
static void sweep_history(struct base *base)
{
	unsigned first = 0;

	while (first < base->number && atomic_load_explicit(&base->hub.shm->slot[first].state, memory_order_relaxed) != SLOT_LIVE)
		first++;
	if (first < base->number || history_is_swept(&base->hub.history))
		return;
	lock_acquire(&base->hub.shm->lock, base->number + 1);
	history_sweep(&base->hub.history, hub_now(), HISTORY_STEPS);
	CRASH_POINT("history-swept");
	lock_release(&base->hub.shm->lock, base->number + 1);
}

int64_t sweep_period(const struct worker *w)
{
	return w->base.settings->heartbeat < OFTEN ? 250 : 1000;
}

void sweep(struct worker *w)
{
	uint32_t end = atomic_load_explicit(&w->base.slot.shm->fd_end, memory_order_relaxed);
	uint32_t slice = (uint32_t)((uint64_t)end * TICK_MS / (uint64_t)sweep_period(w)) + 1;

	if (w->sweep_at >= end)
		w->sweep_at = 0;
	for (uint32_t i = 0; i < slice && w->sweep_at < end; i++, w->sweep_at++)
		if (session_is_served(&w->base, (int)w->sweep_at)) {
			base_on(&w->base, (int)w->sweep_at);
			look_at(w, (int)w->sweep_at);
		}
	base_on(&w->base, -1);
	heartbeats_send(w);
	refuse_sweep(w);
	park_sweep(w);
	sweep_history(&w->base);
	pool_trim(&w->base.pool);
}
