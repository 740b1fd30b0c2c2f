/*
 * Sessions served one at a time, along their own stream. See output.h.
 */
#include "worker/delivery/output.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "shm/crash.h"
#include "worker/delivery/frame.h"
#include "worker/delivery/landed.h"
#include "worker/delivery/leave.h"
#include "worker/delivery/partial_frame.h"
#include "worker/delivery/stream.h"

#define PIECE (64 * 1024)		/* bytes gathered for one send, or one frame if that is larger */

/* Frames gathered for one send. */
struct piece {
	char *bytes;
	size_t len;
	uint64_t pos;			/* where the session is when all of it is sent */
	uint32_t messages;
	bool more;			/* records are left behind `pos` */
};

/* ---- what comes before the ring ---- */

/* The out buffer is empty and nothing more will come: shuts our side, so that the peer can read all before the end. */
static void output_shut(struct worker *w, int fd)
{
	struct session_state_shm st = session(w, fd)->state;

	leave_all(w, fd, st.transport);		/* it is nobody's subscriber any more */
	st.flags = SESSION_CLOSE | SESSION_LINGER;
	st.cut = 0;
	st.in = LENT_NONE;
	st.last_out = w->now;
	session_commit(w, fd, &st);
	CRASH_POINT("shut-marked");
	shutdown(fd, SHUT_WR);
	session_watch(w, fd);
}

/* 1 all sent, 0 it would block, -1 the connection is broken. */
static int send_out(struct worker *w, int fd, struct session_state_shm *st)
{
	while (st->out_start < st->out_end) {
		long n = batch_send(w, fd, lend_bytes(&w->slot, st->out) + st->out_start, st->out_end - st->out_start);

		if (n > 0) {
			st->sent += (uint64_t)n;
			st->out_start += (uint32_t)n;
			st->last_out = w->now;
			if (st->out_start == st->out_end) {
				st->out = LENT_NONE;
				st->out_start = st->out_end = 0;
			}
			session_commit(w, fd, st);
		}
		batch_landed(w);
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
	}
	return 1;
}

static int send_first(struct worker *w, int fd, struct session_state_shm *st)
{
	int r;

	if (st->flags & SESSION_LINGER)
		return 1;
	r = partial_send(w, fd, st);
	if (r > 0)
		r = send_out(w, fd, st);
	if (r > 0 && st->flags & SESSION_CLOSE)
		output_shut(w, fd);
	return r;
}

/* Whether nobody reads from it until its answers are sent. */
static bool is_unread(const struct worker *w, int fd, const struct session_state_shm *st)
{
	return session_has(w, fd, MARK_CHOKED | MARK_ENDED) || st->out_end - st->out_start > SESSION_OUT_MAX;
}

void output_flush(struct worker *w, int fd)
{
	struct session_state_shm st = session(w, fd)->state;
	int r;

	if (st.flags & SESSION_BEHIND)
		return;
	r = send_first(w, fd, &st);
	if (r < 0 && st.flags & SESSION_CLOSE)
		output_shut(w, fd);	/* broken, and nobody reads from it: it is watched again, and found so */
	else if (r == 0 || (r < 0 && is_unread(w, fd, &st)))
		landed_defer(w, fd);	/* (What is broken is writable. One that is read from is found broken there, behind its last input.) */
}

/* ---- along the ring ---- */

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

/* What is passed over is counted behind the commit: a successor passes over it again, or finds it counted. */
static void commit(struct stream *s, const struct session_state_shm *st)
{
	stream_commit(s, st);
	worker_count(s->w, COUNTER_dropped_unencodable, s->skipped);
	s->skipped = 0;
}

/* The ring has overtaken the session. False: it is disconnected for that. */
static bool bear_loss(struct worker *w, int fd, struct stream *s, const struct session_state_shm *st)
{
	if (s->lost == 0)
		return true;
	if (w->settings->slow == SLOW_DISCONNECT) {
		worker_count(w, COUNTER_dropped_overtaken, s->lost);
		session_abort(w, fd, COUNTER_closed_slow);
		return false;
	}
	commit(s, st);
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
		commit(s, st);
		worker_count(w, COUNTER_delivered, p->messages);
	} else if (n > 0) {
		CRASH_POINT("catchup-cut");
		if (landed_advance(w, fd, (uint64_t)n, true) < 0) {
			session_abort(w, fd, COUNTER_closed_uncertain);
			batch_landed(w);
			return -1;
		}
		*st = session(w, fd)->state;
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
	commit(s, st);
	CRASH_POINT("partial-begun");
	return 1;
}

void output_check(struct worker *w, int fd)
{
	struct session_state_shm st = session(w, fd)->state;
	struct stream s;

	if (stream_open(&s, w, fd, &st, w->cursor) == 0)
		bear_loss(w, fd, &s, &st);
}

/* Sends on, records first to last. 0 it would block or has had its share, -1 broken, 1 it is up to date. */
static int send_on(struct worker *w, int fd, struct session_state_shm *st, uint64_t share)
{
	int r = 1;

	while (r > 0 && !(st->flags & (SESSION_CLOSE | SESSION_LINGER))) {
		struct stream s;
		struct piece p;

		if (st->sent >= share || stream_open(&s, w, fd, st, w->cursor) < 0)
			return 0;	/* still writable: the loop will call again */
		if (!bear_loss(w, fd, &s, st))
			return -1;
		r = begin_frame(&s, st);
		if (r > 0) {
			r = send_first(w, fd, st);
		} else if (r == 0) {
			if (gather(&s, &p) < 0) {
				r = 1;
				continue;
			}
			if (p.len == 0) {
				worker_count(w, COUNTER_dropped_unencodable, s.skipped);
				caught_up(w, fd, st);
				return 1;
			}
			r = send_piece(&s, st, &p);
		}
	}
	return r;
}

bool output_run(struct worker *w, int fd)
{
	struct session_state_shm st = session(w, fd)->state;
	uint64_t share = st.sent + SESSION_SHARE;
	int r = send_first(w, fd, &st);
	bool drained = r > 0 && session_unmark(w, fd, MARK_CHOKED);

	if (r > 0)
		r = send_on(w, fd, &st, share);
	if (r < 0)
		session_over(w, fd);
	else
		session_watch(w, fd);
	return drained;
}
