/*
 * Whether history is as history.h says. For tests.
 */
#include "shm/history.h"

#include <stdlib.h>

#define BYTES_AT ((uint32_t)offsetof(struct history_page_shm, bytes))

struct checking {
	const struct history *h;
	uint8_t *seen;			/* by page */
	uint32_t kept, live, found;
	uint64_t messages, bytes;
};

/* The page is seen for the first time. */
static const char *see(struct checking *c, uint32_t page)
{
	if (page == 0 || page > c->h->shm->books.high)
		return "a link leads to a page that was never used";
	if (c->seen[page])
		return "a page is in two places";
	c->seen[page] = 1;
	c->found++;
	return NULL;
}

/* Counts the pages from `first` to `last`. */
static const char *check_chain(struct checking *c, uint32_t first, uint32_t last, uint32_t pages)
{
	uint32_t page = first;
	const char *why;

	for (uint32_t n = 1;; n++) {
		why = see(c, page);
		if (why)
			return why;
		if (page == last)
			return n == pages ? NULL : "a chain has fewer pages than counted";
		if (n == pages)
			return "a chain has more pages than counted";
		page = history_page(c->h, page)->next;
	}
}

static const char *check_free(struct checking *c)
{
	const struct history_books_shm *b = &c->h->shm->books;
	uint64_t freed = 0;
	uint32_t pages = 0, run = b->free_first, last = 0;
	const char *why;

	if ((b->free_first == 0) != (b->free_last == 0) || b->high > c->h->shm->pages || b->free_count > b->high)
		return "the books of free pages do not fit";
	while (run) {
		const struct history_page_shm *p = history_page(c->h, run);

		if (run > b->high)
			return "a run that was never used";
		why = check_chain(c, run, p->run_last, p->run_pages);
		if (why)
			return why;
		if (p->freed < freed || p->freed > ring_tail(c->h->ring))
			return "runs are not in the order in which they were freed";
		freed = p->freed;
		pages += p->run_pages;
		last = run;
		run = run == b->free_last ? 0 : p->next_run;
	}
	return pages != b->free_count ? "free pages are not as many as counted" : last != b->free_last ? "the last run is not the last" : NULL;
}

/* What is said of a topic's pages where a record begins, as the records say it. */
static const char *check_beginning(const struct history *h, const struct history_topic_shm *s, const struct ring_record *rec, uint64_t before,
				   uint64_t from)
{
	const struct history_page_shm *p = history_page(h, rec->place.page);

	if (history_begins(h, rec->place.page, s->last, s->end) != rec->place.offset)
		return NULL;
	if (p->seq != rec->seq || p->number != rec->number)
		return "a page's sequence or number is not that of its first record";
	if (p->before - history_page(h, s->first)->before != before)
		return "a page's count of bytes is wrong";
	return p->from > rec->seq || (from && p->from != from) ? "a page's `from` is wrong" : NULL;
}

/* Where in its last page the record ends. */
static uint32_t end_of(const struct ring_record *rec)
{
	uint32_t len = (rec->len + 7) & ~7u, room = HISTORY_PAGE - rec->place.offset - (uint32_t)sizeof(struct history_head_shm);

	if (len <= room)
		return HISTORY_PAGE - room + len;
	return BYTES_AT + (len - room - 1) % (HISTORY_PAGE - BYTES_AT) + 1;
}

static const char *check_messages(struct checking *c, uint32_t topic, const struct history_topic_shm *s)
{
	struct ring_record rec = { .place = { s->first, history_page(c->h, s->first)->begins, s->last, s->end } };
	uint64_t messages = 0, bytes = 0, seq = 0, number = 0;
	uint32_t page = 0;

	if (rec.place.offset < BYTES_AT)
		return "no record begins in a topic's first page";
	do {
		const struct history_head_shm *head =
			(const void *)((const uint8_t *)history_page(c->h, rec.place.page) + rec.place.offset);
		const char *why = NULL;

		rec.seq = head->seq;
		rec.number = head->number;
		rec.len = head->len;
		if (rec.seq <= seq || (number && rec.number != number + 1) || rec.len == 0)
			return "a topic's messages are not in order";
		if (rec.place.page != page)
			why = history_begins(c->h, rec.place.page, s->last, s->end) == rec.place.offset
				      ? check_beginning(c->h, s, &rec, bytes, seq ? seq + 1 : 0)
				      : "a page does not say where its first record begins";
		if (why)
			return why;
		page = rec.place.page;
		seq = rec.seq;
		number = rec.number;
		bytes += rec.len;
		messages++;
		if (messages > s->messages)
			return "a topic has more messages than counted";
	} while (history_next(c->h, &rec) == 0);
	if (messages != s->messages || bytes != s->bytes)
		return "a topic's messages or bytes are not as counted";
	if (end_of(&rec) != s->end)
		return "a topic's end is not behind its newest message";
	if (seq != s->newest_seq)
		return "a topic's newest message is another";
	if (s->generation == index_topic(c->h->ring->index, topic)->generation && number > index_topic(c->h->ring->index, topic)->published)
		return "a message that was never published";
	return NULL;
}

static const char *check_topic(struct checking *c, uint32_t topic)
{
	const struct history_topic_shm *s = &c->h->topics[topic];
	const struct topic_shm *t = index_topic(c->h->ring->index, topic);
	const char *why;

	c->live += s->from != 0;
	c->messages += s->messages;
	c->bytes += s->bytes;
	if (s->first == 0)
		return s->last || s->end || s->pages || s->messages || s->bytes ? "a topic without messages has some" : NULL;
	c->kept++;
	if (s->from == 0 || s->from > history_page(c->h, s->first)->seq)
		return "a topic's `from` is behind its first message";
	if (atomic_load(&t->state) != TOPIC_USED || t->generation != s->generation || t->kept != TOPIC_KEPT)
		return "messages of a topic that is not kept";
	why = check_chain(c, s->first, s->last, s->pages);
	return why ? why : check_messages(c, topic, s);
}

int history_check(const struct history *h, const char **why)
{
	const struct history_books_shm *b = &h->shm->books;
	struct checking c = { .h = h, .seen = calloc(h->shm->pages + 1u, 1) };

	*why = NULL;
	if (!c.seen)
		*why = "no memory";
	else if (atomic_load(&h->shm->redo.topic) != TOPIC_NONE)
		*why = "a step is under way";
	else if (b->upto > ring_tail(h->ring))
		*why = "what was not published was taken over";
	else
		*why = check_free(&c);
	for (uint32_t topic = 1; !*why && topic <= h->ring->index->shm->high; topic++)
		*why = check_topic(&c, topic);
	if (!*why && (c.kept != b->kept || c.live != b->live || c.messages != b->messages || c.bytes != b->bytes))
		*why = "what all topics have together is not as counted";
	if (!*why && c.found != b->high)
		*why = "a page is nowhere";
	free(c.seen);
	return *why ? -1 : 0;
}
