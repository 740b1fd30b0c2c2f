/*
 * The slots' shares of the connections. See shares.h.
 */
#include "worker/io/shares.h"

/* A worker that has given no sign of life for BEAT_MAX milliseconds is not waited for. A live one gives one every 100. */
#define BEAT_MAX 500
/* Room for connections that is left to those who come: a sixteenth. */
#define SPARE(max) ((max) / 16)

#define LOAD(s, field) atomic_load_explicit(&(s)->field, memory_order_relaxed)

bool shares_takes(const struct base *base, unsigned slot)
{
	const struct hub_slot_shm *s = &base->hub.shm->slot[slot];
	uint64_t now = LOAD(base->self, worker_beat), beat = LOAD(s, worker_beat);

	return LOAD(s, state) == SLOT_LIVE && LOAD(s, drain) == 0 && LOAD(s, accepting) && (beat >= now || now - beat <= BEAT_MAX);
}

/* It has connections, now and later. */
static bool stays(const struct hub_slot_shm *s)
{
	return LOAD(s, state) == SLOT_LIVE && LOAD(s, drain) == 0 && !LOAD(s, draining);
}

/* Its connections are to be others': those of a slot that ends. */
static bool leaves(const struct hub_slot_shm *s)
{
	return LOAD(s, state) == SLOT_LIVE && LOAD(s, draining) && !LOAD(s, gate);
}

static uint32_t all_of(const struct hub_slot_shm *s)
{
	return LOAD(s, connections) + LOAD(s, parked);
}

/* What a slot that stays is to have, rounded up; 0: none stays. */
static uint32_t share(const struct base *base)
{
	uint64_t all = 0;
	uint32_t n = 0;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		const struct hub_slot_shm *s = &base->hub.shm->slot[i];

		n += stays(s);
		all += stays(s) ? LOAD(s, connections) : leaves(s) ? all_of(s) : 0;
	}
	return n > 0 ? (uint32_t)((all + n - 1) / n) : 0;
}

static uint32_t beyond(const struct hub_slot_shm *s, uint32_t share)
{
	uint32_t n = LOAD(s, connections);

	return leaves(s) ? all_of(s) : stays(s) && n > share ? n - share : 0;
}

static uint32_t lacks(const struct base *base, unsigned slot, uint32_t share)
{
	const struct hub_slot_shm *s = &base->hub.shm->slot[slot];
	uint32_t n = LOAD(s, connections), room = s->connections_max - SPARE(s->connections_max);

	if (!stays(s) || !shares_takes(base, slot) || LOAD(s, gate) || LOAD(s, reload_number) != LOAD(base->self, reload_number) || n >= share || n >= room)
		return 0;
	return (share < room ? share : room) - n;
}

uint32_t shares_plan(const struct base *base, uint32_t gives[INDEX_SLOTS_MAX])
{
	uint32_t each = share(base), mine = beyond(base->self, each), lack[INDEX_SLOTS_MAX], sum = 0;
	uint64_t lacking = 0, surplus = 0;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		lacking += lack[i] = i == base->number ? 0 : lacks(base, i, each);
		surplus += beyond(&base->hub.shm->slot[i], each);
	}
	if (lacking > surplus)
		surplus = lacking;
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		sum += gives[i] = lack[i] ? (uint32_t)((uint64_t)mine * lack[i] / surplus) : 0;
	/* What rounding has left. (Others may give, too: nobody is to have more than his share by that.) */
	for (unsigned i = 0; i < INDEX_SLOTS_MAX && sum < mine; i++)
		if (lack[i] > gives[i] + !leaves(base->self)) {
			gives[i]++;
			sum++;
		}
	return sum;
}

uint32_t shares_beyond(const struct base *base)
{
	uint32_t each = share(base);

	return each ? (uint32_t)(100 * (uint64_t)beyond(base->self, each) / each) : 0;
}
