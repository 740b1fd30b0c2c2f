/*
 * Publishing. Order is everything here: lock, records, a key's entry, intent, the key staged, tail, history, the key linked, unlock, session, intent
 * cleared. hub_repair() says what a death between any two of them means, and once.h of keys.
 */
#include "shm/publish.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/presence.h"
#include "shm/crash.h"
#include "shm/nodes.h"

/* How far the slowest worker may be behind, in parts of 1024 of the ring: */
#define LAG_MAX 512	/* further, and publishing is put off */
#define LAG_HEAVY 256	/* the same for messages that take more than one part each: who fills the ring leaves room for others */
#define LAG_NUDGE 256	/* further, and it is woken if it sleeps (nothing was for it): then it says that it has seen all of that */

/*
 * The flags of a record whose publisher is told what became of it: which item of its request it is, and how many subscribers the topic had. A
 * successor finds them in the record, whatever has become of the topic since.
 */
#define ITEM_BITS 9
#define SUBSCRIBERS_MOST (RING_FLAGS >> ITEM_BITS)	/* after a death, a number above this is told as this one */
_Static_assert(PUBLISH_BATCH_MAX <= 1u << ITEM_BITS, "an item's number has room");
_Static_assert(PUBLISH_BATCH_MAX <= ONCE_MESSAGES_MAX, "each has a key");

static uint32_t answer_flags(unsigned item, uint64_t subscribers)
{
	return item | (uint32_t)(subscribers < SUBSCRIBERS_MOST ? subscribers : SUBSCRIBERS_MOST) << ITEM_BITS;
}

/*
 * Those whom an item is for, entries of the index: its topic, if somebody subscribes it or history keeps it, comes first; then the patterns that fit it. If there is none of them, but
 * other nodes are to have it, TOPIC_NONE. Of what is for the stream they are counted, and nobody gets it: it comes to them from there. The last one looked up is remembered, as a burst mostly has one topic.
 */
struct found {
	const struct publish_item *item;
	bool abroad;			/* items are for other nodes, too */
	bool to_stream;			/* it is for the stream: one record of TOPIC_NONE */
	unsigned count;			/* 0: nobody */
	unsigned patterns;		/* among them */
	uint32_t entry[1 + INDEX_SHAPES_MAX];
};
_Static_assert(INDEX_SHAPES_MAX <= RING_ECHOES_MAX, "a message has an echo for each");

/* TOPIC_NONE: nobody subscribes it, and history does not keep it (or has no place for one topic more). */
static uint32_t find_topic(struct hub *hub, const struct publish_item *item, uint64_t next)
{
	uint32_t topic = index_find(&hub->index, item->hash, item->topic, item->topic_len);

	if (topic == TOPIC_NONE && history_rules_find(hub->history.rules, item->topic, item->topic_len)) {
		topic = index_keep(&hub->index, item->hash, item->topic, item->topic_len, hub_counted_since(hub, item->topic, item->topic_len));
		if (topic == TOPIC_NONE) {
			index_forget(&hub->index, next + 1);	/* it should have been kept, and nobody knows of it */
			hub->history.counts.missed++;
		}
	}
	return topic;
}

static void find(struct hub *hub, const struct publish_item *item, uint64_t next, struct found *found)
{
	const struct publish_item *l = found->item;
	uint32_t topic;

	if (l && l->hash == item->hash && l->topic_len == item->topic_len && memcmp(l->topic, item->topic, l->topic_len) == 0)
		return;
	found->item = item;
	found->to_stream = found->abroad && nodes_is_stream(hub, item->topic, item->topic_len);
	topic = found->to_stream ? index_find(&hub->index, item->hash, item->topic, item->topic_len) : find_topic(hub, item, next);
	found->entry[0] = topic;
	found->count = topic != TOPIC_NONE;
	found->patterns = 0;
	if (index_has_patterns(&hub->index) && !presence_in(item->topic, item->topic_len))
		found->patterns = index_match(&hub->index, item->topic, item->topic_len, found->entry + found->count);
	found->count += found->patterns;
	if (found->abroad && found->count == 0)
		found->count = 1;		/* (entry[0] is TOPIC_NONE) */
}

/* Whether somebody here may have it, or will be able to: it has an id. */
static bool is_for_here(const struct found *found)
{
	return found->count > 0 && (found->to_stream || found->entry[0] != TOPIC_NONE);
}

static uint64_t interest_of(const struct hub *hub, const struct found *found)
{
	uint64_t interest = 0;

	for (unsigned i = 0; i < found->count; i++)
		interest |= atomic_load_explicit(&index_topic(&hub->index, found->entry[i])->interest, memory_order_relaxed);
	return interest;
}

/* Subscriptions: a session that has several of them counts for each. */
static uint64_t subscribers_of(const struct hub *hub, const struct found *found)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < found->count; i++)
		n += hub_subscribers(hub, found->entry[i]);
	return n;
}

/* Whether the batch has room for the message's records. Those of one message always have. */
static bool has_room(const struct hub *hub, const struct ring_batch *batch, const struct found *found)
{
	uint64_t records = batch->next - batch->first;

	return found->count <= 1 || records == 0 || records + found->count <= hub->ring.shm->descs / 4;
}

/* For the stream: the record, behind the key if there is one. False: the ring takes no more. */
static bool write_to_stream(struct hub *hub, struct ring_batch *batch, const struct publish_item *item, uint32_t flags, uint64_t now)
{
	char number[8] = "";
	size_t digits = item->key_len && item->key_number ? (size_t)snprintf(number, sizeof(number), "#%u", item->key_number) : 0;
	size_t len = item->key_len + digits, ahead = len ? 2 + len : 0;
	char *dst = ring_add(&hub->ring, batch, TOPIC_NONE, (uint32_t)(ahead + item->len), flags | RING_TO_STREAM, now);

	if (!dst)
		return false;
	if (len) {
		dst[0] = NODES_TO_STREAM;
		dst[1] = (char)(uint8_t)len;
		memcpy(dst + 2, item->key, item->key_len);
		memcpy(dst + 2 + item->key_len, number, digits);
	}
	memcpy(dst + ahead, item->message, item->len);
	return true;
}

/* The message's records: its own, and an echo for each further one whom it is for. False: the ring takes no more. */
static bool write_message(struct hub *hub, struct ring_batch *batch, const struct publish_item *item, const struct found *found, uint32_t flags, uint64_t now)
{
	void *dst;

	if (found->to_stream)
		return write_to_stream(hub, batch, item, flags, now);
	if (!has_room(hub, batch, found))
		return false;
	dst = ring_add(&hub->ring, batch, found->entry[0], item->len, flags | (found->count > 1 ? RING_ECHOED : 0), now);
	if (!dst)
		return false;
	memcpy(dst, item->message, item->len);
	for (unsigned i = 1; i < found->count; i++) {
		CRASH_POINT("publish-echoing");
		ring_echo(&hub->ring, batch, found->entry[i]);
	}
	return true;
}

/* What write_records() has found out of the items that it dealt with. */
struct written {
	uint64_t interested;		/* the slots whose sessions subscribe what was written */
	unsigned unheard;		/* items that nobody subscribes */
	unsigned matched;		/* items that a pattern fits */
};

/* Writes records until the ring takes no more. Returns the items dealt with. `answers`: the items again, or NULL. `origin`: 0, or RING_FOREIGN. */
static unsigned write_records(struct hub *hub, struct ring_batch *batch, const struct publish_item *items, unsigned count,
			      struct publish_item *answers, uint32_t origin, struct written *written)
{
	uint64_t now = hub_now();
	struct found found = { .abroad = origin == 0 && nodes_state(hub) != NODES_OFF };
	unsigned n;

	*written = (struct written){ 0 };
	for (n = 0; n < count; n++) {
		uint64_t interest, subscribers = 0, seq = batch->next;
		uint32_t flags = origin;

		find(hub, &items[n], seq, &found);
		if (answers) {
			subscribers = subscribers_of(hub, &found);
			flags |= answer_flags(n, subscribers);
		}
		if (found.abroad && *items[n].topic == NAME_INBOX)
			flags |= RING_TO_USER;
		interest = interest_of(hub, &found);
		if (found.count > 0 && !write_message(hub, batch, &items[n], &found, flags, now))
			break;
		if (found.count == 0)
			hub->index.shm->unheard = seq;
		if (answers) {
			answers[n].seq = is_for_here(&found) ? seq : 0;
			answers[n].subscribers = subscribers;
			answers[n].to_stream = found.to_stream;
		}
		written->interested |= found.to_stream ? 0 : interest;
		written->unheard += interest == 0;
		written->matched += found.patterns > 0;
	}
	if (found.abroad && n > 0)
		written->interested |= 1ull << SLOT_BRIDGE;
	return n;
}

/*
 * Takes over the wake-ups that sleeping slots need; returns those slots. Runs after the tail was stored: a worker says that it
 * sleeps and then looks at the tail, so either it sees the records or we see it sleep.
 */
static uint64_t claim_wakeups(struct hub *hub, uint64_t slots)
{
	uint64_t claimed = 0;

	atomic_thread_fence(memory_order_seq_cst);
	while (slots) {
		unsigned i = (unsigned)__builtin_ctzll(slots);
		struct hub_slot_shm *s = &hub->shm->slot[i];

		slots &= slots - 1;
		if (atomic_load(&s->sleeping) && atomic_exchange(&s->sleeping, 0))
			claimed |= 1ull << i;
	}
	return claimed;
}

static void wake_up(struct hub *hub, unsigned slot, uint64_t wake)
{
	hub_count(hub, slot, COUNTER_wakeups, (uint64_t)__builtin_popcountll(wake));
	while (wake) {
		hub_wake(hub, (unsigned)__builtin_ctzll(wake));
		wake &= wake - 1;
	}
}

bool publish_ready(const struct hub *hub, bool heavy)
{
	uint64_t asleep;

	return hub_lag(hub, LAG_NUDGE, &asleep) <= (heavy ? LAG_HEAVY : LAG_MAX);
}

/* How many of the items, from the first on, may be published while a worker is `lag` behind. If none: EAGAIN, or EBUSY because they are large. */
static unsigned allowed(const struct hub *hub, unsigned lag, const struct publish_item *items, unsigned count)
{
	uint64_t bytes = 0;
	unsigned n = 0;

	errno = lag > LAG_MAX ? EAGAIN : EBUSY;
	if (lag > LAG_MAX)
		return 0;
	if (lag <= LAG_HEAVY || hub->patient)
		return count;
	while (n < count && (bytes += items[n].len) <= hub->ring.shm->bytes / 1024)
		n++;
	return n;
}

/* ---- keys: see once.h for the order ---- */

/* Whether the key was used. 1: with these messages, and the items have their answer; -1: with others; 0: it was not. */
static int find_once(const struct hub *hub, const struct once_id *once, uint64_t now, struct publish_item *items, unsigned count)
{
	uint64_t number = once_find(&hub->once, once, now);

	if (!number)
		return 0;
	if (!once_is_same(&hub->once, number, once) || once_count(&hub->once, number) != count)
		return -1;
	for (unsigned i = 0; i < count; i++)
		once_answer(&hub->once, number, i, &items[i].seq, &items[i].subscribers);
	return 1;
}

/* Writes the key's entry behind the others. Its number. */
static uint64_t write_once(struct hub *hub, unsigned slot, const struct once_id *once, uint64_t now, uint64_t first,
			   const struct publish_item *items, unsigned count)
{
	unsigned evicted;
	uint64_t number = once_write(&hub->once, once, now, first, count, &evicted);

	for (unsigned i = 0; i < count; i++)
		once_put_answer(&hub->once, number, i, items[i].seq, items[i].subscribers);
	if (evicted)
		hub_count(hub, slot, COUNTER_once_evicted, evicted);
	return number;
}

/* ---- the steps of a publish: all with the hub lock held ---- */

/*
 * What is committed together with the messages: a key, and when it is used; or a change of who is on a topic, of which they tell. NULL: there
 * is none.
 */
struct keyed {
	const struct once_id *id;
	uint64_t now;
	const struct member_change *change;
};

/* Lets the lock go with nothing published. */
static unsigned give_up(struct hub *hub, unsigned slot, uint64_t asleep, int why)
{
	uint64_t wake = claim_wakeups(hub, asleep);

	lock_release(&hub->shm->lock, hub_owner(hub, slot));
	wake_up(hub, slot, wake);
	errno = why;
	return 0;
}

/* Has the intent say what is about to be published, and the key's entry what it is answered. Returns the entry's number, 0: there is none. */
static uint64_t intend(struct hub *hub, unsigned slot, int fd, const struct ring_batch *batch, const struct publish_item *items, unsigned count,
		       const struct publish_item *answers, const struct keyed *keyed)
{
	struct intent_shm *intent = &hub->shm->slot[slot].intent;
	uint64_t number = keyed->id ? write_once(hub, slot, keyed->id, keyed->now, batch->first, answers, count) : 0;

	intent->fd = (uint32_t)fd;
	intent->first = batch->first;
	intent->written = (uint32_t)(batch->next - batch->first);
	intent->answered = answers != NULL;
	intent->keyed = number ? once_behind(&hub->once, number) : 0;
	intent->parsed = items[count - 1].parsed;
	intent->flags = items[count - 1].flags;
	/* release: the intent is whole before the tail moves */
	atomic_store_explicit(&intent->state, INTENT_WRITTEN, memory_order_release);
	return number;
}

/* From here on it is published: the records, what history keeps of them, and the key's entry or the change. */
static void commit(struct hub *hub, struct ring_batch *batch, uint64_t number, const struct member_change *change)
{
	if (change) {
		members_stage(&hub->members, change, batch->next);
		CRASH_POINT("change-staged");
	}
	if (number) {
		once_stage(&hub->once, number, batch->next);
		CRASH_POINT("publish-staged");
	}
	if (batch->next != batch->first)
		ring_commit(&hub->ring, batch);
	CRASH_POINT("publish-committed");
	hub_follow(hub);
	CRASH_POINT("history-followed");
	if (number) {
		once_commit(&hub->once);
		CRASH_POINT("publish-remembered");
	}
	if (change) {
		members_commit(&hub->members);
		CRASH_POINT("change-committed");
	}
}

/* Whether all of these are for the stream. *mixed: some are, some are not. */
static bool is_for_stream(const struct hub *hub, const struct publish_item *items, unsigned count, int *mixed)
{
	unsigned n = 0;

	if (nodes_stream(hub) == STREAM_OFF)
		return false;
	for (unsigned i = 0; i < count; i++)
		n += nodes_is_stream(hub, items[i].topic, items[i].topic_len);
	*mixed = (n > 0 && n < count) || (n > 1 && items->key_len > PUBLISH_KEY_MAX);
	return n == count;
}

/*
 * What all ways to publish have in common. A change has no session that its message came from, and so no intent. `answers` is NULL, or `items` once
 * more, where each item's sequence and subscribers go. Returns items dealt with, 0 with errno.
 */
static unsigned publish_items(struct hub *hub, unsigned slot, int fd, const struct publish_item *items, unsigned count,
			      struct publish_item *answers, const struct keyed *keyed)
{
	struct ring_batch batch;
	struct written written;
	uint64_t asleep, wake;
	const struct keyed without = { .id = NULL };
	unsigned n, may;
	int found = 0;

	lock_acquire(&hub->shm->lock, hub_owner(hub, slot));
	if (keyed->id && is_for_stream(hub, items, count, &found))
		keyed = &without;
	if (found)
		return give_up(hub, slot, 0, EINVAL);
	found = keyed->id ? find_once(hub, keyed->id, keyed->now, answers, count) : 0;
	if (found)
		return give_up(hub, slot, 0, found > 0 ? EALREADY : EEXIST);
	if (keyed->change && !members_is_due(&hub->members, keyed->change))
		return give_up(hub, slot, 0, EALREADY);
	may = allowed(hub, hub_lag(hub, LAG_NUDGE, &asleep), items, count);
	if (may == 0 || (answers && may < count))
		return give_up(hub, slot, asleep, errno);
	count = may;
	CRASH_POINT("publish-locked");
	ring_begin(&hub->ring, &batch);
	n = write_records(hub, &batch, items, count, answers, slot == SLOT_BRIDGE || keyed->change ? RING_FOREIGN : 0, &written);
	CRASH_POINT("publish-written");
	if (answers && n < count) {
		ring_repair(&hub->ring);	/* all or none */
		return give_up(hub, slot, 0, EMSGSIZE);
	}
	if (n > 0) {
		uint64_t number = keyed->change ? 0 : intend(hub, slot, fd, &batch, items, n, answers, keyed);

		CRASH_POINT("publish-intended");
		commit(hub, &batch, number, keyed->change);
	}
	wake = claim_wakeups(hub, (written.interested | asleep) & ~(1ull << slot));
	CRASH_POINT("publish-owing");
	lock_release(&hub->shm->lock, hub_owner(hub, slot));
	CRASH_POINT("publish-unlocked");
	hub_count(hub, slot, COUNTER_published, n);
	hub_count(hub, slot, COUNTER_published_unheard, written.unheard);
	if (written.matched)
		hub_count(hub, slot, COUNTER_published_matched, written.matched);
	hub_count_history(hub, slot);
	wake_up(hub, slot, wake);
	if (n == 0)
		errno = EAGAIN;
	return n;
}

unsigned publish(struct hub *hub, unsigned slot, int fd, const struct publish_item *items, unsigned count)
{
	unsigned most = publish_count_max(hub);

	return publish_items(hub, slot, fd, items, count < most ? count : most, NULL, &(struct keyed){ .id = NULL });
}

void publish_recall(const struct hub *hub, uint64_t first, unsigned written, struct publish_item *items, unsigned count)
{
	struct ring_record rec;

	for (unsigned i = 0; i < count; i++) {
		items[i].seq = items[i].subscribers = 0;
		items[i].to_stream = false;
	}
	for (uint64_t seq = first; seq < first + written; seq++) {
		if (ring_read(&hub->ring, seq, &rec) == 0 && rec.id == seq && (rec.topic != TOPIC_NONE || rec.flags & RING_TO_STREAM)) {
			unsigned i = rec.flags & ((1u << ITEM_BITS) - 1);

			if (i < count) {
				items[i].seq = seq;
				items[i].subscribers = (rec.flags & RING_FLAGS) >> ITEM_BITS;
				items[i].to_stream = rec.flags & RING_TO_STREAM;
			}
		}
	}
}

int publish_once(struct hub *hub, unsigned slot, int fd, struct publish_item *items, unsigned count, const struct once_id *once)
{
	struct keyed keyed = { .id = NULL };
	const struct intent_shm *intent = &hub->shm->slot[slot].intent;

	if (atomic_load_explicit(&intent->state, memory_order_acquire) == INTENT_DONE && intent->answered && intent->fd == (uint32_t)fd &&
	    intent->parsed == items[count - 1].parsed) {
		/* (What the worker that died had published is there: its `delivered` holds publishers up.) */
		publish_recall(hub, intent->first, intent->written, items, count);
		return 0;
	}
	if (count > publish_count_max(hub)) {
		errno = EMSGSIZE;
		return -1;
	}
	if (once && once_is_on(&hub->once))
		keyed = (struct keyed){ .id = once, .now = once_now() };
	if (publish_items(hub, slot, fd, items, count, items, &keyed) == count)
		return 0;
	if (errno != EALREADY)
		return -1;
	hub_count(hub, slot, COUNTER_once_repeated, 1);
	return 1;
}

int publish_answered(struct hub *hub, unsigned slot, int fd, struct publish_item *items, unsigned count)
{
	return publish_once(hub, slot, fd, items, count, NULL);
}

int publish_change(struct hub *hub, unsigned slot, const struct member_change *change)
{
	char name[TOPIC_NAME_MAX], text[PRESENCE_CHANGE_MAX];
	struct sink s = { .dst = text, .room = sizeof(text) };
	struct publish_item item = { .topic = name, .topic_len = (uint8_t)presence_name(name, change->topic, change->topic_len), .message = text };
	struct keyed keyed = { .change = change };

	presence_put_change(&s, change->topic, change->topic_len, change->user, change->user_len, change->here);
	item.hash = index_hash(name, item.topic_len);
	item.len = (uint32_t)sink_end(&s);
	if (publish_items(hub, slot, -1, &item, 1, NULL, &keyed) == 0)
		return errno == EALREADY ? 0 : -1;
	hub_count(hub, slot, COUNTER_presence_changes, 1);
	return 0;
}

void publish_done(struct hub *hub, unsigned slot)
{
	/* release: after the session's own state */
	atomic_store_explicit(&hub->shm->slot[slot].intent.state, INTENT_NONE, memory_order_release);
}
