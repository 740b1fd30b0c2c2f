/*
 * Sessions served one at a time, along their own stream: the rest of a frame that was cut, the out buffer, then, in ring order, the
 * records from `pos` on of the topics that they subscribe (stream.h). For those behind.
 */
#include <errno.h>
#include <string.h>

#include "shm/crash.h"
#include "worker/stream.h"

#define PIECE (64 * 1024)		/* bytes gathered for one send, or one frame if that is larger */

/* Frames gathered for one send. */
struct piece {
	char *bytes;
	size_t len;
	uint64_t pos;			/* where the session is when all of it is sent */
	uint32_t messages;
	bool more;			/* records are left behind `pos` */
};

/*
 * Gathers frames of up to PIECE bytes, or one that is larger, into the batch's arena: those that need not be kept. -1: a record was
 * overwritten under our eyes; open the stream again.
 */
static int gather(struct stream *s, struct piece *p)
{
	const struct session_shm *session_ = session(s->w, s->fd);
	uint32_t transport = session_->state.transport, base = session_->page_base;
	struct stream_topic *t;

	*p = (struct piece){ .pos = s->below > s->from ? s->below : s->from };
	while ((t = stream_next(s)) != NULL) {
		size_t size = frame_size(s->w, transport, base, &t->next);

		if (p->len && p->len + size > PIECE) {
			p->more = true;
			p->pos = t->next.seq;
			break;
		}
		if (!p->bytes)
			p->bytes = batch_room(s->w, size > PIECE ? size : PIECE);
		if (!size || frame_write(s->w, transport, base, &t->next, p->bytes + p->len, size) < 0) {
			if (!p->len)
				return -1;
			p->more = true;
			p->pos = t->next.seq;
			break;
		}
		p->len += size;
		p->messages++;
		stream_step(s, t);
	}
	return 0;
}

static void caught_up(struct worker *w, int fd, struct session_state_shm *st)
{
	const struct session_shm *s = session(w, fd);

	if (st->pos < w->cursor)
		st->pos = w->cursor;
	/* What it has subscribed to meanwhile may start later. */
	if (s->count == 1) {
		uint64_t from = w->slot.subscriptions[atomic_load_explicit(&s->subscriptions, memory_order_relaxed)].from;

		if (st->pos < from)
			st->pos = from;
	}
	st->flags &= ~(uint32_t)SESSION_BEHIND;
	session_commit(w, fd, st);
}

/* The ring has overtaken the session. False: it is disconnected for that. */
static bool bear_loss(struct worker *w, int fd, const struct stream *s, const struct session_state_shm *st)
{
	if (s->lost == 0)
		return true;
	if (w->settings->slow == SLOW_DISCONNECT) {
		worker_count(w, COUNTER_dropped_overtaken, s->lost);
		worker_count(w, COUNTER_closed_slow, 1);
		session_close(w, fd);
		return false;
	}
	stream_commit(s, st);
	worker_count(w, COUNTER_dropped_overtaken, s->lost);	/* behind the commit: a successor finds them lost again, or counted */
	return true;
}

/* Sends the piece. 1 all sent, 0 it would block, -1 broken. */
static int send_piece(struct stream *s, struct session_state_shm *st, const struct piece *p)
{
	struct worker *w = s->w;
	int fd = s->fd;
	long n = batch_send(w, fd, p->bytes, p->len);
	int error = errno;

	CRASH_POINT("catchup-sent");
	if (n == (long)p->len) {
		st->sent += (uint64_t)n;
		st->pos = p->pos;
		st->last_out = w->now;
		stream_commit(s, st);
		worker_count(w, COUNTER_delivered, p->messages);
	} else if (n > 0) {
		CRASH_POINT("catchup-cut");
		if (catchup_land(w, fd, (uint64_t)n, true) < 0) {
			session_abort(w, fd, COUNTER_closed_uncertain);
			batch_landed(w);
			return -1;
		}
		*st = session(w, fd)->state;
		s->skipped = 0;		/* counted as it landed */
	}
	batch_landed(w);
	if (n < 0)
		return error == EAGAIN ? 0 : -1;
	return n == (long)p->len;
}

/*
 * A frame that is kept before any of it is sent: the ring may overwrite its record before the rest can be sent, or it is large, and others are
 * sent the same. The session is in the middle of it from now on. 1; 0: it need not be, or can't; -1: it must, and can't.
 */
static int begin_frame(struct stream *s, struct session_state_shm *st)
{
	struct stream_topic *t = stream_next(s);
	uint32_t base = session(s->w, s->fd)->page_base;
	bool must;

	if (!t)
		return 0;
	must = partial_must_keep(s->w, t->next.seq);
	if (!must && frame_size(s->w, st->transport, base, &t->next) <= PIECE)
		return 0;
	if (partial_begin(s->w, s->fd, st, &t->next, must) < 0) {
		if (!must || errno != ENOMEM)
			return 0;	/* (Overwritten under our eyes: so it is for who gathers.) */
		session_abort(s->w, s->fd, COUNTER_no_buffer);
		return -1;
	}
	st->pos = t->next.seq;
	st->cut = 0;
	st->flags |= SESSION_CUT;
	t->number = (uint32_t)t->next.number + 1;
	stream_commit(s, st);
	CRASH_POINT("partial-begun");
	return 1;
}

void catchup_check(struct worker *w, int fd)
{
	struct session_state_shm st = session(w, fd)->state;
	struct stream s;

	if (stream_open(&s, w, fd, &st, w->cursor) == 0)
		bear_loss(w, fd, &s, &st);
}

void catchup_run(struct worker *w, int fd)
{
	struct session_state_shm st = session(w, fd)->state;
	uint64_t was, share = st.sent + SESSION_SHARE;
	int r = session_send_out(w, fd, &st);

	if (r > 0 && session_unmark(w, fd, MARK_CHOKED))
		input_stall(w, fd);
	while (r > 0 && !(st.flags & (SESSION_CLOSE | SESSION_LINGER))) {
		struct stream s;
		struct piece p;

		if (st.sent >= share)
			return;		/* still writable: the loop will call again */
		if (stream_open(&s, w, fd, &st, w->cursor) < 0)
			return;
		if (!bear_loss(w, fd, &s, &st))
			return;
		was = st.pos;
		r = begin_frame(&s, &st);
		if (r > 0) {
			r = session_send_out(w, fd, &st);
		} else if (r == 0) {
			if (gather(&s, &p) < 0) {
				r = 1;
				continue;
			}
			if (p.len == 0) {
				worker_count(w, COUNTER_dropped_unencodable, s.skipped);
				caught_up(w, fd, &st);
				r = 1;
				break;
			}
			r = send_piece(&s, &st, &p);
		}
		if (st.pos != was)
			worker_count(w, COUNTER_dropped_unencodable, s.skipped);
	}
	if (r < 0)
		session_close(w, fd);
	else
		session_watch(w, fd);
}

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

int catchup_land(struct worker *w, int fd, uint64_t bytes, bool behind)
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

void catchup_defer(struct worker *w, int fd)
{
	catchup_land(w, fd, 0, true);
	session_watch(w, fd);
}
