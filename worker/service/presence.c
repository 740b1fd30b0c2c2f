/*
 * Presence. See presence.h.
 */
#include "worker/service/presence.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/presence.h"
#include "proto/transport.h"
#include "proto/web_message.h"
#include "shm/crash.h"
#include "shm/publish.h"
#include "worker/delivery/subscription_list.h"

#define USERS_MAX 256			/* users that one session counts as, of all that it is logged in as */
#define PAIRS_MAX 1024			/* users times topics that one session counts for */
#define LOCKED 64			/* members set, or topics looked at, while the lock is held once */
#define TOLD_A_TURN 256			/* changes published in a turn */
#define LIST_MAX (16 * 1024)		/* bytes of a list in one message */
#define PIECES_A_TURN 32		/* of lists */
#define LOOK_PART 20			/* a look at all topics takes one part of so many of the time */
#define SWEPT_A_TICK 256		/* topics that are asked for whether somebody watches them */
#define KEEP_MS 1000			/* for so long a topic stays watched without anybody */

struct watched_topic {
	uint64_t hash, serial;
	uint32_t cell;			/* in the hub's table */
	bool is_new;			/* its sessions here are not counted yet */
};

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

struct owed_list {
	session_id sid;
	uint32_t topic;			/* the one that was subscribed, T@presence */
	struct member_cursor cursor;
};

/* Without memory for what is counted, the worker's successor counts anew. */
static void *need(void *p)
{
	if (!p)
		_exit(BASE_SHORTAGE);
	return p;
}

static void lock(const struct presence *p)
{
	lock_acquire(&p->base->hub.shm->lock, p->base->number + 1);
}

/* Users, and pairs of sessions and users, that are counted here at most. */
static uint32_t users_most(const struct presence *p)
{
	return p->base->hub.members.shm->cells;
}

static void unlock(const struct presence *p)
{
	lock_release(&p->base->hub.shm->lock, p->base->number + 1);
}

int presence_init(struct presence *p)
{
	size_t sessions = (size_t)p->base->slot.shm->sessions_max + 1;

	p->of = base_reserve(sessions * sizeof(*p->of));
	p->owed_of = base_reserve(sessions * sizeof(*p->owed_of));
	return p->of && p->owed_of ? 0 : -1;
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
	made = need(malloc(sizeof(*made) + len));
	memcpy(made, key, sizeof(*made) + len);
	made->cell = w->cell;
	made->hash = index_hash(name, len);
	need(tsearch(made, &p->users, compare));
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

static int by_hash(const void *a, const void *b)
{
	uint64_t x = ((const struct watched_topic *)a)->hash, y = ((const struct watched_topic *)b)->hash;

	return x < y ? -1 : x > y;
}

static const struct watched_topic *watched(const struct presence *p, const struct topic_shm *t)
{
	struct watched_topic key = { .hash = t->hash };
	const struct watched_topic *w = bsearch(&key, p->watched, p->watched_count, sizeof(key), by_hash);
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
	now = need(malloc(sizeof(*now) + most * sizeof(*now->user)));
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

static void count_changed(struct presence *p)
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
static void tell_hub(struct presence *p)
{
	struct members *members = &p->base->hub.members;
	unsigned locked = 0;

	while (p->changed) {
		struct user_here *u = p->changed;
		bool here = u->sessions > 0;

		p->changed = u->next;
		u->queued = false;
		if (here != u->told) {
			if (locked == 0)
				lock(p);
			if (members_set(members, u->cell, u->serial, u->hash, u->name, u->len, p->base->number, here) == 0)
				u->told = here;
			else
				refuse(p);
			CRASH_POINT("presence-set");
			if (++locked == LOCKED) {
				unlock(p);
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
		unlock(p);
}

/* Publishes changes that are due, whoever has made them. */
static void tell_changes(struct presence *p)
{
	struct member_change change;

	p->telling = false;
	for (unsigned n = 0; members_are_due(&p->base->hub.members); n++) {
		bool some;

		if (n == TOLD_A_TURN) {
			p->telling = true;
			return;
		}

		lock(p);
		some = members_next_change(&p->base->hub.members, &change);
		unlock(p);
		if (!some || publish_change(&p->base->hub, p->base->number, &change) < 0)
			return;
	}
}

/* ---- topics that are watched ---- */

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
	size_t len = c->name_len + PRESENCE_SUFFIX_LEN;
	uint32_t topic;

	memcpy(name, c->name, c->name_len);
	memcpy(name + c->name_len, PRESENCE_SUFFIX, PRESENCE_SUFFIX_LEN);
	topic = index_find(ix, index_hash(name, len), name, len);
	return topic != TOPIC_NONE && atomic_load_explicit(&index_topic(ix, topic)->interest, memory_order_relaxed) != 0;
}

static uint32_t watch(struct base *base, const char *topic, size_t len, bool *made)
{
	uint64_t slots = slots_in_use(base);
	uint32_t cell;

	lock_acquire(&base->hub.shm->lock, base->number + 1);
	cell = members_watch(&base->hub.members, index_hash(topic, len), topic, len, slots, once_now(), made);
	lock_release(&base->hub.shm->lock, base->number + 1);
	return cell;
}

/* Topics that nobody watches any more are watched no longer. From `from` on, so many; with `keep_ms`, those that nobody has watched for so long. */
static void sweep(struct presence *p, uint32_t from, uint32_t count, uint64_t keep_ms)
{
	struct members *members = &p->base->hub.members;
	uint64_t now = once_now();

	for (uint32_t n = 0; n < count && from + n < p->watched_count; n++) {
		const struct watched_topic *w = &p->watched[from + n];
		struct member_cell_shm *c = members_cell(members, w->cell);

		if (n % LOCKED == 0)
			lock(p);
		if (c->serial == w->serial && atomic_load_explicit(&c->kind, memory_order_relaxed) == MEMBERS_TOPIC) {
			if (is_wanted(p, c))
				c->wanted = now;
			else if (now - c->wanted >= keep_ms)
				members_unwatch(members, w->cell);
		}
		if (n % LOCKED == LOCKED - 1 || n + 1 == count || from + n + 1 == p->watched_count)
			unlock(p);
	}
}

const char *presence_watch(struct presence *p, const char *name, size_t len)
{
	size_t topic = presence_topic(name, len);
	bool made;

	if (topic == 0)
		return presence_in(name, len) ? "presence is of one topic, not of a pattern, and of no name with an @" : NULL;
	if (!members_is_on(&p->base->hub.members))
		return "there is no presence on this server (max_presence)";
	if (watch(p->base, name, topic, &made)) {
		if (made)
			hub_wake_all(&p->base->hub);		/* all workers are to count */
		return NULL;
	}
	p->full = true;
	base_count(p->base, COUNTER_presence_full, 1);
	return "too many topics on this server whose members are watched (max_presence)";
}

static void copy_topics(struct presence *p)
{
	struct members *members = &p->base->hub.members;

	lock(p);
	p->version = members_version(members);
	p->watched = need(calloc(members->shm->topics_count + 1, sizeof(*p->watched)));
	p->watched_count = 0;
	for (uint32_t i = members_first(members); i; i = members_cell(members, i)->link)
		p->watched[p->watched_count++] = (struct watched_topic){
			.hash = members_cell(members, i)->hash, .serial = members_cell(members, i)->serial, .cell = i, .is_new = true,
		};
	unlock(p);
}

/* Finds out what is watched now. Topics that were before keep what is known of them. */
static void look_for_topics(struct presence *p)
{
	struct base *base = p->base;
	struct watched_topic *was = p->watched;
	uint32_t was_count = p->watched_count;

	copy_topics(p);
	qsort(p->watched, p->watched_count, sizeof(*p->watched), by_hash);
	base->watched = p->watched_count > 0;
	memset(base->watched_sieve, 0, sizeof(base->watched_sieve));
	for (uint32_t i = 0; i < p->watched_count; i++)
		base->watched_sieve[p->watched[i].hash >> 6 & 63] |= UINT64_C(1) << (p->watched[i].hash & 63);
	for (uint32_t i = 0; i < was_count; i++) {
		struct watched_topic *same = bsearch(&was[i], p->watched, p->watched_count, sizeof(*was), by_hash);

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

	lock(p);
	topic = c->serial == w->serial ? index_find(&p->base->hub.index, w->hash, c->name, c->name_len) : TOPIC_NONE;
	unlock(p);
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
	count_changed(p);
}

static bool is_here(struct presence *p, uint64_t serial, const struct member_cell_shm *c)
{
	_Alignas(struct user_here) char room[KEY_ROOM];

	return tfind(key_of(room, serial, c->name, c->name_len), &p->users, compare) != NULL;
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
		if (atomic_load_explicit(&c->slots, memory_order_relaxed) >> p->base->number & 1 && !is_here(p, w->serial, c))
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
		lock(p);
		whole |= settle_topic(p, &p->watched[i]);
		CRASH_POINT("presence-counted");
		unlock(p);
		p->watched[i].is_new = false;
	}
	if (whole)
		hub_wake_all(&p->base->hub);		/* some have waited for it, to send lists */
}

/* ---- lists ---- */

static bool is_owed_already(const struct presence *p, session_id sid, uint32_t topic)
{
	for (uint32_t i = 0; p->owed_of[sid] > 0 && i < p->owed_count; i++)
		if (p->owed[i].sid == sid && p->owed[i].topic == topic)
			return true;
	return false;
}

static void owe(struct presence *p, session_id sid, uint32_t topic)
{
	if (is_owed_already(p, sid, topic))
		return;
	if (p->owed_count == p->owed_room) {
		p->owed_room = p->owed_room ? 2 * p->owed_room : 64;
		p->owed = need(realloc(p->owed, p->owed_room * sizeof(*p->owed)));
	}
	p->owed[p->owed_count++] = (struct owed_list){ .sid = sid, .topic = topic };
	p->owed_of[sid]++;
}

bool presence_owe(struct presence *p, session_id sid, const char *name, size_t len)
{
	uint32_t topic;

	if (presence_topic(name, len) == 0)
		return false;
	lock(p);
	topic = index_find(&p->base->hub.index, index_hash(name, len), name, len);
	unlock(p);
	owe(p, sid, topic);
	return true;
}

/* What the session is to be sent next of the list. Its length; 0: the list is not whole yet. */
static size_t next_piece(struct presence *p, struct owed_list *o, char text[LIST_MAX], uint32_t *more)
{
	const struct topic_shm *t = index_topic(&p->base->hub.index, o->topic);
	size_t len = 0, topic = presence_topic(t->name, t->name_len);
	uint32_t cell;

	lock(p);
	cell = members_find(&p->base->hub.members, index_hash(t->name, topic), t->name, topic);
	if (cell && members_whole(&p->base->hub.members, cell, once_now()))
		len = members_list(&p->base->hub.members, cell, &o->cursor, text, LIST_MAX, more);
	unlock(p);
	return len;
}

/* Puts the piece into the session's out buffer. False: there is no room. */
static bool put_piece(struct presence *p, session_id sid, const char *text, size_t len, bool last)
{
	struct base *base = p->base;
	struct session_state_shm st = session(base, sid)->state;
	struct web_record rec = { .time = hub_now(), .epoch = &base->epoch, .to = MESSAGE_TO_TOPIC, .text = text, .len = len };
	size_t n = transport_table[st.transport].encoder.encode(&rec, base->scratch, base->scratch_room);

	if (session_append_if_room(base, sid, &st, base->scratch, n) < 0)
		return false;
	if (last)
		st.flags &= ~(uint32_t)SESSION_LISTS;
	session_commit(base, sid, &st);
	CRASH_POINT("presence-listed");
	output_flush(p->output, sid);
	return true;
}

/*
 * Whether the session can be sent lists. If it is behind they wait, until all that was told before has been sent.
 */
static bool takes_lists(const struct presence *p, session_id sid)
{
	const struct session_state_shm *st = &session(p->base, sid)->state;

	return !(st->flags & SESSION_BEHIND) && st->out_end - st->out_start <= SESSION_OUT_MAX;
}

/* Sends up to *pieces of the list. True: that was all of it. */
static bool send_list(struct presence *p, struct owed_list *o, unsigned *pieces)
{
	static char text[LIST_MAX];
	uint32_t more = 1;

	for (; more > 0 && *pieces > 0 && takes_lists(p, o->sid); --*pieces) {
		struct owed_list next = *o;
		size_t len = next_piece(p, &next, text, &more);

		if (!len || !put_piece(p, o->sid, text, len, more == 0 && p->owed_of[o->sid] == 1))
			return false;
		*o = next;
	}
	return more == 0;
}

/* Whether the session is still owed lists; else nobody is. */
static bool is_owed_lists(const struct presence *p, session_id sid)
{
	const struct session_shm *s = session(p->base, sid);

	return s->status == SESSION_OPEN && s->state.flags & SESSION_LISTS && !(s->state.flags & (SESSION_CLOSE | SESSION_LINGER | SESSION_PARKED)) &&
	       !session_has(p->base, sid, MARK_OVER);
}

static void owe_no_more(struct presence *p, session_id sid)
{
	struct session_state_shm st = session(p->base, sid)->state;

	st.flags &= ~(uint32_t)SESSION_LISTS;
	session_commit(p->base, sid, &st);
}

/* True: it is done with. */
static bool deal_with(struct presence *p, struct owed_list *o, unsigned *pieces)
{
	if (!is_owed_lists(p, o->sid))
		return true;
	if (!subscription_list_find(p->topics, o->sid, o->topic)) {
		if (p->owed_of[o->sid] == 1)
			owe_no_more(p, o->sid);
		return true;
	}
	return *pieces > 0 && takes_lists(p, o->sid) && send_list(p, o, pieces);
}

/* Those that have waited longest come first. */
static void send_lists(struct presence *p)
{
	unsigned pieces = PIECES_A_TURN;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < p->owed_count; i++) {
		session_id sid = p->owed[i].sid;
		bool done;

		base_on(p->base, sid);
		done = deal_with(p, &p->owed[i], &pieces);
		base_on(p->base, -1);
		p->owed_of[sid] -= done;
		if (!done)
			p->owed[kept++] = p->owed[i];
	}
	p->owed_count = kept;
	p->listing = pieces == 0;
}

/* ---- a worker's start ---- */

/* The session is owed the list of what this topic tells of. */
static void owe_again(struct presence *p, session_id sid, uint32_t topic)
{
	struct session_state_shm st = session(p->base, sid)->state;

	owe(p, sid, topic);
	if (st.flags & SESSION_LISTS)
		return;
	st.flags |= SESSION_LISTS;
	session_commit(p->base, sid, &st);
}

/*
 * Has watched what this worker's sessions want to be told of. If the hub is another one (another program's), what has changed meanwhile was not
 * noted: who watches gets a list. Who was owed one still is. (Sessions are counted in the first turn: all topics are new then.)
 */
void presence_recover(struct presence *p)
{
	const struct index *ix = &p->base->hub.index;
	bool fresh = !atomic_load_explicit(&p->base->self->watched, memory_order_relaxed);

	for (uint32_t i = 1; i <= ix->shm->topics_max && index_topic(ix, i)->generation; i++) {
		const struct topic_shm *t = index_topic(ix, i);
		const struct local_topic *l = topics_find(p->topics, i);
		bool made;

		if (!l || presence_topic(t->name, t->name_len) == 0)
			continue;
		if (!watch(p->base, t->name, presence_topic(t->name, t->name_len), &made))
			base_count(p->base, COUNTER_presence_full, 1);
		for (; l; l = l->sibling)
			for (uint32_t n = 0; n < l->count; n++) {
				session_id sid = l->is_apart ? l->apart[n].sid : l->subscribers[n];

				if (fresh || session(p->base, sid)->state.flags & SESSION_LISTS)
					owe_again(p, sid, i);
			}
	}
	/* release: behind what was noted in the sessions */
	atomic_store_explicit(&p->base->self->watched, 1, memory_order_release);
}

static void look_again(struct presence *p)
{
	uint64_t began = base_clock();

	look_for_topics(p);
	count_new(p);
	tell_hub(p);
	settle_new(p);
	tell_changes(p);
	p->look_at = base_clock() + LOOK_PART * (base_clock() - began);
}

/* Users for whom there was no room are tried again. */
static void retry(struct presence *p)
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
	tell_hub(p);
	tell_changes(p);
}

bool presence_run(struct presence *p)
{
	if (members_version(&p->base->hub.members) != p->version && base_clock() >= p->look_at)
		look_again(p);
	if (p->base->changed_count > 0 || p->base->changed_lost) {
		count_changed(p);
		tell_hub(p);
		tell_changes(p);
	}
	if (p->telling)
		tell_changes(p);
	if (p->owed_count > 0)
		send_lists(p);
	return p->telling || (p->listing && p->owed_count > 0);
}

void presence_tick(struct presence *p)
{
	tell_changes(p);
	if (p->full) {
		sweep(p, 0, p->watched_count, 0);	/* somebody wants a place: those that nobody holds are free */
		p->full = false;
	}
	if (p->swept >= p->watched_count)
		p->swept = 0;
	sweep(p, p->swept, SWEPT_A_TICK, KEEP_MS);
	p->swept += SWEPT_A_TICK;
	if (p->swept >= p->watched_count)
		retry(p);
}
