/*
 * janusctl stats: what text and JSON show of the hub segment, read without asking anyone. Every number is one relaxed load: they are not of one
 * instant.
 */
#include "master/ctl/ctl.h"

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
