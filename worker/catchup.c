/*
 * Sessions served one at a time, along their own stream: the rest of a frame that was cut, the out buffer, then, in ring order, the
 * records from `pos` on of the topics that they subscribe. For those behind, and for live ones with several topics.
 *
 * Records are found along each topic's links and merged, so this costs as much as there are messages for the session, however
 * many others went through the ring.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shm/crash.h"
#include "worker/worker.h"

#define SHARE (256 * 1024)		/* bytes sent to one session before others get their turn */
#define PIECE (64 * 1024)		/* bytes gathered for one send, or one frame if that is larger */

/* A topic of the session: its next record, if it has one. */
struct stream_topic {
	struct subscription_shm *subscription;
	struct ring_record next;
	bool some;
	uint32_t number;		/* of a session behind: what its subscription will say when it is noted that it has come to here */
	uint64_t seen;
};

struct stream {
	struct worker *w;
	int fd;
	uint64_t from, below;		/* records before and from here on are not looked at */
	uint32_t count;
	struct stream_topic *topic;	/* w->stream */
	uint64_t lost;			/* records owed that the ring no longer has */
	uint64_t skipped;		/* records passed over, as they can't be made into frames */
};

static void seek(struct stream *s, struct stream_topic *t, uint64_t from, uint64_t hint)
{
	uint32_t topic = t->subscription->topic;
	uint32_t generation = index_topic(&s->w->hub.index, topic)->generation;

	t->some = ring_seek(&s->w->hub.ring, topic, generation, from, s->below, hint, &t->next) == 0;
}

/* Passes over what can't be made into a frame. */
static void skip(struct stream *s, struct stream_topic *t)
{
	while (t->some && frame_skipped(s->w, session(s->w, s->fd)->state.transport, t->next.seq)) {
		s->skipped++;
		t->number = (uint32_t)t->next.number + 1;	/* or else it would be told as lost */
		t->seen = t->next.seq;
		seek(s, t, t->next.seq + 1, t->next.seq);
	}
}

/*
 * The topic's first record at or after `from` that the ring still has, whether it was looked at or not. False: it has none, and rec->number
 * and rec->seq are those that the next one has at least.
 */
static bool first_owed(struct worker *w, const struct subscription_shm *sub, uint64_t from, struct ring_record *rec)
{
	const struct ring *ring = &w->hub.ring;
	const struct topic_shm *topic = index_topic(&w->hub.index, sub->topic);
	bool some;

	if (ring_seek(ring, sub->topic, topic->generation, from, ring_tail(ring), sub->from, rec) == 0)
		return true;
	/* Only under the lock, the topic's count and the tail are of one moment. */
	lock_acquire(&w->hub.shm->lock, w->number + 1);
	some = ring_seek(ring, sub->topic, topic->generation, from, ring_tail(ring), sub->from, rec) == 0;
	if (!some) {
		rec->seq = ring_tail(ring);
		rec->number = topic->published + 1;
	}
	lock_release(&w->hub.shm->lock, w->number + 1);
	return some;
}

/*
 * For a session behind: what it is owed of the topic starts with what the ring still has. Returns how many records it has overwritten. It
 * may have overwritten all that were owed, and have only new ones that are not looked at yet: those count, too. A subscription's number
 * is 32 bits, so this is right up to 2^32 lost; more than the sequences that went by can't be: that would come of damaged memory.
 */
static uint32_t skip_lost(struct stream *s, struct stream_topic *t, uint64_t from)
{
	const struct subscription_shm *sub = t->subscription;
	const struct topic_shm *topic = index_topic(&s->w->hub.index, sub->topic);
	struct ring_record first;
	uint32_t lost;

	t->number = sub->number;
	t->seen = sub->from;
	/* acquire: pairs with the release in link_record() */
	if (!t->some && atomic_load_explicit(&topic->last, memory_order_acquire) < from)
		return 0;		/* nothing is owed */
	if (t->some)
		first = t->next;
	if (t->some || first_owed(s->w, sub, from, &first))
		t->seen = first.seq;
	t->number = (uint32_t)first.number;
	lost = t->number - sub->number;
	return first.seq > from && lost <= first.seq - from ? lost : 0;
}

/* A stream of the session without any topic yet, with room for all of its. -1 without memory. */
static int stream_begin(struct stream *s, struct worker *w, int fd, const struct session_state_shm *st, uint64_t below)
{
	uint32_t count = session(w, fd)->count;

	*s = (struct stream){ .w = w, .fd = fd, .from = st->pos, .below = below, .topic = w->stream };
	if (count > w->stream_room) {
		struct stream_topic *p = realloc(w->stream, count * sizeof(*p));

		if (!p)
			return -1;
		s->topic = w->stream = p;
		w->stream_room = count;
	}
	return 0;
}

/* Finds the first record of each topic. -1 without memory. */
static int stream_open(struct stream *s, struct worker *w, int fd, const struct session_state_shm *st, uint64_t below)
{
	struct session_shm *sess = session(w, fd);

	if (stream_begin(s, w, fd, st, below) < 0)
		return -1;
	for (uint32_t i = atomic_load_explicit(&sess->subscriptions, memory_order_relaxed); i;
	     i = atomic_load_explicit(&w->slot.subscriptions[i].next, memory_order_relaxed)) {
		struct stream_topic *t = &s->topic[s->count++];
		uint64_t from;

		t->subscription = &w->slot.subscriptions[i];
		/* (One that is looked at with a cut frame is behind, and is owed what follows it.) */
		from = st->pos + (st->cut > 0);
		if (from < t->subscription->from)
			from = t->subscription->from;
		if (st->flags & SESSION_BEHIND) {
			seek(s, t, from, t->subscription->from);
			s->lost += skip_lost(s, t, from);
		} else {
			seek(s, t, from, 0);	/* what a live session is owed is near the topic's end */
		}
		skip(s, t);
	}
	return 0;
}

/* The topic whose record comes next, or NULL. */
static struct stream_topic *stream_next(struct stream *s)
{
	struct stream_topic *first = NULL;

	for (uint32_t i = 0; i < s->count; i++)
		if (s->topic[i].some && (!first || s->topic[i].next.seq < first->next.seq))
			first = &s->topic[i];
	return first;
}

static void stream_step(struct stream *s, struct stream_topic *t)
{
	t->number = (uint32_t)t->next.number + 1;
	t->seen = t->next.seq;
	seek(s, t, t->next.seq + 1, t->next.seq);
	skip(s, t);
}

/*
 * Commits the session's state with what its subscriptions say of it: all up to here was sent or counted as lost. The numbers come first: found with
 * the old state they do no harm, as who goes along the stream again finds the same. Where the records are is told afterwards, as nothing before that is looked
 * at any more.
 */
static void stream_commit(const struct stream *s, const struct session_state_shm *st)
{
	for (uint32_t i = 0; i < s->count; i++)
		s->topic[i].subscription->number = s->topic[i].number;
	session_commit(s->w, s->fd, st);
	for (uint32_t i = 0; i < s->count; i++)
		s->topic[i].subscription->from = s->topic[i].seen;
}

/* Frames gathered for one send. */
struct piece {
	char *bytes;
	size_t len;
	uint64_t pos;			/* where the session is when all of it is sent */
	uint32_t messages;
	bool more;			/* records are left behind `pos` */
};

/* Gathers frames of up to PIECE bytes, at most `most`, into the batch's arena. -1: a record was overwritten under our eyes; open the stream again. */
static int gather(struct stream *s, struct piece *p, uint32_t most)
{
	const struct session_shm *session_ = session(s->w, s->fd);
	uint32_t transport = session_->state.transport, base = session_->page_base;
	struct stream_topic *t;

	*p = (struct piece){ .pos = s->below > s->from ? s->below : s->from };
	while ((t = stream_next(s)) != NULL) {
		size_t size = frame_size(s->w, transport, base, &t->next);

		if (p->messages == most || (p->len && p->len + size > PIECE)) {
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

/* What a session is owed that was live until now, so that losses can be told exactly. (The ring has all of it.) */
static void stream_owed(struct stream *s, struct worker *w, int fd, const struct session_state_shm *st)
{
	uint64_t pos = st->pos + (st->cut > 0);

	if (stream_begin(s, w, fd, st, w->cursor) < 0)
		return;		/* what it loses is told wrongly then */
	for (uint32_t i = atomic_load_explicit(&session(w, fd)->subscriptions, memory_order_relaxed); i;
	     i = atomic_load_explicit(&w->slot.subscriptions[i].next, memory_order_relaxed)) {
		struct stream_topic *t = &s->topic[s->count++];
		struct ring_record rec;

		t->subscription = &w->slot.subscriptions[i];
		t->seen = t->subscription->from;
		if (first_owed(w, t->subscription, t->seen > pos ? t->seen : pos, &rec))
			t->seen = rec.seq;
		t->number = (uint32_t)rec.number;
	}
}

/* Marks the session behind in `st`, uncommitted: it waits for writability. */
static void mark_behind(struct worker *w, struct session_state_shm *st)
{
	if (st->flags & SESSION_BEHIND)
		return;
	st->flags |= SESSION_BEHIND;
	atomic_fetch_add_explicit(&w->self->behind, 1, memory_order_relaxed);
	worker_count(w, COUNTER_behind, 1);
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
	atomic_fetch_sub_explicit(&w->self->behind, 1, memory_order_relaxed);
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
	}
	batch_landed(w);
	if (n < 0)
		return error == EAGAIN ? 0 : -1;
	return n == (long)p->len;
}

/* The ring may overwrite this record before what is left of its frame can be sent: the frame is copied now. -1: no buffer. */
static int keep_piece(const struct stream *s, struct session_state_shm *st, const struct piece *p)
{
	if (session_append(s->w, s->fd, st, p->bytes, p->len) < 0) {
		session_abort(s->w, s->fd, COUNTER_no_buffer);
		return -1;
	}
	rescue_note(s->w, s->fd, st->sent + p->len);
	st->pos = p->pos;
	stream_commit(s, st);
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
	size_t sent = 0;
	uint64_t was;
	int r = session_send_out(w, fd, &st);

	if (r > 0 && session_unmark(w, fd, MARK_CHOKED))
		input_stall(w, fd);
	while (r > 0 && !(st.flags & (SESSION_CLOSE | SESSION_LINGER))) {
		struct stream s;
		struct piece p;
		bool keep;

		if (sent >= SHARE)
			return;		/* still writable: the loop will call again */
		if (stream_open(&s, w, fd, &st, w->cursor) < 0)
			return;
		if (!bear_loss(w, fd, &s, &st))
			return;
		keep = stream_next(&s) && rescue_must(w, stream_next(&s)->next.seq);
		if (gather(&s, &p, keep ? 1 : UINT32_MAX) < 0)
			continue;
		if (p.len == 0) {
			worker_count(w, COUNTER_dropped_unencodable, s.skipped);
			caught_up(w, fd, &st);
			break;
		}
		sent += p.len;
		was = st.pos;
		if (!keep)
			r = send_piece(&s, &st, &p);
		else if ((r = keep_piece(&s, &st, &p)) > 0)
			r = session_send_out(w, fd, &st);
		if (st.pos != was)
			worker_count(w, COUNTER_dropped_unencodable, s.skipped);
	}
	if (r < 0)
		session_close(w, fd);
	else
		session_watch(w, fd);
}

size_t catchup_due(struct worker *w, int fd)
{
	struct session_state_shm st = session(w, fd)->state;
	struct stream s;
	struct piece p;

	if (st.flags & (SESSION_BEHIND | SESSION_CLOSE))
		return 0;
	/* Now, rather than while gathering: what a full batch sends may want a stream of its own, and there is one. */
	batch_room(w, w->scratch_room > PIECE ? w->scratch_room : PIECE);
	if (stream_open(&s, w, fd, &st, w->cursor) < 0) {
		catchup_defer(w, fd);	/* no memory now */
		return 0;
	}
	if (gather(&s, &p, UINT32_MAX) == 0 && !p.more) {
		worker_count(w, COUNTER_dropped_unencodable, s.skipped);
		if (p.len) {
			batch_use(w, p.len);
			batch_add(w, fd, p.bytes, p.len, p.pos, p.messages);
		} else if (s.skipped) {
			st.pos = p.pos;		/* counted once */
			session_commit(w, fd, &st);
		}
		return p.len;
	}
	catchup_defer(w, fd);	/* more than one piece */
	return p.len;
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
	struct ring_record rec;
	uint64_t size, left;

	if (!st->cut) {
		rescue_sent(w, fd, st->sent, st->sent + bytes);
		return (int64_t)bytes;
	}
	session(w, fd)->rescued = 0;
	if (frame_skipped(w, st->transport, st->pos) || ring_read(&w->hub.ring, st->pos, &rec) < 0)
		return -1;
	size = frame_size_sent(w, st->transport, session(w, fd)->page_base, &rec);
	if (size <= st->cut)
		return -1;
	left = size - st->cut;
	if (bytes < left) {
		st->cut += (uint32_t)bytes;
		return 0;
	}
	st->cut = 0;
	st->pos++;
	worker_count(w, COUNTER_delivered, 1);
	return (int64_t)(bytes - left);
}

/*
 * Moves `st` along the session's stream by `bytes` that the kernel took; *s is the stream behind them, with topics if any of the ring was
 * touched. -1 when the ring no longer has what was sent. In the middle of a frame the session is behind: else the next frame would be sent after half of
 * this one.
 *
 * Records that are skipped were so when this was sent, too. The list grows only by deaths while a record was noted as being encoded, and none is while
 * sends are under way (slot_shm.flights): all frames of a send are made before it is written down, and here, which is all that looks at records before
 * the outcome is recorded, frames are measured without that note. So a worker that dies in between leaves the list as it is, and so do its successors
 * until they have landed what was under way.
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
			mark_behind(w, st);
			rescue_watch(w, st->pos);
			t->number = (uint32_t)t->next.number + 1;
			return s->lost == 0 ? 0 : -1;
		}
		st->pos = t->next.seq + 1;
		worker_count(w, COUNTER_delivered, 1);
		bytes -= size;
		stream_step(s, t);
	}
	return bytes == 0 && s->lost == 0 ? 0 : -1;
}

int catchup_land(struct worker *w, int fd, uint64_t bytes, bool behind)
{
	struct session_state_shm st = session(w, fd)->state;
	bool was_behind = st.flags & SESSION_BEHIND;
	struct stream s = { .w = w, .fd = fd };

	if (bytes > 0 && advance(&s, w, fd, &st, bytes) < 0)
		return -1;
	if (behind)
		mark_behind(w, &st);
	if (!was_behind)
		s.count = 0;		/* of a live one, subscriptions say nothing */
	if (!was_behind && st.flags & SESSION_BEHIND)
		stream_owed(&s, w, fd, &st);
	stream_commit(&s, &st);
	return 0;
}

void catchup_defer(struct worker *w, int fd)
{
	catchup_land(w, fd, 0, true);
	session_watch(w, fd);
}
