/*
 * A keeper's worker: what that process has of it, and with what it is supervised. See keeper_worker.h.
 */
#include "master/keeper_worker.h"

#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "master/keeper.h"
#include "master/privileges.h"
#include "shm/log.h"
#include "shm/title.h"
#include "worker/loop/worker.h"

static void run_worker(void *arg)
{
	struct keeper *k = arg;
	struct worker_listener listeners[LISTENERS_OPEN_MAX];
	int kept[] = { k->signals, k->h.slots[k->slot].orders, k->h.slots[k->slot].door, k->h.control, k->h.lock, k->snapshot, k->program, k->successor, k->h.tls_before, k->h.secrets, k->h.tickets, k->h.fetched };
	struct worker_start start = {
		.settings = &k->h.settings,
		.slot = k->slot,
		.hub_fd = k->h.hub,
		.slot_fd = k->h.slots[k->slot].segment,
		.tls_fd = k->h.tls,
		.secrets_fd = k->h.secrets,
		.tickets_fd = k->h.tickets,
		.fetched_fd = k->h.fetched,
		.wake = k->h.wake,
		.queue = k->h.queue,
		.listeners = listeners,
		.listeners_count = k->h.listeners,
		.kept = kept,
		.kept_count = sizeof(kept) / sizeof(kept[0]),
		.snapshot_fd = k->snapshot,
		.drain = k->h.slots[k->slot].draining,
		.died = k->h.died,
	};
	char who[32];

	privileges_oom(atomic_load(&k->hub.shm->masters.oom), OOM_WORKER);
	snprintf(who, sizeof(who), "worker %u", k->slot);
	settings_log_init(who, &k->h.settings);
	prctl(PR_SET_NAME, WORKER_NAME);
	title_set("janus: worker %u", k->slot);
	for (unsigned i = 0; i < k->h.listeners; i++)
		listeners[i] = (struct worker_listener){ .fd = k->h.listen[i].fd, .proto = k->h.listen[i].proto, .tls = k->h.listen[i].tls, .slow = k->h.listen[i].slow, .proxy = k->h.listen[i].proxy };
	_exit(worker_run(&start));
}

/* (`canary` is meant for the program that follows, not for this one.) */
void keeper_tell_supervisor(struct keeper *k)
{
	k->supervisor.segment_fd = k->h.slots[k->slot].segment;
	k->supervisor.tls_fd = k->h.tls;
	k->supervisor.reload_number = k->h.reload_number;
}

static void init_supervisor(struct keeper *k)
{
	k->supervisor = (struct supervisor){
		.hub = &k->hub,
		.slot = k->slot,
		.settings = &k->h.settings,
		.segment = &k->segment,
		.tls = &k->tls,
		.canary = k->h.canary,
		.canary_until_live = k->h.new_segments,
		.run = run_worker,
		.arg = k,
	};
	keeper_tell_supervisor(k);
}

void keeper_begin(struct keeper *k)
{
	init_supervisor(k);
	k->started = restarts_now();
}

void keeper_start_worker(struct keeper *k)
{
	if (!k->quiesced)
		supervisor_start(&k->supervisor);
}
