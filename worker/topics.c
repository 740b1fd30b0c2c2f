/*
 * Which of this worker's sessions subscribe which topic, and which subscription entries are free. Private, made anew by recover().
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "worker/worker.h"

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

static struct local_topic *topics_make(struct worker *w, uint32_t topic, uint32_t transport)
{
	struct local_topic *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->topic = topic;
	t->generation = index_topic(&w->hub.index, topic)->generation;
	t->transport = transport;
	t->sibling = w->topics[topic];
	w->topics[topic] = t;
	return t;
}

static struct local_topic *find_sibling(const struct worker *w, uint32_t topic, uint32_t transport)
{
	struct local_topic *t = w->topics[topic];

	while (t && t->transport != transport)
		t = t->sibling;
	return t;
}

int topics_add(struct worker *w, uint32_t topic, uint32_t transport, int fd, uint32_t *place)
{
	struct local_topic *t = find_sibling(w, topic, transport);

	if (!t && !(t = topics_make(w, topic, transport)))
		return -1;
	if (t->count == t->room) {
		uint32_t room = t->room ? t->room + (t->room + 1) / 2 : 1;
		uint32_t *p = realloc(t->subscribers, room * sizeof(*p));

		if (!p)
			return -1;
		t->subscribers = p;
		t->room = room;
	}
	*place = t->count;
	t->subscribers[t->count++] = (uint32_t)fd;
	topics_tell(w, topic);
	return 0;
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

static void set_place(struct worker *w, struct local_topic *t, uint32_t place)
{
	uint32_t s = atomic_load_explicit(&session(w, (int)t->subscribers[place])->subscriptions, memory_order_relaxed);

	while (s && w->slot.subscriptions[s].topic != t->topic)
		s = atomic_load_explicit(&w->slot.subscriptions[s].next, memory_order_relaxed);
	assert(s);
	w->slot.subscriptions[s].place = place;
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
	free(t->subscribers);
	free(t);
}

/*
 * The last one takes the place of the one that goes. In the middle of a pass those before `at` are served and those from `at`
 * are not: a gap among the served is filled with the last served one, and the gap that leaves is filled from the end.
 */
void topics_remove(struct worker *w, uint32_t topic, uint32_t transport, uint32_t place)
{
	struct local_topic *t = find_sibling(w, topic, transport);

	assert(t && place < t->count);
	if (place < t->at) {
		t->at--;
		if (place != t->at) {
			t->subscribers[place] = t->subscribers[t->at];
			set_place(w, t, place);
		}
		place = t->at;
	}
	t->count--;
	if (place != t->count) {
		t->subscribers[place] = t->subscribers[t->count];
		set_place(w, t, place);
	}
	topics_tell(w, topic);
	if (t->count == 0)
		topics_drop(w, t);
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
