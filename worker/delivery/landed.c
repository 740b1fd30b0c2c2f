/*
 * What the kernel took. See landed.h.
 */
#include "worker/delivery/landed.h"

#include "worker/delivery/frame.h"
#include "worker/delivery/partial_frame.h"
#include "worker/delivery/stream.h"

/* Takes sent bytes off the out buffer; what is left of `bytes` lies in the ring. */
static uint64_t advance_out(struct session_state_shm *st, uint64_t bytes)
{
	uint64_t n = st->out_end - st->out_start;

	if (n > bytes)
		n = bytes;
	st->out_start += (uint32_t)n;
	if (st->out_start == st->out_end) {
		st->out = LENT_NONE;
		st->out_start = st->out_end = 0;
	}
	return bytes - n;
}

/* Takes sent bytes off the frame that was cut. Returns those that are left. -1 when the ring no longer has its record. */
static int64_t advance_cut(struct worker *w, int fd, struct session_state_shm *st, uint64_t bytes)
{
	uint64_t size, left;

	if (!(st->flags & SESSION_CUT))
		return (int64_t)bytes;
	size = partial_size(w, fd, st);
	if (size <= st->cut)
		return -1;
	left = size - st->cut;
	if (bytes < left) {
		st->cut += (uint32_t)bytes;
		return 0;
	}
	st->cut = 0;
	st->flags &= ~(uint32_t)SESSION_CUT;
	st->pos++;
	worker_count(w, COUNTER_delivered, 1);
	return (int64_t)(bytes - left);
}

/*
 * Moves `st` along the session's stream by `bytes` that the kernel took; *s is the stream behind them, with topics if any of the ring was
 * touched. -1 when the ring no longer has what was sent. In the middle of a frame the session is behind: else the next frame would be sent
 * after half of this one.
 *
 * Records that are skipped were so when this was sent, too. The list grows only by deaths while a record was noted as being encoded, and
 * none is while sends are under way (slot_shm.flights): all frames of a send are made before it is written down, and here, which is all that
 * looks at records before the outcome is recorded, frames are measured without that note. So a worker that dies in between leaves the list
 * as it is, and so do its successors until they have landed what was under way.
 */
static int advance(struct stream *s, struct worker *w, int fd, struct session_state_shm *st, uint64_t bytes)
{
	int64_t left = advance_cut(w, fd, st, bytes);
	struct stream_topic *t;

	if (left < 0)
		return -1;
	st->sent += bytes;
	st->last_out = w->now;
	bytes = advance_out(st, (uint64_t)left);
	if (bytes == 0)
		return 0;
	if (stream_open(s, w, fd, st, ring_tail(&w->hub.ring)) < 0)
		return -1;
	while (bytes > 0 && (t = stream_next(s)) != NULL) {
		uint64_t size = frame_size_sent(w, st->transport, session(w, fd)->page_base, &t->next);

		if (!size)
			return -1;
		if (bytes < size) {
			st->pos = t->next.seq;
			st->cut = (uint32_t)bytes;
			st->flags |= SESSION_CUT | SESSION_BEHIND;
			t->number = (uint32_t)t->next.number + 1;
			s->passed = s->skipped;
			return s->lost == 0 ? 0 : -1;
		}
		st->pos = t->next.seq + 1;
		worker_count(w, COUNTER_delivered, 1);
		bytes -= size;
		s->passed = s->skipped;
		stream_step(s, t);
	}
	return bytes == 0 && s->lost == 0 ? 0 : -1;
}

int landed_advance(struct worker *w, int fd, uint64_t bytes, bool behind)
{
	struct session_state_shm st = session(w, fd)->state;
	bool was_behind = st.flags & SESSION_BEHIND;
	struct stream s = { .w = w, .fd = fd };
	uint64_t passed;

	if (bytes > 0 && advance(&s, w, fd, &st, bytes) < 0)
		return -1;
	if (behind)
		st.flags |= SESSION_BEHIND;
	passed = s.passed;
	if (!was_behind)
		s.count = 0;		/* of a live one, subscriptions say nothing */
	if (!was_behind && st.flags & SESSION_BEHIND)
		stream_owed(&s, w, fd, &st);
	stream_commit(&s, &st);
	worker_count(w, COUNTER_dropped_unencodable, passed);
	return 0;
}

void landed_defer(struct worker *w, int fd)
{
	landed_advance(w, fd, 0, true);
	session_watch(w, fd);
}

/*
 * The kernel took only part, or nothing: as there was no room, or as the connection is broken, which it then will say again. What it took
 * and that the session is behind is one commit: between two, a frame would be cut with nobody waiting to send its rest.
 */
static void fall_behind(struct worker *w, int fd, uint32_t sent)
{
	if (landed_advance(w, fd, sent, true) < 0)
		session_abort(w, fd, COUNTER_closed_uncertain);
	else
		session_watch(w, fd);
}

void landed_record(struct worker *w, const struct batch_send *send, int result)
{
	if (result == BATCH_UNKNOWN) {
		session_abort(w, send->fd, COUNTER_closed_uncertain);
	} else if (result == (int)send->len) {
		struct session_state_shm st = session(w, send->fd)->state;

		st.pos = send->pos;
		st.sent += send->len;
		st.last_out = w->now;
		slot_commit(&w->slot, send->fd, &st);
		/* Each: a successor counts only what it finds. */
		worker_count(w, COUNTER_delivered, send->messages);
		if (send->skipped)
			worker_count(w, COUNTER_dropped_unencodable, send->skipped);
	} else {
		fall_behind(w, send->fd, result > 0 ? (uint32_t)result : 0);
	}
}
