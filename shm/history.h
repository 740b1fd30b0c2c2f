/*
 * History: messages of topics that are kept beyond the ring, as long as the setting `history` promises. In the hub segment.
 *
 *   history_shm | struct history_topic_shm[topics_max + 1], by topic number | struct history_page_shm[pages]
 *
 * A topic's messages are a chain of pages, oldest first. A record stands in a page behind its header, and goes on in the next ones if it is longer.
 * Pages that are free are a chain too. Whoever holds the hub lock changes all this; readers walk the pages without it, while they have them pinned.
 *
 *        head           first                  end
 *   -----[-retired------)[-messages-----------)----- free pages, one behind the other
 *
 * What is here follows from the ring. history_follow() takes over the ring's new records, up to the tail, before the hub lock is let go: all that lies
 * before `upto` has been taken over. After a death the keeper calls it in the dead one's stead, so a message that is published is kept.
 *
 * Crash rules. What changes about a topic and the free pages is one step, prepared in `redo`, committed by one store of redo.topic, and copied; who
 * breaks the lock copies it again (history_repair()). What a step prepares is out of everybody's sight until then: bytes are written behind `end`, into
 * pages that are still free, and the pages are linked in that order already.
 *
 * Retired pages. Messages over a limit are retired: `first` moves past their pages, which stay linked, as readers may be in them. A worker that reads
 * pins what is there (history_pin()); its pin is the ring's tail at that moment. A retired page notes the tail, too, and is free when no pin is that
 * old. The pin of a worker that has died holds until its successor has done with what the dead one may have sent.
 *
 * If no page can be had for a message it is not kept, and what is older is retired with it: what is here of a topic is always without a gap.
 * `from` says so: all records of the topic at or after it are here, or in the ring.
 */
#ifndef SHM_HISTORY_H
#define SHM_HISTORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/history_rules.h"
#include "shm/lock.h"
#include "shm/ring.h"

#define HISTORY_PAGE 4096	/* bytes */

struct history_page_shm {
	uint32_t next;			/* in its chain; what the last page of a chain has here means nothing. Page numbers start at 1 */
	uint32_t begins;		/* offset in the page of the first record that begins in it, 0 none does */
	uint64_t seq;			/* that record's sequence and number */
	uint64_t number;
	uint64_t retired;		/* the ring's tail when it was */
	uint8_t bytes[HISTORY_PAGE - 32];
};
_Static_assert(sizeof(struct history_page_shm) == HISTORY_PAGE, "layout");

/* What is kept of a topic; valid if its generation is the topic's. */
struct history_topic_shm {
	_Alignas(64) uint32_t generation;
	uint32_t head;			/* the oldest page, retired ones included; 0: there are none */
	uint32_t first;			/* the page that holds the beginning of the oldest message, 0: there is none */
	uint32_t last, end;		/* the newest page, and the offset in it behind the newest message */
	uint32_t pages;			/* from `head` on */
	uint64_t messages, bytes;	/* from `first` on */
	uint64_t from;			/* all records with this sequence or a later one are here or in the ring. 0: not known, ask the ring */
	uint64_t newest;		/* time of the newest message, microseconds since 1970 */
};
_Static_assert(sizeof(struct history_topic_shm) == 64, "layout");


/* A step: what becomes of a topic and of the free pages. */
struct history_redo_shm {
	_Atomic uint32_t topic;			/* stored last; TOPIC_NONE: there is no step */
	uint32_t free_first, free_last, free_count;
	struct history_topic_shm state;
};

struct history_shm {
	_Alignas(64) uint32_t topics_max, pages;
	/* Free pages are a queue: taken at its head, given back at its end. One always stays, so that both ends are there. */
	uint32_t free_first, free_last, free_count;
	uint32_t kept;				/* topics that have messages here */
	uint32_t victim;			/* the topic that last gave pages for want of free ones, 0 none: asked first the next time */
	uint32_t hand, swept;			/* where the search for a victim, and the sweep, go on */
	uint64_t upto;				/* the ring's records before this sequence were taken over */
	_Atomic uint64_t messages, bytes;	/* of all topics; counted, for janusctl */
	struct history_redo_shm redo;
};

struct history {
	struct history_shm *shm;
	struct history_topic_shm *topics;
	struct history_page_shm *pages;		/* pages[0] is not used */
	struct ring *ring;			/* its index has the topics */
	struct lock_shm *lock;			/* the hub lock */
	const struct history_rules *rules;	/* NULL: this process keeps nothing */
};

size_t history_size(uint32_t topics_max, uint64_t bytes);
/* Makes an empty history in zeroed memory. (Pages that were never used are not touched.) */
void history_format(void *mem, uint32_t topics_max, uint64_t bytes);
int history_attach(struct history *h, void *mem, size_t size, struct ring *ring, struct lock_shm *lock);	/* 0, or -1 with EINVAL */

/* ---- the hub lock is held ---- */

/* Takes over the ring's records from `upto` to the tail. `pinned`: the oldest pin of all slots, UINT64_MAX none (hub_pinned()). */
void history_follow(struct history *h, uint64_t pinned);
/* After the lock's holder died: finishes its step. history_follow() comes next. */
void history_repair(struct history *h);
/*
 * Looks at up to `steps` topics, in turn: retires messages that are too old, gives retired pages back, and lets topics go that have no messages left
 * (index_release()). `now`: microseconds since 1970.
 */
void history_sweep(struct history *h, uint64_t now, uint64_t pinned, unsigned steps);
/* Adds a message of a snapshot, in the order of sequences, and what else is known of a topic. -1: there is no room for it. */
int history_restore(struct history *h, uint32_t topic, const struct ring_record *rec, const void *bytes);
/* Everything stated above: 0, or -1 with `why`. For tests. */
int history_check(const struct history *h, const char **why);

/* ---- readers: they do not hold the lock, and have pinned (hub_pin()); `owner`: the slot's number + 1 ---- */

/* The topic's oldest message with from <= sequence < below. 0 and *rec with its place in history; -1 with ENOENT. */
int history_seek(const struct history *h, uint32_t owner, uint32_t topic, uint32_t generation, uint64_t from, uint64_t below, struct ring_record *rec);
/* The oldest message with this number or a higher one. */
int history_seek_number(const struct history *h, uint32_t owner, uint32_t topic, uint32_t generation, uint64_t number, struct ring_record *rec);
/* *rec becomes the topic's next message, as far as there was one when it was sought. 0, or -1 with ENOENT. Takes no lock. */
int history_next(const struct history *h, struct ring_record *rec);
/* Copies the message's rec->len bytes. */
void history_copy(const struct history *h, const struct ring_record *rec, void *dst);
/* From which sequence on all records of the topic are here or in the ring; the ring's oldest, or when the topic began, if it has no history. */
uint64_t history_from(const struct history *h, uint32_t owner, uint32_t topic, uint32_t generation);

#endif
