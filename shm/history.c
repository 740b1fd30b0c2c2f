/*
 * History, as those see it who hold the hub lock: messages are added and given up, one step after the other. See history.h for the layout and
 * the rules.
 *
 * A step is prepared on the stack (begin()), and what it needs in pages is written: nobody who looks at what is committed sees that. commit() does the
 * rest. in_order() is a compiler barrier: who repairs has reaped the dead, whose stores are all there.
 */
#include "shm/history.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define BYTES_AT ((uint32_t)offsetof(struct history_page_shm, bytes))
#define PAGE_BYTES (HISTORY_PAGE - BYTES_AT)
#define HEAD ((uint32_t)sizeof(struct history_head_shm))
#define LARGEST 4		/* a message that takes more than this part of all pages is not kept */
#define AHEAD 16		/* this part of all pages is kept free */
#define LOOKED_AT 256		/* entries in which a victim is sought for one message, while there are free pages */
#define HOPS 8			/* pages given up behind a message, beside as many as it took */

struct step {
	uint32_t topic;
	struct history_topic_shm state;
	struct history_books_shm books;
};

struct message {
	uint64_t seq, time, number, prev;
	uint32_t len;
	const uint8_t *bytes;
};

static void in_order(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

/* ---- layout ---- */

static size_t pages_at(uint32_t topics_max)
{
	size_t size = sizeof(struct history_shm) + ((size_t)topics_max + 1) * sizeof(struct history_topic_shm);

	return (size + HISTORY_PAGE - 1) / HISTORY_PAGE * HISTORY_PAGE;
}

size_t history_size(uint32_t topics_max, uint64_t bytes)
{
	return pages_at(topics_max) + (bytes / HISTORY_PAGE + 1) * HISTORY_PAGE;
}

void history_format(void *mem, uint32_t topics_max, uint64_t bytes)
{
	struct history_shm *shm = mem;

	assert(bytes / HISTORY_PAGE > 0 && bytes / HISTORY_PAGE < INT32_MAX);
	shm->topics_max = topics_max;
	shm->pages = (uint32_t)(bytes / HISTORY_PAGE);
	shm->books.upto = 1;
}

int history_attach(struct history *h, void *mem, size_t size, struct ring *ring, struct lock_shm *lock)
{
	struct history_shm *shm = mem;

	if (size < sizeof(*shm) || shm->topics_max != ring->index->shm->topics_max || shm->pages == 0 || shm->pages >= INT32_MAX ||
	    size < history_size(shm->topics_max, (uint64_t)shm->pages * HISTORY_PAGE)) {
		errno = EINVAL;
		return -1;
	}
	memset(h, 0, sizeof(*h));
	h->shm = shm;
	h->topics = (struct history_topic_shm *)(shm + 1);
	h->pages = (struct history_page_shm *)((uint8_t *)mem + pages_at(shm->topics_max));
	h->ring = ring;
	h->lock = lock;
	return 0;
}

/* ---- steps ---- */

static void begin(const struct history *h, struct step *step, uint32_t topic)
{
	step->topic = topic;
	step->state = h->topics[topic];
	step->books = h->shm->books;
}

static void copy_redo(struct history *h, uint32_t topic)
{
	struct history_shm *shm = h->shm;

	h->topics[topic] = shm->redo.state;
	shm->books = shm->redo.books;
	in_order();
	atomic_store_explicit(&shm->redo.topic, TOPIC_NONE, memory_order_relaxed);
	in_order();
}

/* What can be counted follows from what the topic was and will be. */
static void commit(struct history *h, struct step *step)
{
	const struct history_topic_shm *was = &h->topics[step->topic], *is = &step->state;

	step->books.kept += (uint32_t)(is->first != 0) - (uint32_t)(was->first != 0);
	step->books.live += (uint32_t)(is->from != 0) - (uint32_t)(was->from != 0);
	step->books.messages += is->messages - was->messages;
	step->books.bytes += is->bytes - was->bytes;
	h->shm->redo.state = step->state;
	h->shm->redo.books = step->books;
	in_order();
	atomic_store_explicit(&h->shm->redo.topic, step->topic, memory_order_relaxed);
	in_order();
	copy_redo(h, step->topic);
}

void history_repair(struct history *h)
{
	uint32_t topic = atomic_load_explicit(&h->shm->redo.topic, memory_order_relaxed);

	if (topic != TOPIC_NONE)
		copy_redo(h, topic);
}

/* ---- giving pages up ---- */

/* The pages, which are linked, become the last run of the queue. */
static void free_run(const struct history *h, struct history_books_shm *b, uint32_t first, uint32_t last, uint32_t pages)
{
	struct history_page_shm *p = history_page(h, first);

	p->freed = ring_tail(h->ring);
	p->run_last = last;
	p->run_pages = pages;
	if (b->free_first)
		history_page(h, b->free_last)->next_run = first;
	else
		b->free_first = first;
	b->free_last = first;
	b->free_count += pages;
}

static void give_all(const struct history *h, struct step *step)
{
	struct history_topic_shm *s = &step->state;

	if (s->first == 0)
		return;
	free_run(h, &step->books, s->first, s->last, s->pages);
	s->from = s->newest_seq + 1;
	s->first = s->last = s->end = s->pages = 0;
	s->messages = s->bytes = 0;
}

/* What is left of a topic's messages when it has given up its oldest pages, up to the next one in which a record begins. */
struct rest {
	uint32_t page, before;		/* that page, 0: none would be left; the one before it */
	uint32_t hops;			/* pages that are given up */
	uint64_t messages, bytes;
};

static struct rest rest_of(const struct history *h, const struct history_topic_shm *s)
{
	const struct history_page_shm *oldest = history_page(h, s->first);
	struct rest r = { .page = s->first };

	while (r.page != s->last && r.hops < s->pages) {
		const struct history_page_shm *next;

		r.before = r.page;
		r.page = history_page(h, r.page)->next;
		r.hops++;
		if (history_begins(h, r.page, s->last, s->end) == 0)
			continue;
		next = history_page(h, r.page);
		r.messages = s->messages - (next->number - oldest->number);
		r.bytes = s->bytes - (next->before - oldest->before);
		return r;
	}
	return (struct rest){ .hops = s->pages };
}

static void give_oldest(struct history *h, uint32_t topic, const struct rest *rest)
{
	struct step step;

	begin(h, &step, topic);
	if (rest->page == 0) {
		give_all(h, &step);
	} else {
		struct history_topic_shm *s = &step.state;

		free_run(h, &step.books, s->first, rest->before, rest->hops);
		s->first = rest->page;
		s->pages -= rest->hops;
		s->messages = rest->messages;
		s->bytes = rest->bytes;
		s->from = history_page(h, rest->page)->from;
	}
	commit(h, &step);
}

/* Nothing is here of the topic any more, and nothing is known of it. */
static void drop(struct history *h, uint32_t topic)
{
	struct step step;

	begin(h, &step, topic);
	give_all(h, &step);
	step.state.from = 0;
	commit(h, &step);
}

static uint64_t time_at(const struct history *h, uint32_t page)
{
	const struct history_page_shm *p = history_page(h, page);
	const struct history_head_shm *head = (const struct history_head_shm *)(const void *)((const uint8_t *)p + p->begins);

	return head->time;
}

static bool older(uint64_t time, uint64_t now, const struct history_rule *rule)
{
	return now > time && now - time > rule->age;
}

/* Gives up what the rule does not promise, about `hops` pages of it. `now` 0: whatever its age. Returns how many pages were given. */
static unsigned trim(struct history *h, uint32_t topic, const struct history_rule *rule, uint64_t now, unsigned hops)
{
	const struct history_topic_shm *s = &h->topics[topic];
	unsigned given = 0;

	while (s->first && given < hops) {
		struct rest rest = { .hops = s->pages };

		if (!older(s->newest, now, rule)) {
			if (s->messages <= rule->messages && s->bytes <= rule->bytes && now == 0)
				break;
			rest = rest_of(h, s);
			if (rest.page == 0 ||
			    !(rest.messages >= rule->messages || s->bytes > rule->bytes || older(time_at(h, rest.page), now, rule)))
				break;
		}
		given += rest.hops;
		give_oldest(h, topic, &rest);
	}
	return given;
}

/* ---- room ---- */

static bool is_of_topic(const struct history *h, uint32_t topic)
{
	const struct topic_shm *t = index_topic(h->ring->index, topic);

	return topic <= h->ring->index->shm->high && atomic_load_explicit(&t->state, memory_order_relaxed) == TOPIC_USED &&
	       t->generation == h->topics[topic].generation;
}

static const struct history_rule *rule_of(const struct history *h, uint32_t topic)
{
	const struct topic_shm *t = index_topic(h->ring->index, topic);

	return history_rules_find(h->rules, t->name, t->name_len);
}

/* The messages of the topic that were promised, and go nevertheless if only `rest` is left. */
static uint64_t cut_short(const struct history *h, uint32_t topic, const struct rest *rest)
{
	const struct history_rule *rule = is_of_topic(h, topic) ? rule_of(h, topic) : NULL;
	const struct history_topic_shm *s = &h->topics[topic];
	uint64_t had = s->messages, has = rest->messages;

	if (!rule || (rest->page && (rest->bytes >= rule->bytes || older(time_at(h, rest->page), h->ring->shm->time, rule))) ||
	    older(s->newest, h->ring->shm->time, rule))
		return 0;
	had = had < rule->messages ? had : rule->messages;
	has = has < rule->messages ? has : rule->messages;
	return had - has;
}

/*
 * A topic other than `own` that has more than `share` pages, 0: none was found. While there are free pages it is not sought for long: the next message
 * goes on with it.
 */
static uint32_t find_victim(struct history *h, uint32_t own, uint32_t share, bool urgent)
{
	struct history_shm *shm = h->shm;
	uint32_t high = h->ring->index->shm->high;

	if (shm->victim != own && shm->victim <= high && h->topics[shm->victim].pages > share)
		return shm->victim;
	for (uint32_t n = 0; n < high && (urgent || n < LOOKED_AT); n++) {
		shm->hand = shm->hand < high ? shm->hand + 1 : 1;
		if (shm->hand != own && h->topics[shm->hand].pages > share)
			return shm->victim = shm->hand;
	}
	return 0;
}

/*
 * Has `need` pages less in use than there may be. If the own topic would have more than its share with them, it gives; else others have, together, more
 * than their shares, so there is one that gives. (Not so if the own topic has nothing to give, as the message alone is more than a share.) Each
 * round frees a page at least.
 */
static void make_room(struct history *h, uint32_t own, uint32_t need)
{
	const struct history_books_shm *b = &h->shm->books;
	uint32_t most = h->shm->pages - h->shm->pages / AHEAD;

	while (b->high - b->free_count + need > most) {
		const struct history_topic_shm *s = &h->topics[own];
		uint32_t share = most / (b->kept + (s->first == 0)), giver = own;
		bool urgent = b->free_count + (h->shm->pages - b->high) < need;
		struct rest rest;

		if (s->first == 0 || s->pages + need <= share)
			giver = find_victim(h, own, share, urgent);
		if (giver == 0)
			return;
		rest = rest_of(h, &h->topics[giver]);
		h->counts.cut_short += cut_short(h, giver, &rest);
		give_oldest(h, giver, &rest);
	}
}

/* The first run, if no reader can be in it. */
static struct history_page_shm *first_run(const struct history *h, const struct history_books_shm *b, uint64_t pinned)
{
	struct history_page_shm *run = history_page(h, b->free_first);

	return b->free_first && run->freed < pinned ? run : NULL;
}

/* Takes up to `most` pages of the first run, and links them to `last` if there is one. Returns how many; *last becomes the last of them. */
static uint32_t take_of_run(const struct history *h, struct history_books_shm *b, uint32_t most, uint32_t *last)
{
	struct history_page_shm *run = history_page(h, b->free_first);
	uint32_t taken = most < run->run_pages ? most : run->run_pages, page = b->free_first, next;
	bool is_last = b->free_first == b->free_last;

	if (*last)
		history_page(h, *last)->next = page;
	for (uint32_t i = 1; i < taken; i++) {
		history_page(h, page)->begins = 0;
		page = history_page(h, page)->next;
	}
	history_page(h, page)->begins = 0;
	*last = page;
	if (taken == run->run_pages) {
		b->free_first = is_last ? 0 : run->next_run;
	} else {
		next = history_page(h, page)->next;
		history_page(h, next)->freed = run->freed;
		history_page(h, next)->run_last = run->run_last;
		history_page(h, next)->run_pages = run->run_pages - taken;
		history_page(h, next)->next_run = run->next_run;
		b->free_first = next;
	}
	if (is_last)
		b->free_last = b->free_first;
	b->free_count -= taken;
	return taken;
}

/* Takes `need` pages, linked, as the step has them then. Their first; *last is their last. 0: they can't be had. */
static uint32_t take_pages(const struct history *h, struct history_books_shm *b, uint32_t need, uint64_t pinned, uint32_t *last)
{
	uint32_t first = 0;

	*last = 0;
	while (need > 0) {
		if (first_run(h, b, pinned)) {
			uint32_t page = b->free_first;

			need -= take_of_run(h, b, need, last);
			first = first ? first : page;
		} else if (b->high < h->shm->pages) {
			b->high++;
			history_page(h, b->high)->begins = 0;	/* (who died may have written there) */
			if (*last)
				history_page(h, *last)->next = b->high;
			*last = b->high;
			first = first ? first : b->high;
			need--;
		} else {
			return 0;
		}
	}
	return first;
}

/* ---- a message ---- */

static uint32_t padded(uint32_t len)
{
	return (len + 7) & ~7u;
}

static uint32_t pages_for(uint64_t bytes)
{
	return (uint32_t)((bytes + PAGE_BYTES - 1) / PAGE_BYTES);
}

/* Writes header and bytes, from the offset in the page on. Returns the offset behind them, in the record's last page. */
static uint32_t write_message(const struct history *h, uint32_t page, uint32_t offset, const struct message *m)
{
	const struct history_head_shm head = { .seq = m->seq, .time = m->time, .number = m->number, .len = m->len };
	uint32_t done = 0;

	memcpy((uint8_t *)history_page(h, page) + offset, &head, HEAD);
	offset += HEAD;
	while (done < m->len) {
		uint32_t n;

		if (offset == HISTORY_PAGE) {
			page = history_page(h, page)->next;
			offset = BYTES_AT;
		}
		n = m->len - done < HISTORY_PAGE - offset ? m->len - done : HISTORY_PAGE - offset;
		memcpy((uint8_t *)history_page(h, page) + offset, m->bytes + done, n);
		offset += padded(n);
		done += n;
	}
	return offset;
}

/* The message begins in the page; is it the first that does? */
static void note_beginning(const struct history *h, const struct history_topic_shm *s, uint32_t page, uint32_t offset, const struct message *m)
{
	struct history_page_shm *p = history_page(h, page);

	if (history_begins(h, page, s->last, s->end))
		return;
	p->seq = m->seq;
	p->number = m->number;
	p->before = s->first ? history_page(h, s->first)->before + s->bytes : 0;
	p->from = s->messages ? s->newest_seq + 1 : s->from;
	p->begins = offset;
}

/*
 * If what is here is another topic's, or there is a gap between it and the message, the topic begins with the message. (A step of its own: pages must
 * not be taken in the one that gives them.)
 */
static void begin_anew(struct history *h, uint32_t topic, const struct message *m)
{
	const struct topic_shm *t = index_topic(h->ring->index, topic);
	const struct history_topic_shm *s = &h->topics[topic];
	struct step step;

	if (s->generation == t->generation && s->from &&
	    (s->first ? history_page(h, s->first)->number + s->messages == m->number : m->prev < s->from))
		return;
	begin(h, &step, topic);
	give_all(h, &step);
	step.state.generation = t->generation;
	step.state.from = m->prev ? m->prev + 1 : t->since ? t->since : 1;
	if (step.state.from > m->seq)
		step.state.from = m->seq;	/* (`since` may be one more than the tail was) */
	commit(h, &step);
}

/* Puts the message behind the topic's others. -1: no pages could be had. */
static int append(struct history *h, uint32_t topic, const struct message *m, uint64_t pinned, uint64_t upto)
{
	uint32_t total = HEAD + padded(m->len), page, offset, last, need;
	struct history_topic_shm *s;
	struct step step;

	if (pages_for(total) > h->shm->pages / LARGEST)
		return -1;
	begin_anew(h, topic, m);
	make_room(h, topic, pages_for(total));
	begin(h, &step, topic);
	s = &step.state;
	page = s->first && HISTORY_PAGE - s->end >= HEAD ? s->last : 0;
	offset = page ? s->end : BYTES_AT;
	need = page ? total > HISTORY_PAGE - offset ? pages_for(total - (HISTORY_PAGE - offset)) : 0 : pages_for(total);
	if (need > 0) {
		uint32_t first = take_pages(h, &step.books, need, pinned, &last);

		if (first == 0)
			return -1;
		if (s->first)
			history_page(h, s->last)->next = first;
		page = page ? page : first;
	} else {
		last = s->last;
	}
	note_beginning(h, s, page, offset, m);
	s->end = write_message(h, page, offset, m);
	s->last = last;
	s->first = s->first ? s->first : page;
	s->pages += need;
	s->messages++;
	s->bytes += m->len;
	s->newest_seq = m->seq;
	s->newest = m->time;
	step.books.upto = upto;
	commit(h, &step);
	return 0;
}

/* The message is not kept: what there is of the topic begins behind it. */
static void miss(struct history *h, uint32_t topic, uint64_t seq)
{
	struct step step;

	begin(h, &step, topic);
	give_all(h, &step);
	step.state.generation = index_topic(h->ring->index, topic)->generation;
	step.state.from = seq + 1;
	commit(h, &step);
	h->counts.missed++;
}

/* ---- following the ring ---- */

/* A topic's record, by its rule (NULL: it has none). */
static void take_over(struct history *h, const struct ring_desc_shm *d, uint64_t seq, const struct history_rule *rule, uint64_t pinned)
{
	struct topic_shm *t = index_topic(h->ring->index, d->topic);
	const struct history_topic_shm *s = &h->topics[d->topic];
	struct message m = { seq, d->time, d->number, d->prev, d->len, h->ring->data + (d->at & (h->ring->shm->bytes - 1)) };
	bool there = s->from && s->generation == t->generation;

	if (!rule) {
		if (s->from)
			drop(h, d->topic);	/* with its next message there would be a gap */
		if (t->kept == TOPIC_KEPT)
			index_release(h->ring->index, d->topic);
		return;
	}
	if (there && seq < (s->messages ? s->newest_seq + 1 : s->from))
		return;			/* (it came with a snapshot) */
	t->kept = TOPIC_KEPT;
	if (append(h, d->topic, &m, pinned, seq + 1) < 0) {
		miss(h, d->topic, seq);
		return;
	}
	h->counts.kept++;
	trim(h, d->topic, rule, 0, HOPS + pages_for(m.len));
}

void history_follow(struct history *h, uint64_t pinned)
{
	struct history_books_shm *b = &h->shm->books;
	uint64_t tail = ring_tail(h->ring), oldest = ring_oldest(h->ring), seq = b->upto > oldest ? b->upto : oldest;
	const struct history_rule *rule = NULL;
	uint32_t topic = TOPIC_NONE;

	for (; seq < tail && !history_idle(h); seq++) {
		const struct ring_desc_shm *d = ring_desc(h->ring, seq);
		const struct topic_shm *t = index_topic(h->ring->index, d->topic);

		if (d->topic == TOPIC_NONE || atomic_load_explicit(&t->state, memory_order_relaxed) != TOPIC_USED ||
		    t->generation != d->generation)
			continue;
		if (d->topic != topic) {
			topic = d->topic;
			rule = rule_of(h, topic);
		}
		take_over(h, d, seq, rule, pinned);
	}
	b->upto = tail;
}

int history_restore(struct history *h, uint32_t topic, const struct ring_record *rec, const void *bytes)
{
	const struct message m = { rec->seq, rec->time, rec->number, rec->prev, rec->len, bytes };
	const struct history_rule *rule;

	index_topic(h->ring->index, topic)->kept = TOPIC_KEPT;
	if (append(h, topic, &m, UINT64_MAX, h->shm->books.upto) == 0) {
		if ((rule = rule_of(h, topic)) != NULL)
			trim(h, topic, rule, 0, HOPS + pages_for(m.len));
		return 0;
	}
	drop(h, topic);		/* (what comes behind it must not be joined to what came before) */
	return -1;
}

void history_restored(struct history *h, uint32_t topic, uint64_t newest)
{
	const struct history_topic_shm *s = &h->topics[topic];

	if (s->first && history_page(h, s->first)->number + s->messages - 1 != newest)
		drop(h, topic);
}

/* ---- the sweep ---- */

/* Returns how many pages were given. */
static unsigned look_at(struct history *h, uint32_t topic, uint64_t now, unsigned hops)
{
	const struct history_topic_shm *s = &h->topics[topic];
	struct index *ix = h->ring->index;
	const struct topic_shm *t = index_topic(ix, topic);
	bool used = atomic_load_explicit(&t->state, memory_order_relaxed) == TOPIC_USED, there = false;
	unsigned given = 0;

	/* (The states' memory is not touched while there is nothing in it.) */
	if (h->shm->books.live && s->from) {
		const struct history_rule *rule = is_of_topic(h, topic) ? rule_of(h, topic) : NULL;

		if (rule)
			given = trim(h, topic, rule, now, hops);
		else
			drop(h, topic);
		there = s->messages > 0;
	}
	if (used && t->kept == TOPIC_KEPT && !there)
		index_release(ix, topic);
	return given;
}

void history_sweep(struct history *h, uint64_t now, unsigned steps)
{
	uint32_t high = h->ring->index->shm->high, in_order_already = 0;

	if (history_is_swept(h))
		return;
	h->looked_through = history_idle(h) ? h->looked_through + steps : 0;
	for (unsigned n = 0; n < steps && in_order_already < high; n++) {
		unsigned given;

		h->shm->swept = h->shm->swept < high ? h->shm->swept + 1 : 1;
		given = look_at(h, h->shm->swept, now, steps - n);
		n += given;
		in_order_already = given ? 0 : in_order_already + 1;
		if (given && n >= steps)
			h->shm->swept--;	/* there may be more of it */
	}
}
