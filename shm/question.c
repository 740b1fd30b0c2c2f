/*
 * Questions to other nodes. See question.h.
 *
 * What is told is one word: the low bits of the note's number, whether all is told, how many nodes there are, how many have answered, and the sum.
 */
#include "shm/question.h"

#include <string.h>

#include "proto/presence.h"
#include "shm/nodes.h"

#define TOLD_DONE (UINT64_C(1) << 48)
#define TOLD_NUMBER(number) ((number) << 49)
_Static_assert(NODES_MAX <= UINT8_MAX, "nodes have a byte each");

static struct waiting_shm *note_of(const struct hub *hub, unsigned slot, unsigned place)
{
	return &hub->shm->slot[slot].waiting[place];
}

unsigned question_nodes(const struct hub *hub)
{
	return (unsigned)__builtin_popcountll(nodes_shm_here(&hub->shm->nodes));
}

uint64_t question_count(struct hub *hub, uint32_t owner, const char *name, size_t len, bool held)
{
	uint32_t found[1 + INDEX_SHAPES_MAX];
	uint64_t subscribers = 0;
	unsigned n;

	lock_acquire(&hub->shm->lock, owner);
	found[0] = index_find(&hub->index, index_hash(name, len), name, len);
	n = found[0] != TOPIC_NONE;
	if (!held && index_has_patterns(&hub->index) && !presence_in(name, len))
		n += index_match(&hub->index, name, len, found + n);
	for (unsigned i = 0; i < n; i++)
		subscribers += hub_subscribers(hub, found[i]);
	lock_release(&hub->shm->lock, owner);
	return subscribers;
}

/* ---- a worker ---- */

void question_put(const struct hub *hub, unsigned slot)
{
	atomic_fetch_or(&hub->shm->nodes.asked, 1ull << slot);
	nodes_wake(hub);
}

struct question_answer question_answer(const struct hub *hub, unsigned slot, unsigned place)
{
	const struct waiting_shm *w = note_of(hub, slot, place);
	uint64_t told = atomic_load_explicit(&w->told, memory_order_relaxed), number = atomic_load_explicit(&w->number, memory_order_relaxed);

	if (told >> 49 != TOLD_NUMBER(number) >> 49)
		return (struct question_answer){ 0 };
	return (struct question_answer){ .done = told & TOLD_DONE, .nodes = told >> 40 & UINT8_MAX, .answered = told >> 32 & UINT8_MAX, .subscribers = (uint32_t)told };
}

/* ---- the bridge ---- */

uint64_t question_slots(struct hub *hub)
{
	return question_has(hub) ? atomic_exchange(&hub->shm->nodes.asked, 0) : 0;
}

bool question_has(const struct hub *hub)
{
	return atomic_load_explicit(&hub->shm->nodes.asked, memory_order_relaxed) != 0;
}

bool question_read(const struct hub *hub, unsigned slot, unsigned place, struct question *q)
{
	const struct waiting_shm *w = note_of(hub, slot, place);

	/* acquire: pairs with the release of who stored it */
	q->number = atomic_load_explicit(&w->number, memory_order_acquire);
	if (q->number == 0)
		return false;
	q->held = w->held;
	q->len = w->name_len;
	memcpy(q->name, w->name, sizeof(q->name));
	/* (Its worker may have given the note to another request meanwhile, which has asked for another look.) */
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&w->number, memory_order_relaxed) == q->number && q->len > 0;
}

void question_tell(const struct hub *hub, unsigned slot, unsigned place, uint64_t number, const struct question_answer *a)
{
	uint64_t sum = a->subscribers < QUESTION_MOST ? a->subscribers : QUESTION_MOST;
	struct waiting_shm *w = note_of(hub, slot, place);

	if (atomic_load_explicit(&w->number, memory_order_relaxed) != number)
		return;
	atomic_store_explicit(&w->told, TOLD_NUMBER(number) | (a->done ? TOLD_DONE : 0) | (uint64_t)a->nodes << 40 | (uint64_t)a->answered << 32 | sum, memory_order_release);
	/* (Whether it sleeps or is about to: a worker does not look here once more before it does.) */
	if (a->done)
		hub_wake(hub, slot);
}

