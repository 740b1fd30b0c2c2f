/*
 * History: messages of topics that are kept beyond the ring, as long as the setting `history` promises. In the hub segment.
 *
 *   history_shm | struct history_topic_shm[topics_max + 1], by topic number | struct history_page_shm[1 + pages], the first is not used
 *
 * A topic's messages are a chain of pages, oldest first. A record stands in a page behind its header, and goes on in the next ones if it is longer.
 * Whoever holds the hub lock changes all this; readers walk the pages without it, while they have them pinned.
 *
 *           first                       last
 *   topic   [page -> page -> page -> page)end
 *
 *           free_first                        free_last
 *   queue   [run: page -> page] => [run: page] => [run: page -> page -> page]       1..high were ever used, those beyond are free, too
 *
 * Free pages are a queue of runs. When messages are over a limit, or others need the pages, `first` moves on, and the pages it moves past are a run at
 * the queue's end. They stay linked as they were, to the topic's next page as well, as readers may be in them: a page that is freed is changed only
 * when it is taken.
 *
 * Pins. A run notes the ring's tail at which it was freed, which never falls along the queue. A worker that reads pins what is there (hub_pin()); its
 * pin is the ring's tail at that moment. The first run may be taken if no pin is as old as it, or older. A sixteenth of the pages is kept free ahead,
 * so that they have been free for a while when they are taken. The pin of a worker that has died holds until its successor has done with what the
 * dead one may have sent.
 *
 * What is here follows from the ring. history_follow() takes over the ring's new records, up to the tail, before the hub lock is let go: all that lies
 * before `upto` has been taken over. After a death the keeper calls it in the dead one's stead, so a message that is published is kept.
 *
 * Crash rules. What changes about a topic and what all have together (history_books_shm) is one step, prepared in `redo`, committed by one store of
 * redo.topic, and copied; who breaks the lock copies it again (history_repair()). What a step prepares is out of everybody's sight until then: bytes
 * are written behind `end` and into pages that are still free; what is said here to mean nothing is written over.
 *
 * If no page can be had for a message it is not kept, and what is older is given up with it: what is here of a topic is always without a gap.
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
	uint32_t next;			/* in its chain or run; of the last page of a chain it means nothing. Page numbers start at 1 */
	uint32_t begins;		/* offset in the page of the first record that begins in it, 0 none does. (In the last page, from `end` on: none) */
	uint64_t seq, number, before;	/* that record's sequence and number, and the bytes of the topic's messages before it, counted from any */
	uint64_t from;			/* all records of the topic from this sequence on are here, if that record is the oldest */
	/* of the first page of a free run */
	uint64_t freed;			/* the ring's tail when it was */
	uint32_t run_last, run_pages;	/* its last page, and how many there are */
	uint32_t next_run;		/* of the last run it means nothing */
	uint32_t pad;
	uint8_t bytes[HISTORY_PAGE - 64];
};
_Static_assert(sizeof(struct history_page_shm) == HISTORY_PAGE, "layout");

/* What stands before a message's bytes. It does not go over the end of a page: where there is no room for it, it stands in the next one. */
struct history_head_shm {
	uint64_t seq, time, number;
	uint32_t len, pad;
};
_Static_assert(sizeof(struct history_head_shm) == 32, "layout");

/* What is kept of a topic; valid if its generation is the topic's and `from` is not 0. */
struct history_topic_shm {
	_Alignas(64) uint32_t generation;
	uint32_t first;			/* the page that has the oldest message's header as the first, 0: there is no message */
	uint32_t last, end;		/* the newest page, and the offset in it behind the newest message */
	uint32_t pages;
	uint32_t pad;
	uint64_t messages, bytes;
	uint64_t from;			/* all records with this sequence or a later one are here or in the ring */
	uint64_t newest_seq, newest;	/* of the newest message: its sequence, and its time in microseconds since 1970 */
};
_Static_assert(sizeof(struct history_topic_shm) == 64, "layout");

/* What all topics have together. */
struct history_books_shm {
	uint32_t free_first, free_last;	/* first pages of the first and the last run, 0: there is none */
	uint32_t free_count;		/* pages in runs */
	uint32_t high;			/* pages 1..high were ever used; those beyond are as history_format() found them */
	uint32_t kept;			/* topics that have messages here */
	uint32_t live;			/* entries whose `from` is not 0 */
	uint64_t upto;			/* the ring's records before this sequence were taken over */
	uint64_t messages, bytes;	/* for janusctl, which reads them without the lock */
};

/* A step: what becomes of a topic and the books. */
struct history_redo_shm {
	_Atomic uint32_t topic;		/* stored last; TOPIC_NONE: there is no step */
	struct history_topic_shm state;
	struct history_books_shm books;
};

struct history_shm {
	_Alignas(64) uint32_t topics_max, pages;
	uint32_t victim;		/* the topic that last gave pages for another's message, 0 none: asked first the next time */
	uint32_t hand, swept;		/* where the search for a victim, and the sweep, go on */
	struct history_books_shm books;
	struct history_redo_shm redo;
};

/* What a process has done and nobody has counted yet (hub_count_history()). */
struct history_counts {
	uint64_t kept;			/* messages taken over */
	uint64_t cut_short;		/* messages given up before what was promised, as pages were needed */
	uint64_t missed;		/* messages not kept, as no page could be had or they are too large */
};

/*
 * A reader's note of where it found a message, so that who reads on there need not walk the chain from its beginning. As pages go only from a chain's
 * beginning, and their messages are in order, the page is in the chain as long as the chain's first message is not newer.
 */
struct history_note {
	uint32_t topic, generation, page;
	uint64_t seq, number;			/* of the first record that begins in the page */
};
#define HISTORY_NOTES 256

struct history {
	struct history_shm *shm;
	struct history_topic_shm *topics;
	struct history_page_shm *pages;
	struct ring *ring;			/* its index has the topics */
	struct lock_shm *lock;			/* the hub lock */
	const struct history_rules *rules;	/* NULL: this process keeps nothing */
	struct history_counts counts;
	uint32_t looked_through;		/* entries that the sweep has looked at since there is nothing to do */
	struct history_note *notes;		/* NULL, or the reader's own HISTORY_NOTES, zeroed at first */
};

static inline struct history_page_shm *history_page(const struct history *h, uint32_t page)
{
	return &h->pages[page];
}

/* Where the first record begins of those that begin in the page, which is one of a chain that ends at `last` and `end`; 0: none does. */
static inline uint32_t history_begins(const struct history *h, uint32_t page, uint32_t last, uint32_t end)
{
	uint32_t begins = history_page(h, page)->begins;

	return page == last && begins >= end ? 0 : begins;
}

size_t history_size(uint32_t topics_max, uint64_t bytes);
/* Makes an empty history in zeroed memory. (Pages that were never used are not touched.) */
void history_format(void *mem, uint32_t topics_max, uint64_t bytes);
int history_attach(struct history *h, void *mem, size_t size, struct ring *ring, struct lock_shm *lock);	/* 0, or -1 with EINVAL */

/* What all topics have together, as it was lately: no lock is needed. */
struct history_use {
	uint64_t topics, messages, bytes, pages, pages_max;
};
struct history_use history_use(const struct history *h);

/* ---- the hub lock is held ---- */

/* Whether nothing is kept and nothing is to be: then history_follow() needs no `pinned`. */
static inline bool history_idle(const struct history *h)
{
	return h->shm->books.live == 0 && (!h->rules || h->rules->count == 0);
}

/* Whether a sweep would find nothing to do. (A topic may be kept for a message that its publisher did not live to publish.) */
static inline bool history_is_swept(const struct history *h)
{
	return history_idle(h) && h->looked_through >= h->ring->index->shm->high;
}

/* Takes over the ring's records from `upto` to the tail. `pinned`: the oldest pin of all slots, UINT64_MAX none (hub_pinned()). */
void history_follow(struct history *h, uint64_t pinned);
/* After the lock's holder died: finishes its step. history_follow() comes next. */
void history_repair(struct history *h);
/*
 * Looks at up to `steps` topics, in turn: gives up messages that are too old, or that no rule wants any more, and lets topics go that have no messages
 * left (index_release()). `now`: microseconds since 1970.
 */
void history_sweep(struct history *h, uint64_t now, unsigned steps);
/*
 * Adds a message of a snapshot; those of a topic come in their order. rec: seq, time, number, len, and prev, as in the ring: before a topic's first
 * message, all records of the topic that come behind prev are here. -1: there is no room for it.
 */
int history_restore(struct history *h, uint32_t topic, const struct ring_record *rec, const void *bytes);
/* When they all are there: gives them up if the newest one has another number than it should, and so some are missing. */
void history_restored(struct history *h, uint32_t topic, uint64_t newest);
/* Everything stated above: 0, or -1 with `why`. For tests. */
int history_check(const struct history *h, const char **why);

/* ---- readers: they do not hold the lock, and have pinned (hub_pin()); `owner`: the slot's number + 1 ---- */

/* The topic's oldest message with from <= sequence < below. 0 and *rec with its place in history, `prev` being a sequence behind which the topic has had no
 * other before it; -1 with ENOENT. */
int history_seek(const struct history *h, uint32_t owner, uint32_t topic, uint32_t generation, uint64_t from, uint64_t below, struct ring_record *rec);
/* The oldest message with this number or a higher one. */
int history_seek_number(const struct history *h, uint32_t owner, uint32_t topic, uint32_t generation, uint64_t number, struct ring_record *rec);
/* The topic's oldest message of all, if nobody changes anything: the lock is held, or nobody else lives. */
int history_first(const struct history *h, uint32_t topic, struct ring_record *rec);
/* *rec becomes the topic's next message, as far as there was one when it was sought. 0, or -1 with ENOENT. Takes no lock. */
int history_next(const struct history *h, struct ring_record *rec);
/* The message that was found at this place, while it is pinned since then. Takes no lock. */
void history_at(const struct history *h, uint32_t topic, uint32_t generation, struct history_place place, struct ring_record *rec);
/* Copies the message's rec->len bytes. */
void history_copy(const struct history *h, const struct ring_record *rec, void *dst);
/* From which sequence on all records of the topic are here or in the ring; the ring's oldest, or when the topic began, if it has no history. */
uint64_t history_from(const struct history *h, uint32_t owner, uint32_t topic, uint32_t generation);

#endif
