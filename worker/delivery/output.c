/*
 * Sessions served one at a time, along their own stream. See output.h.
 */
#include "worker/delivery/output.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/transport.h"
#include "shm/crash.h"
#include "worker/delivery/frame.h"
#include "worker/delivery/landed.h"
#include "worker/delivery/leave.h"
#include "worker/delivery/partial_frame.h"
#include "worker/delivery/stream.h"
#include "worker/io/tls_out.h"
#include "worker/session/tell.h"

#define NOTICES (16 * 1024)		/* bytes of notices in the out buffer, beyond which they are sent before there are more */
#define PIECE (64 * 1024)		/* bytes gathered for one send; a larger frame is sent by itself */

/* Frames gathered for one send. */
struct piece {
	char *bytes;
	size_t len;
	uint64_t pos;			/* the session's `pos` when all of it is sent */
	uint32_t messages;
	uint32_t notes;			/* landed_note() */
	bool more;			/* there are further records, from `pos` on */
	bool noted;			/* it has records of history */
};

/* ---- what comes before the ring ---- */

/*
 * The out buffer is empty and nothing more will come: shuts our side of the connection, so that the peer can read everything before the end. If the
 * worker dies after the commit, its successor shuts it (resume_sessions() in recover.c).
 */
static void output_shut(struct output *o, session_id sid)
{
	struct session_state_shm st = session(o->base, sid)->state;

	leave_all(o->topics, o->multi_topic, sid, st.transport);
	st.flags = SESSION_CLOSE | SESSION_LINGER | (st.flags & SESSION_TLS);
	st.cut = 0;
	st.in = BUFFER_NONE;
	st.last_out = o->base->now;
	session_commit(o->base, sid, &st);
	CRASH_POINT("shut-marked");
	shutdown(session_fd(o->base, sid), SHUT_WR);
	session_watch(o->base, sid);
}

/* Sends the out buffer. 1: all of it is sent; 0: the socket is full; -1: the connection is broken. */
static int send_out(struct output *o, session_id sid, struct session_state_shm *st)
{
	while (st->out_start < st->out_end) {
		long n = batch_send(o->batch, sid, pool_bytes(&o->base->slot, st->out) + st->out_start, st->out_end - st->out_start);

		if (n > 0) {
			st->sent += (uint64_t)n;
			st->out_start += (uint32_t)n;
			st->last_out = o->base->now;
			if (st->out_start == st->out_end) {
				st->out = BUFFER_NONE;
				st->out_start = st->out_end = 0;
			}
			session_commit(o->base, sid, st);
		}
		batch_landed(o->batch);
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
	}
	return 1;
}

/* What TLS keeps comes first of all, and a session is not up to date before it is sent. Returns what send_out() does. */
static int send_pending(struct output *o, session_id sid, const struct session_state_shm *st)
{
	return session_is_tls(st) ? tls_out_flush(o->base, sid) : 1;
}

/* Shuts our side, when the peer has been told so by TLS. Returns what send_out() does. */
static int shut(struct output *o, session_id sid, const struct session_state_shm *st)
{
	int r = session_is_tls(st) ? tls_out_alert(o->base, sid, TLS_CLOSE_NOTIFY) : 1;

	if (r > 0)
		output_shut(o, sid);
	return r;
}

/* Sends what comes before the ring: the rest of a cut frame, and the out buffer. Returns what send_out() does. */
static int send_first(struct output *o, session_id sid, struct session_state_shm *st)
{
	int r;

	if (st->flags & SESSION_LINGER)
		return 1;
	r = send_pending(o, sid, st);
	if (r > 0)
		r = partial_send(o->partial, sid, st);
	if (r > 0)
		r = send_out(o, sid, st);
	if (r > 0)
		r = send_pending(o, sid, st);
	if (r > 0 && st->flags & SESSION_CLOSE)
		r = shut(o, sid, st);
	return r;
}

/* Whether we don't read from the session until its answers are sent. */
static bool is_unread(const struct output *o, session_id sid, const struct session_state_shm *st)
{
	return session_has(o->base, sid, MARK_OUTPUT_BLOCKED | MARK_ENDED) || st->out_end - st->out_start > SESSION_OUT_MAX;
}

void output_flush(struct output *o, session_id sid)
{
	struct session_state_shm st = session(o->base, sid)->state;
	int r;

	if (st.flags & SESSION_BEHIND)
		return;
	/*
	 * A session whose socket is full waits for writability. So does one whose connection is broken and that we don't read from: a broken
	 * connection counts as writable, and is found broken then. A session that we read from needs nothing here: receiving finds the connection
	 * broken, behind the last input.
	 */
	r = send_first(o, sid, &st);
	if (r < 0 && st.flags & SESSION_CLOSE)
		output_shut(o, sid);	/* broken, and we don't read from it: lingering, it is read from again, and found broken */
	else if (r == 0 || (r < 0 && (is_unread(o, sid, &st) || session_pending(o->base, sid))))
		landed_defer(o->streams, sid);
}

void output_add(struct output *o, session_id sid)
{
	const struct session_state_shm *st = &session(o->base, sid)->state;

	if (st->flags & SESSION_BEHIND)
		return;
	batch_add(o->batch, sid, (const char *)pool_bytes(&o->base->slot, st->out) + st->out_start, st->out_end - st->out_start, st->pos, 0, 0);
}

/* ---- along the ring ---- */

/*
 * Gathers frames of the stream in the batch's arena: PIECE bytes at most, or one larger frame. 0; -1 with errno: ESTALE, the first record was overwritten
 * meanwhile, so the stream must be opened again; ENOMEM, there is no memory to read it in.
 */
static int gather(struct output *o, struct stream *s, struct piece *p)
{
	const struct session_shm *session_ = session(o->base, s->sid);
	uint32_t transport = session_->state.transport, base = session_->page_base;
	uint64_t skipped = 0;
	struct stream_topic *t;

	*p = (struct piece){ .pos = s->below > s->from ? s->below : s->from };
	while ((t = stream_next(s)) != NULL) {
		size_t size = frame_size(o->base, transport, base, &t->next);

		/* (What would have to be kept before its first byte is not sent behind something else: begin_frame().) */
		if (p->len && (p->len + size > PIECE || p->notes + LANDED_NOTES > SENT_MAX ||
			       (!t->next.place.page && partial_must_keep(o->partial, t->next.id)))) {
			p->more = true;
			p->pos = t->next.id;
			break;
		}
		if (!p->bytes)
			p->bytes = batch_room(o->batch, size > PIECE ? size : PIECE);
		if (!size || frame_write(o->base, transport, base, &t->next, p->bytes + p->len, size) < 0) {
			if (!p->len) {
				errno = t->next.place.page ? ENOMEM : ESTALE;
				return -1;
			}
			p->more = true;
			p->pos = t->next.id;
			break;
		}
		p->notes = landed_note(s, p->notes, t, size, s->skipped - skipped);
		p->len += size;
		p->messages++;
		p->noted |= t->next.place.page != 0;
		skipped = s->skipped;
		stream_step(s, t);
	}
	return 0;
}

/* The session has had all that this worker has looked through: it is live again. */
static void caught_up(struct output *o, session_id sid, struct session_state_shm *st)
{
	const struct session_shm *s = session(o->base, sid);

	if (st->pos < o->topics->scanned)
		st->pos = o->topics->scanned;
	/* With one topic, only `pos` says what a live session is owed, and its subscription may begin later. */
	if (s->count == 1) {
		uint64_t from = stream_begins(o->base, &o->base->slot.subscriptions[atomic_load_explicit(&s->subscriptions, memory_order_relaxed)]);

		if (st->pos < from)
			st->pos = from;
	}
	st->flags &= ~(uint32_t)SESSION_BEHIND;
	session_commit(o->base, sid, st);
}

/* Commits, and then counts what was passed over: a death in between leaves it uncounted, but it is never counted twice. */
static void commit(struct stream *s, const struct session_state_shm *st)
{
	stream_commit(s, st);
	base_count(s->of->base, COUNTER_dropped_unencodable, s->skipped);
	s->skipped = 0;
}

static const struct topic_shm *topic_of(const struct output *o, const struct stream_topic *t)
{
	return index_topic(&o->base->hub.index, t->subscription->topic);
}

static enum slow_policy policy_of(const struct output *o, const struct stream *s, const struct stream_topic *t)
{
	return slow_rules_find(&o->base->slow, session_slow(&session(o->base, s->sid)->state), topic_of(o, t)->name, topic_of(o, t)->name_len);
}

/* Tells how many messages the session has lost, and of which topic. */
static void tell_drop(const struct output *o, const struct stream *s, const struct stream_topic *t, uint64_t lost)
{
	const struct topic_shm *topic = topic_of(o, t);
	unsigned hidden = *topic->name == NAME_INBOX || *topic->name == NAME_EVERYBODY;

	tell_often(o->base, s->sid, EVENT_DROP, lost, topic->name + hidden, topic->name_len - hidden);
}

/* Ends the session if it has lost messages of a topic for which that is the rule. True: it ends. */
static bool lost_too_much(struct output *o, const struct stream *s)
{
	for (uint32_t i = 0; s->lost > 0 && i < s->count; i++)
		if (s->topic[i].lost > 0 && policy_of(o, s, &s->topic[i]) == SLOW_DISCONNECT) {
			base_count(o->base, COUNTER_dropped_overtaken, s->lost);
			tell_drop(o, s, &s->topic[i], s->lost);
			session_abort(o->base, s->sid, COUNTER_closed_slow);
			return true;
		}
	return false;
}

/* What the session is told of its loss in this topic, if its transport has words for that. Returns its length. */
static size_t notice(const struct output *o, uint32_t transport, const struct stream_topic *t, char *dst)
{
	const struct topic_shm *topic = topic_of(o, t);
	bool user = *topic->name == NAME_INBOX;

	return transport_missed(transport, &(struct transport_missed){
		.to = user ? MESSAGE_TO_USER : *topic->name == NAME_EVERYBODY ? MESSAGE_TO_ALL : MESSAGE_TO_TOPIC,
		.name = topic->name + user, .len = topic->name_len - user, .messages = t->lost,
	}, dst);
}

/*
 * Passes over what is lost of a topic, and tells the session so in the same step. Without room for the notice it is not told. True: it is told, and the
 * out buffer has to be sent.
 */
static bool pass_over(struct output *o, struct stream *s, struct stream_topic *t, struct session_state_shm *st)
{
	bool latest = policy_of(o, s, t) == SLOW_LATEST, told;
	char text[TRANSPORT_NOTICE_MAX];
	uint32_t lost;
	size_t len;

	s->lost -= t->lost;
	if (latest)
		stream_jump(s, t);
	lost = t->lost;
	len = notice(o, st->transport, t, text);
	told = len > 0 && session_append_if_room(o->base, s->sid, st, text, len) == 0;
	stream_pass(s, t, st);
	CRASH_POINT("pass-uncounted");
	tell_drop(o, s, t, lost);
	base_count(o->base, latest ? COUNTER_dropped_latest : COUNTER_dropped_overtaken, lost);	/* after the commit, as in commit() */
	return told;
}

/*
 * Deals with records that were overwritten before the session got them. 0: there are none, or they are passed over. 1: the session is told in its out
 * buffer, which comes first; then there may be more to tell. -1: it is disconnected for it.
 */
static int take_loss(struct output *o, struct stream *s, struct session_state_shm *st)
{
	bool told = false;

	if (s->lost == 0)
		return 0;
	if (lost_too_much(o, s))
		return -1;
	for (uint32_t i = 0; i < s->count && st->out_end - st->out_start < NOTICES; i++)
		if (s->topic[i].lost > 0)
			told |= pass_over(o, s, &s->topic[i], st);
	return told;
}

/*
 * Has the next message follow the notices in the out buffer, if the ring may overwrite it before they are sent: where the ring is overwritten quickly,
 * there would be another loss to tell of each time, and nothing else. (Kept as the frame that the session is in the middle of, it would come before them.)
 */
static void follow_notice(struct output *o, struct stream *s, struct session_state_shm *st)
{
	uint32_t base = session(o->base, s->sid)->page_base;
	struct stream_topic *t = s->lost == 0 ? stream_next(s) : NULL;
	char *frame = o->base->scratch;
	size_t size;

	if (!t || t->next.place.page || !partial_must_keep(o->partial, t->next.id))
		return;
	size = frame_size(o->base, st->transport, base, &t->next);
	if (size == 0 || size > o->base->scratch_room || frame_write(o->base, st->transport, base, &t->next, frame, size) < 0 ||
	    session_append_if_room(o->base, s->sid, st, frame, size) < 0)
		return;
	st->pos = t->next.id + 1;
	stream_begun(s, t);
	t->seen = t->next.seq;
	commit(s, st);
	base_count(o->base, COUNTER_delivered, 1);
}

/* Sends the piece. 1: all of it is sent; 0: the socket is full; -1: the connection is broken, or the session aborted. */
static int send_piece(struct output *o, struct stream *s, struct session_state_shm *st, const struct piece *p)
{
	session_id sid = s->sid;
	long n;
	int error;

	if (p->noted)
		landed_noted(o->streams, sid, p->notes);
	n = batch_send(o->batch, sid, p->bytes, p->len);
	error = errno;

	CRASH_POINT("catchup-sent");
	if (n == (long)p->len) {
		st->sent += (uint64_t)n;
		st->pos = p->pos;
		st->last_out = o->base->now;
		commit(s, st);
		base_count(o->base, COUNTER_delivered, p->messages);
	} else if (n > 0) {
		CRASH_POINT("catchup-cut");
		if (landed_advance(o->streams, sid, (uint64_t)n, true) < 0) {
			session_abort(o->base, sid, COUNTER_closed_uncertain);
			landed_forget(o->base);
			batch_landed(o->batch);
			return -1;
		}
		*st = session(o->base, sid)->state;
	}
	landed_forget(o->base);
	batch_landed(o->batch);
	if (n < 0)
		return error == EAGAIN ? 0 : -1;
	return n == (long)p->len;
}

/*
 * Keeps the stream's next frame (partial_frame.h) before any of it is sent, if the ring may overwrite its record before the rest can be sent, or if
 * the frame is large. 1: it is kept, and the session is in the middle of it, at its first byte. 0: it is not kept, and gather() goes on. -1: it
 * must be kept, and there is no room; the session is aborted.
 */
static int begin_frame(struct output *o, struct stream *s, struct session_state_shm *st)
{
	struct stream_topic *t = stream_next(s);
	uint32_t base = session(o->base, s->sid)->page_base;
	bool must;

	if (!t)
		return 0;
	/* A frame of history is kept when it is cut (landed.c): most are not. */
	must = !t->next.place.page && partial_must_keep(o->partial, t->next.id);
	if (!must && frame_size(o->base, st->transport, base, &t->next) <= PIECE)
		return 0;
	if (partial_begin(o->partial, s->sid, st, &t->next, must) < 0) {
		if (!must || errno != ENOMEM)
			return 0;	/* an overwritten record is found by gather(), too */
		session_abort(o->base, s->sid, COUNTER_no_buffer);
		return -1;
	}
	st->pos = t->next.id;
	st->cut = 0;
	st->flags |= SESSION_CUT;
	stream_begun(s, t);
	commit(s, st);
	CRASH_POINT("partial-begun");
	return 1;
}

void output_check(struct output *o, session_id sid)
{
	struct session_state_shm st = session(o->base, sid)->state;
	struct stream s;

	hub_pin(&o->base->hub, o->base->number);
	if (stream_open(&s, o->streams, sid, &st, o->topics->scanned) == 0)
		lost_too_much(o, &s);
	hub_unpin(&o->base->hub, o->base->number);
}

/* Whether the session is to go to another slot, and so sends nothing more just now: it is in the middle of nothing. */
static bool rests(const struct output *o, session_id sid)
{
	struct base *base = o->base;

	if (!base->leaves || base->rested_count == BASE_RESTED_MAX || session_pending(base, sid))
		return false;
	base->rested[base->rested_count++] = sid;
	return true;
}

/*
 * Sends the records that the session is owed. 1: it is up to date, or is ending; 0: the socket is full, or the share is used up; -1: the connection
 * is broken, or the session aborted.
 */
static int send_on(struct output *o, session_id sid, struct session_state_shm *st, uint64_t share)
{
	int r = 1;

	if (st->transport == TRANSPORT_HTTP) {	/* it may poll, and is sent no records; its `pos` is poll.h's */
		st->flags &= ~(uint32_t)SESSION_BEHIND;
		session_commit(o->base, sid, st);
		return 1;
	}
	while (r > 0 && !(st->flags & (SESSION_CLOSE | SESSION_LINGER))) {
		struct stream s;
		struct piece p;

		if (rests(o, sid))
			return 0;
		/* (With something pending the socket is full.) */
		if (st->sent >= share || session_pending(o->base, sid) || stream_open(&s, o->streams, sid, st, o->topics->scanned) < 0)
			return 0;	/* the connection is still writable, so the loop will call again */
		r = take_loss(o, &s, st);
		if (r > 0) {
			CRASH_POINT("pass-told");
			follow_notice(o, &s, st);
			r = send_first(o, sid, st);
			continue;
		}
		if (r == 0)
			r = begin_frame(o, &s, st);
		if (r > 0) {
			r = send_first(o, sid, st);
		} else if (r == 0) {
			if (gather(o, &s, &p) < 0) {
				r = errno == ESTALE;
				continue;
			}
			if (p.len == 0) {
				base_count(o->base, COUNTER_dropped_unencodable, s.skipped);
				caught_up(o, sid, st);
				return 1;
			}
			r = send_piece(o, &s, st, &p);
		}
	}
	return r;
}

bool output_run(struct output *o, session_id sid)
{
	struct session_state_shm st = session(o->base, sid)->state;
	uint64_t share = st.sent + SESSION_SHARE;
	int r = send_first(o, sid, &st);
	bool drained = r > 0 && session_unmark(o->base, sid, MARK_OUTPUT_BLOCKED);

	/* Input comes before further records: it may have waited for the end of a frame, and the next one may be cut as well. */
	if (r > 0 && !drained) {
		hub_pin(&o->base->hub, o->base->number);
		r = send_on(o, sid, &st, share);
		hub_unpin(&o->base->hub, o->base->number);
	}
	if (r < 0)
		session_over(o->base, sid);
	else
		session_watch(o->base, sid);
	return drained;
}
