/*
 * What a status says of a slot. See slot_status.h.
 */
#include "master/slot_status.h"

static enum control_state state_of(const struct hub_slot_shm *s, bool draining)
{
	if (draining || atomic_load(&s->drain))
		return CONTROL_STATE_DRAINING;
	switch (atomic_load(&s->state)) {
	case SLOT_STARTING:
		return CONTROL_STATE_STARTING;
	case SLOT_LIVE:
		return CONTROL_STATE_LIVE;
	default:
		return CONTROL_STATE_EMPTY;
	}
}

void slot_status_add(struct control_status *status, const struct hub *hub, unsigned slot, uint32_t keeper, bool draining)
{
	const struct hub_slot_shm *s = &hub->shm->slot[slot];

	status->worker[status->workers++] = (struct control_worker){
		.slot = slot,
		.state = state_of(s, draining),
		.keeper = keeper,
		.worker = atomic_load(&s->worker),
		.connections = atomic_load(&s->connections),
		.restarts = atomic_load(&s->restarts),
		.generation = atomic_load(&s->generation),
	};
	for (unsigned g = 0; g < TRANSPORT_GROUPS; g++)
		status->by_transport[g] += atomic_load(&s->by_transport[g]);
	status->connections_max += s->connections_max;
	status->buffered += atomic_load_explicit(&s->buffered, memory_order_relaxed);
}
