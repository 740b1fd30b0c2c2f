/*
 * The hub segment: made by the master, mapped by everybody. What a dead worker may have left in it is put right here.
 */
#include "shm/hub.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shm/crash.h"
#include "shm/log.h"
#include "shm/nodes.h"
#include "shm/segment.h"

#define BRIDGE_SILENT_MS 2000	/* publishers do not wait for a bridge that gives no sign of life for so long */

_Static_assert(WORKERS_MAX <= SLOT_BRIDGE, "the bridge's slot is no worker's");

const struct counter_info counters[COUNTERS] = {
#define COLUMNS(text, family, labels, unit, ...) text, family, labels, unit
#define COUNTER(number, name, ...) { number, #name, COLUMNS(__VA_ARGS__, NULL, NULL, NULL, NULL) },
#include "shm/counters.def"
#undef COUNTER
};

const char *hub_family(const char *family)
{
	static const struct {
		const char *name, *text;
	} families[] = {
#define FAMILY(name, text) { name, text },
#define COUNTER(...)
#include "shm/counters.def"
#undef COUNTER
	};

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		if (strcmp(families[i].name, family) == 0)
			return families[i].text;
	return NULL;
}

uint64_t hub_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static size_t page_up(size_t n)
{
	return (n + 4095) & ~(size_t)4095;
}

/* Where the three tables of counts are, and what they take. */
struct counts_layout {
	size_t groups_at, mixed_at, size;
};

static struct counts_layout counts_layout(uint32_t topics_max)
{
	size_t cells = (size_t)INDEX_SLOTS_MAX * (topics_max + 1ull);
	struct counts_layout l = { .groups_at = cells * sizeof(uint32_t) };

	l.mixed_at = page_up(l.groups_at + cells);
	l.size = l.mixed_at + cells * sizeof(struct counts_mixed_shm);
	return l;
}

int hub_create(const struct settings *settings)
{
	size_t index_at = page_up(sizeof(struct hub_shm));
	size_t counts_at = index_at + page_up(index_size((uint32_t)settings->max_topics));
	size_t ring_at = counts_at + page_up(counts_layout((uint32_t)settings->max_topics).size);
	size_t once_at = ring_at + page_up(ring_size((uint64_t)settings->ring_bytes, (uint32_t)settings->ring_messages));
	size_t members_at = once_at + page_up(once_size((uint32_t)settings->once_keys));
	size_t history_at = members_at + page_up(members_size((uint32_t)settings->max_presence));
	size_t history_bytes = page_up(history_size((uint32_t)settings->max_topics, (uint64_t)settings->history_bytes));
	size_t limits_at = history_at + history_bytes;
	size_t moved_at = limits_at + page_up(client_limits_size());
	size_t events_at = moved_at + page_up(sizeof(struct moved_tokens_shm)), events_bytes = page_up(events_size());
	size_t size;
	struct hub_shm *shm;
	int fd = segment_create(HUB_SEGMENT, events_at + events_bytes);

	if (fd < 0)
		return -1;
	shm = segment_map(fd, 1, &size);
	if (!shm) {
		close(fd);
		return -1;
	}
	shm->layout = HUB_LAYOUT;
	shm->slots = INDEX_SLOTS_MAX;
	shm->size = size;
	shm->epoch = shm->started = hub_now();
	shm->index_at = index_at;
	shm->index_size = counts_at - index_at;
	shm->counts_at = counts_at;
	shm->counts_size = ring_at - counts_at;
	shm->ring_at = ring_at;
	shm->ring_size = once_at - ring_at;
	shm->once_at = once_at;
	shm->once_size = members_at - once_at;
	shm->members_at = members_at;
	shm->members_size = history_at - members_at;
	shm->history_at = history_at;
	shm->history_size = history_bytes;
	shm->limits_at = limits_at;
	shm->limits_size = moved_at - limits_at;
	shm->moved_at = moved_at;
	shm->moved_size = events_at - moved_at;
	shm->events_at = events_at;
	shm->events_size = events_bytes;
	index_format((uint8_t *)shm + index_at, (uint32_t)settings->max_topics);
	index_limit((uint8_t *)shm + index_at, (uint32_t)settings->max_patterns_total, (uint32_t)settings->max_pattern_shapes);
	ring_format((uint8_t *)shm + ring_at, (uint64_t)settings->ring_bytes, (uint32_t)settings->ring_messages);
	once_format((uint8_t *)shm + once_at, (uint32_t)settings->once_keys);
	members_format((uint8_t *)shm + members_at, (uint32_t)settings->max_presence);
	history_format((uint8_t *)shm + history_at, (uint32_t)settings->max_topics, (uint64_t)settings->history_bytes);
	events_format((uint8_t *)shm + events_at);
	if (client_limits_format((uint8_t *)shm + limits_at) < 0) {
		segment_unmap(shm, size);
		close(fd);
		return -1;
	}
	/* release: who sees the magic sees all of the above */
	atomic_store_explicit(&shm->magic, HUB_MAGIC, memory_order_release);
	segment_unmap(shm, size);
	return fd;
}

static void mend(void *arg, unsigned number);

int hub_attach(struct hub *hub, int fd, bool writable)
{
	struct counts_layout counts;
	struct hub_shm *shm;
	uint8_t *base;

	memset(hub, 0, sizeof(*hub));
	shm = segment_map(fd, writable, &hub->size);
	if (!shm)
		return -1;
	base = (uint8_t *)shm;
	hub->shm = shm;
	/* acquire: pairs with the release in hub_create() */
	if (hub->size < sizeof(*shm) || atomic_load_explicit(&shm->magic, memory_order_acquire) != HUB_MAGIC ||
	    shm->layout != HUB_LAYOUT || shm->size != hub->size || shm->slots != INDEX_SLOTS_MAX ||
	    shm->index_at + shm->index_size > shm->counts_at || shm->counts_at + shm->counts_size > shm->ring_at ||
	    shm->ring_at + shm->ring_size > shm->once_at || shm->once_at + shm->once_size > shm->members_at ||
	    shm->members_at + shm->members_size > shm->history_at ||
	    shm->history_at + shm->history_size > shm->limits_at || shm->limits_at + shm->limits_size > shm->moved_at || shm->moved_size < sizeof(*hub->moved) ||
	    shm->moved_at + shm->moved_size > shm->events_at || shm->events_at + shm->events_size > hub->size ||
	    index_attach(&hub->index, base + shm->index_at, shm->index_size) < 0 ||
	    ring_attach(&hub->ring, base + shm->ring_at, shm->ring_size, &hub->index) < 0 ||
	    once_attach(&hub->once, base + shm->once_at, shm->once_size) < 0 ||
	    members_attach(&hub->members, base + shm->members_at, shm->members_size) < 0 ||
	    history_attach(&hub->history, base + shm->history_at, shm->history_size, &hub->ring, &shm->lock) < 0 ||
	    client_limits_attach(&hub->limits, base + shm->limits_at, shm->limits_size) < 0 ||
	    events_attach(&hub->events, base + shm->events_at, shm->events_size) < 0) {
		hub_detach(hub);
		errno = EPROTO;
		return -1;
	}
	counts = counts_layout(hub->index.shm->topics_max);
	if (shm->counts_size < counts.size) {
		hub_detach(hub);
		errno = EPROTO;
		return -1;
	}
	hub->moved = (struct moved_tokens_shm *)(base + shm->moved_at);
	hub->counts = (_Atomic uint32_t *)(base + shm->counts_at);
	hub->groups = (_Atomic uint8_t *)(base + shm->counts_at + counts.groups_at);
	hub->mixed = (struct counts_mixed_shm *)(base + shm->counts_at + counts.mixed_at);
	if (writable)
		lock_inherit(&shm->lock, mend, hub);
	return 0;
}

void hub_detach(struct hub *hub)
{
	if (hub->shm) {
		lock_inherit(&hub->shm->lock, NULL, NULL);
		segment_unmap(hub->shm, hub->size);
	}
	memset(hub, 0, sizeof(*hub));
}

void hub_keep(struct hub *hub, const struct settings *settings)
{
	char why[256];

	if (history_rules_parse(&hub->rules, settings->history, why, sizeof(why)) < 0)
		log_error("history: %s", why);	/* (whoever read the configuration has said so before) */
	hub->history.rules = &hub->rules;
}

void hub_keep_from_now(struct hub *hub, unsigned slot, const struct settings *settings)
{
	uint64_t hash = index_hash(settings->history, strlen(settings->history)), was = atomic_load(&hub->shm->slot[slot].rules);

	hub->rules_hash = hash;
	if (was == hash)
		return;
	/* (What nobody heard at this very tail has no sequence.) */
	if (was != 0)
		index_forget(&hub->index, ring_tail(&hub->ring) + 1);
	atomic_store(&hub->shm->slot[slot].rules, hash);
}

bool hub_rules_agree(const struct hub *hub)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (atomic_load_explicit(&hub->shm->slot[i].state, memory_order_relaxed) != SLOT_UNUSED &&
		    atomic_load_explicit(&hub->shm->slot[i].rules, memory_order_relaxed) != hub->rules_hash)
			return false;
	return true;
}

uint64_t hub_counted_since(const struct hub *hub, const char *name, size_t len)
{
	uint64_t tail = ring_tail(&hub->ring);

	if (history_rules_find(hub->history.rules, name, len))
		return hub_rules_agree(hub) ? atomic_load_explicit(&hub->index.shm->forgotten, memory_order_relaxed) : tail + 1;
	/* A message that was dropped at this very tail may have been to this topic, and may have come after whatever has the sequence before it. */
	return tail + (hub->index.shm->unheard == tail);
}

void hub_wake(const struct hub *hub, unsigned slot)
{
	uint64_t one = 1;

	/* The write can't block, as the eventfd's counter is never near its maximum. If it fails, no process serves the slot. */
	if (hub->wake && write(hub->wake[slot], &one, sizeof(one)) < 0)
		return;
}

/*
 * The lock is let go only after the tail was stored, or with the intent cleared. So a dead worker that does not hold it, but has an
 * intent, has published; one that holds it has published if the tail is past its first record, as nobody else can have moved it. Of messages that have
 * no records it is their key that says so (once.h); if they have none, nothing is lost by dealing with them again.
 */
static bool has_published(const struct hub *hub, const struct intent_shm *intent)
{
	if (intent->written == 0 && intent->keyed)
		return once_is_staged(&hub->once, intent->keyed);
	return ring_tail(&hub->ring) > intent->first;
}

/* What a dead one was publishing is done, or not. `held`: it has died with the lock, which is ours now. */
static void settle(const struct hub *hub, unsigned slot, bool held)
{
	struct intent_shm *intent = &hub->shm->slot[slot].intent;

	if (atomic_load_explicit(&intent->state, memory_order_acquire) == INTENT_WRITTEN) {
		bool done = !held || has_published(hub, intent);

		atomic_store_explicit(&intent->state, done ? INTENT_DONE : INTENT_NONE, memory_order_release);
	}
	if (slot == SLOT_BRIDGE && atomic_load_explicit(&intent->state, memory_order_relaxed) == INTENT_DONE) {
		nodes_shm_set_seq(&hub->shm->nodes, intent->fd, intent->parsed);
		atomic_store_explicit(&intent->state, INTENT_NONE, memory_order_release);
	}
}

/* What a dead one has left of what the lock protects. Lock held in its stead. */
static void put_right(struct hub *hub)
{
	ring_repair(&hub->ring);
	index_repair(&hub->index);
	once_repair(&hub->once, ring_tail(&hub->ring));
	members_repair(&hub->members, ring_tail(&hub->ring));
	history_repair(&hub->history);
	hub_follow(hub);
}

/* The lock is ours, and was that of `number`, who has died with it. */
static void mend(void *arg, unsigned number)
{
	struct hub *hub = arg;

	if (number <= INDEX_SLOTS_MAX)
		settle(hub, number - 1, true);
	CRASH_POINT("lock-inherited");
	put_right(hub);
	hub_wake_all(hub);
	log_warning("the hub lock was held by a process that has died (number %u): what it was at is put right", number);
}

void hub_repair(struct hub *hub, unsigned slot)
{
	struct lock_shm *lock = &hub->shm->lock;
	uint32_t dead = lock_owner(lock), ours = hub_owner_keeper(slot);
	bool held = lock_number(dead) == slot + 1 && lock_take_over(lock, dead, ours);

	if (!held && slot == SLOT_BRIDGE)
		lock_acquire(lock, ours);
	settle(hub, slot, held);
	if (held) {
		put_right(hub);
		hub_count_history(hub, slot);
	}
	if (held || slot == SLOT_BRIDGE)
		lock_release(lock, ours);
	hub_wake_all(hub);
}

void hub_clear_slot(struct hub *hub, unsigned slot, uint32_t owner)
{
	struct hub_slot_shm *s = &hub->shm->slot[slot];
	uint64_t bit = 1ull << slot;

	lock_acquire(&hub->shm->lock, owner);
	CRASH_POINT("slot-clearing");
	for (uint32_t t = 1; t <= hub->index.shm->topics_max && index_topic(&hub->index, t)->generation; t++)
		if (atomic_load(&index_topic(&hub->index, t)->interest) & bit)
			index_leave(&hub->index, slot, t);
	CRASH_POINT("slot-left");
	members_leave(&hub->members, slot);
	moved_tokens_clear(hub->moved, slot);
	client_limits_clear(&hub->limits, slot);
	atomic_store(&s->intent.state, INTENT_NONE);
	atomic_store(&s->connections, 0);
	atomic_store(&s->parked, 0);
	atomic_store(&s->behind, 0);
	atomic_store(&s->subscriptions, 0);
	atomic_store(&s->buffered, 0);
	for (unsigned i = 0; i < TRANSPORT_GROUPS; i++)
		atomic_store(&s->by_transport[i], 0);
	atomic_store(&s->sleeping, 0);
	atomic_store(&s->pinned, 0);
	atomic_store(&s->giving, 0);
	atomic_store(&s->delivered, ring_tail(&hub->ring));
	lock_release(&hub->shm->lock, owner);
}

void hub_pin(struct hub *hub, unsigned slot)
{
	_Atomic uint64_t *pinned = &hub->shm->slot[slot].pinned;

	if (hub->pins++ > 0 || atomic_load_explicit(pinned, memory_order_relaxed) != 0)
		return;
	hub->pin_is_ours = true;
	/* (Who reads takes the lock after this, to see where messages are; and who takes pages, holds it.) */
	atomic_store_explicit(pinned, ring_tail(&hub->ring), memory_order_release);
}

void hub_unpin(struct hub *hub, unsigned slot)
{
	/* release: what was read was read before */
	if (--hub->pins == 0 && hub->pin_is_ours)
		atomic_store_explicit(&hub->shm->slot[slot].pinned, 0, memory_order_release);
}

void hub_unpin_predecessor(struct hub *hub, unsigned slot)
{
	hub->pin_is_ours = true;
	if (hub->pins == 0)
		atomic_store_explicit(&hub->shm->slot[slot].pinned, 0, memory_order_release);
}

uint64_t hub_pinned(const struct hub *hub)
{
	/* acquire: pairs with the release in journal_write.c */
	uint64_t least = atomic_load_explicit(&hub->shm->journal.pinned, memory_order_acquire);

	least = least ? least : UINT64_MAX;
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		/* acquire: pairs with the release in hub_unpin() */
		uint64_t pinned = atomic_load_explicit(&hub->shm->slot[i].pinned, memory_order_acquire);

		if (pinned != 0 && pinned < least)
			least = pinned;
	}
	return least;
}

void hub_follow(struct hub *hub)
{
	history_follow(&hub->history, history_idle(&hub->history) ? UINT64_MAX : hub_pinned(hub));
}

void hub_count_history(struct hub *hub, unsigned slot)
{
	struct history_counts *counts = &hub->history.counts;

	if ((counts->kept | counts->cut_short | counts->missed) == 0)
		return;
	hub_count(hub, slot, COUNTER_history_kept, counts->kept);
	hub_count(hub, slot, COUNTER_history_short, counts->cut_short);
	hub_count(hub, slot, COUNTER_history_missed, counts->missed);
	*counts = (struct history_counts){ 0 };
}

void hub_wake_all(const struct hub *hub)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (atomic_load(&hub->shm->slot[i].state) != SLOT_UNUSED)
			hub_wake(hub, i);
	if (nodes_state(hub) != NODES_OFF)
		hub_wake(hub, SLOT_BRIDGE);
}

static bool bridge_is_silent(const struct hub *hub)
{
	uint64_t now = once_now(), beat = atomic_load_explicit(&hub->shm->nodes.beat, memory_order_relaxed);

	return now > beat && now - beat > BRIDGE_SILENT_MS;
}

/* How far the bridge is behind, if publishers have to wait for it. */
static unsigned bridge_lag(const struct hub *hub, unsigned nudge, uint64_t *asleep)
{
	unsigned lag = ring_lag(&hub->ring, nodes_sent(hub));

	if (lag <= nudge)
		return lag;
	if (atomic_load_explicit(&hub->shm->slot[SLOT_BRIDGE].sleeping, memory_order_relaxed))
		*asleep |= 1ull << SLOT_BRIDGE;
	return bridge_is_silent(hub) ? 0 : lag;
}

unsigned hub_lag(const struct hub *hub, unsigned nudge, uint64_t *asleep)
{
	unsigned most = 0;

	*asleep = 0;
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		const struct hub_slot_shm *s = &hub->shm->slot[i];
		unsigned lag;

		if (atomic_load_explicit(&s->state, memory_order_relaxed) == SLOT_UNUSED)
			continue;
		lag = ring_lag(&hub->ring, atomic_load_explicit(&s->delivered, memory_order_acquire));
		if (lag > most)
			most = lag;
		if (lag > nudge && atomic_load_explicit(&s->sleeping, memory_order_relaxed))
			*asleep |= 1ull << i;
	}
	if (nodes_state(hub) == NODES_CONNECTED) {
		unsigned lag = bridge_lag(hub, nudge, asleep);

		most = lag > most ? lag : most;
	}
	return most;
}

static size_t count_cell(const struct hub *hub, unsigned slot, uint32_t topic)
{
	return (size_t)(hub_count_of(hub, slot, topic) - hub->counts);
}

void hub_tell_subscribers(const struct hub *hub, unsigned slot, uint32_t topic, const uint32_t by_group[TRANSPORT_GROUPS])
{
	size_t cell = count_cell(hub, slot, topic);
	uint32_t all = 0, groups = 0, group = 0;

	for (unsigned i = 0; i < TRANSPORT_GROUPS; i++) {
		all += by_group[i];
		groups += by_group[i] > 0;
		group = by_group[i] > 0 ? i + 1 : group;
	}
	for (unsigned i = 0; groups > 1 && i < TRANSPORT_GROUPS; i++)
		atomic_store_explicit(&hub->mixed[cell].by_group[i], by_group[i], memory_order_relaxed);
	/* release: who finds it mixed finds the counts */
	atomic_store_explicit(&hub->groups[cell], groups > 1 ? COUNTS_MIXED : (uint8_t)group, memory_order_release);
	atomic_store_explicit(&hub->counts[cell], all, memory_order_relaxed);
}

void hub_subscribers_by_group(const struct hub *hub, uint32_t topic, uint64_t by_group[TRANSPORT_GROUPS])
{
	uint64_t slots = atomic_load_explicit(&index_topic(&hub->index, topic)->interest, memory_order_relaxed);

	memset(by_group, 0, TRANSPORT_GROUPS * sizeof(*by_group));
	for (; slots; slots &= slots - 1) {
		size_t cell = count_cell(hub, (unsigned)__builtin_ctzll(slots), topic);
		uint8_t group = atomic_load_explicit(&hub->groups[cell], memory_order_acquire);

		if (group > 0 && group <= TRANSPORT_GROUPS)
			by_group[group - 1] += atomic_load_explicit(&hub->counts[cell], memory_order_relaxed);
		for (unsigned i = 0; group == COUNTS_MIXED && i < TRANSPORT_GROUPS; i++)
			by_group[i] += atomic_load_explicit(&hub->mixed[cell].by_group[i], memory_order_relaxed);
	}
}

uint64_t hub_subscribers(const struct hub *hub, uint32_t topic)
{
	uint64_t slots = atomic_load_explicit(&index_topic(&hub->index, topic)->interest, memory_order_relaxed), n = 0;

	for (; slots; slots &= slots - 1)
		n += atomic_load_explicit(hub_count_of(hub, (unsigned)__builtin_ctzll(slots), topic), memory_order_relaxed);
	return n;
}

uint64_t hub_counter_total(const struct hub *hub, enum counter counter)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		n += hub_counter(hub, i, counter);
	return n;
}

uint64_t hub_connections(const struct hub *hub)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		n += atomic_load_explicit(&hub->shm->slot[i].connections, memory_order_relaxed);
	return n;
}

uint64_t hub_parked(const struct hub *hub)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		n += atomic_load_explicit(&hub->shm->slot[i].parked, memory_order_relaxed);
	return n;
}

uint64_t hub_subscriptions(const struct hub *hub)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		n += atomic_load_explicit(&hub->shm->slot[i].subscriptions, memory_order_relaxed);
	return n;
}

uint64_t hub_buffered(const struct hub *hub)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		n += atomic_load_explicit(&hub->shm->slot[i].buffered, memory_order_relaxed);
	return n;
}
