/*
 * The topic index: name -> number, for all workers, in the hub segment.
 *
 * A chained hash table of fixed size. All calls are made under the hub lock, except where it says otherwise. A topic is
 * there while some slot has subscribers of it (a bit in `interest`), or history keeps messages of it (`kept`). When neither is so
 * any more it is reclaimed, and its number may name another topic later, with another generation. A ring record names its topic by
 * number and generation.
 *
 * What is subscribed may be a pattern (proto/wildcard.h). It is an entry like that of a topic, under its own name, which no topic has: with interest, counts
 * and records of its own. A publish finds those that fit its topic by asking for one name a shape that is in use (index_match()).
 *
 * Crash rules: an entry's `state` is the truth (one store commits a topic or its end). Chains and the free list are derived
 * from it: a process that dies with the lock held may have left them half changed, which `dirty` says, and
 * index_repair() builds them anew. The dead one's bits in `interest` are left as they were: its successor keeps or leaves
 * those topics. A topic that is kept and has no messages is let go by history_sweep().
 *
 * The *feed* lists entries of which somebody has become interested or nobody is any more, for one who follows that (nodes.h): each once, in the order in which they have changed first. An entry is
 * put there before it changes, so a death in between leaves one that has not changed; a death while the list is changed loses it, which `feed` says.
 */
#ifndef SHM_INDEX_H
#define SHM_INDEX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/wildcard.h"

#define TOPIC_NONE 0u		/* topic numbers start at 1 */
#define TOPIC_NAME_MAX 255
#define INDEX_SLOTS_MAX 64	/* bits in `interest` */
#define SLOT_BRIDGE (INDEX_SLOTS_MAX - 1)	/* no worker's: the bridge's (nodes.h), whose `state` stays SLOT_UNUSED, and which has no bit set */
#define INDEX_SIEVE 4		/* bytes a bucket */
#define INDEX_SHAPES_MAX 64	/* of patterns: what a publish may have to look up */

enum { NAME_INBOX = 1, NAME_EVERYBODY = 2 };	/* what the names begin with of topics that are none: what a user is sent, and all are */

enum { TOPIC_FREE, TOPIC_USED };
enum { TOPIC_KEPT_NOT, TOPIC_KEPT, TOPIC_WAS_KEPT };	/* WAS_KEPT: history has none of its messages any more */
enum { FEED_OFF, FEED_ON, FEED_CHANGING, FEED_LOST };	/* CHANGING: a list of changes is in the middle of one; LOST: a process died in it */

/* One topic. Written under the hub lock; `interest` and `last` are also read without it. 320 bytes: 5 cache lines. */
struct topic_shm {
	_Alignas(64) _Atomic uint32_t state;	/* TOPIC_FREE or TOPIC_USED */
	uint32_t generation;		/* counts the uses of this entry; goes up when a topic is made in it */
	uint64_t hash;
	_Atomic uint64_t interest;	/* bit n: slot n has subscribers of this topic */
	_Atomic uint64_t last;		/* sequence of its newest record in the ring, 0 none. May be >= the ring's tail while a
					   publisher is at work: follow that record's `prev` */
	uint64_t published;		/* how many records were ever written for it: numbers them from 1 */
	uint32_t next;			/* in its chain or in the free list; TOPIC_NONE ends it */
	uint8_t name_len;
	char name[TOPIC_NAME_MAX];	/* not terminated */
	uint32_t kept;			/* TOPIC_KEPT: it stays without interest */
	uint64_t since;			/* no message to this topic is unknown that came at this sequence or later (hub_counted_since()) */
	uint32_t pulse, pulse_at;	/* how often there are messages: see index_pulse(). (Was not used at first: 0, which is none) */
};
_Static_assert(sizeof(struct topic_shm) == 320, "layout");

/* A shape (proto/wildcard.h) that patterns here have. */
struct shape_shm {
	struct wildcard shape;
	uint32_t patterns;		/* how many have it */
	uint32_t pad;
};
_Static_assert(sizeof(struct shape_shm) == 16, "layout");

struct index_shm {
	_Alignas(64) uint32_t topics_max;
	uint32_t buckets;		/* a power of two */
	_Atomic uint32_t dirty;		/* 1 while chains or free list are being changed */
	uint32_t free;			/* head of the free list */
	uint32_t used;
	uint32_t high;			/* entries 1..high were ever used; those beyond are as index_format() found them */
	uint64_t seed;			/* secret: which bucket a hash falls into can't be told from outside */
	_Atomic uint64_t forgotten;	/* above the sequences of all records of kept topics that have ended since */
	uint64_t unheard;		/* where the ring's tail was when a message was last dropped that nobody subscribed: it has no sequence */
	uint64_t unknown;		/* before this sequence there may have been messages of kept topics that nobody knows of: an earlier server ended before they were in its journal */
	uint32_t patterns, shapes;	/* patterns that are here, and the shapes that they have; derived, put right with the chains */
	uint32_t patterns_max, shapes_max;	/* limits of both, stored before anybody else sees the index */
	struct shape_shm shape[INDEX_SHAPES_MAX];	/* the first `shapes` of them, in no order */
	uint32_t sieved;		/* 1: the sieve was written to */
	_Atomic uint32_t feed;		/* FEED_ON and the like */
	_Atomic uint32_t changed_first;	/* the feed's first and last entry, TOPIC_NONE: there is none. Without the lock, a hint */
	uint32_t changed_last;
	uint32_t pad[10];
	/*
	 * uint32_t heads[buckets], then struct topic_shm topics[topics_max + 1] (64-byte aligned; topics[0] is not used), then uint8_t
	 * sieve[INDEX_SIEVE * buckets]: how many patterns have a hash that falls there; at 255 it stays. It is not touched while there are no patterns. Then
	 * uint32_t changed[topics_max + 1]: the next entry of the feed, INDEX_FEED_END if it is the last; 0: it is not in the feed. Not touched while that is off.
	 */
};
_Static_assert(sizeof(struct index_shm) == 128 + INDEX_SHAPES_MAX * 16, "layout");

/* A process's handle. */
struct index {
	struct index_shm *shm;
	uint32_t *heads;
	struct topic_shm *topics;
	uint8_t *sieve;
	uint32_t *changed;
};

/* Bytes that an index of topics_max topics takes. */
size_t index_size(uint32_t topics_max);

/* Makes an empty index in zeroed memory of index_size() bytes. (Free entries beyond those ever used are not touched:
 * pages of a large index that holds few topics stay unbacked.) */
void index_format(void *mem, uint32_t topics_max);

/* Limits its patterns, and the shapes that they have. */
void index_limit(void *mem, uint32_t patterns_max, uint32_t shapes_max);

/* Fills the handle in. 0, or -1 with EINVAL when `size` does not fit what the memory says of itself. */
int index_attach(struct index *ix, void *mem, size_t size);

/* The hash that index_find(), index_join() and index_keep() want; needs no lock. */
uint64_t index_hash(const char *name, size_t len);

/* A topic's number, or TOPIC_NONE. */
uint32_t index_find(const struct index *ix, uint64_t hash, const char *name, size_t len);

/* Finds or makes the topic and sets the slot's bit in its interest. `since`: see topic_shm (hub_counted_since()). Its number, or TOPIC_NONE: ENOSPC (index full); of a pattern
 * also EDQUOT (as many patterns as may be), or ENOBUFS (its shape would be one too many).
 * A `len` of 0 or above TOPIC_NAME_MAX is a programmer's error. */
uint32_t index_join(struct index *ix, unsigned slot, uint64_t hash, const char *name, size_t len, uint64_t since);

/* Clears the slot's bit; the topic is reclaimed when it was the last one and the topic is not kept. */
void index_leave(struct index *ix, unsigned slot, uint32_t topic);

/* Finds or makes the topic, as index_join() does, and has it kept, whether anybody is interested or not. ENOSPC also if three quarters are in use. */
uint32_t index_keep(struct index *ix, uint64_t hash, const char *name, size_t len, uint64_t since);

/* The topic need not be kept any more: it is reclaimed when nobody is interested. */
void index_release(struct index *ix, uint32_t topic);

/* What kept topics had before this sequence may be forgotten, and nobody knows of which topics. Needs no lock. */
void index_forget(struct index *ix, uint64_t seq);

/* Whether a name, as it stands in the index, is a pattern's. */
static inline bool index_is_pattern(const char *name, size_t len)
{
	struct wildcard shape;

	return *name != NAME_INBOX && *name != NAME_EVERYBODY && wildcard_read(name, len, &shape);
}

/* Whether there are patterns at all. */
static inline bool index_has_patterns(const struct index *ix)
{
	return ix->shm->shapes != 0;
}

/* Whether there ever were. Needs no lock: what is counted may be counted anew at this moment, by who repairs the index; this stays. */
static inline bool index_had_patterns(const struct index *ix)
{
	return __atomic_load_n(&ix->shm->sieved, __ATOMIC_RELAXED) != 0;
}

/* The patterns that fit this topic: found[0..n), n <= INDEX_SHAPES_MAX. Costs at most one look-up for each shape in use. */
unsigned index_match(const struct index *ix, const char *name, size_t len, uint32_t found[INDEX_SHAPES_MAX]);

/* The topic's entry. Needs no lock for a topic whose interest has the caller's bit. */
static inline struct topic_shm *index_topic(const struct index *ix, uint32_t topic)
{
	return &ix->topics[topic];
}

/* Whether it is kept, at this moment. Needs no lock, as index_topic(). */
static inline bool index_is_kept(const struct index *ix, uint32_t topic)
{
	return __atomic_load_n(&ix->topics[topic].kept, __ATOMIC_RELAXED) == TOPIC_KEPT;
}

/*
 * Counts a message that is published to the topic at this time, in microseconds. The count loses an eighth of itself a second, so it says what was
 * published in the last seconds: a topic that has had one message each second for a while has 7 to 8.
 */
void index_pulse(struct topic_shm *t, uint64_t time);
/* Messages in 1000 seconds, by that count. Needs no lock for a topic that stays. */
uint64_t index_rate(const struct topic_shm *t, uint64_t now);

/* ---- the feed of changes ---- */

#define INDEX_FEED_END UINT32_MAX

static inline bool index_feed_is_on(const struct index *ix)
{
	return atomic_load_explicit(&ix->shm->feed, memory_order_relaxed) == FEED_ON;
}

/* Whether there is something to be taken, or may be. Needs no lock. */
static inline bool index_has_changes(const struct index *ix)
{
	return atomic_load_explicit(&ix->shm->changed_first, memory_order_relaxed) != TOPIC_NONE;
}

/* Forgets what a feed that is not on has left. Needs no lock, as nobody else touches that. */
void index_feed_clear(struct index *ix);
/* Begins it, when it was cleared; ends it. */
void index_feed_begin(struct index *ix);
void index_feed_end(struct index *ix);
/* Takes up to `most` entries out of a feed that is on. How many. They may have changed several times, and be as they were. */
unsigned index_feed_take(struct index *ix, uint32_t *taken, unsigned most);

/* After the lock's holder died, lock still held: puts chains and the free list right if `dirty` says so; and says so if the feed is lost. */
void index_repair(struct index *ix);

/* Walks all of it (lock held, or nobody else alive). 0 when every rule above holds, else -1, and `why` is set to what is
 * broken. For tests and janusctl. */
int index_check(const struct index *ix, const char **why);

#endif
