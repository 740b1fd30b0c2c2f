/*
 * ring_stress --every-instruction: death at each single instruction, and not only at those that a random kill happens to meet.
 *
 * A child runs a sequence of joins, publishes, commits and leaves under the lock, one instruction at a time (ptrace). What
 * shared memory holds after an instruction is what a SIGKILL there leaves; whenever it has changed, a copy of it is judged:
 * lock-free readers must find everything published, and after the keeper's repair every rule must hold, everything published
 * must be there, nothing else, and all must go on working. The repair is itself stepped through, as its executor may die.
 * And for a shorter sequence, a fresh child is really killed after k instructions, for every k.
 * A reader, in turn, is held up after each instruction of a ring_seek(), and finds the ring changed when it goes on.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/stress/arena.h"

#define TOPICS 6u
#define BYTES 4096u
#define DESCS 8u
#define SLOT 1u
#define OWNER (SLOT + 1)
#define NO_PTRACE 77

struct memory {
	struct lock_shm lock;
	_Alignas(64) uint8_t index[3072];
	_Alignas(64) uint8_t ring[sizeof(struct ring_shm) + DESCS * sizeof(struct ring_desc_shm) + BYTES];
};
#define BOOKS (sizeof(struct memory) - BYTES)	/* all of it but the records' bytes, which come last */

struct world {
	struct memory *m;
	struct index ix;
	struct ring ring;
};

/* What was true before the child began, and what it published in order; to hold any later state against. */
struct expected {
	uint64_t tail, published[TOPICS + 1], last[TOPICS + 1];
	uint32_t generation[TOPICS + 1], state[TOPICS + 1];
	uint64_t commits[8];		/* tails that may be seen */
	unsigned ncommits;
};

static struct world shared, copy, copy2;
static _Atomic uint32_t *finished;	/* [0], [1]: set by the child, by the one that repairs, when all of it is done */
static struct expected before;
static unsigned long instructions, states, held_states, repair_instructions, repair_states, kills, seeks, faults;

static void fault(const char *where, const char *what)
{
	if (faults++ < 10)
		fprintf(stderr, "ring_stress: instruction %lu, %s: %s\n", instructions, where, what);
}

static void *shared_memory(size_t size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED) {
		perror("ring_stress: mmap");
		exit(1);
	}
	return mem;
}

static void attach(struct world *w)
{
	if (index_attach(&w->ix, w->m->index, sizeof w->m->index) < 0 ||
	    ring_attach(&w->ring, w->m->ring, sizeof w->m->ring, &w->ix) < 0)
		abort();
}

/* ---- what the child does ---- */

static void add(struct world *w, struct ring_batch *b, uint32_t topic, uint32_t len)
{
	uint8_t *p = ring_add(&w->ring, b, topic, len, 0, 0);

	if (p)
		record_fill(p, b->next - 1, len, index_topic(&w->ix, topic), topic);
}

static void publish(struct world *w, const uint32_t *topics, unsigned n, uint32_t len)
{
	struct ring_batch b;
	unsigned i;

	ring_begin(&w->ring, &b);
	for (i = 0; i < n; i++)
		add(w, &b, topics[i], len);
	ring_commit(&w->ring, &b);
}

static void long_sequence(struct world *w)
{
	uint32_t made, other;

	lock_acquire(&w->m->lock, OWNER);
	made = join_name(&w->ix, SLOT, 20);
	join_name(&w->ix, SLOT, 0);
	publish(w, (uint32_t[]){ 1, made, 1, 2 }, 4, 41);
	other = join_name(&w->ix, SLOT, 21);
	publish(w, (uint32_t[]){ other, made, 1 }, 3, 300);
	index_leave(&w->ix, SLOT, made);
	index_leave(&w->ix, SLOT, 1);
	publish(w, (uint32_t[]){ 2 }, 1, 1200);
	lock_release(&w->m->lock, OWNER);
}

static void short_sequence(struct world *w)
{
	uint32_t made;

	lock_acquire(&w->m->lock, OWNER);
	made = join_name(&w->ix, SLOT, 20);
	publish(w, (uint32_t[]){ 1, made, 1 }, 3, 32);
	index_leave(&w->ix, SLOT, made);
	lock_release(&w->m->lock, OWNER);
}

static void repair(struct world *w)
{
	ring_repair(&w->ring);
	index_repair(&w->ix);
}

/* Somebody died with a batch before: its descriptors, whole but for being published, lie where the next ones will be. */
static void leave_remains(struct world *w)
{
	struct ring_batch b;

	ring_begin(&w->ring, &b);
	add(w, &b, 3, 40);
	add(w, &b, 2, 40);
	add(w, &b, 2, 40);
	add(w, &b, 1, 40);
	ring_repair(&w->ring);
	publish(w, (uint32_t[]){ 2 }, 1, 40);
}

/* A world with `records` behind it; some topics in use, one given back. */
static void prepare(struct world *w, unsigned records, uint64_t *commits, unsigned ncommits)
{
	uint32_t topic;
	unsigned i;

	memset(w->m, 0, sizeof *w->m);
	index_format(w->m->index, TOPICS);
	((struct index_shm *)w->m->index)->seed = 2988;	/* puts names 1, 20, 0, 21 into one chain */
	ring_format(w->m->ring, BYTES, DESCS);
	attach(w);
	for (i = 0; i < 4; i++)
		join_name(&w->ix, 0, i);
	for (i = 0; i < records; i++)
		publish(w, (uint32_t[]){ i % 3 + 1 }, 1, 32 + i % 5 * 100);
	index_leave(&w->ix, 0, 4);
	if (records % 2)
		leave_remains(w);
	memset(&before, 0, sizeof before);
	before.tail = ring_tail(&w->ring);
	for (topic = 1; topic <= TOPICS; topic++) {
		const struct topic_shm *t = index_topic(&w->ix, topic);

		before.published[topic] = t->published;
		before.last[topic] = atomic_load(&t->last);
		before.generation[topic] = t->generation;
		before.state[topic] = atomic_load(&t->state);
	}
	before.commits[0] = before.tail;
	before.ncommits = ncommits + 1;
	for (i = 0; i < ncommits; i++)
		before.commits[i + 1] = before.commits[i] + commits[i];
}

/* ---- judging a state ---- */

static uint64_t seek_plainly(const struct world *w, uint32_t topic, uint32_t generation, uint64_t from)
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
			fault(where, "a published record can't be read");
	for (topic = 1; topic <= w->ix.shm->high; topic++) {
		const struct topic_shm *t = index_topic(&w->ix, topic);

		if (atomic_load(&t->state) != TOPIC_USED)
			continue;
		for (seq = tail > DESCS ? tail - DESCS : 1; seq < tail; seq++) {
			found = ring_seek(&w->ring, topic, t->generation, seq, tail, 0, &rec) < 0 ? 0 : rec.seq;
			if (found != seek_plainly(w, topic, t->generation, seq))
				fault(where, "ring_seek() and a plain search differ");
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
			fault(where, "a topic's count or last is not that of what was published");
	}
}

static void judge_rules(const struct world *w, const char *where)
{
	const char *why;

	if (ring_check(&w->ring, &why) < 0)
		fault(where, why);
	if (index_check(&w->ix, &why) < 0)
		fault(where, why);
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
			publish(w, (uint32_t[]){ topic, topic }, 2, 32 + i * 50);
		if (i % 3 == 0 && in_use(&w->ix, topic))
			index_leave(&w->ix, 2, topic);
		judge_rules(w, where);
	}
	judge_reading(w, where);
}

/* `w` as it is when the child has been reaped. */
static void judge(struct world *w, const char *where)
{
	uint64_t tail = ring_tail(&w->ring);
	unsigned i;

	for (i = 0; i < before.ncommits && before.commits[i] != tail; i++)
		;
	if (i == before.ncommits)
		fault(where, "part of a batch was published");
	judge_reading(w, where);
	if (lock_owner(&w->m->lock) == OWNER) {
		repair(w);
		lock_release(&w->m->lock, OWNER);
	}
	if (ring_tail(&w->ring) != tail)
		fault(where, "the repair moved the tail");
	judge_rules(w, where);
	judge_reading(w, where);
	judge_counts(w, where);
	judge_use(w, where);
}

/* ---- stepping ---- */

/* A child that stops before its first instruction of `run`. */
static pid_t start(void (*run)(struct world *), struct world *w, _Atomic uint32_t *done)
{
	int status;
	pid_t pid;

	atomic_store(done, 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(NO_PTRACE);
		raise(SIGSTOP);
		run(w);
		atomic_store(done, 1);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
		printf("ring_stress: ptrace is not permitted here: nothing was tested\n");
		exit(NO_PTRACE);
	}
	return pid;
}

/* One instruction. False when the child is done. */
static bool step(pid_t pid, _Atomic uint32_t *done)
{
	int status;

	if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) {
		fault("stepping", "the child died of itself");
		return false;
	}
	return !atomic_load(done);
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* The keeper dies as well, anywhere in its repair of the state in copy2; the next one begins with what it left. */
static void step_repair(void)
{
	static struct memory seen;
	pid_t pid = start(repair, &copy2, &finished[1]);

	seen = *copy2.m;
	while (step(pid, &finished[1])) {
		repair_instructions++;
		if (memcmp(&seen, copy2.m, sizeof seen) == 0)
			continue;
		seen = *copy2.m;
		*copy.m = seen;
		repair_states++;
		judge(&copy, "repair cut short");
	}
	stop(pid);
}

static void step_all(void (*run)(struct world *), const char *where)
{
	static struct memory seen;
	pid_t pid = start(run, &shared, &finished[0]);
	bool first = true, books;

	for (; step(pid, &finished[0]); first = false) {
		instructions++;
		if (!first && memcmp(&seen, shared.m, sizeof seen) == 0)
			continue;
		books = first || memcmp(&seen, shared.m, BOOKS) != 0;
		seen = *shared.m;
		*copy.m = seen;
		states++;
		judge(&copy, where);
		if (lock_owner(&seen.lock) != OWNER)
			continue;
		held_states++;
		if (books) {
			*copy2.m = seen;
			step_repair();
		}
	}
	stop(pid);
}

static void kill_all(unsigned records)
{
	bool going = true;
	unsigned long k, i;
	pid_t pid;

	for (k = 0; going; k++) {
		prepare(&shared, records, (uint64_t[]){ 3 }, 1);
		pid = start(short_sequence, &shared, &finished[0]);
		for (i = 0; i < k && going; i++)
			going = step(pid, &finished[0]);
		stop(pid);
		kills++;
		judge(&shared, "killed");
	}
}

/* ---- a reader that is held up ---- */

/* A ring_seek() of a child, and what it said. */
struct question {
	uint32_t topic, generation;
	uint64_t from, below, hint;
	bool found;
	struct ring_record rec;
};

static struct question *question;

#ifdef __SANITIZE_ADDRESS__
#define EACH 17				/* not after each instruction: ASan makes them many, and a fork slow */
#else
#define EACH 1
#endif

static void ask(struct world *w)
{
	struct question *q = question;

	q->found = ring_seek(&w->ring, q->topic, q->generation, q->from, q->below, q->hint, &q->rec) == 0;
}

enum { OVERTAKEN_BY_1, OVERTAKEN_BY_3, OVERTAKEN_BY_ALL, REPAIRED, GIVEN_ANEW, GIVEN_ANEW_TWICE, MEANWHILES };

static void leave_batch(struct world *w, const uint32_t *topics, unsigned n)
{
	struct ring_batch b;
	unsigned i;

	ring_begin(&w->ring, &b);
	for (i = 0; i < n; i++)
		add(w, &b, topics[i], 40);
}

static void do_meanwhile(struct world *w, unsigned what)
{
	unsigned n = what == OVERTAKEN_BY_1 ? 1 : what == OVERTAKEN_BY_3 ? 3 : DESCS;

	if (what < REPAIRED) {
		while (n--)
			publish(w, (uint32_t[]){ n % 3 + 1 }, 1, 40);
		return;
	}
	ring_repair(&w->ring);
	if (what == GIVEN_ANEW_TWICE) {
		leave_batch(w, (uint32_t[]){ 2, 1, 3 }, 3);
		ring_repair(&w->ring);
	}
	if (what != REPAIRED)
		publish(w, (uint32_t[]){ 2, 3, 2 }, 3, 40);
}

/* What is still there must not have been passed over; what is gone may have been found before. */
static void judge_answer(const struct world *w)
{
	const struct question *q = question;
	uint64_t there = seek_plainly(w, q->topic, q->generation, q->from);

	if (there >= q->below)
		there = 0;
	if (q->found && (q->rec.topic != q->topic || q->rec.generation != q->generation || q->rec.seq < q->from ||
			 q->rec.seq >= q->below))
		fault("held up", "ring_seek() found what was not sought");
	else if (q->found && q->rec.seq != there && q->rec.seq >= ring_oldest(&w->ring))
		fault("held up", "ring_seek() found a record that is not the first");
	else if (there && (!q->found || q->rec.seq > there))
		fault("held up", "ring_seek() passed over a record");
}

/* Held up after `k` instructions. False when the child was done by then. */
static bool hold_up(unsigned long k, uint64_t skip, bool hint, unsigned meanwhile)
{
	bool going = true;
	int status;
	pid_t pid;

	prepare(&shared, 24, NULL, 0);
	if (meanwhile >= REPAIRED)
		leave_batch(&shared, (uint32_t[]){ 1, 2, 1 }, 3);
	*question = (struct question){ .topic = 1, .generation = index_topic(&shared.ix, 1)->generation, .below = ring_tail(&shared.ring) };
	question->from = seek_plainly(&shared, 1, question->generation, 0) + skip;
	if (hint)
		question->hint = question->from - skip;
	pid = start(ask, &shared, &finished[0]);
	while (k-- && going)
		going = step(pid, &finished[0]);
	if (!going) {
		stop(pid);
		return false;
	}
	do_meanwhile(&shared, meanwhile);
	if (ptrace(PTRACE_CONT, pid, NULL, NULL) < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
		fault("held up", "the reader died of itself");
		stop(pid);
		return false;
	}
	judge_answer(&shared);
	seeks++;
	return true;
}

static void hold_up_everywhere(void)
{
	unsigned long k;
	unsigned what, i;

	for (what = 0; what < MEANWHILES; what++)
		for (i = 0; i < 4; i++)
			for (k = 0; hold_up(k, i / 2, i % 2, what); k += EACH)
				;
}

int every_instruction(void)
{
	unsigned records;

	shared.m = shared_memory(sizeof *shared.m);
	copy.m = shared_memory(sizeof *copy.m);
	copy2.m = shared_memory(sizeof *copy2.m);
	finished = shared_memory(2 * sizeof *finished);
	question = shared_memory(sizeof *question);
	prepare(&copy, 0, NULL, 0);
	prepare(&copy2, 0, NULL, 0);
	for (records = 0; records < 24; records += 3) {
		prepare(&shared, records, (uint64_t[]){ 4, 3, 1 }, 3);
		step_all(long_sequence, "stepped");
	}
	kill_all(7);
	hold_up_everywhere();
	printf("ring_stress: %lu instructions, %lu states (%lu with the lock held), their repairs: %lu instructions, %lu states; "
	       "%lu kills; %lu seeks held up; %lu faults\n", instructions, states, held_states, repair_instructions, repair_states, kills,
	       seeks, faults);
	return faults ? 1 : 0;
}
