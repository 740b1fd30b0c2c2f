/*
 * What the kernel took. See landed.h.
 */
#include "worker/delivery/landed.h"

#include "worker/delivery/frame.h"
#include "worker/delivery/partial_frame.h"
#include "worker/delivery/stream.h"

/* Takes sent bytes off the out buffer. Returns how many of them are left: they belong to records of the ring. */
static uint64_t advance_out(struct session_state_shm *st, uint64_t bytes)
{
	uint64_t n = st->out_end - st->out_start;

	if (n > bytes)
		n = bytes;
	st->out_start += (uint32_t)n;
	if (st->out_start == st->out_end) {
		st->out = BUFFER_NONE;
		st->out_start = st->out_end = 0;
	}
	return bytes - n;
}

/* Takes sent bytes off the rest of a cut frame. Returns how many of them are left; -1: the frame can't be had any more. */
static int64_t advance_cut(struct streams *streams, session_id sid, struct session_state_shm *st, uint64_t bytes)
{
	uint64_t size, left;

	if (!(st->flags & SESSION_CUT))
		return (int64_t)bytes;
	size = partial_size(streams->partial, sid, st);
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
	base_count(streams->base, COUNTER_delivered, 1);
	return (int64_t)(bytes - left);
}

/*
 * Moves `st` along the session's stream by `bytes` that the kernel took. *s becomes the stream behind them; it has no topics if the bytes end
 * before the ring's records. 0, or -1 as landed_advance(). A session in the middle of a frame must be behind: a live one would be sent the next
 * frame after a part of this one.
 *
 * The records that are passed over here must be those that were passed over when the bytes were sent. The list of them (slot_shm.skip) grows only
 * when a worker dies while a record is noted as being encoded. No record is noted while sends are under way (slot_shm.flights): the frames of a
 * send are made before it is listed, and this function measures frames without noting their records. So the list stays as it is until the outcome
 * is recorded, however many workers die before that.
 */
static int advance(struct stream *s, struct streams *streams, session_id sid, struct session_state_shm *st, uint64_t bytes)
{
	int64_t left = advance_cut(streams, sid, st, bytes);
	struct stream_topic *t;

	if (left < 0)
		return -1;
	st->sent += bytes;
	st->last_out = streams->base->now;
	bytes = advance_out(st, (uint64_t)left);
	if (bytes == 0)
		return 0;
	if (stream_open(s, streams, sid, st, ring_tail(&streams->base->hub.ring)) < 0)
		return -1;
	while (bytes > 0 && (t = stream_next(s)) != NULL) {
		uint64_t size = frame_size_sent(streams->base, st->transport, session(streams->base, sid)->page_base, &t->next);

		if (!size)
			return -1;
		if (bytes < size) {
			/* History may have lost it when the rest can be sent. */
			if (t->next.place.page && partial_begin(streams->partial, sid, st, &t->next, true) < 0)
				return -1;
			st->pos = t->next.seq;
			st->cut = (uint32_t)bytes;
			st->flags |= SESSION_CUT | SESSION_BEHIND;
			t->number = (uint32_t)t->next.number + 1;
			s->passed = s->skipped;
			return s->lost == 0 ? 0 : -1;
		}
		st->pos = t->next.seq + 1;
		base_count(streams->base, COUNTER_delivered, 1);
		bytes -= size;
		s->passed = s->skipped;
		stream_step(s, t);
	}
	return bytes == 0 && s->lost == 0 ? 0 : -1;
}

static int move(struct streams *streams, session_id sid, uint64_t bytes, bool behind)
{
	struct session_state_shm st = session(streams->base, sid)->state;
	bool was_behind = st.flags & SESSION_BEHIND;
	struct stream s = { .of = streams, .sid = sid };
	uint64_t passed;

	if (bytes > 0 && advance(&s, streams, sid, &st, bytes) < 0)
		return -1;
	if (behind)
		st.flags |= SESSION_BEHIND;
	passed = s.passed;
	if (!was_behind)
		s.count = 0;		/* the subscriptions of a live session note nothing */
	if (!was_behind && st.flags & SESSION_BEHIND)
		stream_owed(&s, streams, sid, &st);
	stream_commit(&s, &st);
	base_count(streams->base, COUNTER_dropped_unencodable, passed);
	return 0;
}

int landed_advance(struct streams *streams, session_id sid, uint64_t bytes, bool behind)
{
	int r;

	hub_pin(&streams->base->hub, streams->base->number);
	r = move(streams, sid, bytes, behind);
	hub_unpin(&streams->base->hub, streams->base->number);
	return r;
}

void landed_defer(struct streams *streams, session_id sid)
{
	landed_advance(streams, sid, 0, true);
	session_watch(streams->base, sid);
}

/*
 * The kernel took only a part of a send, or nothing: the socket is full, or the connection is broken, which the next send finds. What was taken,
 * and that the session is behind, is one commit: after a death between two, nobody would wait to send the rest of the cut frame.
 */
static void fall_behind(struct streams *streams, session_id sid, uint32_t sent)
{
	if (landed_advance(streams, sid, sent, true) < 0)
		session_abort(streams->base, sid, COUNTER_closed_uncertain);
	else
		session_watch(streams->base, sid);
}

void landed_record(void *above, const struct batch_send *send, int result)
{
	struct streams *streams = above;

	if (result == BATCH_UNKNOWN) {
		session_abort(streams->base, send->sid, COUNTER_closed_uncertain);
	} else if (result == (int)send->len) {
		struct session_state_shm st = session(streams->base, send->sid)->state;

		st.pos = send->pos;
		st.sent += send->len;
		st.last_out = streams->base->now;
		slot_commit(&streams->base->slot, send->sid, &st);
		/* Counted send by send: after a death, the successor counts the sends that are not recorded yet. */
		base_count(streams->base, COUNTER_delivered, send->messages);
		if (send->skipped)
			base_count(streams->base, COUNTER_dropped_unencodable, send->skipped);
	} else {
		fall_behind(streams, send->sid, result > 0 ? (uint32_t)result : 0);
	}
}
