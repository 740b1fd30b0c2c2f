/*
 * Which sessions are disconnected when there are no more buffers to be had (max_buffered).
 *
 * They are those whose going frees most. The weight of a buffer is its bytes, times one more than the seconds (AGE_MAX at most) for which nothing
 * came of it. So an attacker's frames that are never finished go before a frame that is just being received, and readers who stopped go before
 * readers who read. Small buffers go last, however old they are. A worker disconnects only its own sessions. As it has a share of the limit that
 * others can't take (shm/buffer_pool.c), that frees memory for it.
 */
#include "worker/loop/memory_limit.h"

#include <string.h>
#include <sys/socket.h>

#include "proto/transport.h"
#include "shm/crash.h"
#include "shm/log.h"
#include "worker/delivery/partial_frame.h"
#include "worker/io/last_words.h"
#include "worker/io/tcp_counts.h"
#include "worker/session/tell.h"

#define AGE_MAX 15		/* seconds */
/* A 32nd of what is held is freed beyond what is needed, as choosing the sessions takes a walk through all buffers. */
#define MORE 32
#define WEIGHTS 64		/* classes of weight, one for each power of two */

/* The session is not closed here: it lingers until its peer has closed, or time is up (sweep.c). */
void memory_disconnect(struct worker *w, session_id sid)
{
	const struct session_state_shm st = session(&w->base, sid)->state;
	bool can_hear = !(st.flags & SESSION_BEHIND) && !st.out;
	char bytes[TRANSPORT_NOTICE_MAX];

	/* The state changes first: with the old state, a successor would count what is sent below as a part of the session's stream. */
	session_forfeit(&w->base, sid);
	CRASH_POINT("memory-forfeited");
	tell_ends(&w->base, sid, COUNTER_closed_memory, NULL);
	if (can_hear) {
		last_words(&w->base, sid, &st, bytes, transport_error(st.transport, hub_now(), 503, "the server has no memory for more (max_buffered)", bytes));
	} else {
		/* What is in its socket is dropped, too: it would wait for a peer that does not read. */
		socket_reset_at_close(session_fd(&w->base, sid));
	}
	log_field("connection", "%d", sid);
	log_warning_limited("connection %d: closed, as there was no memory for more, and it had most of it (max_buffered)", sid);
	shutdown(session_fd(&w->base, sid), can_hear ? SHUT_WR : SHUT_RDWR);
	session_watch(&w->base, sid);
}

/* How many bytes the session's own buffers count for. For session -1: 0. */
static uint64_t held_by(const struct worker *w, session_id sid)
{
	const struct session_state_shm *st;

	if (sid < 0)
		return 0;
	st = &session(&w->base, sid)->state;
	return (st->in ? pool_header(&w->base.slot, st->in)->charged : 0ull) + (st->out ? pool_header(&w->base.slot, st->out)->charged : 0ull) +
	       (session_pending(&w->base, sid) ? pool_header(&w->base.slot, session_pending(&w->base, sid))->charged : 0ull) +
	       (session_held(&w->base, sid) ? pool_header(&w->base.slot, session_held(&w->base, sid))->charged : 0ull);
}

/*
 * The session that owns the buffer. -1: nobody owns it, or its owner is spared: `but`, or the session that the worker is dealing with.
 */
static int owner(const struct worker *w, uint32_t ref, session_id but)
{
	session_id sid = (int)pool_header(&w->base.slot, ref)->owner - 1;
	const struct session_shm *s;

	if (sid < 0 || sid == but || sid == base_at(&w->base) || (uint32_t)sid >= w->base.slot.shm->sessions_max)
		return -1;
	s = session(&w->base, sid);
	return s->status == SESSION_OPEN && (s->state.in == ref || s->state.out == ref || session_pending(&w->base, sid) == ref || session_held(&w->base, sid) == ref) ? sid : -1;
}

/*
 * For how many seconds nothing has come of a buffer. Input of session `sid`: since its first unit began to be waited for. Output: since something
 * was last sent to the session. A kept frame (sid -1): since a part of it was last sent to anyone. Input that we have put off does not age.
 */
static uint32_t age_of(const struct worker *w, uint32_t ref, session_id sid)
{
	const struct session_shm *s = sid < 0 ? NULL : session(&w->base, sid);
	uint32_t since = pool_header(&w->base.slot, ref)->since;

	if (s && ref == s->state.in && session_has(&w->base, sid, MARK_STALLED))
		return 0;
	return w->base.now - (s && (ref == s->state.out || ref == session_pending(&w->base, sid)) ? s->state.last_out : since);
}

/* The class of a buffer's weight. */
static unsigned weigh(const struct worker *w, uint32_t ref, session_id sid)
{
	uint32_t age = age_of(w, ref, sid);
	uint64_t weight = pool_header(&w->base.slot, ref)->charged * (1ull + (age < AGE_MAX ? age : AGE_MAX));

	return 63 - (unsigned)__builtin_clzll(weight | 1);
}

/* partial_doom(), unless a session in the middle of the frame is spared: `but`, or the session that the worker is dealing with. */
static bool doom(struct worker *w, uint32_t ref, session_id but, bool really)
{
	int at = base_at(&w->base);

	if ((but >= 0 && partial_holds(w->partial, but, ref)) || (at >= 0 && partial_holds(w->partial, at, ref)))
		return false;
	return partial_doom(w->partial, ref, really);
}

/*
 * Chooses which buffers are to go: those of the returned class of weight and above. They free `bytes`, or as much as there is above the class
 * `least`, or in it. WEIGHTS: there are none.
 */
static unsigned choose(struct worker *w, session_id but, unsigned least, uint64_t bytes)
{
	uint64_t of_weight[WEIGHTS] = { 0 }, sum = 0;
	unsigned weight = WEIGHTS, chosen = WEIGHTS;

	for (uint32_t ref = pool_next(&w->base.pool, BUFFER_NONE); ref; ref = pool_next(&w->base.pool, ref)) {
		session_id sid = owner(w, ref, but);

		if (sid >= 0 || doom(w, ref, but, false))
			of_weight[weigh(w, ref, sid)] += pool_header(&w->base.slot, ref)->charged;
	}
	while (sum < bytes && weight-- > least)
		if (of_weight[weight]) {
			sum += of_weight[weight];
			chosen = weight;
		}
	return chosen;
}

/* Disconnects all sessions that are in the middle of a doomed frame. */
static void disconnect_doomed(struct worker *w)
{
	uint32_t end = atomic_load_explicit(&w->base.slot.shm->fd_end, memory_order_relaxed);

	for (session_id sid = 0; sid < (int)end; sid++)
		if (partial_is_doomed(w->partial, sid))
			memory_disconnect(w, sid);
	partial_trim(w->partial);
}

/* Disconnects sessions until `bytes` are freed, as far as choose() finds any. False: nothing was freed. */
static bool make_some_room(struct worker *w, session_id but, uint64_t bytes)
{
	uint64_t before = w->base.pool.held, doomed = 0;
	unsigned weight = choose(w, but, 63 - (unsigned)__builtin_clzll(held_by(w, but) | 1), bytes);

	if (weight == WEIGHTS)
		return false;
	for (uint32_t ref = pool_next(&w->base.pool, BUFFER_NONE); ref && before - w->base.pool.held + doomed < bytes; ref = pool_next(&w->base.pool, ref)) {
		session_id sid = owner(w, ref, but);

		if (sid >= 0 && weigh(w, ref, sid) >= weight)
			memory_disconnect(w, sid);
		else if (sid < 0 && weigh(w, ref, sid) >= weight && doom(w, ref, but, true))
			doomed += pool_header(&w->base.slot, ref)->charged;
	}
	if (doomed)
		disconnect_doomed(w);
	return w->base.pool.held < before;
}

bool memory_make_room(struct worker *w, session_id sid, size_t bytes)
{
	uint64_t kept = held_by(w, sid) + (base_at(&w->base) != sid ? held_by(w, base_at(&w->base)) : 0);

	partial_trim(w->partial);
	while (!pool_allows(&w->base.pool, bytes))
		if (!pool_could_allow(&w->base.pool, kept, bytes) || !make_some_room(w, sid, bytes + w->base.pool.held / MORE)) {
			log_field("connection", "%d", sid);
			log_warning_limited("connection %d: there is no memory for more (max_buffered)", sid);
			return false;
		}
	return true;
}
