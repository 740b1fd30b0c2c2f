/*
 * This worker's topics. See local_topics.h.
 */
#include "worker/delivery/local_topics.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "worker/delivery/subscription_list.h"

#define PLACE_APART 0x80000000u		/* in a subscription's `place`: it is among those apart */

int topics_init(struct topics *topics)
{
	topics->of = base_reserve(((size_t)topics->base->hub.index.shm->topics_max + 1) * sizeof(*topics->of));
	topics->patterns = base_reserve((topics->base->slot.shm->sessions_max + 1ull) * sizeof(*topics->patterns));
	if (!topics->of || !topics->patterns)
		return -1;
	topics->queue_end = &topics->queue;
	topics->fresh_subscription = 1;
	return 0;
}

struct local_topic *topics_find(const struct topics *topics, uint32_t topic)
{
	return topic <= topics->base->hub.index.shm->topics_max ? topics->of[topic] : NULL;
}

static struct local_topic *topics_make(struct topics *topics, uint32_t topic, uint32_t transport, bool apart)
{
	struct local_topic *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->apart = &t->one;
	t->room = 1;
	t->topic = topic;
	t->generation = index_topic(&topics->base->hub.index, topic)->generation;
	t->transport = transport;
	t->is_apart = apart;
	t->sibling = topics->of[topic];
	topics->of[topic] = t;
	return t;
}

static struct local_topic *find_sibling(const struct topics *topics, uint32_t topic, uint32_t transport, bool apart)
{
	struct local_topic *t = topics->of[topic];

	while (t && (t->transport != transport || t->is_apart != apart))
		t = t->sibling;
	return t;
}

static int make_room(struct local_topic *t)
{
	uint32_t room = t->room + (t->room + 1) / 2;
	size_t each = t->is_apart ? sizeof(*t->apart) : sizeof(*t->subscribers);
	void *p;

	if (t->count < t->room)
		return 0;
	p = realloc(t->room == 1 ? NULL : t->subscribers, room * each);
	if (!p)
		return -1;
	if (t->room == 1)
		memcpy(p, &t->one, each);
	t->subscribers = p;
	t->room = room;
	return 0;
}

static bool is_pattern(const struct topics *topics, uint32_t topic)
{
	const struct topic_shm *t = index_topic(&topics->base->hub.index, topic);

	return index_had_patterns(&topics->base->hub.index) && index_is_pattern(t->name, t->name_len);
}

/* Puts a subscriber in a place that is free. */
static void stand(struct topics *topics, struct local_topic *t, uint32_t place, session_id sid, uint32_t subscription)
{
	if (t->is_apart)
		t->apart[place] = (struct apart_subscriber){ sid, subscription };
	else
		t->subscribers[place] = sid;
	topics->base->slot.subscriptions[subscription].place = place | (t->is_apart ? PLACE_APART : 0);
}

/* The subscription of a session that is not apart: it has one only, which is the head of its list. */
static uint32_t only_subscription(const struct topics *topics, session_id sid)
{
	return atomic_load_explicit(&session(topics->base, sid)->subscriptions, memory_order_relaxed);
}

/* Moves a subscriber from one place to another, which is free. */
static void move(struct topics *topics, struct local_topic *t, uint32_t from, uint32_t to)
{
	if (from == to)
		return;
	if (t->is_apart) {
		stand(topics, t, to, t->apart[from].sid, t->apart[from].subscription);
		return;
	}
	assert(topics->base->slot.subscriptions[only_subscription(topics, t->subscribers[from])].topic == t->topic);
	stand(topics, t, to, t->subscribers[from], only_subscription(topics, t->subscribers[from]));
}

/* Frees the place behind those that are live, where `gap` is free, and counts it as one of theirs. */
static uint32_t gap_to_live(struct topics *topics, struct local_topic *t, uint32_t gap)
{
	move(topics, t, t->live, gap);
	return t->live++;
}

/*
 * The same back: `gap` is free, and no place of those that are live, but for the first behind them, is so afterwards. In the middle of a pass, a gap
 * among those served is filled with the last one served, so that those from `at` on are not served, and all that were not are there.
 */
static uint32_t gap_to_behind(struct topics *topics, struct local_topic *t, uint32_t gap)
{
	if (gap < t->at) {
		t->at--;
		move(topics, t, t->at, gap);
		gap = t->at;
	}
	t->live--;
	move(topics, t, t->live, gap);
	return t->live;
}

/* Whether passes don't look at the session, as one of the topic's subscribers. */
static bool stands_behind(const struct topics *topics, const struct local_topic *t, session_id sid)
{
	return !t->is_apart && t->transport != TRANSPORT_HTTP && session_is_behind(topics->base, sid);
}

int topics_add(struct topics *topics, uint32_t transport, session_id sid, uint32_t subscription, bool apart)
{
	struct subscription_shm *sub = &topics->base->slot.subscriptions[subscription];
	struct local_topic *t = find_sibling(topics, sub->topic, transport, apart);
	uint32_t place;

	if (!t && !(t = topics_make(topics, sub->topic, transport, apart)))
		return -1;
	if (make_room(t) < 0)
		return -1;
	place = t->count++;
	if (!stands_behind(topics, t, sid))
		place = gap_to_live(topics, t, place);
	stand(topics, t, place, sid, subscription);
	if (apart) {
		topics->apart_subscriptions += transport != TOPICS_PARKED;
		subscription_list_put(topics, sid, subscription);
	}
	base_changed(topics->base, sid, index_topic(&topics->base->hub.index, t->topic));
	if (is_pattern(topics, t->topic))
		topics->patterns[sid]++;
	topics_tell(topics, sub->topic);
	return 0;
}

bool topics_is_apart(const struct topics *topics, uint32_t subscription)
{
	return topics->base->slot.subscriptions[subscription].place & PLACE_APART;
}

void topics_tell(struct topics *topics, uint32_t topic)
{
	uint32_t by_group[TRANSPORT_GROUPS] = { 0 }, all = 0;

	if (atomic_load_explicit(&topics->base->self->state, memory_order_relaxed) != SLOT_LIVE)
		return;		/* the last worker's count stays until all sessions are taken over */
	for (const struct local_topic *t = topics->of[topic]; t; t = t->sibling)
		if (t->transport != TOPICS_PARKED) {
			by_group[transport_group(t->transport)] += t->count;
			all += t->count;
		}
	/* (Who has departed is counted here until he is there. Without memory for the list the count stays for longer.) */
	if (topics->base->departed && all < atomic_load_explicit(hub_count_of(&topics->base->hub, topics->base->number, topic), memory_order_relaxed) &&
	    base_push((int **)&topics->stays, &topics->stays_count, &topics->stays_room, (int)topic) == 0)
		return;
	hub_tell_subscribers(&topics->base->hub, topics->base->number, topic, by_group);
}

/* Takes the topic out of the queue, before it is freed. That is rare, so the queue is walked. */
static void unqueue(struct topics *topics, struct local_topic *t)
{
	struct local_topic **p = &topics->queue;

	if (!t->queued)
		return;
	while (*p != t)
		p = &(*p)->queued_next;
	*p = t->queued_next;
	topics->queued--;
	if (topics->queue_end == &t->queued_next)
		topics->queue_end = p;
}

static void leave(struct topics *topics, uint32_t topic)
{
	lock_acquire(&topics->base->hub.shm->lock, topics->base->number + 1);
	index_leave(&topics->base->hub.index, topics->base->number, topic);
	lock_release(&topics->base->hub.shm->lock, topics->base->number + 1);
}

void topics_leave(struct topics *topics, uint32_t topic)
{
	/* (Without memory for the list the worker gives way to a successor, which looks at all topics.) */
	if (!topics->base->departed)
		leave(topics, topic);
	else if (base_push((int **)&topics->stays, &topics->stays_count, &topics->stays_room, (int)topic) < 0)
		_exit(BASE_SHORTAGE);
}

void topics_leave_stays(struct topics *topics)
{
	uint64_t ours = UINT64_C(1) << topics->base->number;

	for (uint32_t i = 0; i < topics->stays_count; i++) {
		const struct topic_shm *t = index_topic(&topics->base->hub.index, topics->stays[i]);

		/* (It may be in the list twice. As long as the slot's bit is set, the number is this topic's.) */
		if (atomic_load_explicit(&t->state, memory_order_relaxed) != TOPIC_USED || !(atomic_load_explicit(&t->interest, memory_order_relaxed) & ours))
			continue;
		topics_tell(topics, topics->stays[i]);
		if (!topics->of[topics->stays[i]])
			leave(topics, topics->stays[i]);
	}
	topics->stays_count = 0;
}

void topics_leave_unsubscribed(struct topics *topics)
{
	struct index *ix = &topics->base->hub.index;
	uint64_t ours = UINT64_C(1) << topics->base->number;

	lock_acquire(&topics->base->hub.shm->lock, topics->base->number + 1);
	for (uint32_t i = 1; i <= ix->shm->topics_max && index_topic(ix, i)->generation; i++)
		if (atomic_load(&index_topic(ix, i)->interest) & ours && !topics->of[i])
			index_leave(ix, topics->base->number, i);
	lock_release(&topics->base->hub.shm->lock, topics->base->number + 1);
}

static void topics_drop(struct topics *topics, struct local_topic *t)
{
	struct local_topic **p = &topics->of[t->topic];

	unqueue(topics, t);
	while (*p != t)
		p = &(*p)->sibling;
	*p = t->sibling;
	if (!topics->of[t->topic])
		topics_leave(topics, t->topic);
	if (t->room > 1)
		free(t->subscribers);
	free(t);
}

/* Removes the subscriber at `place`. The gap goes to the end of those that are served, that are live, and of all. */
static void remove_at(struct topics *topics, struct local_topic *t, uint32_t place)
{
	assert(t && place < t->count);
	base_changed(topics->base, t->is_apart ? t->apart[place].sid : t->subscribers[place], index_topic(&topics->base->hub.index, t->topic));
	if (is_pattern(topics, t->topic))
		topics->patterns[t->is_apart ? t->apart[place].sid : t->subscribers[place]]--;
	if (place < t->live)
		place = gap_to_behind(topics, t, place);
	t->count--;
	move(topics, t, t->count, place);
	topics_tell(topics, t->topic);
	if (t->count == 0)
		topics_drop(topics, t);
}

void topics_remove(struct topics *topics, uint32_t transport, uint32_t subscription)
{
	const struct subscription_shm *sub = &topics->base->slot.subscriptions[subscription];
	bool apart = topics_is_apart(topics, subscription);

	if (apart) {
		topics->apart_subscriptions -= transport != TOPICS_PARKED;
		subscription_list_take(topics, subscription);
	}
	remove_at(topics, find_sibling(topics, sub->topic, transport, apart), sub->place & ~PLACE_APART);
}

void topics_behind_changed(struct topics *topics, session_id sid)
{
	uint32_t subscription = only_subscription(topics, sid), place;
	struct local_topic *t;

	if (!subscription || topics_is_apart(topics, subscription))
		return;
	t = find_sibling(topics, topics->base->slot.subscriptions[subscription].topic, session(topics->base, sid)->state.transport, false);
	place = topics->base->slot.subscriptions[subscription].place;
	assert(t && place < t->count && t->subscribers[place] == sid);
	if (stands_behind(topics, t, sid) == (place >= t->live))
		return;
	place = place < t->live ? gap_to_behind(topics, t, place) : gap_to_live(topics, t, place);
	stand(topics, t, place, sid, subscription);
}

int topics_move_apart(struct topics *topics, uint32_t transport, session_id sid)
{
	uint32_t subscription = only_subscription(topics, sid);
	struct subscription_shm *sub = &topics->base->slot.subscriptions[subscription];
	uint32_t place = sub->place;

	if (topics_is_apart(topics, subscription))
		return 0;
	if (topics_add(topics, transport, sid, subscription, true) < 0)
		return -1;
	remove_at(topics, find_sibling(topics, sub->topic, transport, false), place);
	return 0;
}

int topics_park(struct topics *topics, uint32_t transport, session_id sid)
{
	uint32_t i = atomic_load_explicit(&session(topics->base, sid)->subscriptions, memory_order_relaxed), before = 0;

	/* (Each is added before it is removed: the slot never leaves the topic.) */
	for (; i; before = i, i = atomic_load_explicit(&topics->base->slot.subscriptions[i].next, memory_order_relaxed)) {
		const struct subscription_shm *sub = &topics->base->slot.subscriptions[i];
		uint32_t place = sub->place;
		bool apart = topics_is_apart(topics, i);

		if (apart) {
			subscription_list_take(topics, i);
			topics->apart_subscriptions--;
		}
		if (topics_add(topics, TOPICS_PARKED, sid, i, true) < 0) {
			if (apart) {
				subscription_list_put(topics, sid, i);
				subscription_list_follow(topics, before, i);
				topics->apart_subscriptions++;
			}
			return -1;
		}
		subscription_list_follow(topics, before, i);
		remove_at(topics, find_sibling(topics, sub->topic, transport, apart), place & ~PLACE_APART);
	}
	return 0;
}

bool topics_owe(const struct topics *topics, session_id sid, uint64_t pos)
{
	const struct session_shm *s = session(topics->base, sid);
	const struct local_topic *t;

	if (pos >= topics->scanned)
		return false;
	t = topics_find(topics, topics->base->slot.subscriptions[atomic_load_explicit(&s->subscriptions, memory_order_relaxed)].topic);
	while (t && (t->transport != s->state.transport || t->is_apart))
		t = t->sibling;
	return t && t->queued;
}

uint32_t topics_take_subscription(struct topics *topics)
{
	if (topics->free_count > 0)
		return topics->free_subscriptions[--topics->free_count];
	if (topics->fresh_subscription <= topics->base->slot.shm->subscriptions_max)
		return topics->fresh_subscription++;
	return 0;
}

void topics_give_subscription(struct topics *topics, uint32_t subscription)
{
	if (topics->free_count == topics->free_room) {
		uint32_t room = topics->free_room ? 2 * topics->free_room : 256;
		uint32_t *p = realloc(topics->free_subscriptions, room * sizeof(*p));

		if (!p)
			return;		/* without memory, the entry is lost until the next worker starts */
		topics->free_subscriptions = p;
		topics->free_room = room;
	}
	topics->free_subscriptions[topics->free_count++] = subscription;
}
