/*
 * Which sessions are disconnected when no more memory may be lent (max_buffered).
 *
 * They are those whose going frees most. The weight of a buffer is its bytes, times one more than the seconds (AGE_MAX at most) for which nothing
 * came of it. So an attacker's frames that are never finished go before a frame that is just being received, and readers who stopped go before
 * readers who read. Small buffers go last, however old they are. A worker disconnects only its own sessions. As it has a share of the limit that
 * others can't take (shm/lend.c), that frees memory for it.
 */
#include "worker/loop/memory_limit.h"

#include <string.h>
#include <sys/socket.h>

#include "proto/transport.h"
#include "shm/crash.h"
#include "shm/log.h"
#include "worker/delivery/partial_frame.h"
#include "worker/io/tcp_counts.h"

#define AGE_MAX 15		/* seconds */
/* A 32nd of what is held is freed beyond what is needed, as choosing the sessions takes a walk through all buffers. */
#define MORE 32
#define WEIGHTS 64		/* classes of weight, one for each power of two */

/* The session is not closed here: it lingers until its peer has closed, or time is up (sweep.c). */
void memory_disconnect(struct worker *w, int fd)
{
	const struct session_state_shm st = session(&w->base, fd)->state;
	bool can_hear = !(st.flags & SESSION_BEHIND) && !st.out;
	char bytes[TRANSPORT_NOTICE_MAX];

	/* The state changes first: with the old state, a successor would count what is sent below as a part of the session's stream. */
	session_forfeit(&w->base, fd);
	CRASH_POINT("memory-forfeited");
	base_count(&w->base, COUNTER_closed_memory, 1);
	if (can_hear) {
		size_t len = transport_error(st.transport, hub_now(), 503, "the server has no memory for more (max_buffered)", bytes);

		(void)!send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	} else {
		/* What is in its socket is dropped, too: it would wait for a peer that does not read. */
		socket_reset_at_close(fd);
	}
	log_warning_limited("connection %d: closed, as there was no memory for more, and it had most of it (max_buffered)", fd);
	shutdown(fd, can_hear ? SHUT_WR : SHUT_RDWR);
	session_watch(&w->base, fd);
}

/* How many bytes the session's own buffers count for. For session -1: 0. */
static uint64_t held_by(const struct worker *w, int fd)
{
	const struct session_state_shm *st;

	if (fd < 0)
		return 0;
	st = &session(&w->base, fd)->state;
	return (st->in ? lend_header(&w->base.slot, st->in)->charged : 0ull) + (st->out ? lend_header(&w->base.slot, st->out)->charged : 0ull);
}

/*
 * The session that owns the buffer. -1: nobody owns it, or its owner is spared: `but`, or the session that the worker is dealing with.
 */
static int owner(const struct worker *w, uint32_t ref, int but)
{
	int fd = (int)lend_header(&w->base.slot, ref)->owner - 1;
	const struct session_shm *s;

	if (fd < 0 || fd == but || fd == base_at(&w->base) || (uint32_t)fd >= w->base.slot.shm->sessions_max)
		return -1;
	s = session(&w->base, fd);
	return s->status == SESSION_OPEN && (s->state.in == ref || s->state.out == ref) ? fd : -1;
}

/*
 * For how many seconds nothing has come of a buffer. Input of session `fd`: since its first unit began to be waited for. Output: since something
 * was last sent to the session. A kept frame (fd -1): since a part of it was last sent to anyone. Input that we have put off does not age.
 */
static uint32_t age_of(const struct worker *w, uint32_t ref, int fd)
{
	const struct session_shm *s = fd < 0 ? NULL : session(&w->base, fd);
	uint32_t since = lend_header(&w->base.slot, ref)->since;

	if (s && ref == s->state.in && session_has(&w->base, fd, MARK_STALLED))
		return 0;
	return w->base.now - (s && ref == s->state.out ? s->state.last_out : since);
}

/* The class of a buffer's weight. */
static unsigned weigh(const struct worker *w, uint32_t ref, int fd)
{
	uint32_t age = age_of(w, ref, fd);
	uint64_t weight = lend_header(&w->base.slot, ref)->charged * (1ull + (age < AGE_MAX ? age : AGE_MAX));

	return 63 - (unsigned)__builtin_clzll(weight | 1);
}

/* partial_doom(), unless a session in the middle of the frame is spared: `but`, or the session that the worker is dealing with. */
static bool doom(struct worker *w, uint32_t ref, int but, bool really)
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
static unsigned choose(struct worker *w, int but, unsigned least, uint64_t bytes)
{
	uint64_t of_weight[WEIGHTS] = { 0 }, sum = 0;
	unsigned weight = WEIGHTS, chosen = WEIGHTS;

	for (uint32_t ref = lend_next(&w->base.lend, LENT_NONE); ref; ref = lend_next(&w->base.lend, ref)) {
		int fd = owner(w, ref, but);

		if (fd >= 0 || doom(w, ref, but, false))
			of_weight[weigh(w, ref, fd)] += lend_header(&w->base.slot, ref)->charged;
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

	for (int fd = 0; fd < (int)end; fd++)
		if (partial_is_doomed(w->partial, fd))
			memory_disconnect(w, fd);
	partial_trim(w->partial);
}

/* Disconnects sessions until `bytes` are freed, as far as choose() finds any. False: nothing was freed. */
static bool make_some_room(struct worker *w, int but, uint64_t bytes)
{
	uint64_t before = w->base.lend.held, doomed = 0;
	unsigned weight = choose(w, but, 63 - (unsigned)__builtin_clzll(held_by(w, but) | 1), bytes);

	if (weight == WEIGHTS)
		return false;
	for (uint32_t ref = lend_next(&w->base.lend, LENT_NONE); ref && before - w->base.lend.held + doomed < bytes; ref = lend_next(&w->base.lend, ref)) {
		int fd = owner(w, ref, but);

		if (fd >= 0 && weigh(w, ref, fd) >= weight)
			memory_disconnect(w, fd);
		else if (fd < 0 && weigh(w, ref, fd) >= weight && doom(w, ref, but, true))
			doomed += lend_header(&w->base.slot, ref)->charged;
	}
	if (doomed)
		disconnect_doomed(w);
	return w->base.lend.held < before;
}

bool memory_make_room(struct worker *w, int fd, size_t bytes)
{
	uint64_t kept = held_by(w, fd) + (base_at(&w->base) != fd ? held_by(w, base_at(&w->base)) : 0);

	partial_trim(w->partial);
	while (!lend_allows(&w->base.lend, bytes))
		if (!lend_could_allow(&w->base.lend, kept, bytes) || !make_some_room(w, fd, bytes + w->base.lend.held / MORE)) {
			log_warning_limited("connection %d: there is no memory for more (max_buffered)", fd);
			return false;
		}
	return true;
}
