/*
 * A topic's records, found in the ring: along their links, forwards from one that is known or back from the topic's last, or by looking
 * through all of them.
 */
#include "shm/ring.h"

#include <errno.h>

#define SCAN_STRETCH 16	/* records looked at forwards for each one looked at backwards, */
#define SCAN_AFTER 4		/* once that many were looked at backwards: mostly it takes fewer */
#define SEEK_TRIES 64

/* What ring_seek() looks for. */
struct sought {
	uint32_t topic, generation;
	uint64_t from, below;
};

enum { FOUND, NONE, BROKEN_LINKS };	/* BROKEN_LINKS: the links did not hold; try another way */

static bool read_topic(const struct ring *r, const struct sought *s, uint64_t seq, struct ring_record *rec)
{
	return ring_read(r, seq, rec) == 0 && rec->topic == s->topic && rec->generation == s->generation;
}

/* From a record of the topic before `from`. Links between published records are whole for who has seen the tail past them,
 * so the end of the links before `below` is the end of the records. */
static int seek_forwards(const struct ring *r, const struct sought *s, uint64_t seq, struct ring_record *rec)
{
	for (;;) {
		if (!read_topic(r, s, seq, rec))
			return BROKEN_LINKS;
		if (seq >= s->from)
			return FOUND;
		if (rec->next == 0 || rec->next >= s->below)
			return NONE;
		if (rec->next <= seq)
			return BROKEN_LINKS;
		seq = rec->next;
	}
}

/* Goes on through all records, a stretch at a time. True: the one at *at is the topic's first. What is overwritten on the way is passed. */
static bool scan_on(const struct ring *r, const struct sought *s, uint64_t *at)
{
	uint64_t end = *at + SCAN_STRETCH, oldest = ring_oldest(r);

	if (*at < oldest)
		*at = oldest;
	for (; *at < s->below && *at < end; ++*at) {
		const struct ring_desc_shm *d = ring_desc(r, *at);

		if (d->topic == s->topic && d->generation == s->generation)
			return true;
	}
	return false;
}

/*
 * From a record at or after `from`, published or not. What was overwritten ends the walk: all before it is gone, too. What is
 * not overwritten but another topic's record was never published in the way we came: its producer died and the number was
 * given anew. With a scan that finds the first one sooner, that.
 */
static int seek_backwards(const struct ring *r, const struct sought *s, uint64_t seq, struct ring_record *rec, uint64_t *scan)
{
	struct ring_record at;
	int found = NONE, steps = 0;

	while (seq != 0 && seq >= s->from) {
		if (scan && ++steps > SCAN_AFTER && scan_on(r, s, scan)) {
			if (read_topic(r, s, *scan, &at)) {
				*rec = at;
				return FOUND;
			}
			scan = NULL;		/* overwritten meanwhile; what was found on the way back still is */
		}
		if (!read_topic(r, s, seq, &at)) {
			if (ring_holds(r, seq))
				return BROKEN_LINKS;
			break;
		}
		if (seq < s->below) {
			*rec = at;
			found = FOUND;
		}
		if (at.prev >= seq)
			return BROKEN_LINKS;
		seq = at.prev;
	}
	return found;
}

static struct ring_first *first_of(const struct ring *r, const struct sought *s)
{
	return &r->firsts[s->topic * 0x9e3779b1u >> 22];
}
_Static_assert(RING_FIRSTS == 1 << (32 - 22), "the upper bits say where");

/* By the note, if it says. BROKEN_LINKS: it does not. */
static int seek_noted(const struct ring *r, const struct sought *s, struct ring_record *rec)
{
	const struct ring_first *note = first_of(r, s);

	if (note->topic != s->topic || note->generation != s->generation || note->since > s->from || note->first < s->from ||
	    !read_topic(r, s, note->first, rec))
		return BROKEN_LINKS;
	return note->first < s->below ? FOUND : NONE;
}

static int seek_both(const struct ring *r, struct sought s, struct ring_record *rec)
{
	struct topic_shm *t = index_topic(r->index, s.topic);
	uint64_t oldest = ring_oldest(r);
	int result = BROKEN_LINKS;

	if (s.from < oldest)
		s.from = oldest;
	if (r->firsts && (result = seek_noted(r, &s, rec)) != BROKEN_LINKS)
		return result;
	/* each further try takes the death of a producer at the wrong moment: the limit is against damaged memory */
	for (int tries = 0; result == BROKEN_LINKS && tries < SEEK_TRIES; tries++) {
		uint64_t scan = s.from;
		/* acquire: pairs with the release in link_record() */
		uint64_t last = atomic_load_explicit(&t->last, memory_order_acquire);

		if (__atomic_load_n(&t->generation, __ATOMIC_RELAXED) != s.generation)
			break;	/* a topic of this number, but another one */
		result = seek_backwards(r, &s, last, rec, &scan);
	}
	if (result == FOUND && r->firsts)
		*first_of(r, &s) = (struct ring_first){ s.topic, s.generation, s.from, rec->seq };
	return result;
}

int ring_seek(const struct ring *r, uint32_t topic, uint32_t generation, uint64_t from, uint64_t below, uint64_t hint,
	      struct ring_record *rec)
{
	const struct sought s = { topic, generation, from, below };
	int result = BROKEN_LINKS;

	if (from >= below || below <= ring_oldest(r)) {
		errno = ENOENT;
		return -1;
	}
	if (hint != 0 && hint < from)
		result = seek_forwards(r, &s, hint, rec);
	else if (hint != 0 && hint < below && seek_backwards(r, &s, hint, rec, NULL) == FOUND)
		result = FOUND;		/* NONE would only say that the hint is gone: what came after it may be there */
	if (result == BROKEN_LINKS)
		result = seek_both(r, s, rec);
	if (result == FOUND)
		return 0;
	errno = ENOENT;
	return -1;
}
