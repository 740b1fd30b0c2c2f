/*
 * History: what is kept of topics beyond the ring, who gives way when there is no room, and what readers find.
 */
#include "tests/unit/history_fixture.h"

#define SECOND 1000000ull

/* ---- what is there ---- */

static void messages_are_there(void **state)
{
	struct fixture *f = *state;
	uint64_t first = 0, last = 0, seq[300];
	struct ring_record rec;

	rule(f, "*: 1000 messages");
	for (unsigned i = 0; i < 300; i++)
		seq[i] = say(f, "a", 1 + i * 37 % 5000);
	assert_int_equal(read_from(f, "a", 0, &first, &last), 300);
	assert_int_equal(first, 1);
	for (unsigned i = 0; i < 300; i++) {
		assert_int_equal(seek(f, "a", seq[i], UINT64_MAX, &rec), 0);
		assert_int_equal(rec.seq, seq[i]);
		assert_int_equal(rec.number, i + 1);
		assert_int_equal(rec.topic, find(f, "a"));
		check_bytes(f, &rec);
		assert_int_equal(history_seek_number(&f->hub.history, 2, find(f, "a"), generation_of(f, "a"), i + 1, &rec), 0);
		assert_int_equal(rec.seq, seq[i]);
		assert_int_equal(seek(f, "a", seq[i], seq[i], &rec), -1);
	}
	assert_int_equal(seek(f, "a", seq[299] + 1, UINT64_MAX, &rec), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(history_seek(&f->hub.history, 2, find(f, "a"), generation_of(f, "a") + 1, 0, UINT64_MAX, &rec), -1);
	assert_int_equal(history_from(&f->hub.history, 2, find(f, "a"), generation_of(f, "a")), 1);
	assert_int_equal(f->hub.history.counts.kept, 300);
}

/* Lengths around a page's end: headers that just fit, and those that just do not. */
static void ends_of_pages(void **state)
{
	struct fixture *f = *state;
	uint64_t first, last;
	unsigned n = 0;

	rule(f, "*: 1G");
	for (uint32_t len = (uint32_t)PAGE_ROOM - 3 * HEAD; len <= PAGE_ROOM + 2; len++) {
		say(f, "a", len);
		say(f, "a", 1);
		n += 2;
		assert_int_equal(read_from(f, "a", 0, &first, &last), n);
		assert_int_equal(last, n);
	}
}

static void rules_say_what_is_kept(void **state)
{
	struct fixture *f = *state;

	rule(f, "a: 5 messages; b: 0 messages; c*: 1h");
	say(f, "a", 10);
	say(f, "c1", 10);
	assert_int_equal(kept(f, "a")->messages, 1);
	assert_int_equal(kept(f, "c1")->messages, 1);
	join(f, 0, "b", 1);
	join(f, 0, "d", 1);
	say(f, "b", 10);
	say(f, "d", 10);
	assert_int_equal(kept(f, "b")->messages, 0);
	assert_int_equal(kept(f, "d")->messages, 0);
	assert_int_equal(f->hub.history.shm->books.kept, 2);
}

/* ---- limits ---- */

static void limit_of_messages(void **state)
{
	struct fixture *f = *state;
	uint64_t first = 0, last = 0;
	uint32_t pages = 0;

	rule(f, "*: 100 messages");
	for (unsigned i = 1; i <= 2000; i++) {
		say(f, "a", 50);
		assert_int_equal(read_from(f, "a", 0, &first, &last), kept(f, "a")->messages);
		assert_int_equal(last, i);
		assert_true(kept(f, "a")->messages >= (i < 100 ? i : 100));
		assert_true(kept(f, "a")->messages <= 100 + PAGE_ROOM / 88 + 1);
		pages = kept(f, "a")->pages > pages ? kept(f, "a")->pages : pages;
	}
	assert_true(pages <= 5);
	assert_true(f->hub.history.shm->books.high <= 6);	/* pages are used again */
	assert_int_equal(f->hub.history.counts.cut_short, 0);
}

static void limit_of_bytes(void **state)
{
	struct fixture *f = *state;

	rule(f, "*: 20K");
	for (unsigned i = 1; i <= 500; i++) {
		say(f, "a", 1000);
		assert_true(kept(f, "a")->bytes <= 20 * 1024);
		assert_true(i <= 20 ? kept(f, "a")->messages == i : kept(f, "a")->messages >= 15);
	}
	say(f, "a", 30000);		/* alone it is more than the limit, and the newest */
	assert_int_equal(kept(f, "a")->messages, 1);
	say(f, "a", 10);
	assert_int_equal(kept(f, "a")->messages, 1);
	assert_int_equal(kept(f, "a")->bytes, 10);
}

static void sweep(struct fixture *f, uint64_t now)
{
	for (unsigned i = 0; i < 5; i++) {
		history_sweep(&f->hub.history, now, 100);
		check_history(f);
	}
}

static void limit_of_age(void **state)
{
	struct fixture *f = *state;
	uint64_t start = hub_now(), first = 0, last = 0;

	rule(f, "*: 10s");
	for (unsigned i = 0; i < 20; i++)
		say_at(f, "a", 3000, start + i * SECOND);
	assert_int_equal(kept(f, "a")->messages, 20);
	sweep(f, start + 20 * SECOND);
	read_from(f, "a", 0, &first, &last);
	assert_in_range(first, 9, 11);		/* the 10th is 11 s old; its page may have the next one's beginning */
	assert_int_equal(last, 20);
	sweep(f, start + 29 * SECOND);
	assert_in_range(kept(f, "a")->messages, 1, 2);
	sweep(f, start + 30 * SECOND);
	assert_int_equal(find(f, "a"), TOPIC_NONE);	/* nobody is interested, and nothing is kept */
	assert_int_equal(f->hub.history.shm->books.kept, 0);
	assert_int_equal(f->hub.history.shm->books.live, 0);
	assert_int_equal(f->hub.history.shm->books.free_count, f->hub.history.shm->books.high);
}

/* Subscribers keep a topic, and from where all of it is known. */
static void swept_with_subscribers(void **state)
{
	struct fixture *f = *state;
	uint64_t start = hub_now(), seq;
	uint32_t a = join(f, 3, "a", 1);

	rule(f, "a: 10s");
	seq = say_at(f, "a", 30, start);
	assert_int_equal(index_topic(&f->hub.index, a)->kept, 1);
	sweep(f, start + 20 * SECOND);
	assert_int_equal(find(f, "a"), a);
	assert_int_equal(index_topic(&f->hub.index, a)->kept, TOPIC_WAS_KEPT);
	assert_int_equal(kept(f, "a")->from, seq + 1);
	say_at(f, "a", 30, start + 30 * SECOND);
	assert_int_equal(kept(f, "a")->from, seq + 1);
	assert_int_equal(kept(f, "a")->messages, 1);
	index_leave(&f->hub.index, 3, a);
	assert_int_equal(find(f, "a"), a);
	check_history(f);
}

static void rules_change(void **state)
{
	struct fixture *f = *state;
	uint64_t first = 0, last = 0;

	rule(f, "*: 1000 messages");
	for (unsigned i = 0; i < 100; i++) {
		say(f, "a", 1000);
		say(f, "b", 10);
	}
	join(f, 1, "b", 1);
	rule(f, "a: 10 messages");
	sweep(f, hub_now());
	assert_in_range(kept(f, "a")->messages, 10, 15);
	assert_int_equal(kept(f, "b")->messages, 0);
	assert_int_equal(kept(f, "b")->from, 0);
	say(f, "b", 10);
	rule(f, "*: 1000 messages");
	say(f, "b", 10);
	assert_int_equal(read_from(f, "b", 0, &first, &last), 1);
	assert_int_equal(first, 102);
	rule(f, "");
	say(f, "b", 10);		/* no rule any more, before it is swept: nothing may come behind a gap */
	assert_int_equal(kept(f, "b")->from, 0);
	assert_int_equal(index_topic(&f->hub.index, find(f, "b"))->kept, TOPIC_WAS_KEPT);
	rule(f, "*: 1000 messages");
	say(f, "b", 10);
	assert_int_equal(read_from(f, "b", 0, &first, &last), 1);
	assert_int_equal(first, 104);
	assert_int_equal(kept(f, "b")->from, ring_tail(&f->hub.ring) - 1);
	rule(f, "");
	sweep(f, hub_now());
	assert_int_equal(find(f, "a"), TOPIC_NONE);
	assert_int_equal(f->hub.history.shm->books.live, 0);
}

/* ---- where a topic's history begins ---- */

static void from_where(void **state)
{
	struct fixture *f = *state;
	uint64_t seq[1000], first = 0, last = 0;
	struct history_topic_shm s;
	unsigned i;

	rule(f, "*: 20 messages");
	for (i = 0; i < 300; i++) {
		seq[i] = say(f, "a", 700);
		say(f, "other", 5);
		s = *kept(f, "a");
		read_from(f, "a", 0, &first, &last);
		/* the sequence behind the newest that was given up: other topics' records lie between */
		assert_int_equal(s.from, first == 1 ? 1 : seq[first - 2] + 1);
	}
	assert_int_equal(history_from(&f->hub.history, 2, find(f, "a"), generation_of(f, "a")),
			 s.from < ring_oldest(&f->hub.ring) ? s.from : ring_oldest(&f->hub.ring));
	index_keep(&f->hub.index, index_hash("new", 3), "new", 3, ring_tail(&f->hub.ring));
	assert_int_equal(history_from(&f->hub.history, 2, find(f, "new"), generation_of(f, "new")), ring_tail(&f->hub.ring));
	join(f, 0, "plain", 1);
	for (i = 0; i < 300; i++)
		say(f, "other", 300);
	rule(f, "");
	say(f, "plain", 3);
	assert_int_equal(history_from(&f->hub.history, 2, find(f, "plain"), generation_of(f, "plain")), ring_oldest(&f->hub.ring));
}

/* Records that were overwritten before anybody took them over (none are, but who knows) are a gap, and end what is before them. */
static void gap(void **state)
{
	struct fixture *f = *state;
	uint64_t first = 0, last = 0;
	struct ring_batch batch;

	rule(f, "*: 100 messages");
	say(f, "a", 10);
	for (unsigned i = 0; i < RING_MESSAGES + 10; i++) {
		ring_begin(&f->hub.ring, &batch);
		write_record(f, &batch, "a", 10, hub_now());
		ring_commit(&f->hub.ring, &batch);
	}
	say(f, "a", 10);
	assert_int_equal(read_from(f, "a", 0, &first, &last), RING_MESSAGES);
	assert_int_equal(last, RING_MESSAGES + 12);
	assert_true(kept(f, "a")->from > 2);
}

/* ---- room ---- */

static uint32_t used(const struct fixture *f)
{
	return f->hub.history.shm->books.high - f->hub.history.shm->books.free_count;
}

static void quiet_topics_keep_theirs(void **state)
{
	struct fixture *f = *state;
	uint64_t first = 0, last = 0;

	rule(f, "quiet: 20 messages; loud: 500 messages");
	for (unsigned i = 0; i < 20; i++)
		say(f, "quiet", 1000);
	for (unsigned i = 0; i < 400; i++) {
		say(f, "loud", 4000);
		assert_true(used(f) <= PAGES);
	}
	assert_int_equal(read_from(f, "quiet", 0, &first, &last), 20);
	assert_int_equal(last, 20);
	assert_int_equal(read_from(f, "loud", 0, &first, &last), kept(f, "loud")->messages);
	assert_in_range(kept(f, "loud")->messages, PAGES * 7 / 8 - 10, PAGES - PAGES / 16);
	assert_int_equal(last, 400);
	assert_int_equal(f->hub.history.counts.cut_short, 400 - kept(f, "loud")->messages);
	assert_int_equal(f->hub.history.counts.missed, 0);
}

/* A topic that has most of the pages gives to those that come: each gets its share. */
static void all_get_a_share(void **state)
{
	struct fixture *f = *state;
	char name[2] = "a";

	rule(f, "*: 1G");
	for (unsigned i = 0; i < 300; i++)
		say(f, "z", 4000);
	for (unsigned i = 0; i < 600; i++) {
		name[0] = (char)('a' + i % 8);
		say(f, name, 4000);
		assert_true(used(f) <= PAGES);
	}
	for (name[0] = 'a'; name[0] < 'i'; name[0]++)
		assert_in_range(kept(f, name)->pages, PAGES / 10 - 4, PAGES / 8);
	assert_in_range(kept(f, "z")->pages, PAGES / 10 - 4, PAGES / 8);
	assert_int_equal(f->hub.history.counts.missed, 0);
	assert_true(f->hub.history.counts.cut_short > 0);
}

/* What goes beyond what was promised, or is too old, is no promise broken. */
static void given_without_promise(void **state)
{
	struct fixture *f = *state;
	uint64_t start = hub_now();

	rule(f, "old: 10s; new: 1G");
	for (unsigned i = 0; i < 220; i++)
		say_at(f, "old", 4000, start + i);
	for (unsigned i = 0; i < 60; i++)
		say_at(f, "new", 4000, start + 20 * SECOND + i);
	assert_true(kept(f, "old")->messages < 200);
	assert_int_equal(f->hub.history.counts.cut_short, 0);
}

static void too_large(void **state)
{
	struct fixture *f = *state;
	uint64_t first = 0, last = 0, seq;

	rule(f, "*: 10 messages");
	say(f, "a", 10);
	f->hub.history.shm->pages = 16;		/* (a message of a ring can't be too large for 256) */
	seq = say(f, "a", 15000);
	assert_int_equal(kept(f, "a")->messages, 2);
	seq = say(f, "a", 16200);
	assert_int_equal(kept(f, "a")->messages, 0);
	assert_int_equal(kept(f, "a")->from, seq + 1);
	assert_int_equal(f->hub.history.counts.missed, 1);
	say(f, "a", 10);
	assert_int_equal(read_from(f, "a", 0, &first, &last), 1);
	assert_int_equal(first, 4);
	assert_int_equal(kept(f, "a")->from, seq + 1);
}

/* ---- notes ---- */

static void assert_same(const struct ring_record *a, const struct ring_record *b)
{
	assert_int_equal(a->seq, b->seq);
	assert_int_equal(a->number, b->number);
	assert_int_equal(a->len, b->len);
	assert_int_equal(a->place.page, b->place.page);
	assert_int_equal(a->place.offset, b->place.offset);
}

/* What is found by the sequence, and by the number, is the same with notes and without. */
static void check_notes(struct fixture *f, const char *name, uint64_t seq, uint64_t number)
{
	struct history_note *notes = f->hub.history.notes;
	uint32_t topic = find(f, name);
	struct ring_record with, without;
	int found;

	for (int by_number = 0; by_number < 2; by_number++) {
		int r[2];

		for (int noted = 0; noted < 2; noted++) {
			struct ring_record *rec = noted ? &with : &without;

			f->hub.history.notes = noted ? notes : NULL;
			r[noted] = by_number ? history_seek_number(&f->hub.history, 2, topic, generation_of(f, name), number, rec)
					     : seek(f, name, seq, UINT64_MAX, rec);
		}
		found = r[0];
		assert_int_equal(r[1], found);
		if (found == 0)
			assert_same(&with, &without);
	}
}

/* In any order, while messages come, and go with their pages, and topics begin anew. */
static void notes_change_nothing(void **state)
{
	struct fixture *f = *state;
	static uint64_t seq[4][4000];
	unsigned said[4] = { 0 };

	srandom(11);
	f->hub.history.notes = calloc(HISTORY_NOTES, sizeof(*f->hub.history.notes));
	rule(f, "a: 100 messages; b: 1G; *: 30K");
	for (unsigned i = 0; i < 3000; i++) {
		unsigned n = (unsigned)random() % 4, from;
		char name[2] = { (char)('a' + n), 0 };

		if (random() % 500 == 0) {	/* (its rule goes, and all it has) */
			rule(f, "a: 100 messages; b: 1G");
			sweep(f, hub_now());
			rule(f, "a: 100 messages; b: 1G; *: 30K");
		}
		if (find(f, name) == TOPIC_NONE)
			said[n] = 0;
		seq[n][++said[n]] = say(f, name, 1 + (uint32_t)random() % (random() % 10 == 0 ? 9000 : 900));
		from = said[n] > 200 && random() % 2 ? said[n] - (unsigned)random() % 200 : 1 + (unsigned)random() % said[n];
		for (unsigned k = from; k < from + 3 && k <= said[n]; k++)
			check_notes(f, name, seq[n][k], k);
		check_notes(f, name, seq[n][said[n]] + 1, said[n] + 1);
		check_notes(f, name, 0, 0);
	}
	free(f->hub.history.notes);
}

/* Who reads on does not walk the chain from its beginning: what is before the note's page is not looked at. */
static void notes_spare_the_way(void **state)
{
	struct fixture *f = *state;
	struct history *h = &f->hub.history;
	struct ring_record rec;
	uint64_t seq[400];
	uint32_t *next, was;

	h->notes = calloc(HISTORY_NOTES, sizeof(*h->notes));
	rule(f, "*: 1G");
	for (unsigned i = 0; i < 400; i++)
		seq[i] = say(f, "a", 500);
	assert_int_equal(seek(f, "a", seq[200], UINT64_MAX, &rec), 0);
	next = &history_page(h, kept(f, "a")->first)->next;
	was = *next;
	*next = kept(f, "a")->last;		/* there is no way from the first page to those in the middle */
	for (unsigned i = 200; i < 250; i++) {
		assert_int_equal(seek(f, "a", seq[i], UINT64_MAX, &rec), 0);
		assert_int_equal(rec.seq, seq[i]);
		assert_int_equal(history_seek_number(h, 2, find(f, "a"), generation_of(f, "a"), i + 1, &rec), 0);
		assert_int_equal(rec.seq, seq[i]);
	}
	*next = was;
	free(h->notes);
}

/* ---- pins ---- */

static void pinned_pages_stay(void **state)
{
	struct fixture *f = *state;
	struct ring_record rec, first;

	rule(f, "*: 10 messages");
	for (unsigned i = 0; i < 15; i++)
		say(f, "a", 4000);
	hub_pin(&f->hub, 5);
	assert_int_equal(seek(f, "a", 0, UINT64_MAX, &first), 0);
	for (unsigned i = 0; i < 200; i++)
		say(f, "a", 4000);
	rec = first;
	for (unsigned n = 1;; n++) {		/* all of it is there as it was */
		check_bytes(f, &rec);
		if (history_next(&f->hub.history, &rec) < 0) {
			assert_int_equal(rec.number, 15);
			break;
		}
		assert_int_equal(rec.number, first.number + n);
	}
	hub_pin(&f->hub, 5);
	hub_unpin(&f->hub, 5);
	assert_int_not_equal(hub_pinned(&f->hub), UINT64_MAX);
	hub_unpin(&f->hub, 5);
	assert_int_equal(hub_pinned(&f->hub), UINT64_MAX);
}

/* While all that is free is pinned, a message is missed, and what was before it goes: no gap. Readers have what they found all the same. */
static void missed_for_a_pin(void **state)
{
	struct fixture *f = *state;
	uint64_t first = 0, last = 0;
	struct ring_record rec;
	unsigned said = 0;

	rule(f, "*: 10 messages");
	for (; said < 15; said++)
		say(f, "a", 4000);
	hub_pin(&f->hub, 5);
	assert_int_equal(seek(f, "a", 0, UINT64_MAX, &rec), 0);
	for (; f->hub.history.counts.missed == 0 && said < 1000; said++)
		say(f, "a", 4000);
	assert_in_range(said, PAGES - 10, PAGES + 20);
	assert_int_equal(kept(f, "a")->messages, 0);
	assert_int_equal(kept(f, "a")->from, ring_tail(&f->hub.ring));
	check_bytes(f, &rec);
	while (history_next(&f->hub.history, &rec) == 0)
		check_bytes(f, &rec);
	assert_int_equal(rec.number, 15);
	hub_unpin(&f->hub, 5);
	say(f, "a", 4000);
	assert_int_equal(read_from(f, "a", 0, &first, &last), 1);
	assert_int_equal(first, said + 1);
}

/* Readers that pin for a moment, one after the other, cost nobody a message: some pages are always free for longer than that. */
static void short_pins_cost_nothing(void **state)
{
	struct fixture *f = *state;

	rule(f, "*: 1G");
	for (unsigned i = 0; i < 1500; i++) {
		if (i % 5 == 0)
			atomic_store(&slot_of(f, i / 5 % 2)->pinned, ring_tail(&f->hub.ring));
		say(f, i % 3 ? "a" : "b", 4000);
	}
	assert_int_equal(f->hub.history.counts.missed, 0);
	assert_in_range(used(f), PAGES * 7 / 8, PAGES - PAGES / 16 + 1);
}

static void predecessors_pin(void **state)
{
	struct fixture *f = *state;

	say(f, "a", 10);
	atomic_store(&slot_of(f, 4)->pinned, 2);		/* it has died with it */
	hub_pin(&f->hub, 4);
	hub_unpin(&f->hub, 4);
	assert_int_equal(hub_pinned(&f->hub), 2);
	hub_pin(&f->hub, 4);
	hub_unpin_predecessor(&f->hub, 4);
	assert_int_equal(hub_pinned(&f->hub), 2);		/* not yet: we are reading */
	hub_unpin(&f->hub, 4);
	assert_int_equal(hub_pinned(&f->hub), UINT64_MAX);
	atomic_store(&slot_of(f, 4)->pinned, 2);
	hub_clear_slot(&f->hub, 4, 65);
	assert_int_equal(hub_pinned(&f->hub), UINT64_MAX);
}

/* ---- anything ---- */

static void anything(void **state)
{
	struct fixture *f = *state;
	static uint64_t seq[TOPICS_MAX][20000];
	unsigned said[TOPICS_MAX] = { 0 };
	unsigned pins = 0;

	srandom(7);
	rule(f, "a*: 30 messages; b*: 50K; c*: 3s; *: 1G");
	for (unsigned i = 0; i < 6000; i++) {
		unsigned n = (unsigned)random() % 10;
		char name[3] = { (char)('a' + n % 4), (char)('0' + n), 0 };
		uint64_t first = 0, last = 0;
		uint32_t len = random() % 20 == 0 ? 1 + (uint32_t)random() % 15000 : 1 + (uint32_t)random() % 500;

		if (find(f, name) == TOPIC_NONE)
			said[n] = 0;
		seq[n][++said[n]] = say_at(f, name, len, SECOND * 100 + i * 10000);
		assert_int_equal(last, 0);
		if (f->hub.history.counts.missed == 0)
			assert_true(kept(f, name)->messages >= 1);
		if (random() % 10 == 0) {
			uint64_t from = seq[n][1 + (unsigned)random() % said[n]];

			read_from(f, name, from, &first, &last);
			if (kept(f, name)->messages) {
				assert_int_equal(last, said[n]);
				assert_int_equal(seq[n][first], from > kept(f, name)->from ? from : seq[n][first]);
			}
		}
		if (random() % 50 == 0)
			sweep(f, SECOND * 100 + i * 10000);
		if (random() % 20 == 0 && !pins)
			pins = 1, hub_pin(&f->hub, 9);
		else if (random() % 5 == 0 && pins)
			pins = 0, hub_unpin(&f->hub, 9);
	}
}

/* ---- a death ---- */

/* A step that was committed and not copied is copied by who repairs; what was published and not taken over is. */
static void dead_holder(void **state)
{
	struct fixture *f = *state;
	uint64_t first = 0, last = 0;
	struct history_shm *shm = f->hub.history.shm;
	struct history_shm before;
	struct history_topic_shm a;
	struct ring_batch batch;

	rule(f, "*: 100 messages");
	say(f, "a", 10);
	before = *shm;
	a = *kept(f, "a");
	say(f, "a", 5000);
	/* as if it had died right behind the store of redo.topic */
	f->hub.history.topics[find(f, "a")] = a;
	shm->books = before.books;
	atomic_store(&shm->redo.topic, find(f, "a"));
	lock_acquire(&f->hub.shm->lock, 4 + 1);
	ring_begin(&f->hub.ring, &batch);
	write_record(f, &batch, "a", 20, hub_now());
	ring_commit(&f->hub.ring, &batch);
	f->hub.history.counts = (struct history_counts){ 0 };
	hub_repair(&f->hub, 4);
	check_history(f);
	assert_int_equal(read_from(f, "a", 0, &first, &last), 3);
	assert_int_equal(atomic_load(&slot_of(f, 4)->counters[COUNTER_history_kept]), 1);
	assert_int_equal(f->hub.history.counts.kept, 0);
}

/* The topic that it made and did not publish is let go. */
static void kept_for_nothing(void **state)
{
	struct fixture *f = *state;

	rule(f, "*: 100 messages");
	say(f, "b", 10);
	index_keep(&f->hub.index, index_hash("a", 1), "a", 1, ring_tail(&f->hub.ring));
	sweep(f, hub_now());
	assert_int_equal(find(f, "a"), TOPIC_NONE);
	assert_int_not_equal(find(f, "b"), TOPIC_NONE);
}

/* And also if there is nothing to do otherwise: no rules any more, no messages. */
static void kept_for_nothing_without_rules(void **state)
{
	struct fixture *f = *state;

	index_keep(&f->hub.index, index_hash("a", 1), "a", 1, ring_tail(&f->hub.ring));
	for (unsigned i = 0; i < 3; i++)
		join(f, 3, (const char *[]){ "b", "c", "d" }[i], 1);
	assert_true(history_idle(&f->hub.history));
	for (unsigned i = 0; i < 10 && !history_is_swept(&f->hub.history); i++)
		history_sweep(&f->hub.history, hub_now(), 1);
	assert_true(history_is_swept(&f->hub.history));
	check_history(f);
	assert_int_equal(find(f, "a"), TOPIC_NONE);
	assert_int_not_equal(find(f, "b"), TOPIC_NONE);
}

/* From where on it is known that nothing of a topic that is not there was published. */
static void counted_since(void **state)
{
	struct fixture *f = *state;
	struct settings other, settings;
	uint64_t tail;

	settings_defaults(&settings);
	settings_defaults(&other);
	snprintf(settings.history, sizeof(settings.history), "a: 10 messages");
	hub_keep(&f->hub, &settings);
	go_live(f, 0, false);
	go_live(f, 1, false);
	hub_keep_from_now(&f->hub, 0, &settings);
	hub_keep_from_now(&f->hub, 1, &settings);
	say(f, "a", 10);
	join(f, 0, "b", 1);
	say(f, "b", 10);
	tail = ring_tail(&f->hub.ring);
	assert_true(hub_counted_since(&f->hub, "a", 1) < tail);		/* with a rule: always */
	assert_int_equal(hub_counted_since(&f->hub, "x", 1), tail);	/* without: from now on, */
	f->hub.index.shm->unheard = tail;
	assert_int_equal(hub_counted_since(&f->hub, "x", 1), tail + 1);	/* if nothing was dropped at this tail */
	say(f, "b", 10);
	tail = ring_tail(&f->hub.ring);
	assert_int_equal(hub_counted_since(&f->hub, "x", 1), tail);
	hub_keep_from_now(&f->hub, 1, &other);				/* one worker that has not this rule: it may lose one at any time */
	say(f, "b", 10);
	say(f, "b", 10);
	tail = ring_tail(&f->hub.ring);
	assert_int_equal(hub_counted_since(&f->hub, "a", 1), tail + 1);
	hub_keep_from_now(&f->hub, 0, &settings);
	assert_int_equal(hub_counted_since(&f->hub, "a", 1), tail + 1);
	hub_keep_from_now(&f->hub, 1, &settings);
	assert_int_equal(hub_counted_since(&f->hub, "a", 1), tail + 1);
	say(f, "b", 10);
	say(f, "b", 10);
	assert_int_equal(hub_counted_since(&f->hub, "a", 1), tail + 1);	/* what was before remains unknown */
}

/* An entry that is another topic's by now has nothing of the former one. */
static void entry_used_anew(void **state)
{
	struct fixture *f = *state;
	uint64_t first = 0, last = 0;
	struct ring_record rec;
	const char *why;
	uint32_t a;

	rule(f, "*: 100 messages");
	for (unsigned i = 0; i < 10; i++)
		say(f, "a", 1000);
	a = find(f, "a");
	index_release(&f->hub.index, a);	/* (nobody does that while there are messages) */
	assert_int_equal(history_check(&f->hub.history, &why), -1);
	assert_int_equal(join(f, 0, "b", 1), a);
	assert_int_equal(seek(f, "b", 0, UINT64_MAX, &rec), -1);
	assert_int_equal(history_from(&f->hub.history, 2, a, generation_of(f, "b")), ring_tail(&f->hub.ring));
	say(f, "b", 10);
	assert_int_equal(read_from(f, "b", 0, &first, &last), 1);
	assert_int_equal(kept(f, "b")->from, ring_tail(&f->hub.ring) - 1);
}

#define BREAKS(what, restore)						\
	do {								\
		const char *why;					\
									\
		what;							\
		assert_int_equal(history_check(h, &why), -1);		\
		assert_non_null(why);					\
		restore;						\
		check_history(f);					\
	} while (0)

static void check_sees(void **state)
{
	struct fixture *f = *state;
	struct history *h = &f->hub.history;
	struct history_books_shm *b = &h->shm->books;
	struct history_topic_shm *a;
	uint32_t page;

	rule(f, "*: 10 messages");
	for (unsigned i = 0; i < 40; i++)
		say(f, "a", 1500);
	a = &h->topics[find(f, "a")];
	page = history_page(h, a->first)->next;
	BREAKS(b->free_count++, b->free_count--);
	BREAKS(b->messages++, b->messages--);
	BREAKS(b->bytes++, b->bytes--);
	BREAKS(b->kept++, b->kept--);
	BREAKS(b->live++, b->live--);
	BREAKS(b->high++, b->high--);
	BREAKS(b->upto++, b->upto--);
	BREAKS(a->messages++, a->messages--);
	BREAKS(a->bytes++, a->bytes--);
	BREAKS(a->pages++, a->pages--);
	BREAKS(a->pages--, a->pages++);
	BREAKS(a->newest_seq++, a->newest_seq--);
	BREAKS(a->from = 0, a->from = history_page(h, a->first)->from);
	BREAKS(a->end -= 8, a->end += 8);
	BREAKS(a->generation++, a->generation--);
	BREAKS(history_page(h, page)->number++, history_page(h, page)->number--);
	BREAKS(history_page(h, page)->seq++, history_page(h, page)->seq--);
	BREAKS(history_page(h, page)->before++, history_page(h, page)->before--);
	BREAKS(history_page(h, page)->from++, history_page(h, page)->from--);
	BREAKS(history_page(h, page)->begins += 8, history_page(h, page)->begins -= 8);
	BREAKS(history_page(h, b->free_first)->run_pages++, history_page(h, b->free_first)->run_pages--);
	BREAKS(index_topic(&f->hub.index, find(f, "a"))->kept = 0; atomic_store(&index_topic(&f->hub.index, find(f, "a"))->interest, 1),
	       index_topic(&f->hub.index, find(f, "a"))->kept = 1);
	BREAKS(atomic_store(&h->shm->redo.topic, 1), atomic_store(&h->shm->redo.topic, 0));
}

static void attaching(void **state)
{
	struct fixture *f = *state;
	struct hub_shm *shm = f->hub.shm;
	void *mem = (uint8_t *)shm + shm->history_at;
	struct history_shm *h = mem;
	struct history other;
	uint32_t was = h->pages;

	assert_int_equal(history_attach(&other, mem, shm->history_size, &f->hub.ring, &shm->lock), 0);
	assert_int_equal(history_attach(&other, mem, shm->history_size - 4096, &f->hub.ring, &shm->lock), -1);
	assert_int_equal(errno, EINVAL);
	h->pages = 0;
	assert_int_equal(history_attach(&other, mem, shm->history_size, &f->hub.ring, &shm->lock), -1);
	h->pages = was + 1;
	assert_int_equal(history_attach(&other, mem, shm->history_size, &f->hub.ring, &shm->lock), -1);
	h->pages = was;
	h->topics_max++;
	assert_int_equal(history_attach(&other, mem, shm->history_size, &f->hub.ring, &shm->lock), -1);
	h->topics_max--;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(messages_are_there), TEST(ends_of_pages), TEST(rules_say_what_is_kept), TEST(limit_of_messages), TEST(limit_of_bytes),
		TEST(limit_of_age), TEST(swept_with_subscribers), TEST(rules_change), TEST(from_where), TEST(gap), TEST(quiet_topics_keep_theirs),
		TEST(all_get_a_share), TEST(given_without_promise), TEST(too_large), TEST(notes_change_nothing), TEST(notes_spare_the_way), TEST(pinned_pages_stay), TEST(missed_for_a_pin),
		TEST(short_pins_cost_nothing), TEST(predecessors_pin), TEST(anything), TEST(dead_holder), TEST(kept_for_nothing), TEST(kept_for_nothing_without_rules), TEST(counted_since),
		TEST(entry_used_anew), TEST(check_sees), TEST(attaching),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
