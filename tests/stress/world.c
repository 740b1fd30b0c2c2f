/*
 * See world.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "tests/stress/world.h"

/* What was true before the child began, and what it published in order; to hold any later state against. */
struct expected {
	uint64_t tail, published[TOPICS + 1], last[TOPICS + 1];
	uint32_t generation[TOPICS + 1], state[TOPICS + 1];
	bool wanted[TOPICS + 1];
	uint64_t commits[8];		/* tails that may be seen */
	unsigned ncommits;
};

unsigned long world_instructions, world_faults;
static struct expected before;

void world_fault(const char *where, const char *what)
{
	if (world_faults++ < 10)
		fprintf(stderr, "ring_stress: instruction %lu, %s: %s\n", world_instructions, where, what);
}

void *world_memory(size_t size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED) {
		perror("ring_stress: mmap");
		exit(1);
	}
	return mem;
}

void world_attach(struct world *w)
{
	if (index_attach(&w->ix, w->m->index, sizeof w->m->index) < 0 ||
	    ring_attach(&w->ring, w->m->ring, sizeof w->m->ring, &w->ix) < 0 || once_attach(&w->once, w->m->once, sizeof w->m->once) < 0)
		abort();
	w->once.keep = 1;
}

/* ---- putting something into it ---- */

static void add(struct world *w, struct ring_batch *b, uint32_t topic, uint32_t len, uint32_t flags)
{
	uint8_t *p = ring_add(&w->ring, b, topic, len, flags, 0);

	if (p)
		record_fill(p, b->next - 1, len, index_topic(&w->ix, topic), topic);
}

void world_add(struct world *w, struct ring_batch *b, uint32_t topic, uint32_t len)
{
	add(w, b, topic, len, 0);
}

void world_publish(struct world *w, const uint32_t *topics, unsigned n, uint32_t len)
{
	struct ring_batch b;
	unsigned i;

	ring_begin(&w->ring, &b);
	for (i = 0; i < n; i++)
		world_add(w, &b, topics[i], len);
	ring_commit(&w->ring, &b);
}

/* (Of few chains.) */
static struct once_id key_of(uint64_t seq)
{
	return (struct once_id){ { seq % 3, seq }, seq };
}

static void remember(struct world *w, uint64_t seq, unsigned n, uint64_t needs)
{
	struct once_id id = key_of(seq);
	unsigned i, evicted;
	uint64_t number = once_write(&w->once, &id, 0, seq, n, &evicted);

	for (i = 0; i < n; i++)
		once_put_answer(&w->once, number, i, seq + i, i);
	once_stage(&w->once, number, needs);
}

void world_publish_once(struct world *w, const uint32_t *topics, unsigned n, unsigned echoes, uint32_t len)
{
	struct ring_batch b;
	unsigned i;

	ring_begin(&w->ring, &b);
	for (i = 0; i < n - echoes; i++)
		add(w, &b, topics[i], len, echoes && i == n - echoes - 1 ? RING_ECHOED : 0);
	for (; i < n; i++)
		ring_echo(&w->ring, &b, topics[i]);
	remember(w, b.first, n, b.next);
	ring_commit(&w->ring, &b);
	once_commit(&w->once);
}

void world_repair(struct world *w)
{
	ring_repair(&w->ring);
	index_repair(&w->ix);
	once_repair(&w->once, ring_tail(&w->ring));
}

/* Somebody died with a batch before: its descriptors, whole but for being published, lie where the next ones will be. */
static void leave_remains(struct world *w)
{
	struct ring_batch b;

	ring_begin(&w->ring, &b);
	world_add(w, &b, 3, 40);
	world_add(w, &b, 2, 40);
	world_add(w, &b, 2, 40);
	world_add(w, &b, 1, 40);
	ring_repair(&w->ring);
	world_publish(w, (uint32_t[]){ 2 }, 1, 40);
}

static bool is_wanted(const struct topic_shm *t)
{
	return atomic_load(&t->state) == TOPIC_USED && atomic_load(&t->interest);
}

/* A world with `records` behind it; some topics in use, one given back. */
void world_prepare(struct world *w, unsigned records, uint64_t *commits, unsigned ncommits)
{
	uint32_t topic;
	unsigned i;

	memset(w->m, 0, sizeof *w->m);
	index_format(w->m->index, TOPICS);
	((struct index_shm *)w->m->index)->seed = 4775;	/* puts names 1, 20, 0, 21 into one chain */
	ring_format(w->m->ring, BYTES, DESCS);
	once_format(w->m->once, KEYS);
	world_attach(w);
	index_feed_begin(&w->ix);
	for (i = 0; i < 4; i++)
		join_name(&w->ix, 0, i);
	for (i = 0; i < records; i++)
		world_publish(w, (uint32_t[]){ i % 3 + 1 }, 1, 32 + i % 5 * 100);
	index_leave(&w->ix, 0, 4);
	if (records % 2)
		leave_remains(w);
	for (i = 0; i < KEYS - 1; i++) {	/* it is about to be full */
		remember(w, 1000 + i, 1, 0);
		once_commit(&w->once);
	}
	memset(&before, 0, sizeof before);
	before.tail = ring_tail(&w->ring);
	for (topic = 1; topic <= TOPICS; topic++) {
		const struct topic_shm *t = index_topic(&w->ix, topic);

		before.published[topic] = t->published;
		before.last[topic] = atomic_load(&t->last);
		before.generation[topic] = t->generation;
		before.state[topic] = atomic_load(&t->state);
		before.wanted[topic] = is_wanted(t);
	}
	before.commits[0] = before.tail;
	before.ncommits = ncommits + 1;
	for (i = 0; i < ncommits; i++)
		before.commits[i + 1] = before.commits[i] + commits[i];
}

/* ---- judging a state ---- */

uint64_t world_seek_plainly(const struct world *w, uint32_t topic, uint32_t generation, uint64_t from)
{
	struct ring_record rec;
	uint64_t seq;

	for (seq = ring_oldest(&w->ring); seq < ring_tail(&w->ring); seq++)
		if (seq >= from && ring_read(&w->ring, seq, &rec) == 0 && rec.topic == topic && rec.generation == generation)
			return seq;
	return 0;
}

/* What readers see, who ask nobody whether a repair is due. */
static void judge_reading(const struct world *w, const char *where)
{
	uint64_t tail = ring_tail(&w->ring), seq, found;
	uint8_t bytes[BYTES];
	struct ring_record rec;
	uint32_t topic;

	for (seq = ring_oldest(&w->ring); seq < tail; seq++)
		if (ring_read(&w->ring, seq, &rec) < 0 || ring_copy(&w->ring, &rec, bytes) < 0 || !record_whole(bytes, &rec))
			world_fault(where, "a published record can't be read");
	for (topic = 1; topic <= w->ix.shm->high; topic++) {
		const struct topic_shm *t = index_topic(&w->ix, topic);

		if (atomic_load(&t->state) != TOPIC_USED)
			continue;
		for (seq = tail > DESCS ? tail - DESCS : 1; seq < tail; seq++) {
			found = ring_seek(&w->ring, topic, t->generation, seq, tail, 0, &rec) < 0 ? 0 : rec.seq;
			if (found != world_seek_plainly(w, topic, t->generation, seq))
				world_fault(where, "ring_seek() and a plain search differ");
		}
	}
}

/* Topics that were there before and still are: their counts are what was before and what was published since. */
static void judge_counts(const struct world *w, const char *where)
{
	uint64_t tail = ring_tail(&w->ring), seq;
	uint32_t topic;

	for (topic = 1; topic <= TOPICS; topic++) {
		const struct topic_shm *t = index_topic(&w->ix, topic);
		uint64_t published = before.published[topic], last = before.last[topic];

		if (atomic_load(&t->state) != TOPIC_USED)
			continue;
		if (before.state[topic] != TOPIC_USED || before.generation[topic] != t->generation)
			published = last = 0;
		for (seq = before.tail; seq < tail; seq++) {
			const struct ring_desc_shm *d = &w->ring.desc[seq % DESCS];

			if (d->topic == topic && d->generation == t->generation) {
				published++;
				last = seq;
			}
		}
		if (t->published != published || atomic_load(&t->last) != last)
			world_fault(where, "a topic's count or last is not that of what was published");
	}
}

/* The keys of the batches are there if these are. */
static void judge_keys(const struct world *w, const char *where)
{
	unsigned i;

	for (i = 0; i + 1 < before.ncommits; i++) {
		struct once_id id = key_of(before.commits[i]);

		if ((once_find(&w->once, &id, 0) != 0) != (ring_tail(&w->ring) > before.commits[i]))
			world_fault(where, "a batch without its key, or a key without its batch");
	}
}

/* What somebody has begun or ceased to be interested in is in the feed, unless that says that it is lost. */
static void judge_feed(const struct world *w, const char *where)
{
	uint32_t topic;

	if (!index_feed_is_on(&w->ix)) {
		if (atomic_load(&w->ix.shm->feed) != FEED_LOST)
			world_fault(where, "the feed is neither on nor lost");
		return;
	}
	for (topic = 1; topic <= TOPICS; topic++) {
		const struct topic_shm *t = index_topic(&w->ix, topic);

		if ((is_wanted(t) != before.wanted[topic] || (is_wanted(t) && t->generation != before.generation[topic])) && !w->ix.changed[topic])
			world_fault(where, "a change of interest is not in the feed");
	}
}

static void judge_rules(const struct world *w, const char *where)
{
	const char *why;

	if (ring_check(&w->ring, &why) < 0)
		world_fault(where, why);
	if (index_check(&w->ix, &why) < 0)
		world_fault(where, why);
	if (once_check(&w->once, &why) < 0)
		world_fault(where, why);
}

/* Everything goes on working. */
static void judge_use(struct world *w, const char *where)
{
	uint32_t topic;
	unsigned i;

	for (i = 0; i < 12; i++) {
		topic = join_name(&w->ix, 2, i % 2 ? i : 20 + i);
		if (topic == TOPIC_NONE)
			topic = 1 + i % w->ix.shm->high;
		if (in_use(&w->ix, topic))
			world_publish_once(w, (uint32_t[]){ topic, topic }, 2, 0, 32 + i * 50);
		if (i % 3 == 0 && in_use(&w->ix, topic))
			index_leave(&w->ix, 2, topic);
		judge_rules(w, where);
	}
	judge_reading(w, where);
}

/* `w` as it is when the child has been reaped. */
void world_judge(struct world *w, const char *where)
{
	uint64_t tail = ring_tail(&w->ring);
	unsigned i;

	for (i = 0; i < before.ncommits && before.commits[i] != tail; i++)
		;
	if (i == before.ncommits)
		world_fault(where, "part of a batch was published");
	judge_reading(w, where);
	if (lock_owner(&w->m->lock) == OWNER) {
		world_repair(w);
		lock_release(&w->m->lock, OWNER);
	}
	if (ring_tail(&w->ring) != tail)
		world_fault(where, "the repair moved the tail");
	judge_rules(w, where);
	judge_reading(w, where);
	judge_counts(w, where);
	judge_keys(w, where);
	judge_feed(w, where);
	judge_use(w, where);
}
