/*
 * What the kernel took. See landed.h.
 */
#include "worker/delivery/landed.h"

#include <assert.h>
#include <string.h>

#include "worker/delivery/frame.h"
#include "worker/delivery/partial_frame.h"
#include "worker/delivery/stream.h"

/*
 * A walk along the stream, by bytes. It goes along what was sent: it moves the session, or, if it is `told`, it only says which bytes these were
 * (landed_text()).
 */
struct told {
	uint64_t at;			/* bytes of the walk so far */
	uint64_t from, end;		/* what of it is to be told */
	uint8_t *dst;
};

/* The walk goes by these bytes. */
static void tell_bytes(struct told *told, const void *bytes, uint64_t len)
{
	uint64_t from = told->at > told->from ? told->at : told->from, end = told->at + len < told->end ? told->at + len : told->end;

	if (from < end)
		memcpy(told->dst + (from - told->from), (const uint8_t *)bytes + (from - told->at), end - from);
	told->at += len;
}

/* The walk goes by this frame. 0; -1: it can't be made any more. */
static int tell_frame(const struct base *base, struct told *told, const struct session_shm *s, const struct ring_record *rec, uint64_t size)
{
	if (size > base->scratch_room || frame_write_sent(base, s->state.transport, s->page_base, rec, base->scratch, size) < 0)
		return -1;
	tell_bytes(told, base->scratch, size);
	return 0;
}

static void count_delivered(const struct streams *streams, const struct told *told)
{
	if (!told)
		base_count(streams->base, COUNTER_delivered, 1);
}

/* Takes sent bytes off the out buffer. Returns how many of them are left: they belong to records of the ring. */
static uint64_t advance_out(const struct streams *streams, struct session_state_shm *st, uint64_t bytes, struct told *told)
{
	uint64_t n = st->out_end - st->out_start;

	if (n > bytes)
		n = bytes;
	if (told && n > 0)
		tell_bytes(told, pool_bytes(&streams->base->slot, st->out) + st->out_start, n);
	st->out_start += (uint32_t)n;
	if (st->out_start == st->out_end) {
		st->out = BUFFER_NONE;
		st->out_start = st->out_end = 0;
	}
	return bytes - n;
}

/* Takes sent bytes off the rest of a cut frame. Returns how many of them are left; -1: the frame can't be had any more. */
static int64_t advance_cut(struct streams *streams, session_id sid, struct session_state_shm *st, uint64_t bytes, struct told *told)
{
	uint64_t size, left;

	if (!(st->flags & SESSION_CUT))
		return (int64_t)bytes;
	size = partial_size(streams->partial, sid, st);
	if (size <= st->cut)
		return -1;
	left = size - st->cut;
	if (told) {
		size_t len;
		const char *frame = partial_bytes(streams->partial, sid, st, &len);

		if (!frame || len != size)
			return -1;
		tell_bytes(told, frame + st->cut, left);
	}
	if (bytes < left) {
		st->cut += (uint32_t)bytes;
		return 0;
	}
	st->cut = 0;
	st->flags &= ~(uint32_t)SESSION_CUT;
	st->pos++;
	count_delivered(streams, told);
	return (int64_t)(bytes - left);
}

/*
 * Moves `st` along the session's stream by `bytes` that the kernel took. *s becomes the stream behind them; it has no topics if the bytes end
 * before the ring's records. 0, or -1 as landed_advance(). A session in the middle of a frame must be behind: a live one would be sent the next
 * frame after a part of this one.
 *
 * The records that are passed over here must be those that were passed over when the bytes were sent. The list of them (slot_shm.skip) grows only
 * when a worker dies while a record is noted as being encoded. No record is noted while sends are under way (slot_shm.flights): the frames of a
 * send are made before it is listed, and this function measures and makes frames without noting their records. So the list stays as it is until the
 * outcome is recorded, however many workers die before that.
 */
static int advance(struct stream *s, struct streams *streams, session_id sid, struct session_state_shm *st, uint64_t bytes, struct told *told)
{
	const struct session_shm *sess = session(streams->base, sid);
	int64_t left = advance_cut(streams, sid, st, bytes, told);
	struct stream_topic *t;

	if (left < 0)
		return -1;
	st->sent += bytes;
	st->last_out = streams->base->now;
	bytes = advance_out(streams, st, (uint64_t)left, told);
	if (bytes == 0)
		return 0;
	if (stream_open(s, streams, sid, st, ring_tail(&streams->base->hub.ring)) < 0)
		return -1;
	while (bytes > 0 && (t = stream_next(s)) != NULL) {
		uint64_t size = frame_size_sent(streams->base, st->transport, sess->page_base, &t->next);

		if (!size || (told && tell_frame(streams->base, told, sess, &t->next, size) < 0))
			return -1;
		if (bytes < size) {
			st->pos = t->next.id;
			st->cut = (uint32_t)bytes;
			st->flags |= SESSION_CUT | SESSION_BEHIND;
			stream_begun(s, t);
			s->passed = s->skipped;
			return s->lost == 0 ? 0 : -1;
		}
		st->pos = t->next.id + 1;
		count_delivered(streams, told);
		bytes -= size;
		s->passed = s->skipped;
		stream_step(s, t);
	}
	return bytes == 0 && s->lost == 0 ? 0 : -1;
}

static void note(struct streams *streams, uint32_t number, const struct stream_topic *t, size_t size, uint64_t skipped)
{
	streams->base->slot.shm->sending_record[number] = (struct sent_shm){
		.seq = t->next.id,
		.subscription = (uint32_t)(t->subscription - streams->base->slot.subscriptions),
		.number = (uint32_t)t->next.number,
		.page = t->next.place.page,
		.offset = t->next.place.offset,
		.size = (uint32_t)size,
		.skipped = (uint32_t)skipped,
	};
}

/* Its other topics stand before the one that it is sent for, and have no bytes of it. */
uint32_t landed_note(const struct stream *s, uint32_t number, const struct stream_topic *t, size_t size, uint64_t skipped)
{
	struct stream_topic *other;

	for (uint32_t i = 0; (other = stream_other(s, t, &i)) != NULL;)
		note(s->of, number++, other, 0, 0);
	note(s->of, number++, t, size, skipped);
	assert(number <= SENT_MAX);
	return number;
}

void landed_forget(struct base *base)
{
	/* release: after the commit */
	if (atomic_load_explicit(&base->slot.shm->sending, memory_order_relaxed))
		atomic_store_explicit(&base->slot.shm->sending, 0, memory_order_release);
}

void landed_noted(struct streams *streams, session_id sid, uint32_t count)
{
	struct slot_shm *slot = streams->base->slot.shm;

	slot->sending_count = count;
	slot->sending_sent = session(streams->base, sid)->state.sent;
	/* release: the note is whole */
	atomic_store_explicit(&slot->sending, (uint32_t)sid + 1, memory_order_release);
}

/* Whether what the session was sent is noted. */
static bool is_noted(const struct streams *streams, session_id sid, const struct session_state_shm *st)
{
	const struct slot_shm *slot = streams->base->slot.shm;

	return atomic_load_explicit(&slot->sending, memory_order_acquire) == (uint32_t)sid + 1 && slot->sending_sent == st->sent &&
	       slot->sending_count <= SENT_MAX;
}

/* A noted record. 0, or -1: the ring has it no more. */
static int noted_record(const struct streams *streams, const struct sent_shm *sent, struct ring_record *rec)
{
	uint32_t topic = streams->base->slot.subscriptions[sent->subscription].topic;

	if (!sent->page)
		return ring_read(&streams->base->hub.ring, sent->seq, rec);
	history_at(&streams->base->hub.history, topic, index_topic(&streams->base->hub.index, topic)->generation,
		   (struct history_place){ .page = sent->page, .offset = sent->offset }, rec);
	return 0;
}

/* Keeps the frame of a noted record of history, as it can't be made later. -1: there is no memory. */
static int keep_noted(struct streams *streams, session_id sid, const struct session_state_shm *st, const struct sent_shm *sent)
{
	struct ring_record rec;

	return noted_record(streams, sent, &rec) < 0 ? -1 : partial_begin(streams->partial, sid, st, &rec, true);
}

static struct stream_topic *topic_of(const struct stream *s, const struct subscription_shm *sub)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (s->topic[i].subscription == sub)
			return &s->topic[i];
	return NULL;
}

/* As advance(), along the records that are noted. */
static int advance_noted(struct stream *s, struct streams *streams, session_id sid, struct session_state_shm *st, uint64_t bytes, struct told *told)
{
	const struct slot_shm *slot = streams->base->slot.shm;

	if (stream_as_noted(s, streams, sid, st) < 0)
		return -1;
	st->sent += bytes;
	st->last_out = streams->base->now;
	for (uint32_t i = 0; i < slot->sending_count && bytes > 0; i++) {
		const struct sent_shm *sent = &slot->sending_record[i];
		struct stream_topic *t = topic_of(s, &streams->base->slot.subscriptions[sent->subscription]);
		struct ring_record rec;

		if (!t)
			return -1;
		s->passed += sent->skipped;
		t->number = sent->number + 1;
		if (sent->size == 0)
			continue;
		if (told && (noted_record(streams, sent, &rec) < 0 || tell_frame(streams->base, told, session(streams->base, sid), &rec, sent->size) < 0))
			return -1;
		if (bytes < sent->size) {
			if (sent->page && !told && keep_noted(streams, sid, st, sent) < 0)
				return -1;
			st->pos = sent->seq;
			st->cut = (uint32_t)bytes;
			st->flags |= SESSION_CUT | SESSION_BEHIND;
			return 0;
		}
		st->pos = sent->seq + 1;
		t->seen = sent->seq;
		count_delivered(streams, told);
		bytes -= sent->size;
	}
	return bytes == 0 ? 0 : -1;
}

/* Along the note, if what the session was sent is noted, else along the stream. */
static int walk(struct stream *s, struct streams *streams, session_id sid, struct session_state_shm *st, uint64_t bytes, struct told *told)
{
	return is_noted(streams, sid, st) ? advance_noted(s, streams, sid, st, bytes, told) : advance(s, streams, sid, st, bytes, told);
}

int landed_text(struct streams *streams, session_id sid, uint64_t from, uint8_t *dst, size_t len)
{
	struct session_state_shm st = session(streams->base, sid)->state;
	struct stream s = { .of = streams, .sid = sid };
	struct told told = { .from = from, .end = from + len, .dst = dst };
	int r;

	hub_pin(&streams->base->hub, streams->base->number);
	r = walk(&s, streams, sid, &st, from + len, &told);
	hub_unpin(&streams->base->hub, streams->base->number);
	return r < 0 || told.at < told.end ? -1 : 0;
}

static int move(struct streams *streams, session_id sid, uint64_t bytes, bool behind)
{
	struct session_state_shm st = session(streams->base, sid)->state;
	bool was_behind = st.flags & SESSION_BEHIND;
	struct stream s = { .of = streams, .sid = sid };
	uint64_t passed;

	if (bytes > 0 && walk(&s, streams, sid, &st, bytes, NULL) < 0)
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
 * Behind: the kernel took only a part of a send, or nothing: the socket is full, or the connection is broken, which the next send finds. What was taken,
 * and that the session is behind, is one commit: after a death between two, nobody would wait to send the rest of the cut frame.
 */
static void go_along(struct streams *streams, session_id sid, uint32_t sent, bool behind)
{
	if (landed_advance(streams, sid, sent, behind) < 0)
		session_abort(streams->base, sid, COUNTER_closed_uncertain);
	else
		session_watch(streams->base, sid);
}

void landed_record(void *above, const struct batch_send *send, int result)
{
	struct streams *streams = above;
	bool all = result == (int)send->len && !send->behind;

	if (result == BATCH_UNKNOWN) {
		session_abort(streams->base, send->sid, COUNTER_closed_uncertain);
	} else if (all && send->messages > 0) {
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
		go_along(streams, send->sid, result > 0 ? (uint32_t)result : 0, !all);
	}
}
