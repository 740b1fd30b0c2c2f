/*
 * Quiescing: before a program whose layout of shared memory differs takes over, every worker writes its sessions into a snapshot and ends,
 * while its keeper holds the connections. Once all have, nobody changes shared memory any more, and the hub's snapshot can be written.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "master/keeper.h"
#include "master/master.h"
#include "shm/crash.h"
#include "shm/log.h"
#include "shm/nodes.h"
#include "shm/slot.h"
#include "shm/snapshot.h"

#define POLL 0.002		/* seconds */
#define PATIENCE_MS 60000	/* a slot with very many sessions; a worker that hangs is its keeper's affair, who says so */

static bool all_quiesced(const struct master *m)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (m->h.slots[i].used && atomic_load(&m->hub.shm->slot[i].state) != SLOT_QUIESCED)
			return false;
	return true;
}

void quiesce_undo(struct master *m)
{
	bridge_hold(m, false);
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (m->h.slots[i].used && m->h.slots[i].keeper && slots_order(m, i, ORDER_RESUME) < 0)
			log_error("slot %u can't be told to go on", i);
}

/* Times that keepers have said no, over all slots. */
static uint32_t refusals(const struct master *m)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		n += atomic_load(&m->hub.shm->slot[i].refused);
	return n;
}

/* NULL: all is well so far. */
static const char *failure(struct master *m)
{
	if (m->stopping)
		return "the server is stopping";
	if (m->keepers_died != m->quiesce_died)
		return "a keeper died while the workers left their snapshots; the old program goes on";
	if (refusals(m) != m->quiesce_refusals)
		return "a worker could not leave its snapshot (the log says why); the old program goes on";
	if (restarts_now() >= m->quiesce_deadline)
		return "the workers did not leave their snapshots in time; the old program goes on";
	return NULL;
}

static void on_poll(struct ev_loop *loop, struct ev_timer *t, int events)
{
	struct master *m = ev_userdata(loop);
	const char *error = failure(m);

	(void)t;
	(void)events;
	if (!error && (!all_quiesced(m) || bridge_alive(m)))
		return;
	ev_timer_stop(loop, &m->quiesce_timer);
	slots_hold(m, false);
	if (error)
		quiesce_undo(m);
	m->quiesced(m, error);
}

/* Whoever was told to go on, and has not come to that, still stands there as it was: that is no answer to what is asked now. */
static void forget_answers(const struct master *m)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		uint32_t quiesced = SLOT_QUIESCED;

		if (m->h.slots[i].used)
			atomic_compare_exchange_strong(&m->hub.shm->slot[i].state, &quiesced, SLOT_STARTING);
	}
}

void quiesce(struct master *m, void (*done)(struct master *m, const char *error))
{
	m->quiesced = done;
	m->quiesce_refusals = refusals(m);
	m->quiesce_died = m->keepers_died;
	m->quiesce_deadline = restarts_now() + PATIENCE_MS;
	bridge_hold(m, true);
	slots_hold(m, true);		/* a keeper that is made now would not know of it; so a keeper's death ends the quiescing */
	forget_answers(m);
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (m->h.slots[i].used && slots_order(m, i, ORDER_QUIESCE) < 0)
			log_error("slot %u can't be told to leave a snapshot", i);
	CRASH_POINT("master-asked");
	ev_timer_init(&m->quiesce_timer, on_poll, POLL, POLL);
	ev_timer_start(m->loop, &m->quiesce_timer);
}

/* Below this sequence, nobody is owed anything. */
static uint64_t least_owed(const struct master *m)
{
	uint64_t least = ring_tail(&m->hub.ring), proven = atomic_load(&m->hub.shm->nodes.proven);

	if (nodes_state(&m->hub) != NODES_OFF && proven < least)
		least = proven;
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		uint64_t delivered = atomic_load(&m->hub.shm->slot[i].delivered);
		struct slot slot;

		if (!m->h.slots[i].used)
			continue;
		if (delivered < least)
			least = delivered;
		if (slot_attach(&slot, m->h.slots[i].segment, true) < 0)
			return 0;
		for (uint32_t fd = 0; fd < atomic_load(&slot.shm->fd_end); fd++) {
			const struct session_shm *s = slot_session(&slot, (int)fd);

			if (s->status == SESSION_OPEN && s->state.flags & SESSION_BEHIND && s->state.pos < least)
				least = s->state.pos;
		}
		slot_detach(&slot);
	}
	return least;
}

int quiesce_write_hub(struct master *m)
{
	int fd = memfd_create("janus-snapshot-hub", 0);

	if (fd >= 0 && snapshot_write_hub(&m->hub, least_owed(m), fd) < 0) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}
