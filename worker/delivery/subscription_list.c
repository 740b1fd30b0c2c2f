/*
 * A session's subscriptions: the list in shared memory, and how one of them is found in it.
 *
 * The list is singly linked, and one store links or unlinks a subscription (session_shm.h). A session with several topics is apart (multi_topic.h),
 * and may have a hundred thousand subscriptions. So for each subscription apart the worker notes its predecessor in the list, and has a hash table,
 * by session and topic. A session that is not apart has one subscription, the head of its list, and needs neither.
 *
 * The table grows by one bucket at a time (linear hashing): a new bucket takes over its part of the bucket that it is split from. So no single
 * subscribe pays for moving all the others.
 */
#include "worker/delivery/subscription_list.h"

#include <stdlib.h>

#include "worker/delivery/local_topics.h"

struct link {
	session_id sid;
	uint32_t before;		/* the subscription ahead of it in the session's list, 0 none */
	uint32_t next;			/* the next one in its bucket, 0 none */
	uint32_t hash;			/* hash_of() its session and topic */
};

struct links {
	uint32_t count, buckets, mask;	/* mask + 1 is a power of two; (mask + 1) / 2 < buckets <= mask + 1 */
	uint64_t seed;
	struct link *of;		/* by subscription */
	uint32_t *bucket;
};

#define BUCKETS_LEAST 16u

int subscription_list_init(struct topics *topics)
{
	size_t most = topics->base->slot.shm->subscriptions_max + 1ull;
	struct links *l = calloc(1, sizeof(*l));

	/* Only what is used of these takes memory. */
	if (!l || !(l->of = base_reserve(most * sizeof(*l->of))) || !(l->bucket = base_reserve((most + BUCKETS_LEAST) * sizeof(*l->bucket))))
		return -1;
	l->buckets = BUCKETS_LEAST;
	l->mask = l->buckets - 1;
	l->seed = topics->base->hub.index.shm->seed;
	topics->links = l;
	return 0;
}

static uint32_t hash_of(const struct links *l, session_id sid, uint32_t topic)
{
	return (uint32_t)((((uint64_t)sid << 32 | topic) ^ l->seed) * 0x9e3779b97f4a7c15u >> 32);
}

static uint32_t *bucket_of(const struct links *l, uint32_t hash)
{
	uint32_t i = hash & l->mask;

	return &l->bucket[i < l->buckets ? i : i & l->mask >> 1];
}

static void put(struct links *l, uint32_t subscription)
{
	uint32_t *bucket = bucket_of(l, l->of[subscription].hash);

	l->of[subscription].next = *bucket;
	*bucket = subscription;
}

/* Adds a bucket, which takes over its part of the bucket that stood for both. */
static void split(struct links *l)
{
	uint32_t *bucket, s, next;

	if (l->buckets > l->mask)
		l->mask = 2 * l->mask + 1;
	bucket = &l->bucket[l->buckets++ & l->mask >> 1];
	s = *bucket;
	*bucket = 0;
	for (; s; s = next) {
		next = l->of[s].next;
		put(l, s);
	}
}

void subscription_list_put(struct topics *topics, session_id sid, uint32_t subscription)
{
	struct links *l = topics->links;

	if (++l->count > l->buckets && l->buckets <= topics->base->slot.shm->subscriptions_max)
		split(l);
	l->of[subscription].sid = sid;
	/* The head of its list, unless subscription_list_follow() says otherwise. The entry may still have the predecessor of its last use. */
	l->of[subscription].before = 0;
	l->of[subscription].hash = hash_of(l, sid, topics->base->slot.subscriptions[subscription].topic);
	put(l, subscription);
}

void subscription_list_take(struct topics *topics, uint32_t subscription)
{
	struct links *l = topics->links;
	uint32_t *at = bucket_of(l, l->of[subscription].hash);

	while (*at != subscription)
		at = &l->of[*at].next;
	*at = l->of[subscription].next;
	l->count--;
}

uint32_t subscription_list_find(const struct topics *topics, session_id sid, uint32_t topic)
{
	const struct links *l = topics->links;
	uint32_t s = atomic_load_explicit(&session(topics->base, sid)->subscriptions, memory_order_relaxed), hash;

	if (!s || !topics_is_apart(topics, s))
		return s && topics->base->slot.subscriptions[s].topic == topic ? s : 0;
	hash = hash_of(l, sid, topic);
	s = *bucket_of(l, hash);
	while (s && (l->of[s].hash != hash || l->of[s].sid != sid || topics->base->slot.subscriptions[s].topic != topic))
		s = l->of[s].next;
	return s;
}

void subscription_list_follow(struct topics *topics, uint32_t before, uint32_t subscription)
{
	topics->links->of[subscription].before = before;
}

void subscription_list_add(struct topics *topics, session_id sid, uint32_t subscription)
{
	_Atomic uint32_t *first = &session(topics->base, sid)->subscriptions;
	uint32_t next = atomic_load_explicit(first, memory_order_relaxed);

	atomic_store_explicit(&topics->base->slot.subscriptions[subscription].next, next, memory_order_relaxed);
	/* release: the subscription is whole when it is linked */
	atomic_store_explicit(first, subscription, memory_order_release);
	if (!topics_is_apart(topics, subscription))
		return;
	subscription_list_follow(topics, 0, subscription);
	if (next)
		subscription_list_follow(topics, subscription, next);
}

void subscription_list_remove(struct topics *topics, session_id sid, uint32_t subscription)
{
	uint32_t next = atomic_load_explicit(&topics->base->slot.subscriptions[subscription].next, memory_order_relaxed);
	uint32_t before = topics_is_apart(topics, subscription) ? topics->links->of[subscription].before : 0;
	_Atomic uint32_t *link = before ? &topics->base->slot.subscriptions[before].next : &session(topics->base, sid)->subscriptions;

	atomic_store_explicit(link, next, memory_order_release);
	if (next)
		subscription_list_follow(topics, before, next);
}
