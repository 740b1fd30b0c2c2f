/*
 * Whether the other side is there: heartbeats, and the end of those who are gone without a word.
 *
 * A connection is silent for `heartbeat` at most. When a message was last sent is known in whole seconds, and a session is looked at once a
 * sweep: so a heartbeat is sent as soon as it might be too late by the next look.
 *
 * Who has vanished (no FIN, no reset) is known by the kernel's attempts to reach it, of which none was answered for `peer_timeout`. TCP_USER_TIMEOUT
 * would say so too, but it also breaks connections whose peer answers and reads nothing, and what becomes of slow readers is `slow`'s affair. Behind
 * a proxy it is the proxy that answers; there, a WebSocket's pongs tell.
 */
#include "worker/loop/heartbeat.h"

#include "proto/transport.h"
#include "worker/delivery/output.h"
#include "worker/io/tcp_counts.h"
#include "worker/loop/sweep.h"
#include "worker/protocol/answer.h"

#define ATTEMPTS 5		/* of the kernel to send the same again: some seconds */
#define LOOKS 4			/* at what the kernel knows, in one peer_timeout */

/*
 * Beside its marks, a watcher's data has room for two times, of the worker alone: its successor pings again.
 *
 *    0        8                            36                             64
 *   | marks  | last ping, tenths of a s   | first unanswered one, seconds |	0: none
 */
#define BITS 28
#define PART(data, at) (uint32_t)((data) >> (at) & ((1u << BITS) - 1))

_Static_assert(sizeof(uintptr_t) == 8, "room for them");

static uint32_t tenths(const struct worker *w)
{
	return (uint32_t)(w->base.now_ms / 100) & ((1u << BITS) - 1);
}

/* When the first ping that nothing was received after was sent; 0: none was. */
static uint32_t unanswered_since(const struct worker *w, int fd)
{
	uint32_t pinged = PART((uintptr_t)w->base.io[fd].data, 8 + BITS);

	return pinged > session(&w->base, fd)->last_in ? pinged : 0;
}

static void note_ping(struct worker *w, int fd)
{
	uintptr_t first = unanswered_since(w, fd), marks = (uintptr_t)w->base.io[fd].data & 255;

	w->base.io[fd].data = (void *)((first ? first : w->base.now) << (8 + BITS) | (uintptr_t)tenths(w) << 8 | marks);
}

/* For how many milliseconds it was sent nothing, at most. */
static int64_t silence(const struct worker *w, int fd)
{
	uint32_t pinged = PART((uintptr_t)w->base.io[fd].data, 8);
	int64_t sent = (int64_t)(w->base.now_ms - session(&w->base, fd)->state.last_out * UINT64_C(1000));
	int64_t since = (int64_t)((tenths(w) - pinged) & ((1u << BITS) - 1)) * 100 + 100;

	return pinged && since < sent ? since : sent;
}

static void ping(struct worker *w, int fd)
{
	struct session_state_shm st = session(&w->base, fd)->state;
	char bytes[TRANSPORT_NOTICE_MAX];
	size_t len;

	if (st.flags & ~(uint32_t)(SESSION_BEHIND | SESSION_CUT) || st.out != LENT_NONE)
		return;		/* it has something to be sent already */
	len = transport_heartbeat(st.transport, hub_now(), bytes);
	if (len && session_answer(&w->base, fd, st.parsed, bytes, len)) {
		base_count(&w->base, COUNTER_heartbeats, 1);
		note_ping(w, fd);
		output_flush(&w->output, fd);
	}
}

/* Its publishing is put off: meanwhile nobody reads from it. */
static bool waits_for_us(const struct worker *w, int fd)
{
	return session_has(&w->base, fd, MARK_STALLED);
}

/* Nothing was received for more than so many milliseconds: so long at least, and up to a second more. */
static bool unheard(const struct worker *w, int fd, int64_t limit)
{
	return (w->base.now - session(&w->base, fd)->last_in) * 1000ll > limit;
}

/* The kernel is asked now and then only: it costs a system call. */
static bool has_vanished(const struct worker *w, int fd)
{
	int64_t limit = w->base.settings->peer_timeout;
	uint32_t every = (uint32_t)(limit / 1000 / LOOKS) + 1;

	return limit && !((uintptr_t)w->base.io[fd].data & MARK_LOCAL) && (w->base.now + (uint32_t)fd) % every == 0 && tcp_unanswered(fd, limit, ATTEMPTS);
}

/* Not one that has much to read before it comes to the ping. */
static bool leaves_pings_unanswered(const struct worker *w, int fd)
{
	const struct session_state_shm *st = &session(&w->base, fd)->state;
	uint32_t since = unanswered_since(w, fd);

	return w->base.settings->peer_timeout && transport_has(st->transport, TRANSPORT_PONGS) && !st->flags && !waits_for_us(w, fd) && since &&
	       (w->base.now - since) * 1000ll > w->base.settings->peer_timeout && socket_queued(fd) == 0;
}

static bool is_idle(const struct worker *w, int fd)
{
	const struct session_state_shm *st = &session(&w->base, fd)->state;

	return w->base.settings->idle_limit && transport_has(st->transport, TRANSPORT_TALKS) &&
	       !(st->flags & (SESSION_CLOSE | SESSION_LINGER)) && !waits_for_us(w, fd) && unheard(w, fd, w->base.settings->idle_limit);
}

static void end(struct worker *w, int fd, enum counter why, const char *text)
{
	base_count(&w->base, why, 1);
	session_end(&w->protocols, fd, session(&w->base, fd)->state.parsed, 408, text);
	output_flush(&w->output, fd);
}

/* Whether it is to be sent something: it was sent nothing for long, or must say something soon. */
static bool is_ping_due(const struct worker *w, int fd)
{
	const struct session_state_shm *st = &session(&w->base, fd)->state;
	int64_t every = w->base.settings->heartbeat, idle_limit = w->base.settings->idle_limit;

	if (idle_limit && transport_has(st->transport, TRANSPORT_TALKS) && unheard(w, fd, idle_limit / 2 - 1000) && !unanswered_since(w, fd))
		return true;
	return !(st->flags & SESSION_BEHIND) && silence(w, fd) + sweep_period(w) + every / 32 > every;
}

bool heartbeat(struct worker *w, int fd)
{
	if (has_vanished(w, fd)) {
		base_count(&w->base, COUNTER_closed_gone, 1);
		socket_reset_at_close(fd);
		session_over(&w->base, fd);
		return true;
	}
	if (leaves_pings_unanswered(w, fd)) {
		end(w, fd, COUNTER_closed_gone, "pings were not answered for too long (peer_timeout)");
		return true;
	}
	if (is_idle(w, fd)) {
		end(w, fd, COUNTER_closed_idle, "nothing was received for too long (idle_limit)");
		return true;
	}
	if (is_ping_due(w, fd))
		ping(w, fd);
	return false;
}
