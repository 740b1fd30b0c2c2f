/*
 * Freezing: before a program whose layout of shared memory differs takes over, every worker leaves its sessions as a snapshot and
 * goes, while its keeper holds the connections. Then nobody changes anything any more, and the hub's snapshot is written.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "master/keeper.h"
#include "master/master.h"
#include "shm/log.h"
#include "shm/slot.h"
#include "shm/snapshot.h"

#define POLL 0.002		/* seconds */
#define PATIENCE 15.0

static bool all_frozen(const struct master *m)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (m->h.slots[i].used && atomic_load(&m->hub.shm->slot[i].state) != SLOT_FROZEN)
			return false;
	return true;
}

void freeze_undo(struct master *m)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (m->h.slots[i].used && slots_order(m, i, ORDER_THAW) < 0)
			log_error("slot %u can't be told to go on", i);
}

static void on_poll(struct ev_loop *loop, struct ev_timer *t, int events)
{
	struct master *m = ev_userdata(loop);
	bool frozen = all_frozen(m);	/* or all gone, when the server stops */

	(void)t;
	(void)events;
	if (!frozen && !m->stopping && ev_now(loop) < m->freeze_deadline)
		return;
	ev_timer_stop(loop, &m->freeze_timer);
	if (!frozen)
		freeze_undo(m);
	m->frozen(m, m->stopping ? "the server is stopping" : frozen ? NULL : "the workers did not leave their snapshots in time");
}

void freeze(struct master *m, void (*done)(struct master *m, const char *error))
{
	m->frozen = done;
	m->freeze_deadline = ev_now(m->loop) + PATIENCE;
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (m->h.slots[i].used && slots_order(m, i, ORDER_FREEZE) < 0)
			log_error("slot %u can't be told to freeze", i);
	ev_timer_init(&m->freeze_timer, on_poll, POLL, POLL);
	ev_timer_start(m->loop, &m->freeze_timer);
}

/* Below this sequence, nobody is owed anything. */
static uint64_t least_owed(const struct master *m)
{
	uint64_t least = ring_tail(&m->hub.ring);

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		uint64_t delivered = atomic_load(&m->hub.shm->slot[i].delivered);
		struct slot slot;

		if (!m->h.slots[i].used)
			continue;
		if (delivered < least)
			least = delivered;
		if (slot_attach(&slot, m->h.slots[i].segment) < 0)
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

int freeze_write_hub(struct master *m)
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
