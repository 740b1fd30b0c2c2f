/*
 * What a session asks for, whatever the protocol: subscribe and unsubscribe. Publishing is in input.c, as it goes by batches.
 *
 * A crash in between: the topic joined but not subscribed is left again by recover(). A subscription is there from the store that links
 * it; its answer and the input's being taken follow in one commit, and until then the successor handles the same input again
 * and finds it subscribed.
 */
#include "proto/flash.h"
#include "shm/crash.h"
#include "worker/worker.h"

/* The link that holds the topic's subscription, or the last one. */
static _Atomic uint32_t *find_link(struct worker *w, int fd, const char *topic, uint8_t len)
{
	_Atomic uint32_t *link = &session(w, fd)->subscriptions;
	uint64_t hash = index_hash(topic, len);
	uint32_t s, number;

	lock_acquire(&w->hub.shm->lock, w->number + 1);
	number = index_find(&w->hub.index, hash, topic, len);
	lock_release(&w->hub.shm->lock, w->number + 1);
	while ((s = atomic_load_explicit(link, memory_order_relaxed)) != 0 && w->slot.subscriptions[s].topic != number)
		link = &w->slot.subscriptions[s].next;
	return link;
}

/* Joins the topic; *tail is where the ring ends at that moment: every later record is seen. */
static uint32_t join(struct worker *w, const char *topic, uint8_t len, uint64_t *tail)
{
	uint64_t hash = index_hash(topic, len);
	uint32_t t;

	lock_acquire(&w->hub.shm->lock, w->number + 1);
	t = index_join(&w->hub.index, w->number, hash, topic, len);
	*tail = ring_tail(&w->hub.ring);
	lock_release(&w->hub.shm->lock, w->number + 1);
	return t;
}

static const char *subscribe(struct worker *w, int fd, const char *topic, uint8_t len, struct session_state_shm *st)
{
	struct session_shm *s = session(w, fd);
	_Atomic uint32_t *link = find_link(w, fd, topic, len);
	struct subscription_shm *sub;
	uint32_t number, t;
	uint64_t tail;

	if (atomic_load_explicit(link, memory_order_relaxed))
		return NULL;
	if (s->count >= (uint64_t)w->settings->max_subscriptions)
		return "too many subscriptions on one connection (max_subscriptions)";
	number = topics_take_subscription(w);
	if (!number)
		return "too many subscriptions on this server";
	t = join(w, topic, len, &tail);
	if (t == TOPIC_NONE) {
		topics_give_subscription(w, number);
		return "too many topics on this server (max_topics)";
	}
	CRASH_POINT("subscribe-joined");
	sub = &w->slot.subscriptions[number];
	if (!topics_add(w, t, fd, &sub->place)) {
		topics_give_subscription(w, number);
		return "out of memory";
	}
	sub->topic = t;
	sub->from = tail;
	sub->number = (uint32_t)index_topic(&w->hub.index, t)->published + 1;
	sub->next = 0;
	/* With one topic, only pos says what a live session is owed. */
	if (s->count == 0 && !(st->flags & SESSION_BEHIND) && st->pos < tail)
		st->pos = tail;
	/* release: the subscription is whole when it is linked */
	CRASH_POINT("subscribe-filled");
	atomic_store_explicit(link, number, memory_order_release);
	CRASH_POINT("subscribe-linked");
	s->count++;
	worker_count(w, COUNTER_subscribed, 1);
	atomic_fetch_add_explicit(&w->self->subscriptions, 1, memory_order_relaxed);
	return NULL;
}

void action_subscribe(struct worker *w, int fd, uint64_t parsed, const char *topic, uint8_t len)
{
	struct session_state_shm st = session(w, fd)->state;
	const char *error = subscribe(w, fd, topic, len, &st);

	if (error) {
		session_error(w, fd, parsed, error, false);
		return;
	}
	if (session_append(w, fd, &st, FLASH_ACK, sizeof(FLASH_ACK) - 1) < 0) {
		session_abort(w, fd, COUNTER_no_buffer);
		return;
	}
	st.parsed = parsed;
	session_commit(w, fd, &st);
}

void action_unsubscribe(struct worker *w, int fd, uint64_t parsed, const char *topic, uint8_t len)
{
	struct session_shm *s = session(w, fd);
	struct session_state_shm st = s->state;
	_Atomic uint32_t *link = find_link(w, fd, topic, len);
	uint32_t number = atomic_load_explicit(link, memory_order_relaxed);

	if (number) {
		struct subscription_shm *sub = &w->slot.subscriptions[number];

		atomic_store_explicit(link, atomic_load_explicit(&sub->next, memory_order_relaxed), memory_order_release);
		CRASH_POINT("unsubscribe-unlinked");
		s->count--;
		topics_remove(w, sub->topic, sub->place);
		CRASH_POINT("unsubscribe-left");
		topics_give_subscription(w, number);
		worker_count(w, COUNTER_unsubscribed, 1);
		atomic_fetch_sub_explicit(&w->self->subscriptions, 1, memory_order_relaxed);
		if (s->count == 1 && !(st.flags & SESSION_BEHIND)) {
			uint64_t from = w->slot.subscriptions[atomic_load(&s->subscriptions)].from;

			if (st.pos < from)
				st.pos = from;
		}
	}
	st.parsed = parsed;
	session_commit(w, fd, &st);
}
