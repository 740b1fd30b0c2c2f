/*
 * Delivery from the ring to sessions that are served apart: sessions with several topics, which get them in ring order, and sessions whose frames
 * are made for them alone. It costs what is delivered, however many topics a session has: each record's subscribers are found in its topic's list
 * of those apart, and the other topics of those sessions are not looked at.
 *
 * The ring is gone through window by window. A window is a bounded run of records. First it is noted which sessions are owed which of its records,
 * so that each session has a chain of records, in ring order. Then the sessions are served, each with as few sends as its chain takes, over as many
 * turns of the loop as that takes. When all are served, the next window begins. Until then multi_topic_served(), and with it the slot's `delivered`,
 * stays at the window's first record.
 *
 * Windows and chains are the worker's own. A death leaves what it always leaves: each session's `pos`, below which it is owed nothing, and
 * `delivered`. The `pos` of a session that was served is the window's end, or the sequence of its next record if a part of its chain is left. The
 * `pos` of a session that was not served is older. Its stream from there has the same records as its chain: those of all its topics. So what a send
 * brought to the kernel is found along the stream. Then the successor goes through the window again, from `delivered` on, and passes over what each
 * session has had.
 *
 * Between noting and serving, sessions change. A session that ends loses its chain (multi_topic_gone()), so its number may be used again. A session
 * that gives up a topic has each of its records looked up again (multi_topic_changed()). A session that fell behind loses its chain, and a record
 * before its `pos` is passed over. New subscriptions begin behind the window.
 *
 * A message's records (ring.h) may lie in two windows. What a session has had of the first one is in its `pos`, which is an id; a `pos` at the end of a window
 * is never behind a message that has records in the next one, unless the session has had it.
 *
 * A record with more subscribers than a window takes is a window of its own, which is repeated until all of them were noted. local_topic.at says
 * how far that is.
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
#define WINDOW_NOTES 8192		/* subscribers looked at in a window, each once a record */
#else
#define WINDOW_NOTES 50			/* so few that tests come to the end of a window */
#endif
#define WINDOW_RECORDS 8192		/* records looked at in a window */
#define TURN_WINDOWS 4			/* windows that begin in a turn of the loop */
#define TURN_SENDS 256
#define TURN_BYTES (4 * 1024 * 1024)
#define PIECE (64 * 1024)		/* bytes gathered for one send; a larger frame is sent by itself */
_Static_assert(WINDOW_NOTES < UINT16_MAX, "a note's number, and one more, fit");

/* A record of the window, for the sessions of one transport. */
struct item {
	uint64_t seq;
	uint64_t id;			/* its message's */
	uint32_t topic;
	uint32_t transport;
	const char *frame;		/* in the batch's arena, while `round` is batch_round() */
	uint64_t round;
	uint32_t size;
};

/* A note says that a session is owed an item. */
struct note {
	uint16_t item;
	uint16_t next;			/* the session's next note + 1; 0: none */
};

/* A session's chain of notes. */
struct chain {
	session_id sid;
	uint16_t first, last;		/* its first and last note + 1; 0: none */
	bool changed;			/* the session has given up a subscription since it was noted */
};

struct multi_topic {
	struct base *base;
	struct batch *batch;
	struct topics *topics;
	struct streams *streams;
	uint64_t begin, end;		/* the window: [begin, end) */
	uint64_t behind;		/* messages with this id or a later one may have records behind the window */
	bool partly;			/* the window has one record, and not all its subscribers are noted */
	uint32_t looked;		/* subscribers looked at in this window */
	uint32_t items, notes;
	uint64_t time;			/* of its first record that anybody is owed, microseconds since 1970 */
	uint32_t sessions;		/* that are owed something of it */
	/* Chains before `at` were served in this round. Those of them that have something left are moved to chain[0..kept). */
	uint32_t chains;
	uint32_t at, kept;
	uint32_t *of;			/* by session: its place in `chain`, if the chain there is its own */
	struct item item[WINDOW_NOTES];
	struct note note[WINDOW_NOTES];
	struct chain chain[WINDOW_NOTES];
};

/* What may still be sent in this turn. */
struct budget {
	int sends;
	long bytes;
};

struct multi_topic *multi_topic_create(struct base *base, struct batch *batch, struct topics *topics, struct streams *streams)
{
	size_t sessions = base->slot.shm->sessions_max * sizeof(uint32_t);
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	struct multi_topic *a;

	/* Not calloc(), which may clear all of it: memory is used only when sessions are apart. */
	a = mmap(NULL, sizeof(*a) + sessions, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (a == MAP_FAILED)
		return NULL;
	a->base = base;
	a->batch = batch;
	a->topics = topics;
	a->streams = streams;
	a->of = (uint32_t *)(a + 1);
	return a;
}

void multi_topic_start(struct multi_topic *a, uint64_t begin)
{
	a->begin = a->end = a->behind = begin;
	a->partly = false;
	a->chains = a->at = a->kept = 0;
}

uint64_t multi_topic_served(const struct multi_topic *a)
{
	return a->topics->apart_subscriptions ? a->begin : a->topics->scanned;
}

/* The session's chain, or NULL. */
static struct chain *chain_of(struct multi_topic *a, session_id sid)
{
	struct chain *c;

	if (a->chains == 0)
		return NULL;
	c = &a->chain[a->of[sid]];
	return a->of[sid] < a->chains && c->sid == sid ? c : NULL;
}

void multi_topic_gone(struct multi_topic *a, session_id sid)
{
	struct chain *c = chain_of(a, sid);

	if (c)
		c->first = 0;
}

void multi_topic_changed(struct multi_topic *a, session_id sid)
{
	struct chain *c = chain_of(a, sid);

	if (c)
		c->changed = true;
}

static bool is_live(const struct session_shm *s)
{
	return !(s->state.flags & (SESSION_BEHIND | SESSION_CLOSE));
}

/* If the topic has new records, its live subscribers apart are put behind, to get them along their own streams. */
static void defer_subscribers(struct multi_topic *a, struct local_topic *t)
{
	struct ring_record rec;
	bool news = ring_seek(&a->base->hub.ring, t->topic, t->generation, a->begin, a->topics->scanned, 0, &rec) == 0;

	for (; t; t = t->sibling) {
		if (!t->is_apart || t->transport == TOPICS_PARKED)
			continue;
		t->at = 0;		/* for every topic, as a record that was noted in part may be gone */
		if (!news)
			continue;
		for (uint32_t i = 0; i < t->count; i++)
			if (is_live(session(a->base, t->apart[i].sid)))
				landed_defer(a->streams, t->apart[i].sid);
	}
}

/*
 * The ring has overwritten records that were not looked at yet. (Flow control is to prevent that.) Live sessions apart get what is left along their
 * own streams.
 */
static void overtaken(struct multi_topic *a)
{
	for (uint32_t i = 1; i <= a->base->hub.index.shm->topics_max && index_topic(&a->base->hub.index, i)->generation; i++)
		if (a->topics->of[i])
			defer_subscribers(a, a->topics->of[i]);
	multi_topic_start(a, a->topics->scanned);
}

/* ---- a window ---- */

/* Appends a note of the current item to the session's chain. */
static void note(struct multi_topic *a, session_id sid)
{
	struct chain *c = chain_of(a, sid);
	uint16_t number = (uint16_t)++a->notes;

	a->note[number - 1] = (struct note){ .item = (uint16_t)a->items };
	if (c) {
		a->note[c->last - 1].next = number;
		c->last = number;
		return;
	}
	a->of[sid] = a->chains;
	a->chain[a->chains++] = (struct chain){ .sid = sid, .first = number, .last = number };
}

/* Notes the record for its subscribers in `t`, from t->at on, as far as there is room. */
static void note_subscribers(struct multi_topic *a, struct local_topic *t, const struct ring_record *rec)
{
	uint32_t notes = a->notes;

	a->item[a->items] = (struct item){ .seq = rec->seq, .id = rec->id, .topic = t->topic, .transport = t->transport };
	for (; t->at < t->count && a->looked < WINDOW_NOTES; t->at++, a->looked++) {
		const struct apart_subscriber *s = &t->apart[t->at];

		if (rec->seq >= a->base->slot.subscriptions[s->subscription].from)
			note(a, s->sid);
	}
	a->items += a->notes > notes;
}

/* The first topic of this generation that is apart, among `t` and its next siblings, or NULL. */
static struct local_topic *next_apart(struct local_topic *t, uint32_t generation)
{
	while (t && (!t->is_apart || t->transport == TOPICS_PARKED || t->generation != generation))
		t = t->sibling;
	return t;
}

/*
 * Notes the record for all its subscribers apart. False: there is no room for all of them, and none is noted. In an empty window as many are noted
 * as there is room for, and `partly` says whether some are left.
 */
static bool note_record(struct multi_topic *a, const struct ring_record *rec)
{
	struct local_topic *first = next_apart(topics_find(a->topics, rec->topic), rec->generation), *t;
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
			note_subscribers(a, t, rec);
	for (t = a->partly ? NULL : first; t; t = next_apart(t->sibling, rec->generation))
		t->at = 0;
	return true;
}

/* Begins the next window, and notes who is owed what of it. */
static void open_window(struct multi_topic *a)
{
	uint64_t stop = a->begin + WINDOW_RECORDS;
	struct ring_record rec;

	a->looked = a->items = a->notes = a->chains = a->at = a->kept = 0;
	a->partly = false;
	if (stop > a->topics->scanned)
		stop = a->topics->scanned;
	for (a->end = a->begin; a->end < stop && !a->partly; a->end++) {
		if (ring_read(&a->base->hub.ring, a->end, &rec) < 0 || FAIL_POINT("window-overtaken")) {
			overtaken(a);
			break;
		}
		if (a->chains == 0)
			a->time = rec.time;
		if (!note_record(a, &rec))
			break;
	}
	a->sessions = a->chains;
	a->behind = a->end < a->topics->scanned ? ring_message_of(&a->base->hub.ring, a->end) : a->end;
}

/* ---- a session's share of it ---- */

/* What is sent to a session at one time. */
struct piece {
	const char *bytes;
	char *room;			/* where they are written, in the arena; NULL: they are a frame that was there already */
	size_t len;
	uint32_t messages, skipped;
	uint64_t had;			/* what belongs to messages before this id, the session has had, with what is gathered */
};

/* Whether the frame is in the arena. */
static bool is_made(const struct multi_topic *a, const struct item *i)
{
	return i->round == batch_round(a->batch);
}

/* The piece becomes this frame alone, which other sessions are sent, too. */
static int use_frame(struct piece *p, const struct item *i)
{
	p->room = NULL;
	p->bytes = i->frame;
	p->len = i->size;
	return 0;
}

/*
 * Adds the item's frame to the piece. `last`: the session is owed nothing behind it. A frame is made once, where it is first needed. 1: more may be
 * added; 0: nothing more goes into the piece (its `len` says if this frame did); -1: the frame can't be had.
 */
static int add_frame(struct multi_topic *a, struct piece *p, struct item *i, uint32_t base, bool last)
{
	bool own = transport_has(i->transport, TRANSPORT_OWN_FRAMES);
	struct ring_record rec;
	size_t size;

	if (p->len == 0) {
		if (last && is_made(a, i))
			return use_frame(p, i);
		p->room = batch_room(a->batch, PIECE);
	}
	size = i->size;
	if (!is_made(a, i) && (ring_read(&a->base->hub.ring, i->seq, &rec) < 0 || !(size = frame_size(a->base, i->transport, base, &rec))))
		return -1;
	if (p->len && p->len + size > PIECE)
		return 0;
	if (is_made(a, i)) {
		if (p->len == 0 && size > PIECE / 2)
			return use_frame(p, i);
		memcpy(p->room + p->len, i->frame, size);
	} else {
		if (size > PIECE && !(p->room = batch_room(a->batch, size)))
			return -1;
		if (frame_write(a->base, i->transport, base, &rec, p->room + p->len, size) < 0)
			return -1;
		if (!own) {
			i->frame = p->room + p->len;
			i->size = (uint32_t)size;
			i->round = batch_round(a->batch);
		}
	}
	p->len += size;
	return 1;
}

/* Whether a session that has given up a subscription is still owed the item. */
static bool is_still_owed(const struct multi_topic *a, session_id sid, const struct item *i)
{
	uint32_t subscription = subscription_list_find(a->topics, sid, i->topic);

	return subscription && a->base->slot.subscriptions[subscription].from <= i->seq;
}

/* Takes records off the session's chain, as many as go into one send, and gathers their frames. 0; -1: a frame can't be had. */
static int gather(struct multi_topic *a, struct chain *c, struct piece *p)
{
	const struct session_shm *s = session(a->base, c->sid);
	int r = 1;

	p->had = s->state.pos;
	while (c->first && r > 0) {
		const struct note *n = &a->note[c->first - 1];
		struct item *i = &a->item[n->item];
		size_t len = p->len;

		if (i->id >= p->had && (!c->changed || is_still_owed(a, c->sid, i))) {
			if (frame_skipped(a->base, i->transport, i->id))
				p->skipped++;
			else if ((r = add_frame(a, p, i, s->page_base, n->next == 0)) < 0 || p->len == len)
				break;
			else
				p->messages++;
			p->had = i->id + 1;
		}
		c->first = n->next;
	}
	/* What follows may be other records of the message that was sent last. */
	while (c->first && a->item[a->note[c->first - 1].item].id < p->had)
		c->first = a->note[c->first - 1].next;
	if (p->room) {
		p->bytes = p->room;
		batch_use(a->batch, p->len);
	}
	return r < 0 ? -1 : 0;
}

/* None of the records that the session was owed can be made into a frame: it is moved behind them, without a send. */
static void pass_by(struct multi_topic *a, session_id sid, uint64_t pos, uint32_t skipped)
{
	struct session_state_shm st = session(a->base, sid)->state;

	st.pos = pos;
	slot_commit(&a->base->slot, sid, &st);
	base_count(a->base, COUNTER_dropped_unencodable, skipped);
}

/*
 * Gathers one send for the session. If it is not live any more, its chain ends; if a frame can't be had, it is put behind, and gets its records
 * along its own stream.
 */
static void serve(struct multi_topic *a, struct chain *c, struct budget *left)
{
	session_id sid = c->sid;
	struct piece p = { 0 };
	uint64_t pos;

	if (!c->first)
		return;
	if (!is_live(session(a->base, sid))) {
		c->first = 0;
	} else if (gather(a, c, &p) < 0) {
		c->first = 0;
		landed_defer(a->streams, sid);
	} else {
		pos = c->first ? a->item[a->note[c->first - 1].item].id : a->behind > p.had ? a->behind : p.had;
		if (p.messages)
			batch_add(a->batch, sid, p.bytes, p.len, pos, p.messages, p.skipped);
		else if (p.skipped)
			pass_by(a, sid, pos, p.skipped);
		left->sends -= p.messages > 0;
		left->bytes -= (long)p.len;
	}
}

/* Serves the window, as far as the budget goes. True: all sessions have had what was noted. */
static bool serve_window(struct multi_topic *a, struct budget *left)
{
	while (a->at < a->chains) {
		struct chain *c = &a->chain[a->at];

		if (left->sends <= 0 || left->bytes <= 0)
			break;
		if (a->at + 8 < a->chains)
			__builtin_prefetch(session(a->base, c[8].sid));
		serve(a, c, left);
		a->at++;
		if (c->first) {
			a->of[c->sid] = a->kept;
			a->chain[a->kept++] = *c;
		}
		if (a->at == a->chains) {
			batch_flush(a->batch);		/* a session must not stand in a batch twice */
			a->chains = a->kept;
			a->at = a->kept = 0;
		}
	}
	batch_flush(a->batch);
	return a->chains == 0;
}

bool multi_topic_run(struct multi_topic *a)
{
	struct budget left = { TURN_SENDS, TURN_BYTES };

	if (!a->topics->apart_subscriptions) {
		multi_topic_start(a, a->topics->scanned);	/* the first session that goes apart is served from there */
		return false;
	}
	for (int windows = 0; serve_window(a, &left); windows++) {
		if (a->sessions > 0)
			latency_add(&a->base->self->latency, a->sessions, a->time, hub_now());
		a->sessions = 0;
		if (!a->partly)
			a->begin = a->end;
		if (a->begin == a->topics->scanned)
			return false;
		if (windows == TURN_WINDOWS)
			break;
		open_window(a);
	}
	return true;
}
