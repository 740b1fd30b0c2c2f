/*
 * From the ring to subscribers that are served apart: sessions with several topics, which get them in ring order, and those whose frames
 * are their own. A delivery costs what it delivers, however many topics the session has: who is owed a record is noted when the record is
 * come to, in its topic's list of those apart, and nobody looks at the session's other topics.
 *
 * The ring is gone through window by window, a bounded run of records. For each record of a window its subscribers are noted, and so each
 * session has a chain of records, in ring order. Then the sessions are served, each with as few sends as its chain takes, over as many
 * turns of the loop as that takes. When all are, the next window begins; until then apart_cursor() stays at this one's first record, and
 * with it the slot's `delivered`.
 *
 * All of this is private. What a crash finds is what it always finds: a session's `pos`, below which it is owed nothing, and `delivered`.
 * A session that was served has the window's end as its `pos`, or the sequence of its next record when a part of its chain is left; one that
 * was not, has an older one, and its stream from there is the same: all of its topics' records. So what a send has brought to the kernel is
 * found along the stream, and the window is gone through again from `delivered`, past what each has had.
 *
 * Between noting and serving, sessions change. One that ends loses its chain (apart_gone()), so its descriptor may be used again; one that
 * gives a topic up has each record looked up again (apart_changed()); one that fell behind, or has had a record in another way (`pos`), passes
 * it by. New subscriptions begin behind the window.
 *
 * A record with more subscribers than a window takes is a window of its own, and again, until all were noted (local_topic.at says which).
 */
#include "worker/delivery/multi_topic.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "shm/crash.h"
#include "worker/delivery/frame.h"
#include "worker/delivery/landed.h"
#include "worker/delivery/local_topics.h"
#include "worker/delivery/subscription_list.h"

#ifndef JANUS_CRASH_POINTS
#define WINDOW_NOTES 8192		/* subscribers looked at, once a record */
#else
#define WINDOW_NOTES 50			/* tests come to the end of one */
#endif
#define WINDOW_RECORDS 8192		/* records looked at */
#define TURN_WINDOWS 4			/* gone through in a turn of the loop */
#define TURN_SENDS 256
#define TURN_BYTES (4 * 1024 * 1024)
#define PIECE (64 * 1024)		/* bytes gathered for one send, or one frame if that is larger */
_Static_assert(WINDOW_NOTES < UINT16_MAX, "a note's number, and one more, fit");

/* A record of the window, for the sessions of one transport. */
struct item {
	uint64_t seq;
	uint32_t topic;
	uint32_t transport;
	const char *frame;		/* good while `round` is the batch's */
	uint64_t round;
	uint32_t size;
};

/* That a session is owed an item. */
struct note {
	uint16_t item;
	uint16_t next;			/* of the session, + 1; 0 none */
};

/* A session's chain of notes. */
struct chain {
	uint32_t fd;
	uint16_t first, last;		/* notes, + 1; 0 none */
	bool changed;			/* it has given a subscription up since */
};

struct apart {
	uint64_t cursor, end;		/* the window: [cursor, end) */
	bool partly;			/* not all subscribers of its only record are noted */
	uint32_t looked;		/* subscribers */
	uint32_t items, notes;
	uint32_t chains;		/* served: those before `at`, of which the first `kept` have something left */
	uint32_t at, kept;
	uint32_t *of;			/* by descriptor: its place in `chain`, if that is its */
	struct item item[WINDOW_NOTES];
	struct note note[WINDOW_NOTES];
	struct chain chain[WINDOW_NOTES];
};

/* What is left to be done in this turn. */
struct budget {
	int sends;
	long bytes;
};

int apart_init(struct worker *w)
{
	size_t sessions = w->slot.shm->sessions_max * sizeof(uint32_t);
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	struct apart *a;

	/* Touched only where somebody is apart: not calloc(), which may clear it all. */
	a = mmap(NULL, sizeof(*a) + sessions, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (a == MAP_FAILED)
		return -1;
	a->of = (uint32_t *)(a + 1);
	w->apart = a;
	return 0;
}

void apart_start(struct worker *w, uint64_t cursor)
{
	struct apart *a = w->apart;

	a->cursor = a->end = cursor;
	a->partly = false;
	a->chains = a->at = a->kept = 0;
}

uint64_t apart_cursor(const struct worker *w)
{
	return w->apart_subscriptions ? w->apart->cursor : w->cursor;
}

static struct chain *chain_of(struct apart *a, int fd)
{
	struct chain *c;

	if (a->chains == 0)
		return NULL;
	c = &a->chain[a->of[fd]];
	return a->of[fd] < a->chains && c->fd == (uint32_t)fd ? c : NULL;
}

void apart_gone(struct worker *w, int fd)
{
	struct chain *c = chain_of(w->apart, fd);

	if (c)
		c->first = 0;
}

void apart_changed(struct worker *w, int fd)
{
	struct chain *c = chain_of(w->apart, fd);

	if (c)
		c->changed = true;
}

static bool is_live(const struct session_shm *s)
{
	return !(s->state.flags & (SESSION_BEHIND | SESSION_CLOSE));
}

/* The topic's subscribers get what has come to it since along their own streams. */
static void defer_subscribers(struct worker *w, const struct apart *a, struct local_topic *t)
{
	struct ring_record rec;
	bool news = ring_seek(&w->hub.ring, t->topic, t->generation, a->cursor, w->cursor, 0, &rec) == 0;

	for (; t; t = t->sibling) {
		if (!t->is_apart)
			continue;
		t->at = 0;		/* of every topic: the record that was noted in part may be gone */
		if (!news)
			continue;
		for (uint32_t i = 0; i < t->count; i++)
			if (is_live(session(w, (int)t->apart[i].fd)))
				landed_defer(w, (int)t->apart[i].fd);
	}
}

/* The ring went round meanwhile, as flow control prevents: what is there goes to each along its own stream. */
static void overtaken(struct worker *w, struct apart *a)
{
	for (uint32_t i = 1; i <= w->hub.index.shm->topics_max && index_topic(&w->hub.index, i)->generation; i++)
		if (w->topics[i])
			defer_subscribers(w, a, w->topics[i]);
	apart_start(w, w->cursor);
}

/* ---- a window ---- */

static void note(struct apart *a, uint32_t fd)
{
	struct chain *c = chain_of(a, (int)fd);
	uint16_t number = (uint16_t)++a->notes;

	a->note[number - 1] = (struct note){ .item = (uint16_t)a->items };
	if (c) {
		a->note[c->last - 1].next = number;
		c->last = number;
		return;
	}
	a->of[fd] = a->chains;
	a->chain[a->chains++] = (struct chain){ .fd = fd, .first = number, .last = number };
}

/* Notes whom of the record's subscribers there is room for, from t->at on. */
static void note_subscribers(struct worker *w, struct apart *a, struct local_topic *t, uint64_t seq)
{
	uint32_t notes = a->notes;

	a->item[a->items] = (struct item){ .seq = seq, .topic = t->topic, .transport = t->transport };
	for (; t->at < t->count && a->looked < WINDOW_NOTES; t->at++, a->looked++) {
		const struct apart_subscriber *s = &t->apart[t->at];

		if (seq >= w->slot.subscriptions[s->subscription].from)
			note(a, s->fd);
	}
	a->items += a->notes > notes;
}

static struct local_topic *next_apart(struct local_topic *t, uint32_t generation)
{
	while (t && (!t->is_apart || t->generation != generation))
		t = t->sibling;
	return t;
}

/* Notes all subscribers of the record who are apart. False: there is no room for so many. */
static bool note_record(struct worker *w, struct apart *a, const struct ring_record *rec)
{
	struct local_topic *first = next_apart(topics_find(w, rec->topic), rec->generation), *t;
	uint64_t count = 0;

	for (t = first; t; t = next_apart(t->sibling, rec->generation))
		count += t->count - t->at;
	a->partly = count > WINDOW_NOTES - a->looked;
	if (a->partly && a->looked > 0) {
		a->partly = false;
		return false;
	}
	for (t = first; t; t = next_apart(t->sibling, rec->generation))
		if (t->at < t->count && a->looked < WINDOW_NOTES)
			note_subscribers(w, a, t, rec->seq);
	for (t = a->partly ? NULL : first; t; t = next_apart(t->sibling, rec->generation))
		t->at = 0;
	return true;
}

/* The next window. */
static void open_window(struct worker *w, struct apart *a)
{
	uint64_t stop = a->cursor + WINDOW_RECORDS;
	struct ring_record rec;

	a->looked = a->items = a->notes = a->chains = a->at = a->kept = 0;
	a->partly = false;
	if (stop > w->cursor)
		stop = w->cursor;
	for (a->end = a->cursor; a->end < stop && !a->partly; a->end++) {
		if (ring_read(&w->hub.ring, a->end, &rec) < 0 || FAIL_POINT("window-overtaken")) {
			overtaken(w, a);
			break;
		}
		if (!note_record(w, a, &rec))
			break;
	}
}

/* ---- a session's share of it ---- */

/* What is sent to a session at one time. */
struct piece {
	const char *bytes;
	char *room;			/* in the arena, where they are written; NULL: they are a frame that is there already */
	size_t len;
	uint32_t messages, skipped;
};

/* Whether the frame is in the arena. */
static bool is_made(const struct worker *w, const struct item *i)
{
	return i->round == batch_round(w);
}

/* Nothing but this frame, which others are sent, too. */
static int use_frame(struct piece *p, const struct item *i)
{
	p->room = NULL;
	p->bytes = i->frame;
	p->len = i->size;
	return 0;
}

/*
 * Puts the item's frame behind those that the piece has, as what the piece ends with if it is the session's last. A frame is made once, where
 * it is first needed. 1; 0: nothing more goes into the piece (its `len` says if this did); -1: the frame can't be had.
 */
static int add_frame(struct worker *w, struct piece *p, struct item *i, uint32_t base, bool last)
{
	bool own = transport_has(i->transport, TRANSPORT_OWN_FRAMES);
	struct ring_record rec;
	size_t size;

	if (p->len == 0) {
		if (last && is_made(w, i))
			return use_frame(p, i);
		p->room = batch_room(w, PIECE);
	}
	size = i->size;
	if (!is_made(w, i) && (ring_read(&w->hub.ring, i->seq, &rec) < 0 || !(size = frame_size(w, i->transport, base, &rec))))
		return -1;
	if (p->len && p->len + size > PIECE)
		return 0;
	if (is_made(w, i)) {
		if (p->len == 0 && size > PIECE / 2)
			return use_frame(p, i);
		memcpy(p->room + p->len, i->frame, size);
	} else {
		if (size > PIECE && !(p->room = batch_room(w, size)))
			return -1;
		if (frame_write(w, i->transport, base, &rec, p->room + p->len, size) < 0)
			return -1;
		if (!own) {
			i->frame = p->room + p->len;
			i->size = (uint32_t)size;
			i->round = batch_round(w);
		}
	}
	p->len += size;
	return 1;
}

/* Whether the session, which has given a subscription up, still is owed what was noted. */
static bool is_still_owed(const struct worker *w, int fd, const struct item *i)
{
	uint32_t subscription = links_find(w, fd, i->topic);

	return subscription && w->slot.subscriptions[subscription].from <= i->seq;
}

/* From the session's chain, as many as go into one send; the others stay there. -1: a frame can't be had. */
static int gather(struct worker *w, struct apart *a, struct chain *c, struct piece *p)
{
	const struct session_shm *s = session(w, (int)c->fd);
	int r = 1;

	while (c->first && r > 0) {
		const struct note *n = &a->note[c->first - 1];
		struct item *i = &a->item[n->item];
		size_t len = p->len;

		if (i->seq >= s->state.pos && (!c->changed || is_still_owed(w, (int)c->fd, i))) {
			if (frame_skipped(w, i->transport, i->seq))
				p->skipped++;
			else if ((r = add_frame(w, p, i, s->page_base, n->next == 0)) < 0 || p->len == len)
				break;
			else
				p->messages++;
		}
		c->first = n->next;
	}
	if (p->room) {
		p->bytes = p->room;
		batch_use(w, p->len);
	}
	return r < 0 ? -1 : 0;
}

/* All that it was owed can't be made into frames: it has had all. */
static void pass_by(struct worker *w, int fd, uint64_t pos, uint32_t skipped)
{
	struct session_state_shm st = session(w, fd)->state;

	st.pos = pos;
	slot_commit(&w->slot, fd, &st);
	worker_count(w, COUNTER_dropped_unencodable, skipped);
}

/* One send to the session, or what became of it in its place. */
static void serve(struct worker *w, struct apart *a, struct chain *c, struct budget *left)
{
	int fd = (int)c->fd;
	struct piece p = { 0 };
	uint64_t pos;

	if (!c->first)
		return;
	if (!is_live(session(w, fd))) {
		c->first = 0;
	} else if (gather(w, a, c, &p) < 0) {
		c->first = 0;
		landed_defer(w, fd);
	} else {
		pos = c->first ? a->item[a->note[c->first - 1].item].seq : a->end;
		if (p.messages)
			batch_add(w, fd, p.bytes, p.len, pos, p.messages, p.skipped);
		else if (p.skipped)
			pass_by(w, fd, pos, p.skipped);
		left->sends -= p.messages > 0;
		left->bytes -= (long)p.len;
	}
}

/* True when everybody has had what was noted. */
static bool serve_window(struct worker *w, struct apart *a, struct budget *left)
{
	while (a->at < a->chains) {
		struct chain *c = &a->chain[a->at];

		if (left->sends <= 0 || left->bytes <= 0)
			break;
		if (a->at + 8 < a->chains)
			__builtin_prefetch(session(w, (int)c[8].fd));
		serve(w, a, c, left);
		a->at++;
		if (c->first) {
			a->of[c->fd] = a->kept;
			a->chain[a->kept++] = *c;
		}
		if (a->at == a->chains) {
			batch_flush(w);		/* a session must not stand in a batch twice */
			a->chains = a->kept;
			a->at = a->kept = 0;
		}
	}
	batch_flush(w);
	return a->chains == 0;
}

bool apart_run(struct worker *w)
{
	struct apart *a = w->apart;
	struct budget left = { TURN_SENDS, TURN_BYTES };

	if (!w->apart_subscriptions) {
		apart_start(w, w->cursor);	/* where the first one will find it */
		return false;
	}
	for (int windows = 0; serve_window(w, a, &left); windows++) {
		if (!a->partly)
			a->cursor = a->end;
		if (a->cursor == w->cursor)
			return false;
		if (windows == TURN_WINDOWS)
			break;
		open_window(w, a);
	}
	return true;
}
