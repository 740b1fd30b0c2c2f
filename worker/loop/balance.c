/*
 * Sessions for other slots. See balance.h.
 *
 * A plan says how many sessions go to each slot. It is made anew when it is done, or PLAN_MS old; but not while what went last is still in a queue, as who has it is not known then.
 */
#include "worker/loop/balance.h"

#include <string.h>

#include "shm/log.h"
#include "worker/io/gate.h"
#include "worker/io/shares.h"
#include "worker/loop/move_session.h"

#define RUN_US 3000		/* microseconds of a turn */
#define LOOKS 64		/* sessions that are looked at before the clock is */
#define PLAN_MS 1000
#define BALANCE_MS 1000		/* between looks whether there is more than `balance` says */
#define BALANCE_MOST 1000	/* sessions that go for it at a look */
#define TELL_MS 10000		/* between the log's lines that nobody has room */

static bool drains(const struct worker *w)
{
	return w->start->drain && !w->stopping;
}

/* How many may go now; 0: none is to. */
static uint32_t wanted(struct worker *w)
{
	int64_t most = w->base.settings->balance;

	if (w->stopping || w->snapshot_wanted)
		return 0;
	if (drains(w) || w->base.now_ms < atomic_load_explicit(&w->base.hub.shm->even_until, memory_order_relaxed))
		return UINT32_MAX;
	if (most == 0 || w->base.now_ms - w->balance.looked_at < BALANCE_MS)
		return 0;
	w->balance.looked_at = w->base.now_ms;
	return shares_beyond(&w->base) > most ? BALANCE_MOST : 0;
}

/* Whether all that went to other slots so far is there. */
static bool has_arrived(const struct worker *w)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (w->balance.given >> i & 1 && w->start->queue[i] >= 0 && !gate_queue_is_empty(w->start->queue[i]))
			return false;
	return true;
}

static void tell_full(struct worker *w)
{
	uint32_t connections = atomic_load_explicit(&w->base.self->connections, memory_order_relaxed);

	if (!drains(w) || connections == 0 || (w->balance.told_at && w->base.now_ms - w->balance.told_at < TELL_MS))
		return;
	w->balance.told_at = w->base.now_ms;
	log_info("the slot is to end: no other worker has room for its %u connections; they stay until they end, or there is room", (unsigned)connections);
}

/* Of the sessions that may go, no more than `most` in all. */
static void cut(struct balance *b, uint32_t most)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		if (b->gives[i] > most)
			b->gives[i] = most;
		most -= b->gives[i];
	}
}

/* Those behind that read slowly are in the middle of a frame nearly always. Each second tick they stop when they are not; in between they go on, as it may be that they can't go. */
static void let_rest(struct worker *w)
{
	w->base.leaves = !w->base.leaves && drains(w) && w->balance.left > 0;
}

static void make_plan(struct worker *w)
{
	struct balance *b = &w->balance;
	uint32_t most;

	if (b->left > 0 && w->base.now_ms - b->planned_at < PLAN_MS) {
		b->passed = 0;
		return;
	}
	most = wanted(w);
	if (most > 0 && !has_arrived(w))
		return;
	b->left = b->passed = 0;
	b->given = 0;
	if (most == 0)
		return;
	b->planned_at = w->base.now_ms;
	b->left = shares_plan(&w->base, b->gives);
	if (b->left > most) {
		cut(b, most);
		b->left = most;
	}
	if (b->left == 0)
		tell_full(w);
}

void balance_look(struct worker *w)
{
	make_plan(w);
	let_rest(w);
}

/* The slot that the next one goes to, INDEX_SLOTS_MAX: none, as their queues are full. */
static unsigned next_slot(struct worker *w, uint64_t full)
{
	struct balance *b = &w->balance;

	for (unsigned n = 0; n < INDEX_SLOTS_MAX; n++) {
		unsigned slot = b->slot;

		b->slot = (b->slot + 1) % INDEX_SLOTS_MAX;
		if (b->gives[slot] == 0 || full >> slot & 1)
			continue;
		if (shares_takes(&w->base, slot))
			return slot;
		b->left -= b->gives[slot];
		b->gives[slot] = 0;
	}
	return INDEX_SLOTS_MAX;
}

/* Whether it goes on at all, and is one of those that may go. */
static bool may_go(const struct worker *w, session_id sid)
{
	const struct session_shm *s = session(&w->base, sid);

	if (s->status != SESSION_OPEN)
		return false;
	if (s->state.flags & SESSION_PARKED)
		return w->start->drain;
	return !(s->state.flags & (SESSION_CLOSE | SESSION_LINGER)) && !session_has(&w->base, sid, MARK_OVER);
}

/* True: it has gone. */
static bool give(struct worker *w, session_id sid, uint64_t *full)
{
	struct balance *b = &w->balance;
	unsigned slot = next_slot(w, *full);

	if (slot == INDEX_SLOTS_MAX)
		return false;
	switch (move_session(w, sid, slot)) {
	case MOVE_GONE:
		b->gives[slot]--;
		b->left--;
		b->given |= UINT64_C(1) << slot;
		b->passed = 0;
		return true;
	case MOVE_FULL:
		*full |= UINT64_C(1) << slot;
		break;
	case MOVE_LATER:
		break;
	}
	return false;
}

bool balance_run(struct worker *w)
{
	struct balance *b = &w->balance;
	uint32_t end = atomic_load_explicit(&w->base.slot.shm->fd_end, memory_order_relaxed);
	uint64_t full = 0, since;

	if (b->left == 0 || w->stopping || w->snapshot_wanted) {
		w->base.rested_count = 0;
		return false;
	}
	since = base_clock();
	/* Those that have stopped for it. (If there is no room just now, they do so again.) */
	for (; w->base.rested_count > 0 && !full; w->base.rested_count--)
		if (may_go(w, w->base.rested[w->base.rested_count - 1]))
			give(w, w->base.rested[w->base.rested_count - 1], &full);
	w->base.rested_count = 0;
	for (uint32_t n = 1; !full && b->left > 0 && b->passed < end; n++) {
		session_id sid = (session_id)(b->at % end);

		if (may_go(w, sid))
			give(w, sid, &full);
		if (full)
			break;		/* it is the first next time */
		b->at = (b->at + 1) % end;
		b->passed++;
		if (n % LOOKS == 0 && base_clock() - since > RUN_US)
			break;
	}
	/* (When those that have gone are there, their worker wakes us.) */
	return !full && b->left > 0 && b->passed < end;
}
