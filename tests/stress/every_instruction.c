/*
 * ring_stress --every-instruction [EACH [FIRST]]: death at each single instruction, and not only at those that a random kill happens to meet.
 *
 * A child runs a sequence of joins, publishes with keys, commits and leaves under the lock, one instruction at a time (ptrace). What
 * shared memory holds after an instruction is what a SIGKILL there leaves; whenever it has changed, a copy of it is judged:
 * lock-free readers must find everything published, and after the keeper's repair every rule must hold, everything published
 * must be there, nothing else, and all must go on working. The repair is itself stepped through, as its executor may die.
 * And for a shorter sequence, a fresh child is really killed after k instructions, for many k: that what shared memory holds is what is left.
 * A reader, in turn, is held up after each instruction of a ring_seek(), and finds the ring changed when it goes on.
 * Of these last two, which begin anew for each instruction, only each EACH-th is tried (1), from FIRST on (0 to EACH - 1; by chance).
 * History has a world of its own (every_history.h), and so have members of topics (every_members.h).
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/stress/every_history.h"
#include "tests/stress/every_members.h"
#include "tests/stress/stepping.h"
#include "tests/stress/world.h"

static struct world shared, copy, copy2;
static _Atomic uint32_t *finished;	/* [0], [1]: set by the child, by the one that repairs, when all of it is done */
static unsigned long states, held_states, repair_instructions, repair_states, kills, seeks;
static struct { unsigned each, first; } tried;	/* EACH and FIRST, see above */

/*
 * The long sequence is stepped through in worlds of 0, 3... 21 records. The repair of a state is stepped through in one of REPAIR_EACH worlds, another one
 * for the next state, as it is the same code in all. ASan makes of one instruction many, and a fork slow: with it, fewer of all these are tried.
 */
#ifdef __SANITIZE_ADDRESS__
#define WORLDS_EACH 9
#define REPAIR_EACH 8
#define KILL_EACH 67			/* instructions after which a child is killed, */
#define HOLD_UP_EACH 17			/* and a reader held up */
#else
#define WORLDS_EACH 3
#define REPAIR_EACH 4
#define KILL_EACH 5
#define HOLD_UP_EACH 1
#endif

/* ---- what the child does ---- */

static void long_sequence(struct world *w)
{
	uint32_t made, other, taken[2];

	lock_acquire(&w->m->lock, OWNER);
	index_feed_take(&w->ix, taken, 2);
	made = join_name(&w->ix, SLOT, 20);
	join_name(&w->ix, SLOT, 0);
	world_publish_once(w, (uint32_t[]){ 1, made, 1, 2 }, 4, 1, 41);
	other = join_name(&w->ix, SLOT, 21);
	world_publish_once(w, (uint32_t[]){ other, made, 1 }, 3, 2, 300);
	index_leave(&w->ix, SLOT, made);
	index_leave(&w->ix, SLOT, 1);
	world_publish_once(w, (uint32_t[]){ TOPIC_NONE }, 1, 0, 1200);
	lock_release(&w->m->lock, OWNER);
}

static void short_sequence(struct world *w)
{
	uint32_t made;

	lock_acquire(&w->m->lock, OWNER);
	made = join_name(&w->ix, SLOT, 20);
	world_publish_once(w, (uint32_t[]){ TOPIC_NONE, made, 3 }, 3, 1, 32);
	index_leave(&w->ix, SLOT, made);
	lock_release(&w->m->lock, OWNER);
}

/* ---- stepping ---- */

/* A call in the child, which is a copy of us. */
static struct call {
	void (*run)(struct world *);
	struct world *w;
} call;

static void run_call(void *of)
{
	struct call *c = of;

	c->run(c->w);
}

static pid_t start(void (*run)(struct world *), struct world *w, _Atomic uint32_t *done)
{
	call = (struct call){ run, w };
	return stepping_start(run_call, &call, done);
}

/* The keeper dies as well, anywhere in its repair of the state in copy2; the next one begins with what it left. */
static void step_repair(void)
{
	static struct memory seen;
	pid_t pid = start(world_repair, &copy2, &finished[1]);

	seen = *copy2.m;
	while (stepping_step(pid, &finished[1])) {
		repair_instructions++;
		if (memcmp(&seen, copy2.m, sizeof seen) == 0)
			continue;
		seen = *copy2.m;
		*copy.m = seen;
		repair_states++;
		world_judge(&copy, "repair cut short");
	}
	stepping_stop(pid);
}

static void step_all(void (*run)(struct world *), const char *where, unsigned world)
{
	static struct memory seen;
	pid_t pid = start(run, &shared, &finished[0]);
	unsigned long begun = held_states;
	bool first = true, books;

	for (; stepping_step(pid, &finished[0]); first = false) {
		world_instructions++;
		if (!first && memcmp(&seen, shared.m, sizeof seen) == 0)
			continue;
		books = first || memcmp(&seen, shared.m, BOOKS) != 0;
		seen = *shared.m;
		*copy.m = seen;
		states++;
		world_judge(&copy, where);
		if (lock_owner(&seen.lock) != OWNER)
			continue;
		held_states++;
		if (books && (held_states - begun + world) % REPAIR_EACH == 0) {
			*copy2.m = seen;
			step_repair();
		}
	}
	stepping_stop(pid);
}

static void kill_all(unsigned records)
{
	bool going = true;
	unsigned long k, i;
	pid_t pid;

	for (k = tried.first * KILL_EACH; going; k += tried.each * KILL_EACH) {
		world_prepare(&shared, records, (uint64_t[]){ 3 }, 1);
		pid = start(short_sequence, &shared, &finished[0]);
		for (i = 0; i < k && going; i++)
			going = stepping_step(pid, &finished[0]);
		stepping_stop(pid);
		kills++;
		world_judge(&shared, "killed");
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
		world_add(w, &b, topics[i], 40);
}

static void do_meanwhile(struct world *w, unsigned what)
{
	unsigned n = what == OVERTAKEN_BY_1 ? 1 : what == OVERTAKEN_BY_3 ? 3 : DESCS;

	if (what < REPAIRED) {
		while (n--)
			world_publish(w, (uint32_t[]){ n % 3 + 1 }, 1, 40);
		return;
	}
	ring_repair(&w->ring);
	if (what == GIVEN_ANEW_TWICE) {
		leave_batch(w, (uint32_t[]){ 2, 1, 3 }, 3);
		ring_repair(&w->ring);
	}
	if (what != REPAIRED)
		world_publish(w, (uint32_t[]){ 2, 3, 2 }, 3, 40);
}

/* What is still there must not have been passed over; what is gone may have been found before. */
static void judge_answer(const struct world *w)
{
	const struct question *q = question;
	uint64_t there = world_seek_plainly(w, q->topic, q->generation, q->from);

	if (there >= q->below)
		there = 0;
	if (q->found && (q->rec.topic != q->topic || q->rec.generation != q->generation || q->rec.seq < q->from ||
			 q->rec.seq >= q->below))
		world_fault("held up", "ring_seek() found what was not sought");
	else if (q->found && q->rec.seq != there && q->rec.seq >= ring_oldest(&w->ring))
		world_fault("held up", "ring_seek() found a record that is not the first");
	else if (there && (!q->found || q->rec.seq > there))
		world_fault("held up", "ring_seek() passed over a record");
}

/* Held up after `k` instructions. False when the child was done by then. */
static bool hold_up(unsigned long k, uint64_t skip, bool hint, unsigned meanwhile)
{
	bool going = true;
	int status;
	pid_t pid;

	world_prepare(&shared, 24, NULL, 0);
	if (meanwhile >= REPAIRED)
		leave_batch(&shared, (uint32_t[]){ 1, 2, 1 }, 3);
	*question = (struct question){ .topic = 1, .generation = index_topic(&shared.ix, 1)->generation, .below = ring_tail(&shared.ring) };
	question->from = world_seek_plainly(&shared, 1, question->generation, 0) + skip;
	if (hint)
		question->hint = question->from - skip;
	pid = start(ask, &shared, &finished[0]);
	while (k-- && going)
		going = stepping_step(pid, &finished[0]);
	if (!going) {
		stepping_stop(pid);
		return false;
	}
	do_meanwhile(&shared, meanwhile);
	if (ptrace(PTRACE_CONT, pid, NULL, NULL) < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
		world_fault("held up", "the reader died of itself");
		stepping_stop(pid);
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
			for (k = tried.first * HOLD_UP_EACH; hold_up(k, i / 2, i % 2, what); k += tried.each * HOLD_UP_EACH)
				;
}

/* Parent and child only ever run by turns: where both are on one processor, neither has to be woken on another one. */
static void stay_on_one_processor(void)
{
	cpu_set_t here;

	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	sched_setaffinity(0, sizeof here, &here);	/* (it is but slower without) */
}

int every_instruction(unsigned each, unsigned first)
{
	unsigned records, world = 0;

	tried.each = each;
	tried.first = first;
	stay_on_one_processor();
	shared.m = world_memory(sizeof *shared.m);
	copy.m = world_memory(sizeof *copy.m);
	copy2.m = world_memory(sizeof *copy2.m);
	finished = world_memory(2 * sizeof *finished);
	question = world_memory(sizeof *question);
	world_prepare(&copy, 0, NULL, 0);
	world_prepare(&copy2, 0, NULL, 0);
	for (records = 0; records < 24; records += WORLDS_EACH, world++) {
		world_prepare(&shared, records, (uint64_t[]){ 4, 3, 1 }, 3);
		step_all(long_sequence, "stepped", world);
	}
	kill_all(7);
	hold_up_everywhere();
	every_history();
	every_members();
	printf("ring_stress: %lu instructions, %lu states (%lu with the lock held), their repairs: %lu instructions, %lu states; "
	       "%lu kills; %lu seeks held up (each %u from %u on); %lu faults\n", world_instructions, states, held_states, repair_instructions,
	       repair_states, kills, seeks, each, first, world_faults);
	return world_faults ? 1 : 0;
}
