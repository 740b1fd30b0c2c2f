/*
 * The program that follows. See keeper_follow.h.
 */
#include "master/keeper_follow.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "master/keeper.h"
#include "master/keeper_worker.h"
#include "master/program.h"
#include "master/spare.h"
#include "shm/crash.h"
#include "shm/log.h"

/* ---- it is executed ---- */

/* Returns only if it can't be executed. */
static void execute(struct keeper *k)
{
	char option[64];
	char *argv[] = { (char *)(uintptr_t)KEEPER_NAME, option, NULL };

	if (k->h.layout < SPARE_LAYOUT)
		spare_end(k);
	spare_wait(k);
	snprintf(option, sizeof(option), "--heritage=%d", k->successor);
	close(k->signals);
	CRASH_POINT("keeper-executes");
	program_execute(k->program, argv);
	log_error("the program can't be executed: %m; going on with the old one");
	keeper_open_signals(k);
}

/*
 * Executes the program that is to follow, if there is one and it can be. The one that this process runs needs no executing, which would take longer than all else that
 * connections wait for.
 */
void keeper_follow(struct keeper *k)
{
	if (k->successor < 0)
		return;
	if (k->same_program && !k->h.new_segments) {
		keeper_follow_settings(k);
		keeper_begin(k);
	} else {
		execute(k);
		if (k->h.new_segments)
			return;		/* these segments are not for this program */
		keeper_count_refusal(k);
	}
	close(k->successor);
	k->successor = -1;
	CRASH_POINT("keeper-followed");
	(void)spare_make(k);		/* (The next worker closes what the spare before this one knows of.) */
}

/* What the last worker has left is of no use: all goes on from where it was. */
static void forget_snapshot(struct keeper *k)
{
	k->quiesced = false;
	if (ftruncate(k->snapshot, 0) < 0)	/* there may be keys in it */
		log_error("snapshot: %m");
}

/* The same for an order that came when there was no worker. With other segments it is tried again until it works. */
void keeper_replace_now(struct keeper *k)
{
	unsigned ms;

	if (k->successor < 0)
		k->successor = handover_write(&k->h);
	if (k->quiesced && !k->h.new_segments)
		forget_snapshot(k);
	keeper_follow(k);
	if (!k->h.new_segments) {
		k->replacing = false;
		keeper_start_worker(k);
		return;
	}
	ms = restarts_pause(&k->waits);
	k->replace_at = restarts_now() + ms;
	log_error("the new program can't be executed; trying again in %u ms", ms);
}

/* ---- it is ordered ---- */

/* What the program that is executed is not to have. (It is not closed now, as the spare knows of it.) */
static void close_in_next(int fd)
{
	if (fd >= 0)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* The TLS segment stays with the slot segment. If that is another one, the next program makes one, and keeps ours for as long as there is a way back. */
static void adopt_tls(struct keeper *k, struct handover *next)
{
	next->tls = k->h.tls;
	next->tls_before = k->h.tls_before;
	if (!next->new_segments)
		return;
	if (next->restore) {
		close_in_next(k->h.tls_before);
		next->tls_before = k->h.tls;
		next->tls = -1;
	} else {
		next->tls = k->h.tls_before;
		next->tls_before = -1;
	}
}

/*
 * The handover state that came replaces ours, with this keeper's own descriptors put in. What is not in it any more is closed by the next worker, as descriptors that nobody
 * owns: until then the last worker may still use them, or be about to read them, and the spare knows of them.
 */
static void adopt(struct keeper *k, struct order_received *r)
{
	struct handover *next = &r->handover;
	struct handover_slot *slot = &next->slots[k->slot];

	keeper_take(&k->program, r->program);
	k->same_program = program_is_running(k->program);
	fcntl(k->program, F_SETFD, FD_CLOEXEC);		/* the next program opens its own */
	next->snapshot = -1;
	/* (The program before comes back, and this process has never left it.) */
	if (next->new_segments && program_same_file(next->hub, k->h.hub))
		next->new_segments = false;
	adopt_tls(k, next);
	if (next->new_segments) {
		if (k->supervisor.worker == 0) {
			/* (They take memory, which the new ones need.) */
			close_in_next(k->h.hub);
			close_in_next(k->h.slots[k->slot].segment);
		}
		next->snapshot = next->restore ? k->snapshot : -1;
	} else {
		next->hub = k->h.hub;
		slot->segment = k->h.slots[k->slot].segment;
	}
	next->tickets = k->h.tickets;
	next->fetched = k->h.fetched;
	next->lock = k->h.lock;
	next->programs = k->h.programs;
	next->control = k->h.control;
	next->caller = -1;
	memcpy(next->wake, k->h.wake, sizeof(next->wake));
	memcpy(next->queue, k->h.queue, sizeof(next->queue));
	slot->orders = k->h.slots[k->slot].orders;
	slot->door = k->h.slots[k->slot].door;
	slot->spare = (uint32_t)k->spare;
	/* Should the program not be there to execute, the old one goes on with the new settings. */
	next->died = hub_now();
	k->h = *next;
	keeper_tell_supervisor(k);
}

const char *keeper_order_replace(struct keeper *k, struct order_received *r)
{
	if (k->successor >= 0 || r->handover.slot != (int)k->slot) {
		orders_close(r);
		return k->successor >= 0 ? "another is under way" : "it is for another slot";
	}
	adopt(k, r);
	CRASH_POINT("order-taken");
	k->successor = handover_write(&k->h);
	/* (Without one, the worker is replaced all the same: the settings and listen sockets are new.) */
	if (k->successor < 0 && !k->h.new_segments)
		keeper_count_refusal(k);
	k->quiescing = false;
	/* (A spare that comes to be the keeper waits with the snapshot, too.) */
	if (k->h.new_segments && k->supervisor.worker == 0)
		atomic_store(&k->self->state, SLOT_QUIESCED);
	k->replacing = k->supervisor.worker == 0;
	k->replace_at = 0;
	supervisor_ask(&k->supervisor, ASKED_REPLACE);
	CRASH_POINT("order-followed");
	return NULL;
}

void keeper_order_resume(struct keeper *k)
{
	k->quiescing = false;
	if (!k->quiesced)
		return;
	forget_snapshot(k);
	supervisor_start(&k->supervisor);
}

/* The spare is not to know of it any more when it is closed. */
void keeper_close_tls_before(struct keeper *k)
{
	int fd = k->h.tls_before;

	k->h.tls_before = -1;
	if (spare_make(k))
		keeper_start_worker(k);
	else
		close(fd);
}
