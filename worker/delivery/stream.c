/*
 * A session's stream. See stream.h.
 */
#include "worker/delivery/stream.h"

#include <stdlib.h>

#include "worker/delivery/frame.h"

static void seek(struct stream *s, struct stream_topic *t, uint64_t from, uint64_t hint)
{
	uint32_t topic = t->subscription->topic;
	uint32_t generation = index_topic(&s->w->hub.index, topic)->generation;

	t->some = ring_seek(&s->w->hub.ring, topic, generation, from, s->below, hint, &t->next) == 0;
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

	if (ring_seek(ring, sub->topic, topic->generation, from, ring_tail(ring), 0, rec) == 0)
		return true;
	/* Only under the lock, the topic's count and the tail are of one moment. */
	lock_acquire(&w->hub.shm->lock, w->number + 1);
	some = ring_seek(ring, sub->topic, topic->generation, from, ring_tail(ring), 0, rec) == 0;
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
	if (t->some || first_owed(s->w, sub, from > s->below ? from : s->below, &first))
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

int stream_open(struct stream *s, struct worker *w, int fd, const struct session_state_shm *st, uint64_t below)
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
		from = st->pos + !!(st->flags & SESSION_CUT);
		if (from < t->subscription->from)
			from = t->subscription->from;
		if (st->flags & SESSION_BEHIND) {
			seek(s, t, from, t->subscription->from);
			s->lost += skip_lost(s, t, from);
		} else {
			seek(s, t, from, 0);	/* what a live session is owed is near the topic's end */
		}
	}
	return 0;
}

/* The topic whose record is the least, or NULL. */
static struct stream_topic *least(const struct stream *s)
{
	struct stream_topic *first = NULL;

	for (uint32_t i = 0; i < s->count; i++)
		if (s->topic[i].some && (!first || s->topic[i].next.seq < first->next.seq))
			first = &s->topic[i];
	return first;
}

struct stream_topic *stream_next(struct stream *s)
{
	uint32_t transport = session(s->w, s->fd)->state.transport;
	struct stream_topic *t;

	/* (Only when it is its turn: one behind what comes of this stream is passed over, and counted, when that is sent.) */
	while ((t = least(s)) != NULL && frame_skipped(s->w, transport, t->next.seq)) {
		s->skipped++;
		stream_step(s, t);
	}
	return t;
}

void stream_step(struct stream *s, struct stream_topic *t)
{
	t->number = (uint32_t)t->next.number + 1;
	t->seen = t->next.seq;
	seek(s, t, t->next.seq + 1, t->next.seq);
}

void stream_commit(const struct stream *s, const struct session_state_shm *st)
{
	for (uint32_t i = 0; i < s->count; i++)
		s->topic[i].subscription->number = s->topic[i].number;
	session_commit(s->w, s->fd, st);
	for (uint32_t i = 0; i < s->count; i++)
		s->topic[i].subscription->from = s->topic[i].seen;
}

void stream_owed(struct stream *s, struct worker *w, int fd, const struct session_state_shm *st)
{
	uint64_t pos = st->pos + !!(st->flags & SESSION_CUT);

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
