/*
 * A status without the master, which does not answer, as a debugger has stopped it, or which there is none of: what the hub knows.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "master/ctl/ctl.h"
#include "master/nodes_status.h"
#include "master/restarts.h"
#include "master/slot_status.h"

uint64_t ctl_ends(const struct hub *hub)
{
	uint64_t at = atomic_load(&hub->shm->masters.ends_at), now = restarts_now();

	return at > now ? hub_now() + (at - now) * 1000 : 0;
}

void ctl_status_of_hub(const struct hub *hub, struct control_status *status)
{
	status->started = hub->shm->started / 1000000;
	status->revived = atomic_load(&hub->shm->masters.revived);
	status->gone = atomic_load(&hub->shm->masters.gone);
	status->until = ctl_ends(hub);
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		const struct hub_slot_shm *s = &hub->shm->slot[i];

		if (atomic_load(&s->state) != SLOT_UNUSED)
			slot_status_add(status, hub, i, atomic_load(&s->keeper), atomic_load(&s->draining));
	}
	status->connections_max = 0;		/* max_connections, which may be less, does not stand here */
	status->buffered_max = hub->shm->buffered_max;
	if (atomic_load(&hub->shm->journal.state) == JOURNAL_FAILING)
		snprintf(status->data_error, sizeof(status->data_error), "%s", strerror((int)atomic_load(&hub->shm->journal.error)));
	nodes_status_text(hub, status->nodes, sizeof(status->nodes));
}

bool ctl_status_answered(const struct control_status *status)
{
	return status->version[0] != '\0';
}
