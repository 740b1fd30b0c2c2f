/*
 * A table of a few members, and messages that tell of their changes, as numbers behind a tail. A child has topics watched and no more, members come and go
 * in several slots, and are told of. What a death leaves is judged when the keeper has repaired it: all rules hold, who is announced is who was told of
 * last, and all goes on. The repair is stepped through as well.
 */
#include "tests/stress/every_members.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/members.h"
#include "tests/stress/stepping.h"
#include "tests/stress/world.h"

#define CELLS 12u
#define TOLD_MAX 64u
#ifdef __SANITIZE_ADDRESS__
#define REPAIRED_EACH 37
#else
#define REPAIRED_EACH 5
#endif

/* What was told: whether the user is on the topic, as it was watched then. */
struct told {
	uint64_t topic;			/* serial */
	char user;
	bool here;
};

struct members_memory {
	_Atomic uint64_t tail;		/* of `told`: those before it are published */
	struct told told[TOLD_MAX];
	_Alignas(64) uint8_t table[sizeof(struct members_shm) + 16 * sizeof(uint32_t) + (CELLS + 1) * sizeof(struct member_cell_shm)];
};

struct members_world {
	struct members_memory *m;
	struct members members;
};

static struct members_world shared, copy, copy2;
static _Atomic uint32_t *finished;
static unsigned long instructions, states, repair_states;

static uint64_t hash_of(char name)
{
	return (uint64_t)(unsigned char)name % 3;	/* of few chains */
}

static uint32_t watch(struct members_world *w, char topic, uint64_t slots)
{
	bool made;

	return members_watch(&w->members, hash_of(topic), &topic, 1, slots, 5, &made);
}

static void set(struct members_world *w, char topic, char user, unsigned slot, bool here)
{
	uint32_t t = members_find(&w->members, hash_of(topic), &topic, 1);

	if (t)
		members_set(&w->members, t, members_cell(&w->members, t)->serial, hash_of(user), &user, 1, slot, here);
}

/* Tells of all changes. */
static void tell(struct members_world *w)
{
	struct member_change c;

	while (members_next_change(&w->members, &c)) {
		uint64_t tail = atomic_load(&w->m->tail);

		if (!members_is_due(&w->members, &c) || tail == TOLD_MAX)
			break;
		w->m->told[tail] = (struct told){ members_cell(&w->members, members_cell(&w->members, c.member)->topic)->serial, c.user[0], c.here };
		members_stage(&w->members, &c, tail + 1);
		atomic_store(&w->m->tail, tail + 1);
		members_commit(&w->members);
	}
}

static void sequence(void *of)
{
	struct members_world *w = of;
	uint32_t t;

	set(w, 't', 'a', 1, true);
	set(w, 't', 'b', 1, true);
	set(w, 't', 'a', 2, true);
	tell(w);
	watch(w, 'u', 2);
	set(w, 'u', 'a', 1, true);		/* without a word: 'u' is not whole */
	set(w, 'u', 'e', 1, true);
	set(w, 'u', 'e', 1, false);
	members_counted(&w->members, watch(w, 'u', 2), 1);
	set(w, 'u', 'c', 2, true);
	set(w, 't', 'b', 1, false);
	set(w, 't', 'b', 1, true);		/* taken back before it is told */
	set(w, 't', 'd', 1, true);
	tell(w);
	members_leave(&w->members, 1);
	tell(w);
	set(w, 't', 'c', 3, true);
	t = watch(w, 't', 0);
	members_unwatch(&w->members, t);
	watch(w, 'v', 0);
	set(w, 'v', 'a', 1, true);
	tell(w);
}

static void prepare(struct members_world *w)
{
	memset(w->m, 0, sizeof(*w->m));
	members_format(w->m->table, CELLS);
	if (members_attach(&w->members, w->m->table, sizeof(w->m->table)) < 0)
		abort();
	w->members.cells[0].hash = 1;		/* the secret: the same in all worlds */
	watch(w, 't', 0);
	set(w, 't', 'z', 4, true);
	tell(w);
}

static void repair(void *of)
{
	struct members_world *w = of;

	members_repair(&w->members, atomic_load(&w->m->tail));
}

/* ---- judging ---- */

/* What was told last of this user on this topic. NULL: nothing. */
static const struct told *told_last(const struct members_world *w, uint64_t topic, char user)
{
	for (uint64_t i = atomic_load(&w->m->tail); i > 0; i--)
		if (w->m->told[i - 1].topic == topic && w->m->told[i - 1].user == user)
			return &w->m->told[i - 1];
	return NULL;
}

static bool is_announced(const struct members_world *w, uint32_t topic, char user)
{
	for (uint32_t i = members_cell(&w->members, topic)->after; i != topic; i = members_cell(&w->members, i)->after)
		if (members_cell(&w->members, i)->name[0] == user)
			return atomic_load(&members_cell(&w->members, i)->announced);
	return false;
}

static void judge(struct members_world *w, const char *where)
{
	const char *why;

	if (members_check(&w->members, &why) < 0) {
		world_fault(where, why);
		return;
	}
	for (uint32_t t = members_first(&w->members); t; t = members_cell(&w->members, t)->link)
		for (char user = 'a'; user <= 'z'; user++) {
			const struct member_cell_shm *topic = members_cell(&w->members, t);
			const struct told *told = told_last(w, topic->serial, user);

			if (told ? is_announced(w, t, user) != told->here : topic->name[0] == 't' && is_announced(w, t, user))
				world_fault(where, "who is announced is not who was told of");
		}
}

/* What the next one does, who takes the lock. */
static void judge_repaired(struct members_world *w, const char *where)
{
	uint32_t t;

	repair(w);
	judge(w, where);
	t = watch(w, 't', 0);
	set(w, 't', 'q', 5, true);
	tell(w);
	judge(w, where);
	if (!told_last(w, members_cell(&w->members, t)->serial, 'q') || members_are_due(&w->members))
		world_fault(where, "nothing goes on");
}

static void step_repair(void)
{
	static struct members_memory seen;
	pid_t pid = stepping_start(repair, &copy2, &finished[1]);

	seen = *copy2.m;
	while (stepping_step(pid, &finished[1])) {
		if (memcmp(&seen, copy2.m, sizeof(seen)) == 0)
			continue;
		seen = *copy2.m;
		*copy.m = seen;
		repair_states++;
		judge_repaired(&copy, "repair of members cut short");
	}
	stepping_stop(pid);
}

void every_members(void)
{
	static struct members_memory seen;
	pid_t pid;

	finished = world_memory(2 * sizeof(*finished));
	shared.m = world_memory(sizeof(*shared.m));
	copy.m = world_memory(sizeof(*copy.m));
	copy2.m = world_memory(sizeof(*copy2.m));
	prepare(&copy);
	prepare(&copy2);
	prepare(&shared);
	pid = stepping_start(sequence, &shared, &finished[0]);
	seen = *shared.m;
	while (stepping_step(pid, &finished[0])) {
		instructions++;
		if (memcmp(&seen, shared.m, sizeof(seen)) == 0)
			continue;
		seen = *shared.m;
		*copy.m = seen;
		judge_repaired(&copy, "members");
		if (++states % REPAIRED_EACH == 0) {
			*copy2.m = seen;
			step_repair();
		}
	}
	stepping_stop(pid);
	judge_repaired(&shared, "members, in the end");
	printf("ring_stress: members: %lu instructions, %lu states, %lu of repairs\n", instructions, states, repair_states);
}
