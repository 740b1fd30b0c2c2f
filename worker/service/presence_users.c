/*
 * Presence: which users this worker's sessions are, on the topics that are watched; and what the hub is told of that. See presence.h.
 */
#include "worker/service/presence_own.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "shm/crash.h"
#include "shm/publish.h"

#define USERS_MAX 256			/* users that one session counts as, of all that it is logged in as */
#define PAIRS_MAX 1024			/* users times topics that one session counts for */
#define TOLD_A_TURN 256			/* changes published in a turn */

/* A user on a topic, here. */
struct user_here {
	uint64_t serial, hash;		/* the topic's, the user's */
	uint32_t cell;			/* the topic's */
	uint32_t sessions;
	bool told;			/* the hub has it */
	bool queued;
	struct user_here *next;		/* in `changed` */
	uint8_t len;
	char name[];
};

struct session_users {
	uint32_t count;
	struct user_here *user[];
};

/* Users, and pairs of sessions and users, that are counted here at most. */
static uint32_t users_most(const struct presence *p)
{
	return p->base->hub.members.shm->cells;
}

/* ---- the tree of users ---- */

static int compare(const void *a, const void *b)
{
	const struct user_here *x = a, *y = b;

	if (x->serial != y->serial)
		return x->serial < y->serial ? -1 : 1;
	if (x->len != y->len)
		return (int)x->len - y->len;
	return memcmp(x->name, y->name, x->len);
}

/* A key to look for, in `room`. */
static struct user_here *key_of(void *room, uint64_t serial, const char *name, size_t len)
{
	struct user_here *key = room;

	*key = (struct user_here){ .serial = serial, .len = (uint8_t)len };
	memcpy(key->name, name, len);
	return key;
}

#define KEY_ROOM (sizeof(struct user_here) + MEMBER_NAME_MAX)

/* NULL: there are as many as may be. */
static struct user_here *find_or_make(struct presence *p, const struct watched_topic *w, const char *name, size_t len)
{
	_Alignas(struct user_here) char room[KEY_ROOM];
	struct user_here *key = key_of(room, w->serial, name, len), *made;
	void *found = tfind(key, &p->users, compare);

	if (found)
		return *(struct user_here **)found;
	if (p->users_count >= users_most(p))
		return NULL;
	p->users_count++;
	made = presence_need(malloc(sizeof(*made) + len));
	memcpy(made, key, sizeof(*made) + len);
	made->cell = w->cell;
	made->hash = index_hash(name, len);
	presence_need(tsearch(made, &p->users, compare));
	return made;
}

static void queue(struct presence *p, struct user_here *u)
{
	if (u->queued)
		return;
	u->queued = true;
	u->next = p->changed;
	p->changed = u;
}

/* ---- sessions ---- */

int presence_by_hash(const void *a, const void *b)
{
	uint64_t x = ((const struct watched_topic *)a)->hash, y = ((const struct watched_topic *)b)->hash;

	return x < y ? -1 : x > y;
}

static const struct watched_topic *watched(const struct presence *p, const struct topic_shm *t)
{
	struct watched_topic key = { .hash = t->hash };
	const struct watched_topic *w = bsearch(&key, p->watched, p->watched_count, sizeof(key), presence_by_hash);
	const struct member_cell_shm *c = w ? members_cell(&p->base->hub.members, w->cell) : NULL;

	/* (If the cell is another topic's by now, there is another version, and all is looked at again.) */
	return w && c->name_len == t->name_len && memcmp(c->name, t->name, t->name_len) == 0 ? w : NULL;
}

static const struct topic_shm *topic_of(const struct presence *p, uint32_t subscription)
{
	return index_topic(&p->base->hub.index, p->base->slot.subscriptions[subscription].topic);
}

static uint32_t next_subscription(const struct presence *p, uint32_t subscription)
{
	return atomic_load_explicit(&p->base->slot.subscriptions[subscription].next, memory_order_relaxed);
}

/* The session's users, as names of the index, and its watched topics. */
struct view {
	const struct topic_shm *user[USERS_MAX];
	const struct watched_topic *topic[PAIRS_MAX];
	uint32_t users, topics;
};

static void look(const struct presence *p, session_id sid, struct view *v)
{
	const struct session_shm *s = session(p->base, sid);
	uint32_t i = s->status == SESSION_OPEN && s->count > 1 ? atomic_load_explicit(&s->subscriptions, memory_order_relaxed) : 0;

	v->users = v->topics = 0;
	for (; i; i = next_subscription(p, i)) {
		const struct topic_shm *t = topic_of(p, i);
		const struct watched_topic *w;

		if (*t->name == NAME_INBOX) {
			if (v->users < USERS_MAX)
				v->user[v->users++] = t;
		} else if (v->topics < PAIRS_MAX && (w = watched(p, t)) != NULL) {
			v->topic[v->topics++] = w;
		}
	}
}

/* Counts the session as these users on these topics, as far as there may be so many. NULL: as nobody. */
static struct session_users *count_pairs(struct presence *p, const struct view *v)
{
	uint64_t pairs = (uint64_t)v->users * v->topics, most = pairs < PAIRS_MAX ? pairs : PAIRS_MAX;
	struct session_users *now;

	if (p->pairs + most > users_most(p))
		most = p->pairs < users_most(p) ? users_most(p) - p->pairs : 0;
	if (pairs == 0)
		return NULL;
	now = presence_need(malloc(sizeof(*now) + most * sizeof(*now->user)));
	now->count = 0;
	for (uint32_t n = 0; n < most; n++) {
		const struct topic_shm *user = v->user[n % v->users];
		struct user_here *u = find_or_make(p, v->topic[n / v->users], user->name + 1, user->name_len - 1u);

		if (!u)
			break;
		now->user[now->count++] = u;
		if (u->sessions++ == 0)
			queue(p, u);
	}
	if (now->count < pairs)
		base_count(p->base, COUNTER_presence_full, pairs - now->count);
	p->uncounted |= now->count < pairs && now->count < PAIRS_MAX;
	p->pairs += now->count;
	return now;
}

/* Counts the session for what its subscriptions say now, and no more for what they said before. */
static void count_session(struct presence *p, session_id sid)
{
	static struct view v;
	struct session_users *was = p->of[sid];

	look(p, sid, &v);
	p->pairs -= was ? was->count : 0;
	p->of[sid] = count_pairs(p, &v);
	for (uint32_t n = 0; was && n < was->count; n++)
		if (--was->user[n]->sessions == 0)
			queue(p, was->user[n]);
	free(was);
}

void presence_count_changed(struct presence *p)
{
	struct base *base = p->base;
	uint32_t end = atomic_load_explicit(&base->slot.shm->fd_end, memory_order_relaxed);

	if (base->changed_lost)
		for (session_id sid = 0; sid < (session_id)end; sid++)
			count_session(p, sid);
	else
		for (uint32_t i = 0; i < base->changed_count; i++)
			count_session(p, base->changed[i]);
	base->changed_lost = false;
	base->changed_count = 0;
}

bool presence_is_here(struct presence *p, uint64_t serial, const struct member_cell_shm *c)
{
	_Alignas(struct user_here) char room[KEY_ROOM];

	return tfind(key_of(room, serial, c->name, c->name_len), &p->users, compare) != NULL;
}

/* ---- what the hub is told ---- */

/* The hub has no room for a user. It is tried again now and then (presence_tick()). */
static void refuse(struct presence *p)
{
	base_count(p->base, COUNTER_presence_full, 1);
	p->refused = true;
}

static struct presence *retrying;	/* (twalk() takes no argument for its function) */

static void try_again(const void *node, VISIT visit, int depth)
{
	struct user_here *u = *(struct user_here *const *)node;

	(void)depth;
	if ((visit == postorder || visit == leaf) && !u->told && u->sessions > 0)
		queue(retrying, u);
}

/* Brings the hub's bits up to date, and frees users who are not here any more. */
void presence_tell_hub(struct presence *p)
{
	struct members *members = &p->base->hub.members;
	struct user_here *stay = NULL;
	unsigned locked = 0;

	while (p->changed) {
		struct user_here *u = p->changed;
		bool here = u->sessions > 0;

		p->changed = u->next;
		if (!here && u->told && p->base->departed) {	/* perhaps on the way to another slot, which is to say first that it is there */
			u->next = stay;
			stay = u;
			continue;
		}
		u->queued = false;
		if (here != u->told) {
			if (locked == 0)
				presence_lock(p);
			if (members_set(members, u->cell, u->serial, u->hash, u->name, u->len, p->base->number, here) == 0)
				u->told = here;
			else
				refuse(p);
			CRASH_POINT("presence-set");
			if (++locked == PRESENCE_LOCKED) {
				presence_unlock(p);
				locked = 0;
			}
		}
		if (!here) {
			tdelete(u, &p->users, compare);
			p->users_count--;
			free(u);
		}
	}
	if (locked > 0)
		presence_unlock(p);
	p->changed = stay;
}

/* Publishes changes that are due, whoever has made them. */
void presence_tell_changes(struct presence *p)
{
	struct member_change change;

	p->telling = false;
	for (unsigned n = 0; members_are_due(&p->base->hub.members); n++) {
		bool some;

		if (n == TOLD_A_TURN) {
			p->telling = true;
			return;
		}
		presence_lock(p);
		some = members_next_change(&p->base->hub.members, &change);
		presence_unlock(p);
		if (!some || publish_change(&p->base->hub, p->base->number, &change) < 0)
			return;
	}
}

/* Users for whom there was no room are tried again. */
void presence_retry(struct presence *p)
{
	if (p->uncounted && p->pairs < users_most(p) && p->users_count < users_most(p)) {
		p->uncounted = false;
		p->base->changed_lost = true;
	}
	if (!p->refused)
		return;
	p->refused = false;
	retrying = p;
	twalk(p->users, try_again);
	presence_tell_hub(p);
	presence_tell_changes(p);
}
