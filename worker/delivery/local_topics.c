/*
 * This worker's topics. See local_topics.h.
 */
#include "worker/delivery/local_topics.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "worker/delivery/subscription_list.h"

#define PLACE_APART 0x80000000u		/* in a subscription's place: it is in the list of those apart */

int topics_init(struct worker *w)
{
	size_t bytes = ((size_t)w->hub.index.shm->topics_max + 1) * sizeof(*w->topics);

	/* Touched where topics are: not calloc(), which may clear it all. */
	w->topics = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (w->topics == MAP_FAILED)
		return -1;
	w->queue_end = &w->queue;
	w->fresh_subscription = 1;
	return 0;
}

struct local_topic *topics_find(const struct worker *w, uint32_t topic)
{
	return topic <= w->hub.index.shm->topics_max ? w->topics[topic] : NULL;
}

static struct local_topic *topics_make(struct worker *w, uint32_t topic, uint32_t transport, bool apart)
{
	struct local_topic *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->apart = &t->one;
	t->room = 1;
	t->topic = topic;
	t->generation = index_topic(&w->hub.index, topic)->generation;
	t->transport = transport;
	t->is_apart = apart;
	t->sibling = w->topics[topic];
	w->topics[topic] = t;
	return t;
}

static struct local_topic *find_sibling(const struct worker *w, uint32_t topic, uint32_t transport, bool apart)
{
	struct local_topic *t = w->topics[topic];

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

int topics_add(struct worker *w, uint32_t transport, int fd, uint32_t subscription, bool apart)
{
	struct subscription_shm *sub = &w->slot.subscriptions[subscription];
	struct local_topic *t = find_sibling(w, sub->topic, transport, apart);

	if (!t && !(t = topics_make(w, sub->topic, transport, apart)))
		return -1;
	if (make_room(t) < 0)
		return -1;
	sub->place = t->count;
	if (apart) {
		sub->place |= PLACE_APART;
		t->apart[t->count] = (struct apart_subscriber){ (uint32_t)fd, subscription };
		w->apart_subscriptions++;
		links_put(w, fd, subscription);
	} else {
		t->subscribers[t->count] = (uint32_t)fd;
	}
	t->count++;
	topics_tell(w, sub->topic);
	return 0;
}

bool topics_is_apart(const struct worker *w, uint32_t subscription)
{
	return w->slot.subscriptions[subscription].place & PLACE_APART;
}

void topics_tell(const struct worker *w, uint32_t topic)
{
	uint32_t n = 0;

	if (atomic_load_explicit(&w->self->state, memory_order_relaxed) != SLOT_LIVE)
		return;		/* what the last worker told is true until all are counted */
	for (const struct local_topic *t = w->topics[topic]; t; t = t->sibling)
		n += t->count;
	atomic_store_explicit(hub_count_of(&w->hub, w->number, topic), n, memory_order_relaxed);
}

/* The subscriber at `from` goes to `to`. Who is not apart has no other subscription. */
static void move(struct worker *w, struct local_topic *t, uint32_t from, uint32_t to)
{
	struct subscription_shm *sub;

	if (from == to)
		return;
	if (t->is_apart) {
		t->apart[to] = t->apart[from];
		w->slot.subscriptions[t->apart[to].subscription].place = to | PLACE_APART;
		return;
	}
	t->subscribers[to] = t->subscribers[from];
	sub = &w->slot.subscriptions[atomic_load_explicit(&session(w, (int)t->subscribers[to])->subscriptions, memory_order_relaxed)];
	assert(sub->topic == t->topic);
	sub->place = to;
}

/* Off the queue before it goes: rare enough for a walk. */
static void unqueue(struct worker *w, struct local_topic *t)
{
	struct local_topic **p = &w->queue;

	if (!t->queued)
		return;
	while (*p != t)
		p = &(*p)->queued_next;
	*p = t->queued_next;
	w->queued--;
	if (w->queue_end == &t->queued_next)
		w->queue_end = p;
}

static void topics_drop(struct worker *w, struct local_topic *t)
{
	struct local_topic **p = &w->topics[t->topic];

	unqueue(w, t);
	while (*p != t)
		p = &(*p)->sibling;
	*p = t->sibling;
	if (!w->topics[t->topic]) {
		lock_acquire(&w->hub.shm->lock, w->number + 1);
		index_leave(&w->hub.index, w->number, t->topic);
		lock_release(&w->hub.shm->lock, w->number + 1);
	}
	if (t->room > 1)
		free(t->subscribers);
	free(t);
}

/*
 * The last one takes the place of the one that goes. In the middle of a pass those before `at` are served and those from `at`
 * are not: a gap among the served is filled with the last served one, and the gap that leaves is filled from the end.
 */
static void remove_at(struct worker *w, struct local_topic *t, uint32_t place)
{
	assert(t && place < t->count);
	if (place < t->at) {
		t->at--;
		move(w, t, t->at, place);
		place = t->at;
	}
	t->count--;
	move(w, t, t->count, place);
	topics_tell(w, t->topic);
	if (t->count == 0)
		topics_drop(w, t);
}

void topics_remove(struct worker *w, uint32_t transport, uint32_t subscription)
{
	const struct subscription_shm *sub = &w->slot.subscriptions[subscription];
	bool apart = topics_is_apart(w, subscription);

	if (apart) {
		w->apart_subscriptions--;
		links_take(w, subscription);
	}
	remove_at(w, find_sibling(w, sub->topic, transport, apart), sub->place & ~PLACE_APART);
}

int topics_move_apart(struct worker *w, uint32_t transport, int fd)
{
	uint32_t subscription = atomic_load_explicit(&session(w, fd)->subscriptions, memory_order_relaxed);
	struct subscription_shm *sub = &w->slot.subscriptions[subscription];
	uint32_t place = sub->place;

	if (topics_is_apart(w, subscription))
		return 0;
	if (topics_add(w, transport, fd, subscription, true) < 0)
		return -1;
	remove_at(w, find_sibling(w, sub->topic, transport, false), place);
	return 0;
}

uint32_t topics_take_subscription(struct worker *w)
{
	if (w->free_count > 0)
		return w->free_subscriptions[--w->free_count];
	if (w->fresh_subscription <= w->slot.shm->subscriptions_max)
		return w->fresh_subscription++;
	return 0;
}

void topics_give_subscription(struct worker *w, uint32_t subscription)
{
	if (w->free_count == w->free_room) {
		uint32_t room = w->free_room ? 2 * w->free_room : 256;
		uint32_t *p = realloc(w->free_subscriptions, room * sizeof(*p));

		if (!p)
			return;		/* lost until the next worker */
		w->free_subscriptions = p;
		w->free_room = room;
	}
	w->free_subscriptions[w->free_count++] = subscription;
}
