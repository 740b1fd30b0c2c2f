/*
 * Presence: which topics are watched, and whose sessions are to be counted for that. See presence.h.
 */
#include "worker/service/presence_own.h"

#include <stdlib.h>
#include <string.h>

#include "proto/presence.h"
#include "shm/crash.h"

#define LOOK_PART 20			/* a look at all topics takes one part of so many of the time */

/* Slots that have a worker, or will have one. */
static uint64_t slots_in_use(const struct base *base)
{
	uint64_t slots = 0;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (atomic_load_explicit(&base->hub.shm->slot[i].state, memory_order_relaxed) != SLOT_UNUSED)
			slots |= UINT64_C(1) << i;
	return slots;
}

/* Whether somebody subscribes what tells of the topic. Lock held. */
static bool is_wanted(const struct presence *p, const struct member_cell_shm *c)
{
	const struct index *ix = &p->base->hub.index;
	char name[MEMBER_NAME_MAX + PRESENCE_SUFFIX_LEN];
	size_t len = presence_name(name, c->name, c->name_len);
	uint32_t topic = index_find(ix, index_hash(name, len), name, len);

	return topic != TOPIC_NONE && atomic_load_explicit(&index_topic(ix, topic)->interest, memory_order_relaxed) != 0;
}

uint32_t presence_watch_topic(struct presence *p, const char *topic, size_t len)
{
	uint64_t slots = slots_in_use(p->base);
	uint32_t cell;
	bool made;

	presence_lock(p);
	cell = members_watch(&p->base->hub.members, index_hash(topic, len), topic, len, slots, once_now(), &made);
	presence_unlock(p);
	if (made)
		hub_wake_all(&p->base->hub);		/* all workers are to count */
	p->full |= !cell;
	return cell;
}

/* Topics that nobody watches any more are watched no longer. From `from` on, so many; with `keep_ms`, those that nobody has watched for so long. */
void presence_sweep(struct presence *p, uint32_t from, uint32_t count, uint64_t keep_ms)
{
	struct members *members = &p->base->hub.members;
	uint64_t now = once_now();

	for (uint32_t n = 0; n < count && from + n < p->watched_count; n++) {
		const struct watched_topic *w = &p->watched[from + n];
		struct member_cell_shm *c = members_cell(members, w->cell);

		if (n % PRESENCE_LOCKED == 0)
			presence_lock(p);
		if (c->serial == w->serial && atomic_load_explicit(&c->kind, memory_order_relaxed) == MEMBERS_TOPIC) {
			if (is_wanted(p, c))
				c->wanted = now;
			else if (now >= c->wanted + keep_ms)
				members_unwatch(members, w->cell);
		}
		if (n % PRESENCE_LOCKED == PRESENCE_LOCKED - 1 || n + 1 == count || from + n + 1 == p->watched_count)
			presence_unlock(p);
	}
}

const char *presence_watch(struct presence *p, const char *name, size_t len)
{
	size_t topic = presence_topic(name, len);

	if (topic == 0)
		return presence_in(name, len) ? "presence is of one topic, not of a pattern, and of no name with an @" : NULL;
	if (!members_is_on(&p->base->hub.members))
		return "there is no presence on this server (max_presence)";
	if (presence_watch_topic(p, name, topic))
		return NULL;
	base_count(p->base, COUNTER_presence_full, 1);
	return "too many topics on this server whose members are watched (max_presence)";
}

static void copy_topics(struct presence *p)
{
	struct members *members = &p->base->hub.members;

	presence_lock(p);
	p->version = members_version(members);
	p->watched = presence_need(calloc(members->shm->topics_count + 1, sizeof(*p->watched)));
	p->watched_count = 0;
	for (uint32_t i = members_first(members); i; i = members_cell(members, i)->link)
		p->watched[p->watched_count++] = (struct watched_topic){
			.hash = members_cell(members, i)->hash, .serial = members_cell(members, i)->serial, .cell = i, .is_new = true,
		};
	presence_unlock(p);
}

/* Finds out what is watched now. Topics that were before keep what is known of them. */
static void look_for_topics(struct presence *p)
{
	struct base *base = p->base;
	struct watched_topic *was = p->watched;
	uint32_t was_count = p->watched_count;

	copy_topics(p);
	qsort(p->watched, p->watched_count, sizeof(*p->watched), presence_by_hash);
	base->watched = p->watched_count > 0;
	memset(base->watched_sieve, 0, sizeof(base->watched_sieve));
	for (uint32_t i = 0; i < p->watched_count; i++)
		base->watched_sieve[p->watched[i].hash >> 6 & 63] |= UINT64_C(1) << (p->watched[i].hash & 63);
	for (uint32_t i = 0; i < was_count; i++) {
		struct watched_topic *same = bsearch(&was[i], p->watched, p->watched_count, sizeof(*was), presence_by_hash);

		if (same && same->serial == was[i].serial)
			same->is_new = was[i].is_new;
		else
			base->changed_lost = true;	/* it is gone: whoever counted for it does not any more */
	}
	free(was);
}

/* The topic's number in the index; TOPIC_NONE: nobody subscribes it. */
static uint32_t number_of(struct presence *p, const struct watched_topic *w)
{
	const struct member_cell_shm *c = members_cell(&p->base->hub.members, w->cell);
	uint32_t topic;

	presence_lock(p);
	topic = c->serial == w->serial ? index_find(&p->base->hub.index, w->hash, c->name, c->name_len) : TOPIC_NONE;
	presence_unlock(p);
	return topic;
}

/* The sessions that subscribe the new topics are counted. */
static void count_new(struct presence *p)
{
	for (uint32_t i = 0; i < p->watched_count; i++) {
		uint32_t topic = p->watched[i].is_new ? number_of(p, &p->watched[i]) : TOPIC_NONE;
		const struct local_topic *t = topic != TOPIC_NONE ? topics_find(p->topics, topic) : NULL;

		for (; t; t = t->sibling)
			for (uint32_t n = 0; n < t->count; n++)
				base_changed(p->base, t->is_apart ? t->apart[n].sid : t->subscribers[n], index_topic(&p->base->hub.index, topic));
	}
	presence_count_changed(p);
}

/* The hub has those of this slot who are here, and now loses those whom only a predecessor knew. True: that topic's list has become whole. */
static bool settle_topic(struct presence *p, const struct watched_topic *w)
{
	struct members *members = &p->base->hub.members;
	const struct member_cell_shm *t = members_cell(members, w->cell);

	if (t->serial != w->serial || atomic_load_explicit(&t->kind, memory_order_relaxed) != MEMBERS_TOPIC)
		return false;
	for (uint32_t i = t->after, after; i != w->cell; i = after) {
		const struct member_cell_shm *c = members_cell(members, i);

		after = c->after;
		if (atomic_load_explicit(&c->slots, memory_order_relaxed) >> p->base->number & 1 && !presence_is_here(p, w->serial, c))
			members_set(members, w->cell, w->serial, index_hash(c->name, c->name_len), c->name, c->name_len, p->base->number, false);
	}
	members_counted(members, w->cell, p->base->number);
	return atomic_load_explicit(&t->slots, memory_order_relaxed) == 0;
}

static void settle_new(struct presence *p)
{
	bool whole = false;

	for (uint32_t i = 0; i < p->watched_count; i++) {
		if (!p->watched[i].is_new)
			continue;
		presence_lock(p);
		whole |= settle_topic(p, &p->watched[i]);
		CRASH_POINT("presence-counted");
		presence_unlock(p);
		p->watched[i].is_new = false;
	}
	if (whole)
		hub_wake_all(&p->base->hub);		/* some have waited for it, to send lists */
}

void presence_look(struct presence *p)
{
	uint64_t began = base_clock();

	look_for_topics(p);
	count_new(p);
	presence_tell_hub(p);
	if (p->base->departed)
		p->unsettled = true;	/* (the hub has users of this slot who are on their way to another) */
	else
		settle_new(p);
	presence_tell_changes(p);
	p->look_at = base_clock() + LOOK_PART * (base_clock() - began);
}
