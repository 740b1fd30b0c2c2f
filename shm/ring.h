/*
 * The publish ring: every message of every topic, in the one order that all subscribers see. In the hub segment.
 *
 *   descriptors   | seq | seq+1 | ... 64 bytes each, at seq % descs
 *   bytes         |record|record|...  contiguous, 8-byte aligned; one that does not fit before the end starts at the beginning
 *
 *        oldest              tail        claimed
 *   -----[===================)-----------)----
 *         readable            being written
 *
 * One producer at a time, under the hub lock: ring_begin(), ring_add() for each record, then ring_commit(), whose one release
 * store of `tail` publishes all of them. Any number of readers, without the lock: they copy, then check that `oldest` has not
 * passed what they copied. A record's sequence is its message's id; 0 is no sequence, the first is 1.
 *
 * Before a descriptor or bytes are overwritten, `oldest` is moved past all records that lose anything (release fence after
 * it), so a reader that finds seq >= oldest after copying has a whole record.
 *
 * Crash rules: a producer that dies before the store of `tail` has published nothing. What it may have left are
 * descriptors at tail..claimed-1, and topics whose `last` and `published` count them, and a link `next` to one of them;
 * ring_repair() (by who breaks the lock) undoes the latter. One that dies right after the store of `tail` has published, and
 * ring_repair() puts `end` and `time` right. `oldest` may have moved further than needed, which is harmless.
 * A descriptor's `seq` is 0 while the rest of it is written, so one that is not complete is never taken for a record.
 * A link is only ever followed after checking that it leads to a readable record of the same topic and generation.
 */
#ifndef SHM_RING_H
#define SHM_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/index.h"

/*
 * What a message has several records for: those who subscribe its topic, and each pattern that fits it, are interests of their own. The first record is the
 * message's own, and its sequence is the message's id. The others follow it at once, within the batch: each is an *echo*, a descriptor of another topic's record
 * that has the same bytes and the same time.
 */
#define RING_ECHO 0x80000000u		/* in a record's flags: it is an echo, and the low bits say how far behind the message's own record */
#define RING_ECHOED 0x40000000u		/* it is a record of a message that has echoes, or is one */
#define RING_FOREIGN 0x20000000u	/* in those of a message's own record: it is not for other nodes (nodes.h), as it came from there, or tells of this one alone */
#define RING_TO_USER 0x10000000u	/* the same: it is to a user. Noted only if the message is for other nodes */
#define RING_TO_STREAM 0x08000000u	/* the same: it is for the stream alone, from where it comes back (nodes.h). A record of TOPIC_NONE */
#define RING_FLAGS 0x07ffffffu		/* what is for the publisher's use of the flags of a message's own record */
#define RING_KEPT (RING_FOREIGN | RING_TO_USER | RING_TO_STREAM | RING_FLAGS)	/* what a snapshot keeps of them */
#define RING_ECHOES_MAX 1024		/* of one message */

/* What a record is. Written by its producer, except `next`, by the producer of the topic's next record. */
struct ring_desc_shm {
	_Alignas(64) _Atomic uint64_t seq;
	uint64_t at;			/* where its bytes are: a count of bytes since the ring was made; at % bytes is the place */
	uint32_t len;			/* of its bytes */
	uint32_t topic;
	uint32_t generation;		/* of the topic */
	uint32_t flags;			/* RING_ECHO and the like; the rest is for the publisher's use */
	uint64_t time;			/* microseconds since 1970, see ring_time_follows() */
	uint64_t prev;			/* sequence of the topic's previous record, 0 none. May be overwritten already */
	_Atomic uint64_t next;		/* sequence of the topic's next record, 0 none yet. Of nobody's (TOPIC_NONE), which are not linked: what the stream has said of it (nodes.h) */
	uint64_t number;		/* counts the topic's records from 1, without gaps: prev has number - 1 */
};
_Static_assert(sizeof(struct ring_desc_shm) == 64, "layout");

struct ring_shm {
	_Alignas(64) _Atomic uint64_t tail;	/* next sequence to be published */
	uint8_t pad0[56];
	_Alignas(64) _Atomic uint64_t oldest;	/* oldest readable sequence */
	uint8_t pad1[56];
	/* the producer's, under the lock */
	_Alignas(64) _Atomic uint64_t claimed;	/* first sequence not touched by the batch under way; == tail when there is none */
	uint64_t end;			/* byte count where the next record's bytes may start, as of tail */
	uint64_t time;			/* of the last record */
	uint32_t descs;			/* powers of two */
	uint32_t pad2;
	uint64_t bytes;
	uint8_t pad3[24];
	/* struct ring_desc_shm desc[descs], then the bytes */
};
_Static_assert(sizeof(struct ring_shm) == 192, "layout");

/* A reader's note of where a topic's records begin: the topic has none in [since, first), and one at `first`. */
struct ring_first {
	uint32_t topic, generation;
	uint64_t since, first;
};
#define RING_FIRSTS 1024

struct ring {
	struct ring_shm *shm;
	struct ring_desc_shm *desc;
	uint8_t *data;
	struct index *index;		/* the topics that records name */
	struct ring_first *firsts;	/* NULL, or the reader's own RING_FIRSTS notes, zeroed at first, for ring_seek() */
};

/*
 * Times rise strictly from record to record, also if the clock is set back by some seconds: then a time is made up that follows. If the clock is set
 * back by more, records have its time at once; else a clock that was once far ahead would leave all times in the future. So a record's time
 * may be less than that of the one before it, but then by more than RING_TIME_BACK microseconds.
 */
#define RING_TIME_BACK 10000000u
static inline bool ring_time_follows(uint64_t before, uint64_t time)
{
	return time > before || before - time > RING_TIME_BACK;
}

/* A batch of records under way; a producer's, on its stack. */
struct ring_batch {
	uint64_t first;			/* sequence of the first record */
	uint64_t next;			/* sequence the next record will have; next - first records so far */
	uint64_t end;			/* byte count after the last record */
	uint64_t time;
};

size_t ring_size(uint64_t bytes, uint32_t descs);

/* Makes an empty ring in zeroed memory of ring_size() bytes. bytes and descs are powers of two; bytes >= 4096, descs >= 8.
 * Byte counts start a little before a multiple of `bytes`, so that the first records already wrap. */
void ring_format(void *mem, uint64_t bytes, uint32_t descs);

/* Fills the handle in. 0, or -1 with EINVAL. `index` must outlive the handle. */
int ring_attach(struct ring *r, void *mem, size_t size, struct index *index);

/* ---- producer, under the hub lock ---- */

void ring_begin(struct ring *r, struct ring_batch *b);

/* Adds a record of `len` bytes (> 0) to the batch and returns where to write them, 8-byte aligned; `now` is the time in
 * microseconds since 1970 (made larger where it would not follow: ring_time_follows()). The topic must be in use, or TOPIC_NONE:
 * nobody's record (of a message that is for other nodes alone; or for restoring that of a topic that is gone). NULL with
 * ENOSPC when the batch would take more than half of the ring: commit what there is first (never said to the first record
 * of a batch); NULL with EMSGSIZE when one record alone would. What is skipped before the end of the ring counts, too; only
 * a record of more than a quarter of the ring can, with that, take more than half, so keep messages below a quarter. */
void *ring_add(struct ring *r, struct ring_batch *b, uint32_t topic, uint32_t len, uint32_t flags, uint64_t now);

/*
 * Adds a record of another topic for the message whose own record was added last (for restoring a ring: in the batch before). It takes a descriptor alone. The
 * caller has given that record RING_ECHOED, and sees to it that the batch does not take more than half of the descriptors.
 */
void ring_echo(struct ring *r, struct ring_batch *b, uint32_t topic);

/* Publishes the batch: [b->first, b->next). A message and its echoes are one batch. */
void ring_commit(struct ring *r, struct ring_batch *b);

/* Empties the ring; the next record's sequence will be `seq` (not below the tail), its time will follow `time`. Nobody else uses the
 * ring: for restoring one. */
void ring_start(struct ring *r, uint64_t seq, uint64_t time);

/* After the lock's holder died, lock still held: undoes what an unpublished batch left (see above). May itself be cut short
 * and called again. A living producer calls it to give up a batch. */
void ring_repair(struct ring *r);

/* ---- readers, no lock ---- */

static inline uint64_t ring_tail(const struct ring *r)
{
	/* acquire: pairs with the release in ring_commit() */
	return atomic_load_explicit(&r->shm->tail, memory_order_acquire);
}

static inline uint64_t ring_oldest(const struct ring *r)
{
	return atomic_load_explicit(&r->shm->oldest, memory_order_acquire);
}

/* Where in history (history.h) a record is, and where its topic's messages ended when it was found. page 0: it is in the ring. */
struct history_place {
	uint32_t page, offset;
	uint32_t last, end;
};

/* A reader's copy of a descriptor; or a message of history, which has no `at`, `next` and `flags`. */
struct ring_record {
	uint64_t id;			/* its message: the sequence of that one's own record; less than `seq` if this is an echo */
	uint64_t seq, at, time, prev, next, number;
	uint32_t len, topic, generation, flags;
	struct history_place place;
};

/* Where the descriptor of `seq` stands, or of another sequence that has taken its place. */
static inline struct ring_desc_shm *ring_desc(const struct ring *r, uint64_t seq)
{
	return &r->desc[seq & (r->shm->descs - 1)];
}

/* Copies the descriptor of `seq`, also of a record that is not published yet. 0, or -1 with ESTALE when it has been overwritten. */
int ring_read(const struct ring *r, uint64_t seq, struct ring_record *rec);

/* The message that the record `seq` belongs to, if it is there; else `seq`. */
uint64_t ring_message_of(const struct ring *r, uint64_t seq);

/*
 * Where records begin of messages with this id or a later one. It is `id` itself but where that lies behind a message's own record, and within its echoes:
 * then it is behind these.
 */
uint64_t ring_message_from(const struct ring *r, uint64_t id);

/* Copies the record's bytes to dst (room for rec->len). 0, or -1 with ESTALE: dst then holds rubbish. */
int ring_copy(const struct ring *r, const struct ring_record *rec, void *dst);

/* The record's bytes where they are. Good only if ring_holds() still says so after they were used. */
static inline const void *ring_peek(const struct ring *r, const struct ring_record *rec)
{
	return r->data + (rec->at & (r->shm->bytes - 1));
}

/* Whether the record can still be read; asked after its bytes were read. */
static inline bool ring_holds(const struct ring *r, uint64_t seq)
{
	/* acquire fence: what was read before stays before; pairs with the fence after the store of `oldest` */
	atomic_thread_fence(memory_order_acquire);
	return seq >= atomic_load_explicit(&r->shm->oldest, memory_order_relaxed);
}

/* The oldest readable record of the topic (with this generation) at or after `from`, looking no further than `below`
 * (exclusive; <= tail). `hint`, if not 0, is the sequence of some record of the topic at or before that one, from which the
 * links are followed forwards. With any other or overwritten value, the walk goes back from the topic's last and, at the same time, forwards
 * through all records from the oldest: it takes about as many steps as the topic has records, or as it takes until its first one, whichever
 * is less. What was found so is noted, and asked first the next time, if `firsts` is there. 0 and *rec filled in, or -1 with ENOENT. The
 * record was whole when read: ring_copy() says whether it still is. */
int ring_seek(const struct ring *r, uint32_t topic, uint32_t generation, uint64_t from, uint64_t below, uint64_t hint,
	      struct ring_record *rec);

/* How much of the ring, in descriptors or bytes, whichever is more, lies between a reader at `seq` and the tail, in parts of
 * 1024, rounded up: 0 at the tail, 1024 or more when `seq` has been or is about to be overwritten. */
unsigned ring_lag(const struct ring *r, uint64_t seq);

/* Checks everything stated above, nobody else alive or lock held: 0, or -1 with `why`. */
int ring_check(const struct ring *r, const char **why);

#endif
