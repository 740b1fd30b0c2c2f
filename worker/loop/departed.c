/*
 * Sessions on their way to other slots, and those that have come. See departed.h.
 */
#include "worker/loop/departed.h"

#include <sys/socket.h>

#include "shm/crash.h"
#include "worker/delivery/local_topics.h"
#include "worker/io/gate.h"

#define BATCH 64		/* sessions that depart before the first of them has arrived */

static _Atomic uint64_t *sent(const struct worker *w, unsigned from, unsigned to)
{
	return &w->base.hub.shm->slot[from].moves_sent[to];
}

static _Atomic uint64_t *settled(const struct worker *w, unsigned from, unsigned to)
{
	return &w->base.hub.shm->slot[to].moves_settled[from];
}

static bool is_under_way(const struct worker *w, unsigned to)
{
	/* acquire: pairs with the release in settle(). What that worker did for the sessions is done. */
	return atomic_load_explicit(settled(w, w->base.number, to), memory_order_acquire) <
	       atomic_load_explicit(sent(w, w->base.number, to), memory_order_relaxed);
}

void departed_note(struct worker *w, unsigned slot, uint64_t number)
{
	w->base.departed = true;
	atomic_store_explicit(sent(w, w->base.number, slot), number, memory_order_relaxed);
	/* The hub says so before the session is in a queue, or a topic is left. (Only this worker and its successors read it.) */
	atomic_signal_fence(memory_order_seq_cst);
	w->departed.to |= UINT64_C(1) << slot;
}

void departed_not(struct worker *w, unsigned slot, uint64_t before)
{
	atomic_store_explicit(sent(w, w->base.number, slot), before, memory_order_relaxed);
}

void departed_counts(struct worker *w, bool parked)
{
	w->departed.count++;
	w->departed.parked += parked;
}

unsigned departed_room(const struct worker *w)
{
	return w->departed.closed || w->departed.count >= BATCH ? 0 : BATCH - w->departed.count;
}

/* All are at home. */
static void let_go(struct worker *w)
{
	atomic_fetch_sub_explicit(&w->base.self->connections, w->departed.count - w->departed.parked, memory_order_relaxed);
	atomic_fetch_sub_explicit(&w->base.self->parked, w->departed.parked, memory_order_relaxed);
	w->base.departed = false;
	topics_leave_stays(&w->topics);
	if (w->departed.leaves_all)
		topics_leave_unsubscribed(&w->topics);
	CRASH_POINT("departed-left");
	presence_departed(&w->presence);
	w->departed.closed = w->departed.leaves_all = false;
	w->departed.count = w->departed.parked = 0;
}

void departed_run(struct worker *w)
{
	if (!w->base.departed)
		return;
	w->departed.closed = true;
	for (uint64_t all = w->departed.to; all; all &= all - 1) {
		unsigned slot = (unsigned)__builtin_ctzll(all);

		if (!is_under_way(w, slot))
			w->departed.to &= ~(UINT64_C(1) << slot);
	}
	if (w->departed.to == 0)
		let_go(w);
}

void departed_recover(struct worker *w)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (is_under_way(w, i))
			w->departed.to |= UINT64_C(1) << i;
	w->base.departed = w->departed.closed = w->departed.leaves_all = w->departed.to != 0;
	w->arrived = UINT64_MAX;	/* what the last worker has not said */
	w->arrived_unknown = true;
}

/* ---- at the other end ---- */

void arrived_note(struct worker *w, unsigned from)
{
	w->arrived |= UINT64_C(1) << from;
}

static void settle(struct worker *w, unsigned from, uint64_t number)
{
	if (number <= atomic_load_explicit(settled(w, from, w->base.number), memory_order_relaxed))
		return;
	/* release: topics are joined, members told, what was owed is sent */
	atomic_store_explicit(settled(w, from, w->base.number), number, memory_order_release);
	hub_wake(&w->base.hub, from);
	CRASH_POINT("arrived-settled");
}

/* In a slot that was emptied nobody knows what its last worker had taken. What is not in the queue then has been. */
static void settle_unknown(struct worker *w)
{
	uint64_t numbers[INDEX_SLOTS_MAX];

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		numbers[i] = atomic_load(sent(w, i, w->base.number));
	/* (Who gives has said so before its number is there.) */
	if (gate_is_passed(&w->base) || !gate_queue_is_empty(w->start->queue[w->base.number]))
		return;
	w->arrived_unknown = false;
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		settle(w, i, numbers[i]);
}

void arrived_settle(struct worker *w)
{
	for (; w->arrived; w->arrived &= w->arrived - 1) {
		unsigned from = (unsigned)__builtin_ctzll(w->arrived);

		settle(w, from, w->base.slot.shm->moves_taken[from]);
	}
	if (w->arrived_unknown)
		settle_unknown(w);
}
