/*
 * What the kernel took of TLS sessions, for a new worker. See landed_tls.h.
 */
#include "worker/delivery/landed_tls.h"

#include "shm/crash.h"
#include "worker/io/tcp_counts.h"
#include "worker/io/tls_out.h"

static struct tls_entry_shm *entry_of(const struct base *base, session_id sid)
{
	return tls_entry(&base->tls, session_fd(base, sid));
}

static bool good_kind(struct tls_kind kind)
{
	return (kind.version == TLS_1_2 || kind.version == TLS_1_3) && kind.suite >= TLS_AES_128_GCM && kind.suite <= TLS_CHACHA20_POLY1305;
}

/* Claims a buffer of which [start, end) counts; none has nothing that counts. */
static bool claim(struct base *base, uint32_t ref, uint32_t start, uint32_t end)
{
	if (!ref)
		return start == 0 && end == 0;
	if (start >= end || pool_claim(&base->pool, ref) < 0)
		return false;
	if (end <= pool_room(&base->slot, ref))
		return true;
	pool_unclaim(&base->pool, ref);
	return false;
}

bool landed_tls_claim(struct base *base, session_id sid, const struct session_state_shm *st)
{
	const struct tls_entry_shm *e = entry_of(base, sid);
	const struct tls_flow_shm *flow = &e->flow;

	if (!good_kind(e->kind) || flow->taken < st->sent || (tls_by_kernel(flow) && flow->pending) || flow->held_len > TLS_RECORD_MAX ||
	    !claim(base, flow->pending, flow->pending_start, flow->pending_end))
		return false;
	if (claim(base, flow->held, 0, flow->held_len))
		return true;
	if (flow->pending)
		pool_unclaim(&base->pool, flow->pending);
	return false;
}

void landed_tls_unclaim(struct base *base, session_id sid)
{
	const struct tls_flow_shm *flow = &entry_of(base, sid)->flow;

	if (flow->pending)
		pool_unclaim(&base->pool, flow->pending);
	if (flow->held)
		pool_unclaim(&base->pool, flow->held);
}

/* Seals `len` bytes of the stream again, of which the kernel has `accepted` so many of the records. */
static bool seal_again(struct streams *streams, session_id sid, size_t len, uint64_t accepted)
{
	static uint8_t text[TLS_OUT_TEXT_MAX], records[TLS_OUT_WIRE_MAX];
	uint64_t from = entry_of(streams->base, sid)->flow.taken - session(streams->base, sid)->state.sent;
	size_t size = tls_out_size(streams->base, sid, len);

	if (accepted > size)
		return false;
	if (accepted < size && (landed_text(streams, sid, from, text, len) < 0 || tls_out_seal(streams->base, sid, text, len, records) != size))
		return false;
	return tls_out_took(streams->base, sid, len, records, size, accepted) >= 0;
}

/* Commits that the kernel has made records of so much of `len` bytes of the stream as it says. */
static bool made(struct base *base, session_id sid, size_t len)
{
	const struct tls_flow_shm *flow = &entry_of(base, sid)->flow;
	long n = tls_out_made(base, sid, len);
	uint64_t accepted;

	if (n > 0)
		tls_out_took_by_kernel(base, sid, (size_t)n);
	/* TCP has these records, or fewer bytes. */
	return n >= 0 && tcp_accepted(session_fd(base, sid), &accepted) == 0 && accepted <= flow->wire_out;
}

bool landed_tls(struct streams *streams, session_id sid, uint64_t taken)
{
	const struct tls_flow_shm *flow = &entry_of(streams->base, sid)->flow;
	uint64_t accepted, sent = session(streams->base, sid)->state.sent;

	if (taken < flow->taken || taken - flow->taken > TLS_OUT_TEXT_MAX)
		return false;
	if (taken > flow->taken && tls_by_kernel(flow)) {
		if (!made(streams->base, sid, taken - flow->taken))
			return false;
	} else if (taken > flow->taken && (flow->pending || tcp_accepted(session_fd(streams->base, sid), &accepted) < 0 || accepted < flow->wire_out ||
					   !seal_again(streams, sid, taken - flow->taken, accepted - flow->wire_out))) {
		return false;
	}
	CRASH_POINT("land-tls-sealed");
	return flow->taken == sent || landed_advance(streams, sid, flow->taken - sent, flow->pending != BUFFER_NONE || tls_out_kept(streams->base, sid)) == 0;
}

bool landed_tls_settle(struct streams *streams, session_id sid, bool all)
{
	const struct session_state_shm *st = &session(streams->base, sid)->state;
	const struct tls_flow_shm *flow = &entry_of(streams->base, sid)->flow;
	uint64_t accepted;

	if (tls_by_kernel(flow)) {
		if ((all || flow->control & TLS_OWED) && !tls_out_settle(streams->base, sid))
			return false;
	} else if (flow->pending || all) {
		if (tcp_accepted(session_fd(streams->base, sid), &accepted) < 0 || accepted < flow->wire_out ||
		    accepted - flow->wire_out > flow->pending_end - flow->pending_start)
			return false;
		if (accepted > flow->wire_out)
			tls_out_drained(streams->base, sid, (uint32_t)(accepted - flow->wire_out));
	}
	if (flow->taken != st->sent)
		return false;
	/* What comes before the stream goes on is sent when the session is writable. */
	if ((flow->pending || flow->control & TLS_OWED) && !(st->flags & SESSION_BEHIND))
		landed_advance(streams, sid, 0, true);
	return true;
}
