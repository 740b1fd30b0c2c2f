/*
 * A session's stream. See stream.h.
 */
#include "worker/delivery/stream.h"

#include <stdlib.h>

#include "worker/delivery/frame.h"
#include "worker/delivery/partial_frame.h"

/*
 * The ring is asked first. What it has overwritten by the time it was asked, history had taken over long before; if history was asked first, records
 * could leave the ring between the two questions. And where both have records, those before the ring's first one are in history alone.
 */
int stream_seek(const struct base *base, uint32_t topic, uint32_t generation, uint64_t from, uint64_t below, uint64_t hint, struct ring_record *rec)
{
	bool in_ring = ring_seek(&base->hub.ring, topic, generation, from, below, hint, rec) == 0;
	struct ring_record old;

	if (from < ring_oldest(&base->hub.ring) && index_is_kept(&base->hub.index, topic) &&
	    history_seek(&base->hub.history, base->number + 1, topic, generation, from, in_ring ? rec->seq : below, &old) == 0) {
		*rec = old;
		return 0;
	}
	return in_ring ? 0 : -1;
}

static void seek(struct stream *s, struct stream_topic *t, uint64_t from, uint64_t hint)
{
	struct base *base = s->of->base;
	uint32_t topic = t->subscription->topic;
	uint32_t generation = index_topic(&base->hub.index, topic)->generation;
	struct ring_record old;

	t->some = stream_seek(base, topic, generation, from, s->below, hint, &t->next) == 0;
	/* What the ring is about to overwrite is taken from history if that has it: it stays there while it is pinned, so its frame need not be kept before it
	 * is sent, and goes out together with others. */
	if (t->some && !t->next.place.page && index_is_kept(&base->hub.index, topic) && partial_must_keep(s->of->partial, t->next.id) &&
	    history_seek(&base->hub.history, base->number + 1, topic, generation, from, t->next.seq + 1, &old) == 0)
		t->next = old;
}

/*
 * Finds the topic's first record at or after `from` that is still there, up to the tail, also if this worker has not looked at it yet. False:
 * there is none; rec->number is that of the topic's next record, and rec->seq is the least sequence that it can have.
 */
static bool first_owed(struct streams *streams, const struct subscription_shm *sub, uint64_t from, struct ring_record *rec)
{
	const struct ring *ring = &streams->base->hub.ring;
	const struct topic_shm *topic = index_topic(&streams->base->hub.index, sub->topic);
	bool some;

	if (stream_seek(streams->base, sub->topic, topic->generation, from, ring_tail(ring), 0, rec) == 0)
		return true;
	/* Only under the lock do the topic's count and the tail belong to one moment. (What was published since is in the ring.) */
	lock_acquire(&streams->base->hub.shm->lock, streams->base->number + 1);
	some = ring_seek(ring, sub->topic, topic->generation, from, ring_tail(ring), 0, rec) == 0;
	if (!some) {
		rec->seq = ring_tail(ring);
		rec->number = topic->published + 1;
	}
	lock_release(&streams->base->hub.shm->lock, streams->base->number + 1);
	return some;
}

/*
 * For a session behind: notes in `t` the first record owed that is still there, and returns how many records owed were lost before it.
 * If all of them were, the first record that this worker has not looked at yet tells how many that is. A subscription's number has 32 bits, so up
 * to 2^32 - 1 are counted. More than the sequences that went by can't be lost: that would come of damaged memory, and 0 is returned.
 */
static uint32_t skip_lost(struct stream *s, struct stream_topic *t, uint64_t from)
{
	const struct subscription_shm *sub = t->subscription;
	const struct topic_shm *topic = index_topic(&s->of->base->hub.index, sub->topic);
	struct ring_record first;
	uint32_t lost;

	t->number = sub->number;
	t->seen = sub->from;
	/* acquire: pairs with the release in link_record() */
	if (!t->some && atomic_load_explicit(&topic->last, memory_order_acquire) < from)
		return 0;		/* nothing is owed */
	if (t->some)
		first = t->next;
	if (t->some || first_owed(s->of, sub, from > s->below ? from : s->below, &first))
		t->seen = first.seq;
	t->number = (uint32_t)first.number;
	lost = t->number - sub->number;
	return first.seq > from && lost <= first.seq - from ? lost : 0;
}

uint64_t stream_begins(const struct base *base, const struct subscription_shm *sub)
{
	return ring_message_of(&base->hub.ring, sub->from);
}

/* The first record that may belong to a message that the session has not had. (A session in the middle of a frame is owed what follows the message at `pos`.) */
static uint64_t first_behind(const struct streams *streams, const struct session_state_shm *st)
{
	return ring_message_from(&streams->base->hub.ring, st->pos + !!(st->flags & SESSION_CUT));
}

/* Begins a stream without topics, with room for all those of the session. 0, or -1: no memory. */
static int stream_begin(struct stream *s, struct streams *streams, session_id sid, const struct session_state_shm *st, uint64_t below)
{
	uint32_t count = session(streams->base, sid)->count;

	*s = (struct stream){ .of = streams, .sid = sid, .from = st->pos, .below = below, .topic = streams->topic };
	if (count > streams->room) {
		struct stream_topic *p = realloc(streams->topic, count * sizeof(*p));

		if (!p)
			return -1;
		s->topic = streams->topic = p;
		streams->room = count;
	}
	return 0;
}

int stream_open(struct stream *s, struct streams *streams, session_id sid, const struct session_state_shm *st, uint64_t below)
{
	struct session_shm *sess = session(streams->base, sid);
	uint64_t behind = first_behind(streams, st);

	if (stream_begin(s, streams, sid, st, below) < 0)
		return -1;
	for (uint32_t i = atomic_load_explicit(&sess->subscriptions, memory_order_relaxed); i;
	     i = atomic_load_explicit(&streams->base->slot.subscriptions[i].next, memory_order_relaxed)) {
		struct stream_topic *t = &s->topic[s->count++];
		uint64_t from;

		t->subscription = &streams->base->slot.subscriptions[i];
		t->lost = 0;
		from = behind > t->subscription->from ? behind : t->subscription->from;
		if (st->flags & SESSION_BEHIND) {
			seek(s, t, from, t->subscription->from);
			t->lost = skip_lost(s, t, from);
			s->lost += t->lost;
		} else {
			seek(s, t, from, 0);	/* what a live session is owed is near the topic's end */
		}
	}
	return 0;
}

int stream_as_noted(struct stream *s, struct streams *streams, session_id sid, const struct session_state_shm *st)
{
	if (stream_begin(s, streams, sid, st, 0) < 0)
		return -1;
	for (uint32_t i = atomic_load_explicit(&session(streams->base, sid)->subscriptions, memory_order_relaxed); i;
	     i = atomic_load_explicit(&streams->base->slot.subscriptions[i].next, memory_order_relaxed)) {
		struct subscription_shm *sub = &streams->base->slot.subscriptions[i];

		s->topic[s->count++] = (struct stream_topic){ .subscription = sub, .number = sub->number, .seen = sub->from };
	}
	return 0;
}

/* The topic whose next record has the lowest sequence, or NULL. */
static struct stream_topic *least(const struct stream *s)
{
	struct stream_topic *first = NULL;

	for (uint32_t i = 0; i < s->count; i++)
		if (s->topic[i].some && (!first || s->topic[i].next.id < first->next.id))
			first = &s->topic[i];
	return first;
}

struct stream_topic *stream_next(struct stream *s)
{
	uint32_t transport = session(s->of->base, s->sid)->state.transport;
	struct stream_topic *t;

	/* A record is passed over only when its turn comes. If it lies behind what is sent now, a later send counts it. */
	while ((t = least(s)) != NULL && frame_skipped(s->of->base, transport, t->next.id)) {
		s->skipped++;
		stream_step(s, t);
	}
	return t;
}

/* Whether other topics may have the message. (History does not say it of a message.) */
static bool may_share(const struct stream *s, const struct stream_topic *t)
{
	return (t->next.flags & RING_ECHOED || t->next.place.page) && index_had_patterns(&s->of->base->hub.index);
}

struct stream_topic *stream_other(const struct stream *s, const struct stream_topic *t, uint32_t *i)
{
	if (!may_share(s, t))
		return NULL;
	while (*i < s->count) {
		struct stream_topic *other = &s->topic[(*i)++];

		if (other != t && other->some && other->next.id == t->next.id)
			return other;
	}
	return NULL;
}

void stream_begun(struct stream *s, struct stream_topic *t)
{
	struct stream_topic *other;

	t->number = (uint32_t)t->next.number + 1;
	for (uint32_t i = 0; (other = stream_other(s, t, &i)) != NULL;)
		other->number = (uint32_t)other->next.number + 1;
}

static void step(struct stream *s, struct stream_topic *t)
{
	t->number = (uint32_t)t->next.number + 1;
	t->seen = t->next.seq;
	if (!t->next.place.page || history_next(&s->of->base->hub.history, &t->next) < 0 || t->next.seq >= s->below)
		seek(s, t, t->seen + 1, t->seen);
}

void stream_step(struct stream *s, struct stream_topic *t)
{
	struct stream_topic *other;

	for (uint32_t i = 0; (other = stream_other(s, t, &i)) != NULL;)
		step(s, other);
	step(s, t);
}

void stream_commit(const struct stream *s, const struct session_state_shm *st)
{
	for (uint32_t i = 0; i < s->count; i++)
		s->topic[i].subscription->number = s->topic[i].number;
	session_commit(s->of->base, s->sid, st);
	for (uint32_t i = 0; i < s->count; i++)
		s->topic[i].subscription->from = s->topic[i].seen;
}

void stream_pass(struct stream *s, struct stream_topic *t, const struct session_state_shm *st)
{
	struct passed_shm passed = {
		.subscription = (uint32_t)(t->subscription - s->of->base->slot.subscriptions), .number = t->number, .from = t->seen,
	};

	session_commit_passed(s->of->base, s->sid, st, &passed);
	t->lost = 0;
}

void stream_jump(const struct stream *s, struct stream_topic *t)
{
	struct base *base = s->of->base;
	const struct topic_shm *topic = index_topic(&base->hub.index, t->subscription->topic);
	struct ring_record newest;
	uint64_t last, tail;

	/* Only under the lock is the topic's last record one that is published. */
	lock_acquire(&base->hub.shm->lock, base->number + 1);
	last = atomic_load_explicit(&topic->last, memory_order_relaxed);
	tail = ring_tail(&base->hub.ring);
	lock_release(&base->hub.shm->lock, base->number + 1);
	if (stream_seek(base, t->subscription->topic, topic->generation, last, tail, 0, &newest) < 0 || newest.seq < t->seen)
		return;
	t->lost += (uint32_t)newest.number - t->number;
	t->number = (uint32_t)newest.number;
	t->seen = newest.seq;
	t->next = newest;
	t->some = newest.seq < s->below;
}

void stream_owed(struct stream *s, struct streams *streams, session_id sid, const struct session_state_shm *st)
{
	uint64_t pos = first_behind(streams, st);

	if (stream_begin(s, streams, sid, st, streams->topics->scanned) < 0)
		return;		/* without memory, what it loses is counted wrongly */
	for (uint32_t i = atomic_load_explicit(&session(streams->base, sid)->subscriptions, memory_order_relaxed); i;
	     i = atomic_load_explicit(&streams->base->slot.subscriptions[i].next, memory_order_relaxed)) {
		struct stream_topic *t = &s->topic[s->count++];
		struct ring_record rec;

		t->subscription = &streams->base->slot.subscriptions[i];
		t->seen = t->subscription->from;
		if (first_owed(streams, t->subscription, t->seen > pos ? t->seen : pos, &rec))
			t->seen = rec.seq;
		t->number = (uint32_t)rec.number;
	}
}
