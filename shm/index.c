/*
 * The topic index. See index.h for what it holds; here is how a SIGKILL between any two stores is survived.
 *
 * - `dirty` is 1 before the first and until after the last store to chains, free list, `high` or `used`.
 * - An entry is filled in while it is TOPIC_FREE; the store of TOPIC_USED makes it a topic. TOPIC_FREE ends it before
 *   anything else about it changes. `kept` of a free entry means nothing while `dirty` is 1.
 * - What is counted of patterns follows from the entries, as chains do, and is changed while `dirty` is 1.
 * - `high` covers an entry before it is TOPIC_USED, so index_repair(), which looks at 1..high, sees all topics.
 * - An entry is in the feed before its interest changes.
 *
 * Only the order in which the compiler emits stores matters for that: all stores of a process that has been reaped are
 * there for whoever reaped it. So in_order() is a compiler barrier.
 */
#include "shm/index.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "shm/index_patterns.h"
#include "shm/siphash.h"

#define TOUCHED_AHEAD 128	/* entries, of 320 bytes */

static void in_order(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

/* ---- layout ---- */

static uint32_t bucket_count(uint32_t topics_max)
{
	uint32_t n = 16;

	while (n < topics_max)
		n *= 2;
	return n;
}

static size_t heads_size(uint32_t buckets)
{
	return ((size_t)buckets * sizeof(uint32_t) + 63) / 64 * 64;
}

size_t index_size(uint32_t topics_max)
{
	size_t changed = ((size_t)topics_max + 1) * sizeof(uint32_t);

	/* a multiple of 64, as what stands behind it is aligned */
	return sizeof(struct index_shm) + heads_size(bucket_count(topics_max)) + ((size_t)topics_max + 1) * sizeof(struct topic_shm) +
	       (size_t)INDEX_SIEVE * bucket_count(topics_max) + (changed + 63) / 64 * 64;
}

void index_format(void *mem, uint32_t topics_max)
{
	struct index_shm *shm = mem;

	assert(topics_max > 0 && topics_max <= INT32_MAX);
	shm->topics_max = topics_max;
	shm->buckets = bucket_count(topics_max);
	shm->patterns_max = topics_max;
	shm->shapes_max = INDEX_SHAPES_MAX;
	if (getrandom(&shm->seed, sizeof shm->seed, GRND_NONBLOCK) != sizeof shm->seed)
		shm->seed = (uint64_t)(uintptr_t)mem;	/* early at boot there is none: this works, and is only easier to guess */
}

void index_limit(void *mem, uint32_t patterns_max, uint32_t shapes_max)
{
	struct index_shm *shm = mem;

	assert(shapes_max <= INDEX_SHAPES_MAX);
	shm->patterns_max = patterns_max;
	shm->shapes_max = shapes_max;
}

int index_attach(struct index *ix, void *mem, size_t size)
{
	struct index_shm *shm = mem;

	if (size < sizeof *shm || shm->topics_max == 0 || shm->topics_max > INT32_MAX ||
	    shm->shapes > INDEX_SHAPES_MAX || shm->buckets != bucket_count(shm->topics_max) || size < index_size(shm->topics_max)) {
		errno = EINVAL;
		return -1;
	}
	ix->shm = shm;
	ix->heads = (uint32_t *)(shm + 1);
	ix->topics = (struct topic_shm *)((char *)ix->heads + heads_size(shm->buckets));
	ix->sieve = (uint8_t *)(ix->topics + shm->topics_max + 1);
	ix->changed = (uint32_t *)(ix->sieve + (size_t)INDEX_SIEVE * shm->buckets);
	return 0;
}

/* ---- hash ---- */

/* SipHash-1-3 with a fixed key: topic names come from clients, who must not be able to make many names of one hash. That
 * the key is known does no harm, since bucket_of() adds a secret: names of one bucket can't be picked without it. */
uint64_t index_hash(const char *name, size_t len)
{
	const uint64_t key0 = 0x6a616e7573206d73u, key1 = 0x6720746f70696373u;
	uint64_t v[4] = { key0 ^ 0x736f6d6570736575u, key1 ^ 0x646f72616e646f6du, key0 ^ 0x6c7967656e657261u,
			  key1 ^ 0x7465646279746573u };
	uint64_t word;
	size_t left;

	for (left = len; left >= 8; left -= 8, name += 8) {
		memcpy(&word, name, 8);
		v[3] ^= word;
		siphash_round(v);
		v[0] ^= word;
	}
	word = 0;
	memcpy(&word, name, left);
	word |= (uint64_t)len << 56;
	v[3] ^= word;
	siphash_round(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	siphash_round(v);
	siphash_round(v);
	siphash_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint32_t bucket_of(const struct index *ix, uint64_t hash)
{
	hash ^= ix->shm->seed;
	hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdu;
	hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53u;
	return (uint32_t)(hash ^ hash >> 33) & (ix->shm->buckets - 1);
}

/* ---- under the hub lock ---- */

static uint32_t state_of(const struct topic_shm *t)
{
	return atomic_load_explicit(&t->state, memory_order_relaxed);
}

static uint64_t interest_of(const struct topic_shm *t)
{
	return atomic_load_explicit(&t->interest, memory_order_relaxed);
}

static void set_dirty(struct index *ix, uint32_t dirty)
{
	in_order();
	atomic_store_explicit(&ix->shm->dirty, dirty, memory_order_relaxed);
	in_order();
}

uint32_t index_find(const struct index *ix, uint64_t hash, const char *name, size_t len)
{
	uint32_t topic = ix->heads[bucket_of(ix, hash)];

	while (topic != TOPIC_NONE) {
		const struct topic_shm *t = &ix->topics[topic];

		if (t->hash == hash && t->name_len == len && memcmp(t->name, name, len) == 0)
			return topic;
		topic = t->next;
	}
	return TOPIC_NONE;
}

/* ---- the feed of changes ---- */

static void set_feed(struct index *ix, uint32_t feed)
{
	in_order();
	atomic_store_explicit(&ix->shm->feed, feed, memory_order_relaxed);
	in_order();
}

static uint32_t first_changed(const struct index *ix)
{
	return atomic_load_explicit(&ix->shm->changed_first, memory_order_relaxed);
}

static void set_first_changed(struct index *ix, uint32_t topic)
{
	atomic_store_explicit(&ix->shm->changed_first, topic, memory_order_relaxed);
}

/* The interest in this entry is about to begin or to end. */
static void feed(struct index *ix, uint32_t topic)
{
	struct index_shm *shm = ix->shm;

	if (!index_feed_is_on(ix) || ix->changed[topic])
		return;
	set_feed(ix, FEED_CHANGING);
	ix->changed[topic] = INDEX_FEED_END;
	if (shm->changed_last == TOPIC_NONE)
		set_first_changed(ix, topic);
	else
		ix->changed[shm->changed_last] = topic;
	shm->changed_last = topic;
	set_feed(ix, FEED_ON);
}

unsigned index_feed_take(struct index *ix, uint32_t *taken, unsigned most)
{
	uint32_t topic = first_changed(ix);
	unsigned n = 0;

	assert(index_feed_is_on(ix));
	set_feed(ix, FEED_CHANGING);
	while (n < most && topic != TOPIC_NONE) {
		uint32_t next = ix->changed[topic];

		ix->changed[topic] = 0;
		taken[n++] = topic;
		topic = next == INDEX_FEED_END ? TOPIC_NONE : next;
	}
	set_first_changed(ix, topic);
	if (topic == TOPIC_NONE)
		ix->shm->changed_last = TOPIC_NONE;
	set_feed(ix, FEED_ON);
	return n;
}

void index_feed_clear(struct index *ix)
{
	assert(!index_feed_is_on(ix));
	memset(ix->changed, 0, ((size_t)ix->shm->high + 1) * sizeof ix->changed[0]);
}

void index_feed_begin(struct index *ix)
{
	assert(!index_feed_is_on(ix));
	set_first_changed(ix, TOPIC_NONE);
	ix->shm->changed_last = TOPIC_NONE;
	set_feed(ix, FEED_ON);
}

void index_feed_end(struct index *ix)
{
	set_feed(ix, FEED_OFF);
	set_first_changed(ix, TOPIC_NONE);
}

/* ---- topics come and go ---- */

/*
 * Makes the pages of entries that were never used, some at a time; `topic` is the next of those. That costs much less than a page fault for each of
 * them. (Nothing depends on it.)
 */
static void touch_ahead(struct index *ix, uint32_t topic)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint32_t end = topic + TOUCHED_AHEAD <= ix->shm->topics_max ? topic + TOUCHED_AHEAD : ix->shm->topics_max;
	uintptr_t from = ((uintptr_t)&ix->topics[topic] + page - 1) / page * page, to = (uintptr_t)&ix->topics[end] / page * page;

	if (to > from)
		madvise((void *)from, to - from, MADV_POPULATE_WRITE);
}

/* Takes an entry off the free list, or one never used: only when there is no other, so that few pages are ever touched. */
static uint32_t take_entry(struct index *ix)
{
	struct index_shm *shm = ix->shm;
	uint32_t topic = shm->free;

	if (topic != TOPIC_NONE)
		shm->free = ix->topics[topic].next;
	else if ((topic = ++shm->high) % TOUCHED_AHEAD == 0)
		touch_ahead(ix, topic);
	return topic;
}

/* The caller has made sure that there is a free entry. */
static uint32_t make_topic(struct index *ix, uint64_t interest, uint32_t kept, uint64_t hash, const char *name, size_t len, uint64_t since)
{
	uint32_t bucket = bucket_of(ix, hash), topic;
	struct topic_shm *t;

	set_dirty(ix, 1);
	topic = take_entry(ix);
	t = &ix->topics[topic];
	if (++t->generation == 0)
		t->generation = 1;
	/* release: who reads `last` without the lock and finds it gone can see the new generation */
	atomic_store_explicit(&t->last, 0, memory_order_release);
	t->published = 0;
	t->pulse = 0;
	t->hash = hash;
	t->name_len = (uint8_t)len;
	memcpy(t->name, name, len);
	t->next = ix->heads[bucket];
	t->kept = kept;
	t->since = since;
	if (interest)
		feed(ix, topic);
	atomic_store_explicit(&t->interest, interest, memory_order_relaxed);
	in_order();
	atomic_store_explicit(&t->state, TOPIC_USED, memory_order_relaxed);
	in_order();
	ix->heads[bucket] = topic;
	ix->shm->used++;
	patterns_count(ix, t);
	set_dirty(ix, 0);
	return topic;
}

/* Finds or makes the topic, and adds to its interest or has it kept. */
static uint32_t find_or_make(struct index *ix, uint64_t interest, uint32_t kept, uint64_t hash, const char *name, size_t len, uint64_t since)
{
	uint32_t topic = index_find(ix, hash, name, len);

	assert(len > 0 && len <= TOPIC_NAME_MAX);
	if (topic != TOPIC_NONE) {
		if (interest && !interest_of(&ix->topics[topic]))
			feed(ix, topic);
		atomic_fetch_or_explicit(&ix->topics[topic].interest, interest, memory_order_relaxed);
		if (kept)
			ix->topics[topic].kept = kept;
		return topic;
	}
	/* A quarter is left to those that somebody subscribes. */
	if ((ix->shm->free == TOPIC_NONE && ix->shm->high == ix->shm->topics_max) ||
	    (interest == 0 && ix->shm->used >= ix->shm->topics_max - ix->shm->topics_max / 4)) {
		errno = ENOSPC;
		return TOPIC_NONE;
	}
	if (patterns_may(ix->shm, name, len) < 0)
		return TOPIC_NONE;
	return make_topic(ix, interest, kept, hash, name, len, since);
}

uint32_t index_join(struct index *ix, unsigned slot, uint64_t hash, const char *name, size_t len, uint64_t since)
{
	assert(slot < INDEX_SLOTS_MAX);
	return find_or_make(ix, (uint64_t)1 << slot, TOPIC_KEPT_NOT, hash, name, len, since);
}

uint32_t index_keep(struct index *ix, uint64_t hash, const char *name, size_t len, uint64_t since)
{
	return find_or_make(ix, 0, TOPIC_KEPT, hash, name, len, since);
}

void index_forget(struct index *ix, uint64_t seq)
{
	uint64_t forgotten = atomic_load_explicit(&ix->shm->forgotten, memory_order_relaxed);

	while (forgotten < seq && !atomic_compare_exchange_weak_explicit(&ix->shm->forgotten, &forgotten, seq, memory_order_relaxed, memory_order_relaxed))
		;
}

/* ---- how often there are messages ---- */

#define PULSE 64u		/* what a message counts */
#define PULSE_LOST 8		/* this part of it is lost a tick */
#define TICK(time) ((uint32_t)((time) >> 20))	/* microseconds as ticks, of 1.05 s */
#define TICKS_MAX 256		/* after these nothing is left of any count */

static uint32_t faded(uint32_t pulse, uint32_t ticks)
{
	if (ticks > TICKS_MAX)
		return 0;
	for (; ticks > 0 && pulse > 0; ticks--)
		pulse -= pulse / PULSE_LOST + (pulse % PULSE_LOST != 0);
	return pulse;
}

void index_pulse(struct topic_shm *t, uint64_t time)
{
	uint32_t now = TICK(time), pulse = t->pulse;

	if (t->pulse_at != now)
		pulse = faded(pulse, now - t->pulse_at);	/* (a clock that was set back: nothing is left, either) */
	t->pulse_at = now;
	t->pulse = pulse > UINT32_MAX - PULSE ? pulse : pulse + PULSE;
}

/*
 * Of r messages a tick, for long, there are r * (1/8 less than all of those before): at a tick's beginning r * 7, at its end r * 8. So the count is
 * divided by 7 and what has passed of the tick.
 */
uint64_t index_rate(const struct topic_shm *t, uint64_t now)
{
	uint32_t ticks = TICK(now) - t->pulse_at;
	uint64_t passed = now & ((1 << 20) - 1), pulse = t->pulse;

	if (ticks > UINT32_MAX / 2)	/* the message's time is ahead of the clock */
		ticks = 0, passed = (1 << 20) - 1;
	pulse = faded((uint32_t)pulse, ticks);
	/* of messages by ticks: pulse / PULSE / (7 + passed / 2^20), and in 1000 s are 1000 * 10^6 / 2^20 ticks */
	return pulse * (UINT64_C(1000000000) / PULSE) / (((uint64_t)(PULSE_LOST - 1) << 20) + passed);
}

static void unlink_topic(struct index *ix, uint32_t topic)
{
	uint32_t *link = &ix->heads[bucket_of(ix, ix->topics[topic].hash)];

	while (*link != topic)
		link = &ix->topics[*link].next;
	*link = ix->topics[topic].next;
}

static void end_topic(struct index *ix, uint32_t topic)
{
	struct topic_shm *t = &ix->topics[topic];

	if (interest_of(t))
		feed(ix, topic);
	set_dirty(ix, 1);
	if (t->kept != TOPIC_KEPT_NOT)
		index_forget(ix, atomic_load_explicit(&t->last, memory_order_relaxed) + 1);
	in_order();
	atomic_store_explicit(&t->state, TOPIC_FREE, memory_order_relaxed);
	in_order();
	atomic_store_explicit(&t->interest, 0, memory_order_relaxed);
	t->kept = TOPIC_KEPT_NOT;
	unlink_topic(ix, topic);
	patterns_uncount(ix, t);
	t->next = ix->shm->free;
	ix->shm->free = topic;
	ix->shm->used--;
	set_dirty(ix, 0);
}

void index_leave(struct index *ix, unsigned slot, uint32_t topic)
{
	struct topic_shm *t = &ix->topics[topic];
	uint64_t bit = (uint64_t)1 << slot;

	assert(slot < INDEX_SLOTS_MAX && topic > 0 && topic <= ix->shm->high && state_of(t) == TOPIC_USED);
	if (interest_of(t) == bit && t->kept != TOPIC_KEPT)
		end_topic(ix, topic);
	else {
		if (interest_of(t) == bit)
			feed(ix, topic);
		atomic_fetch_and_explicit(&t->interest, ~bit, memory_order_relaxed);
	}
}

void index_release(struct index *ix, uint32_t topic)
{
	struct topic_shm *t = &ix->topics[topic];

	assert(topic > 0 && topic <= ix->shm->high && state_of(t) == TOPIC_USED);
	if (interest_of(t) == 0)
		end_topic(ix, topic);	/* (not before: a topic that is neither kept nor of interest would stay) */
	else
		t->kept = TOPIC_WAS_KEPT;
}

/* `dirty` stays 1 to the end, so a repair that is cut short is done again. */
void index_repair(struct index *ix)
{
	struct index_shm *shm = ix->shm;
	uint32_t topic, bucket;

	if (atomic_load_explicit(&shm->feed, memory_order_relaxed) == FEED_CHANGING)
		set_feed(ix, FEED_LOST);
	if (!atomic_load_explicit(&shm->dirty, memory_order_relaxed))
		return;
	memset(ix->heads, 0, shm->buckets * sizeof ix->heads[0]);
	shm->free = TOPIC_NONE;
	shm->used = 0;
	patterns_clear(ix);
	for (topic = shm->high; topic > 0; topic--) {
		struct topic_shm *t = &ix->topics[topic];

		if (state_of(t) == TOPIC_USED) {
			bucket = bucket_of(ix, t->hash);
			t->next = ix->heads[bucket];
			ix->heads[bucket] = topic;
			shm->used++;
			patterns_count(ix, t);
		} else {
			atomic_store_explicit(&t->interest, 0, memory_order_relaxed);
			t->kept = TOPIC_KEPT_NOT;
			t->next = shm->free;
			shm->free = topic;
		}
	}
	set_dirty(ix, 0);
}

/* ---- check ---- */

/* One topic in a chain. */
static const char *check_topic(const struct index *ix, uint32_t topic, uint32_t bucket)
{
	const struct topic_shm *t;

	if (topic > ix->shm->high)
		return "a chain leads beyond the entries ever used";
	t = &ix->topics[topic];
	if (state_of(t) != TOPIC_USED)
		return "a chain holds a free entry";
	if (interest_of(t) == 0 && t->kept != TOPIC_KEPT)
		return "a topic that nobody is interested in";
	if (t->kept > TOPIC_WAS_KEPT)
		return "a topic that is kept in a way that is not known";
	if (t->name_len == 0 || t->generation == 0)
		return "a topic without name or generation";
	if (t->hash != index_hash(t->name, t->name_len) || bucket_of(ix, t->hash) != bucket)
		return "a topic in the wrong chain";
	if (index_find(ix, t->hash, t->name, t->name_len) != topic)
		return "a topic is there twice";
	return NULL;
}

static const char *check_chains(const struct index *ix)
{
	uint32_t bucket, topic, found = 0;
	const char *why;

	for (bucket = 0; bucket < ix->shm->buckets; bucket++)
		for (topic = ix->heads[bucket]; topic != TOPIC_NONE; topic = ix->topics[topic].next) {
			if (found++ == ix->shm->used)
				return "more topics in chains than counted";
			why = check_topic(ix, topic, bucket);
			if (why)
				return why;
		}
	return found == ix->shm->used ? NULL : "fewer topics in chains than counted";
}

static const char *check_free(const struct index *ix)
{
	uint32_t topic, found = 0, unused = ix->shm->high - ix->shm->used;

	for (topic = ix->shm->free; topic != TOPIC_NONE; topic = ix->topics[topic].next) {
		if (found++ == unused)
			return "the free list is too long";
		if (topic > ix->shm->high)
			return "the free list leads beyond the entries ever used";
		if (state_of(&ix->topics[topic]) != TOPIC_FREE)
			return "the free list holds a topic";
		if (interest_of(&ix->topics[topic]) != 0)
			return "interest in a free entry";
		if (ix->topics[topic].kept)
			return "a free entry is kept";
	}
	return found == unused ? NULL : "the free list is too short";
}

/* Each entry that says it is in the feed is there once. */
static const char *check_feed(const struct index *ix)
{
	uint32_t topic, found = 0, marked = 0, last = TOPIC_NONE;

	if (!index_feed_is_on(ix))
		return atomic_load_explicit(&ix->shm->feed, memory_order_relaxed) == FEED_CHANGING ? "the feed is in the middle of a change" : NULL;
	for (topic = 1; topic <= ix->shm->high; topic++)
		marked += ix->changed[topic] != 0;
	for (topic = first_changed(ix); topic != TOPIC_NONE; topic = ix->changed[topic] == INDEX_FEED_END ? TOPIC_NONE : ix->changed[topic]) {
		if (topic > ix->shm->high || !ix->changed[topic])
			return "the feed leads to an entry that is not in it";
		if (found++ == marked)
			return "the feed is too long";
		last = topic;
	}
	return found != marked ? "the feed lacks entries" : last != ix->shm->changed_last ? "the feed's last entry is not its last" : NULL;
}

int index_check(const struct index *ix, const char **why)
{
	const struct index_shm *shm = ix->shm;

	*why = NULL;
	if (atomic_load_explicit(&shm->dirty, memory_order_relaxed))
		*why = "dirty";
	else if (shm->high > shm->topics_max || shm->used > shm->high)
		*why = "more topics than entries";
	else if (shm->high < shm->topics_max && state_of(&ix->topics[shm->high + 1]) != TOPIC_FREE)
		*why = "a topic beyond the entries ever used";
	else if (!(*why = check_chains(ix)) && !(*why = check_free(ix)) && !(*why = check_feed(ix)))
		*why = patterns_check(ix);
	return *why ? -1 : 0;
}
