/*
 * A ring with an index and a history of a few pages, of which all are in use. A child publishes what takes fresh pages, pages that were freed, and those
 * that another topic has to give; messages that go over several pages; a topic that nobody subscribes; and it sweeps. What a death leaves is judged when
 * the keeper has repaired it: all rules hold, all that was published and is promised can be read, whole, and what follows is kept as well.
 *
 * Only what changes of the books is a state to be judged, and now and then one in which bytes are half copied: bytes are out of sight until then.
 */
#include "tests/stress/every_history.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "shm/history.h"
#include "tests/stress/stepping.h"
#include "tests/stress/world.h"

#define PAGES 16u
#define MANY_BYTES 32768u
#define MANY_DESCS 16u
#define LONGEST 9000u
#define NOW 1000000000ull
#define BETWEEN 499		/* instructions between two states of which only bytes differ */
#ifdef __SANITIZE_ADDRESS__
#define REPAIRED_EACH 199	/* the repair of not every state is stepped through: there are more instructions, and all is slower */
#else
#define REPAIRED_EACH 19
#endif

/* Names are tAa, tAb...: see join_name(). */
static const char rules_text[] = "tAa: 3 messages; tAd: 1s; tAe: 1 message; t*: 1G";
enum { PLAIN_RULE_MESSAGES = 3, TRIMMED = 1, OTHER, LOUD, OLD };

/* All but the records' bytes. */
struct books {
	struct lock_shm lock;
	uint8_t index[4096];
	uint8_t ring[sizeof(struct ring_shm) + MANY_DESCS * sizeof(struct ring_desc_shm)];
	struct history_shm history;
	struct history_topic_shm topics[TOPICS + 1];
	uint8_t page[PAGES + 1][64];
};

struct history_memory {
	struct lock_shm lock;
	_Alignas(64) uint8_t index[4096];
	_Alignas(64) uint8_t ring[sizeof(struct ring_shm) + MANY_DESCS * sizeof(struct ring_desc_shm) + MANY_BYTES];
	_Alignas(64) uint8_t history[4096 + (PAGES + 1) * HISTORY_PAGE];
};

struct history_world {
	struct history_memory *m;
	struct index ix;
	struct ring ring;
	struct history h;
};

static struct history_world shared, copy, copy2;
static struct history_rules rules;
static _Atomic uint32_t *finished;
static uint8_t pattern[LONGEST + 256];
static unsigned long instructions, states, repair_instructions, repair_states;

static void attach(struct history_world *w)
{
	w->m = world_memory(sizeof *w->m);
	index_format(w->m->index, TOPICS);
	ring_format(w->m->ring, MANY_BYTES, MANY_DESCS);
	history_format(w->m->history, TOPICS, PAGES * HISTORY_PAGE);
	if (index_attach(&w->ix, w->m->index, sizeof w->m->index) < 0 || ring_attach(&w->ring, w->m->ring, sizeof w->m->ring, &w->ix) < 0 ||
	    history_attach(&w->h, w->m->history, sizeof w->m->history, &w->ring, &w->m->lock) < 0)
		abort();
	w->h.rules = &rules;
}

/* ---- what is done ---- */

static void fill(uint8_t *p, uint64_t seq, uint32_t len, const struct topic_shm *t, uint32_t topic)
{
	struct record_head head = { seq, t->published, topic, t->generation, len, 0 };

	memcpy(p, &head, sizeof head);
	memcpy(p + sizeof head, pattern + seq % 256, len - sizeof head);
}

static bool is_whole(const uint8_t *p, const struct ring_record *rec)
{
	struct record_head head = { rec->seq, rec->number, rec->topic, rec->generation, rec->len, 0 };

	return rec->len >= sizeof head && rec->len <= LONGEST && memcmp(p, &head, sizeof head) == 0 &&
	       memcmp(p + sizeof head, pattern + rec->seq % 256, rec->len - sizeof head) == 0;
}

static void add(struct history_world *w, struct ring_batch *b, uint32_t topic, uint32_t len, uint64_t time)
{
	uint8_t *p = ring_add(&w->ring, b, topic, len, 0, time);

	if (p)
		fill(p, b->next - 1, len, index_topic(&w->ix, topic), topic);
}

static void say(struct history_world *w, const uint32_t *topics, const uint32_t *len, unsigned n, uint64_t time)
{
	struct ring_batch b;

	ring_begin(&w->ring, &b);
	for (unsigned i = 0; i < n; i++)
		add(w, &b, topics[i], len[i], time);
	ring_commit(&w->ring, &b);
	history_follow(&w->h, UINT64_MAX);
}

static uint32_t keep_name(struct index *ix, unsigned n)
{
	char name[3] = { 't', (char)('A' + n / 26), (char)('a' + n % 26) };

	return index_keep(ix, index_hash(name, sizeof name), name, sizeof name, 1);
}

/* Most pages are LOUD's; two were freed; OLD has one. */
static void prepare(struct history_world *w, unsigned variant)
{
	memset(w->m, 0, sizeof *w->m);
	index_format(w->m->index, TOPICS);
	((struct index_shm *)w->m->index)->seed = 2988;
	ring_format(w->m->ring, MANY_BYTES, MANY_DESCS);
	history_format(w->m->history, TOPICS, PAGES * HISTORY_PAGE);
	for (unsigned i = 0; i < 4; i++)
		join_name(&w->ix, 0, i);
	say(w, (uint32_t[]){ TRIMMED, OLD, TRIMMED }, (uint32_t[]){ 60, 100, 3000 }, 3, NOW - 5000000);
	for (unsigned i = 0; i < variant * 6; i++)
		say(w, (uint32_t[]){ LOUD, TRIMMED }, (uint32_t[]){ 2500 + 700 * (i % 3), 100 + 400 * (i % 4) }, 2, NOW);
}

static void sequence(void *of)
{
	struct history_world *w = of;
	uint32_t unheard;

	lock_acquire(&w->m->lock, OWNER);
	say(w, (uint32_t[]){ TRIMMED, OTHER, TRIMMED }, (uint32_t[]){ 60, 4500, 2000 }, 3, NOW);
	unheard = keep_name(&w->ix, 4);
	say(w, (uint32_t[]){ unheard }, (uint32_t[]){ LONGEST }, 1, NOW);
	say(w, (uint32_t[]){ TRIMMED, unheard, TRIMMED, LOUD }, (uint32_t[]){ 1500, 700, 1500, 4000 }, 4, NOW);
	history_sweep(&w->h, NOW + 10, 12);
	lock_release(&w->m->lock, OWNER);
}

/* What the keeper does. */
static void repair(void *of)
{
	struct history_world *w = of;

	ring_repair(&w->ring);
	index_repair(&w->ix);
	history_repair(&w->h);
	history_follow(&w->h, UINT64_MAX);
}

/* ---- judging ---- */

/* Numbers of a topic's messages that can be read: 0 and 0 none. */
static void read_topic(struct history_world *w, uint32_t topic, uint64_t *first, uint64_t *last, const char *where)
{
	static uint8_t bytes[MANY_BYTES];
	struct ring_record rec;
	int more = history_first(&w->h, topic, &rec);

	*first = *last = 0;
	for (; more == 0; more = history_next(&w->h, &rec)) {
		if (rec.len > sizeof bytes) {
			world_fault(where, "a message of impossible size");
			return;
		}
		history_copy(&w->h, &rec, bytes);
		if (!is_whole(bytes, &rec))
			world_fault(where, "a message is not as it was published");
		*first = *first ? *first : rec.number;
		*last = rec.number;
	}
}

static void judge_rules(struct history_world *w, const char *where)
{
	const char *why;

	if (ring_check(&w->ring, &why) < 0 || index_check(&w->ix, &why) < 0 || history_check(&w->h, &why) < 0)
		world_fault(where, why);
}

/* What is promised is there, and all that is said to be. */
static void judge_promises(struct history_world *w, const char *where)
{
	uint64_t first, last;

	if (w->h.shm->books.upto != ring_tail(&w->ring))
		world_fault(where, "what was published was not taken over");
	for (uint32_t topic = 1; topic <= w->ix.shm->high; topic++) {
		const struct topic_shm *t = index_topic(&w->ix, topic);

		if (!in_use(&w->ix, topic))
			continue;
		read_topic(w, topic, &first, &last, where);
		if (topic != OLD && t->published > 0 && last != t->published)
			world_fault(where, "a topic's newest message was not kept");
		if (topic == TRIMMED && last + 1 - first < (t->published < PLAIN_RULE_MESSAGES ? t->published : PLAIN_RULE_MESSAGES))
			world_fault(where, "a topic has less than was promised");
		if (topic == TRIMMED && last - first > 60)
			world_fault(where, "a topic was not trimmed");
	}
}

static void judge(struct history_world *w, const char *where)
{
	if (lock_owner(&w->m->lock) == OWNER) {
		repair(w);
		lock_release(&w->m->lock, OWNER);
	}
	judge_rules(w, where);
	judge_promises(w, where);
	for (unsigned i = 0; i < 4; i++) {
		say(w, (uint32_t[]){ 1 + i % 3, OTHER, TRIMMED }, (uint32_t[]){ 40 + i * 1200, 5000, 64 }, 3, NOW + 20);
		judge_rules(w, where);
		judge_promises(w, where);
	}
	history_sweep(&w->h, NOW + 5000000, 20);
	judge_rules(w, where);
}

/* ---- every instruction ---- */

static void take_books(struct books *b, const struct history_world *w)
{
	b->lock = w->m->lock;
	memcpy(b->index, w->m->index, sizeof b->index);
	memcpy(b->ring, w->m->ring, sizeof b->ring);
	b->history = *w->h.shm;
	memcpy(b->topics, w->h.topics, sizeof b->topics);
	for (unsigned i = 0; i <= PAGES; i++)
		memcpy(b->page[i], &w->h.pages[i], sizeof b->page[i]);
}

/* Whether the state is one to judge: *since counts the instructions from the last on. */
static bool is_new(struct books *seen, const struct history_world *w, unsigned *since)
{
	static struct books now;

	take_books(&now, w);
	if (memcmp(seen, &now, sizeof now) == 0 && ++*since < BETWEEN)
		return false;
	*seen = now;
	*since = 0;
	return true;
}

static void step_repair(void)
{
	static struct books seen;
	unsigned since = 0;
	pid_t pid = stepping_start(repair, &copy2, &finished[1]);

	take_books(&seen, &copy2);
	while (stepping_step(pid, &finished[1])) {
		repair_instructions++;
		if (!is_new(&seen, &copy2, &since))
			continue;
		*copy.m = *copy2.m;
		repair_states++;
		judge(&copy, "history's repair cut short");
	}
	stepping_stop(pid);
}

static void step_all(unsigned variant)
{
	static struct books seen;
	unsigned since = 0;
	pid_t pid;

	prepare(&shared, variant);
	judge_rules(&shared, "prepared");
	take_books(&seen, &shared);
	pid = stepping_start(sequence, &shared, &finished[0]);
	while (stepping_step(pid, &finished[0])) {
		instructions++;
		if (!is_new(&seen, &shared, &since))
			continue;
		*copy.m = *shared.m;
		judge(&copy, "history");
		if (++states % REPAIRED_EACH == 0 && lock_owner(&shared.m->lock) == OWNER) {
			*copy2.m = *shared.m;
			step_repair();
		}
	}
	stepping_stop(pid);
}

void every_history(void)
{
	char why[256];

	if (history_rules_parse(&rules, rules_text, why, sizeof why) < 0)
		abort();
	for (unsigned i = 0; i < sizeof pattern; i++)
		pattern[i] = record_byte(i / 256, i);
	attach(&shared);
	attach(&copy);
	attach(&copy2);
	finished = world_memory(2 * sizeof *finished);
	for (unsigned variant = 0; variant < 3; variant += 2)
		step_all(variant);
	printf("ring_stress: history: %lu instructions, %lu states, their repairs: %lu instructions, %lu states; %lu faults\n", instructions, states,
	       repair_instructions, repair_states, world_faults);
}
