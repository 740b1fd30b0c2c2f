/*
 * janusctl stats: what text and JSON show of the hub segment, read without asking anyone. Every number is one relaxed load: they are not of one
 * instant.
 */
#include "master/ctl/ctl.h"

uint64_t ctl_stats_count(const struct hub *hub, unsigned slot, enum counter counter)
{
	return atomic_load_explicit(&hub->shm->slot[slot].counters[counter], memory_order_relaxed);
}

uint64_t ctl_stats_total(const struct hub *hub, enum counter counter)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		n += ctl_stats_count(hub, i, counter);
	return n;
}

bool ctl_stats_used(const struct hub *hub, unsigned slot)
{
	const struct hub_slot_shm *s = &hub->shm->slot[slot];

	return atomic_load_explicit(&s->state, memory_order_relaxed) != SLOT_UNUSED ||
	       atomic_load_explicit(&s->generation, memory_order_relaxed) != 0;
}

const char *ctl_stats_state(const struct hub *hub, unsigned slot)
{
	switch (atomic_load_explicit(&hub->shm->slot[slot].state, memory_order_relaxed)) {
	case SLOT_UNUSED:
		return "unused";
	case SLOT_STARTING:
		return "starting";
	case SLOT_LIVE:
		return atomic_load_explicit(&hub->shm->slot[slot].drain, memory_order_relaxed) ? "draining" : "live";
	case SLOT_QUIESCED:
		return "quiesced";
	}
	return "unknown";
}
