/*
 * Heartbeats, and the end of sessions whose peer is gone without a word.
 *
 * A connection is to be silent for `heartbeat` at most. When a message was last sent is known in whole seconds only, and a session is looked at
 * once a sweep. So a heartbeat is sent as soon as it might come too late at the next look.
 *
 * A peer that has vanished (no FIN, no reset) is known by the kernel's attempts to send it something, none of which was answered for `peer_timeout`.
 * TCP_USER_TIMEOUT would do the same, but it also breaks connections whose peer answers and reads nothing; what becomes of those is up to the
 * setting `slow`. Behind a proxy, it is the proxy that answers. There, the missing pongs of a WebSocket tell that its client is gone.
 */
#include "worker/loop/heartbeat.h"

#include "proto/transport.h"
#include "worker/delivery/output.h"
#include "worker/io/send_batch.h"
#include "worker/io/tcp_counts.h"
#include "worker/loop/sweep.h"
#include "worker/protocol/answer.h"
#include "worker/session/tell.h"

#define ATTEMPTS 5		/* attempts of the kernel to send the same again, which take some seconds */
#define LOOKS 4			/* times that the kernel is asked in one peer_timeout, about */

/*
 * Above a session's marks stand two times of pings. They are the worker's own: its successor pings anew.
 *
 *    0        8                            36                             64
 *   | marks  | last ping, tenths of a s   | first unanswered one, seconds |	0: none
 */
#define BITS 28
#define PART(data, at) (uint32_t)((data) >> (at) & ((1u << BITS) - 1))

static uint32_t tenths(const struct worker *w)
{
	return (uint32_t)(w->base.now_ms / 100) & ((1u << BITS) - 1);
}

/* When the first unanswered ping was sent: nothing has been received since. 0: there is none. */
static uint32_t unanswered_since(const struct worker *w, session_id sid)
{
	uint32_t pinged = PART(w->base.marks[sid], 8 + BITS);

	return pinged > session(&w->base, sid)->last_in ? pinged : 0;
}

/* Notes that a ping is sent now. */
static void note_ping(struct worker *w, session_id sid)
{
	uint64_t first = unanswered_since(w, sid), marks = w->base.marks[sid] & 255;

	w->base.marks[sid] = (first ? first : w->base.now) << (8 + BITS) | (uint64_t)tenths(w) << 8 | marks;
}

/* Returns for how many milliseconds, at most, the session has been sent nothing. */
static int64_t silence(const struct worker *w, session_id sid)
{
	uint32_t pinged = PART(w->base.marks[sid], 8);
	int64_t sent = (int64_t)(w->base.now_ms - session(&w->base, sid)->state.last_out * UINT64_C(1000));
	int64_t since = (int64_t)((tenths(w) - pinged) & ((1u << BITS) - 1)) * 100 + 100;

	return pinged && since < sent ? since : sent;
}

static void ping(struct worker *w, session_id sid)
{
	struct session_state_shm st = session(&w->base, sid)->state;
	char bytes[TRANSPORT_NOTICE_MAX];
	size_t len;

	if (st.flags & ~(uint32_t)(SESSION_BEHIND | SESSION_CUT | SESSION_LISTENER) || st.out != BUFFER_NONE)
		return;		/* it is ending, or has something to be sent already */
	len = transport_heartbeat(st.transport, hub_now(), bytes);
	if (len && session_answer(&w->base, sid, st.parsed, bytes, len)) {
		base_count(&w->base, COUNTER_heartbeats, 1);
		note_ping(w, sid);
		output_add(&w->output, sid);
	}
}

/* Whether the session's input is put off. We do not read from it meanwhile, so its silence means nothing. */
static bool waits_for_us(const struct worker *w, session_id sid)
{
	return session_has(&w->base, sid, MARK_STALLED) || session_waits(&w->base, sid);
}

/* Whether nothing was received for more than `limit` milliseconds. Times are whole seconds, so this is exact to a second. */
static bool is_silent(const struct worker *w, session_id sid, int64_t limit)
{
	return (w->base.now - session(&w->base, sid)->last_in) * 1000ll > limit;
}

/*
 * Whether the kernel has failed to reach the peer for peer_timeout. It is asked now and then only, as that costs a system call, and not while we know better: what was received came with an
 * acknowledgement.
 */
static bool has_vanished(const struct worker *w, session_id sid)
{
	int64_t limit = w->base.settings->peer_timeout;
	uint32_t every = (uint32_t)(limit / 1000 / LOOKS) + 1;

	return limit && !session_has(&w->base, sid, MARK_LOCAL) && is_silent(w, sid, limit - 1000) && (w->base.now + (uint32_t)sid) % every == 0 &&
	       tcp_unanswered(session_fd(&w->base, sid), limit, ATTEMPTS);
}

/*
 * Whether a client that must answer pings has left them unanswered for peer_timeout. As long as it still has bytes to read that were sent before,
 * it is given more time.
 */
static bool leaves_pings_unanswered(const struct worker *w, session_id sid)
{
	const struct session_state_shm *st = &session(&w->base, sid)->state;
	uint32_t since = unanswered_since(w, sid);

	return w->base.settings->peer_timeout && transport_has(st->transport, TRANSPORT_PONGS) && session_plain(st) && !waits_for_us(w, sid) && since &&
	       (w->base.now - since) * 1000ll > w->base.settings->peer_timeout && socket_queued(session_fd(&w->base, sid)) == 0;
}

/* Whether a client that may say something at any time has said nothing for idle_limit. */
static bool is_idle(const struct worker *w, session_id sid)
{
	const struct session_state_shm *st = &session(&w->base, sid)->state;

	return w->base.settings->idle_limit && transport_has(st->transport, TRANSPORT_TALKS) &&
	       !(st->flags & (SESSION_CLOSE | SESSION_LINGER)) && !waits_for_us(w, sid) && is_silent(w, sid, w->base.settings->idle_limit);
}

static void end(struct worker *w, session_id sid, enum counter why, const char *text)
{
	tell_ends(&w->base, sid, why, NULL);
	session_end(&w->protocols, sid, session(&w->base, sid)->state.parsed, 408, text);
	output_flush(&w->output, sid);
}

/* Ends a session that does not hear. If it is to stay without a connection, it is not told: who is told that it is over, has no session any more. */
static void end_deaf(struct worker *w, session_id sid, const char *text)
{
	if (!session_lingers(&w->base, sid)) {
		end(w, sid, COUNTER_closed_gone, text);
		return;
	}
	tell_ends(&w->base, sid, COUNTER_closed_gone, NULL);
	session_over(&w->base, sid);
}

/*
 * Whether a ping is due: the session has been sent nothing for long, or its client must soon say something (idle_limit), which a ping has it do.
 */
static bool is_ping_due(const struct worker *w, session_id sid)
{
	const struct session_state_shm *st = &session(&w->base, sid)->state;
	int64_t every = w->base.settings->heartbeat, idle_limit = w->base.settings->idle_limit;

	if (idle_limit && transport_has(st->transport, TRANSPORT_TALKS) && is_silent(w, sid, idle_limit / 2 - 1000) && !unanswered_since(w, sid))
		return true;
	return !(st->flags & SESSION_BEHIND) && silence(w, sid) + sweep_period(w) + every / 32 > every;
}

bool heartbeat(struct worker *w, session_id sid)
{
	if (has_vanished(w, sid)) {
		tell_ends(&w->base, sid, COUNTER_closed_gone, NULL);
		socket_reset_at_close(session_fd(&w->base, sid));
		session_over(&w->base, sid);
		return true;
	}
	if (leaves_pings_unanswered(w, sid)) {
		end_deaf(w, sid, "pings were not answered for too long (peer_timeout)");
		return true;
	}
	if (is_idle(w, sid)) {
		end(w, sid, COUNTER_closed_idle, "nothing was received for too long (idle_limit)");
		return true;
	}
	if (is_ping_due(w, sid)) {
		if (w->due_count == WORKER_DUE_MAX)
			heartbeats_send(w);
		w->due[w->due_count++] = sid;
	}
	return false;
}

void heartbeats_send(struct worker *w)
{
	for (unsigned i = 0; i < w->due_count; i++) {
		session_id sid = w->due[i];

		if (!session_is_served(&w->base, sid))
			continue;	/* it has ended with one that was looked at behind it */
		base_on(&w->base, sid);
		ping(w, sid);
	}
	base_on(&w->base, -1);
	w->due_count = 0;
	batch_flush(w->batch);
}
