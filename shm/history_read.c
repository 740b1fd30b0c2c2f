/*
 * History, as readers see it. They ask under the lock where a topic's messages are, and then walk its pages without it, as far as the messages
 * went at that moment: their pin keeps the pages as they are, and what is added meanwhile lies behind.
 */
#include "shm/history.h"

#include <errno.h>
#include <string.h>

#include "shm/crash.h"

#define BYTES_AT ((uint32_t)offsetof(struct history_page_shm, bytes))
#define HEAD ((uint32_t)sizeof(struct history_head_shm))

static struct history_topic_shm state_of(const struct history *h, uint32_t owner, uint32_t topic)
{
	struct history_topic_shm s;

	lock_acquire(h->lock, owner);
	s = h->topics[topic];
	CRASH_POINT("history-looked-at");
	lock_release(h->lock, owner);
	return s;
}

/* Whether there is nothing about the topic at all: then the lock is not needed to know. */
static bool nothing(const struct history *h)
{
	return __atomic_load_n(&h->shm->books.live, __ATOMIC_RELAXED) == 0;
}

static void read_head(const struct history *h, struct ring_record *rec)
{
	struct history_head_shm head;

	memcpy(&head, (const uint8_t *)history_page(h, rec->place.page) + rec->place.offset, HEAD);
	rec->id = rec->seq = head.seq;
	rec->time = head.time;
	rec->number = head.number;
	rec->len = head.len;
}

void history_at(const struct history *h, uint32_t topic, uint32_t generation, struct history_place place, struct ring_record *rec)
{
	*rec = (struct ring_record){ .topic = topic, .generation = generation, .place = place };
	read_head(h, rec);
}

static struct history_note *note_of(const struct history *h, const struct ring_record *rec)
{
	return h->notes ? &h->notes[rec->topic * 0x9e3779b1u >> 24] : NULL;
}
_Static_assert(HISTORY_NOTES == 1 << (32 - 24), "the upper bits say where");

/* Whether the note leads to a page of the chain that is not behind what is sought. */
static bool is_good(const struct history *h, const struct history_topic_shm *s, const struct history_note *note, const struct ring_record *rec,
		    bool by_number, uint64_t key)
{
	return note->page && note->topic == rec->topic && note->generation == rec->generation && (by_number ? note->number : note->seq) <= key &&
	       history_page(h, s->first)->seq <= note->seq;
}

/* The first message by which `key` is reached: its sequence, or its number. */
static int seek(const struct history *h, const struct history_topic_shm *s, bool by_number, uint64_t key, struct ring_record *rec)
{
	struct history_note *note = note_of(h, rec);
	uint32_t page, best;

	if ((by_number ? key > history_page(h, s->first)->number + s->messages - 1 : key > s->newest_seq))
		return -1;
	best = note && is_good(h, s, note, rec, by_number, key) ? note->page : s->first;
	page = best;
	for (uint32_t n = 1; n < s->pages && page != s->last; n++) {
		page = history_page(h, page)->next;
		if (history_begins(h, page, s->last, s->end) == 0)
			continue;
		if ((by_number ? history_page(h, page)->number : history_page(h, page)->seq) > key)
			break;
		best = page;
	}
	if (note)
		*note = (struct history_note){ rec->topic, rec->generation, best, history_page(h, best)->seq, history_page(h, best)->number };
	rec->place = (struct history_place){ best, history_page(h, best)->begins, s->last, s->end };
	read_head(h, rec);
	while ((by_number ? rec->number : rec->seq) < key)
		if (history_next(h, rec) < 0)
			return -1;
	return 0;
}

int history_first(const struct history *h, uint32_t topic, struct ring_record *rec)
{
	const struct history_topic_shm *s = &h->topics[topic];

	*rec = (struct ring_record){ .topic = topic, .generation = s->generation };
	if (s->first)
		return seek(h, s, false, 0, rec);
	errno = ENOENT;
	return -1;
}

static int seek_topic(const struct history *h, uint32_t owner, uint32_t topic, uint32_t generation, bool by_number, uint64_t key,
		      struct ring_record *rec)
{
	struct history_topic_shm s;

	if (nothing(h))
		goto none;
	s = state_of(h, owner, topic);
	if (s.generation != generation || s.first == 0)
		goto none;
	*rec = (struct ring_record){ .topic = topic, .generation = generation };
	if (seek(h, &s, by_number, key, rec) < 0)
		return -1;
	rec->prev = (by_number || key < s.from ? s.from : key) - 1;
	if (rec->prev >= rec->seq)
		rec->prev = rec->seq - 1;
	return 0;
none:
	errno = ENOENT;
	return -1;
}

int history_seek(const struct history *h, uint32_t owner, uint32_t topic, uint32_t generation, uint64_t from, uint64_t below, struct ring_record *rec)
{
	if (seek_topic(h, owner, topic, generation, false, from, rec) < 0)
		return -1;
	if (rec->seq < below)
		return 0;
	errno = ENOENT;
	return -1;
}

int history_seek_number(const struct history *h, uint32_t owner, uint32_t topic, uint32_t generation, uint64_t number, struct ring_record *rec)
{
	return seek_topic(h, owner, topic, generation, true, number, rec);
}

/* What comes behind `len` bytes, which come behind the offset in the page; copies them to `dst` if there is one. */
static void pass(const struct history *h, uint32_t *page, uint32_t *offset, uint32_t len, uint8_t *dst)
{
	while (len > 0) {
		uint32_t n;

		if (*offset == HISTORY_PAGE) {
			*page = history_page(h, *page)->next;
			*offset = BYTES_AT;
		}
		n = len < HISTORY_PAGE - *offset ? len : HISTORY_PAGE - *offset;
		if (dst) {
			memcpy(dst, (const uint8_t *)history_page(h, *page) + *offset, n);
			dst += n;
		}
		*offset += (n + 7) & ~7u;
		len -= n;
	}
}

int history_next(const struct history *h, struct ring_record *rec)
{
	struct history_place at = rec->place;

	at.offset += HEAD;
	pass(h, &at.page, &at.offset, rec->len, NULL);
	if (at.page == at.last && at.offset >= at.end) {
		errno = ENOENT;
		return -1;
	}
	if (HISTORY_PAGE - at.offset < HEAD) {
		at.page = history_page(h, at.page)->next;
		at.offset = BYTES_AT;
	}
	rec->place = at;
	rec->prev = rec->seq;
	read_head(h, rec);
	return 0;
}

void history_copy(const struct history *h, const struct ring_record *rec, void *dst)
{
	uint32_t page = rec->place.page, offset = rec->place.offset + HEAD;

	pass(h, &page, &offset, rec->len, dst);
}

struct history_use history_use(const struct history *h)
{
	const struct history_books_shm *b = &h->shm->books;
	uint32_t high = __atomic_load_n(&b->high, __ATOMIC_RELAXED), unused = __atomic_load_n(&b->free_count, __ATOMIC_RELAXED);

	return (struct history_use){
		.topics = __atomic_load_n(&b->kept, __ATOMIC_RELAXED),
		.messages = __atomic_load_n(&b->messages, __ATOMIC_RELAXED),
		.bytes = __atomic_load_n(&b->bytes, __ATOMIC_RELAXED),
		.pages = high > unused ? high - unused : 0,
		.pages_max = h->shm->pages,
	};
}

uint64_t history_from(const struct history *h, uint32_t owner, uint32_t topic, uint32_t generation)
{
	const struct topic_shm *t = index_topic(h->ring->index, topic);
	struct history_topic_shm s;
	uint64_t from, since;

	lock_acquire(h->lock, owner);
	s = h->topics[topic];
	from = ring_oldest(h->ring);
	since = t->generation == generation ? t->since : from;
	lock_release(h->lock, owner);
	if (s.generation == generation && s.from && s.from < from)
		from = s.from;
	return from > since ? from : since;
}
