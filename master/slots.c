/*
 * A slot, as the master sees it, while nothing is wrong: its segment, and its keeper, which is made, watched for its end, and told. What becomes of the slot when the keeper is gone is slots_death.c's.
 *
 * Keepers that this master has adopted (adoption.h), and their workers, are not its children: so each keeper is watched by a pidfd, whoever's child it is.
 */
#include "master/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/door.h"
#include "master/keeper.h"
#include "master/limits.h"
#include "master/notify.h"
#include "master/process.h"
#include "master/program.h"
#include "shm/crash.h"
#include "shm/log.h"
#include "shm/shortage.h"
#include "shm/slot.h"

#define END_MS 2000		/* for those that were killed */
#define END_POLL_MS 2

/* ---- the keeper's process ---- */

/* What a keeper gets of the handover state. */
static const struct handover *keeper_handover(const struct master *m, unsigned slot, int orders, int door)
{
	static struct handover h;

	h = m->h;
	handover_strip(&h);
	h.slot = (int)slot;
	h.died = 0;
	h.slots[slot].orders = orders;
	h.slots[slot].door = door;
	h.slots[slot].spare = 0;
	return &h;
}

static __attribute__((noreturn)) void keeper_child(const struct master *m, unsigned slot, int handover)
{
	char option[64];
	char *argv[] = { (char *)(uintptr_t)KEEPER_NAME, option, NULL };
	sigset_t none;

	notify_disinherit();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Other keepers' sockets and segments are not this one's. */
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		if (!m->h.slots[i].used || i == slot)
			continue;
		close(m->h.slots[i].segment);
		close(m->h.slots[i].orders);
	}
	close(m->h.slots[slot].orders);
	fcntl(m->h.control, F_SETFD, 0);
	if (m->h.fallback.there && m->h.fallback.secrets >= 0 && m->h.fallback.secrets != m->h.secrets)
		close(m->h.fallback.secrets);
	snprintf(option, sizeof(option), "--heritage=%d", handover);
	program_execute(m->program, argv);
	log_error("the program can't be executed: %s", strerror(errno));
	_exit(is_shortage(errno) ? KEEPER_SHORTAGE : KEEPER_FAILED);
}

static void unfollow(struct master *m, unsigned slot)
{
	struct ev_io *io = &m->slot[slot].end;

	if (!ev_is_active(io))
		return;
	ev_io_stop(m->loop, io);
	close(io->fd);
}

/* As for a child's end, slots_reap() sees what it is. */
static void on_end(struct ev_loop *loop, struct ev_io *io, int events)
{
	(void)io;
	(void)events;
	ev_feed_signal_event(loop, SIGCHLD);
}

/* (Without a pidfd it is looked at once a second.) */
void slots_follow(struct master *m, unsigned slot, uint32_t pid)
{
	int fd;

	unfollow(m, slot);
	m->h.slots[slot].keeper = pid;
	if (!pid)
		return;
	fd = process_open(pid);
	if (fd < 0) {
		if (errno == ESRCH)
			ev_feed_signal_event(m->loop, SIGCHLD);
		return;
	}
	ev_io_init(&m->slot[slot].end, on_end, fd, EV_READ);
	ev_io_start(m->loop, &m->slot[slot].end);
}

void slots_signal(const struct master *m, unsigned slot, int sig)
{
	const struct ev_io *io = &m->slot[slot].end;

	process_signal(m->h.slots[slot].keeper, ev_is_active(io) ? io->fd : -1, sig);
}

/* Its door: it is found by the next master, should this one die. Without one it is not. */
static int open_door(const struct master *m, unsigned slot)
{
	int fd = FAIL_POINT("no-door") ? -1 : door_open(m->dir.path, slot, m->workers_uid);

	if (fd < 0)
		log_error("%s/slot.%u: %m; should the master die, slot %u ends with it", m->dir.path, slot, slot);
	return fd;
}

int slots_start_keeper(struct master *m, unsigned slot)
{
	struct handover_slot *s = &m->h.slots[slot];
	int ours, keepers, door, handover;
	pid_t pid;

	if (orders_open(&ours, &keepers) < 0) {
		log_error("socketpair: %s", strerror(errno));
		return -1;
	}
	door = open_door(m, slot);
	CRASH_POINT("master-door");
	handover = handover_write(keeper_handover(m, slot, keepers, door));
	if (handover < 0) {
		log_error("handover state: %s", strerror(errno));
		close(ours);
		close(keepers);
		if (door >= 0)
			close(door);
		return -1;
	}
	if (s->orders >= 0)
		close(s->orders);
	s->orders = ours;
	atomic_store(&m->hub.shm->slot[slot].state, SLOT_STARTING);
	atomic_store(&m->hub.shm->slot[slot].turns, 0);
	atomic_store(&m->hub.shm->slot[slot].worker, 0);
	atomic_store(&m->hub.shm->slot[slot].spare, 0);
	atomic_store(&m->hub.shm->slot[slot].emptying, 0);
	atomic_store(&m->hub.shm->slot[slot].keeper_end, 0);
	pid = fork();
	if (pid == 0)
		keeper_child(m, slot, handover);
	CRASH_POINT("master-forked");
	close(keepers);
	close(handover);
	if (door >= 0)
		close(door);
	if (pid < 0) {
		log_error("fork: %s", strerror(errno));
		return -1;
	}
	m->slot[slot].looked = m->slot[slot].silent = 0;
	m->slot[slot].ours = true;
	m->slot[slot].ordered = false;
	slots_follow(m, slot, (uint32_t)pid);
	return 0;
}

/* The keeper's program before this one knew no doors; or the keeper was a spare that did not know of this one; or somebody has removed the file. */
static void give_door(const struct master *m, unsigned slot)
{
	const struct hub_slot_shm *shm = &m->hub.shm->slot[slot];
	int door;

	if (m->rolling || m->reloading || atomic_load(&shm->state) != SLOT_LIVE || (atomic_load(&shm->door) && door_there(m->dir.path, slot)) || atomic_load(&shm->reload_number) != m->h.reload_number)
		return;
	door = open_door(m, slot);
	if (door < 0)
		return;
	if (orders_send_door(m->h.slots[slot].orders, door, m->dir.control) < 0)
		log_error("slot %u can't be given a door: %m", slot);
	close(door);
}

void slots_give_doors(const struct master *m)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (m->h.slots[i].used && m->h.slots[i].keeper)
			give_door(m, i);
}

/* ---- the slot ---- */

static int make_segment(const struct master *m, unsigned slot)
{
	struct slot_size size = limits_slot(&m->hub, &m->config.settings, m->sessions_max);
	char name[32];
	int fd;

	snprintf(name, sizeof(name), SLOT_SEGMENT "%u", slot);
	fd = slot_create(name, &size);
	if (fd < 0)
		log_error("slot segment: %s (max_buffered, max_frame, max_subscriptions_total; janus -t says more)", strerror(errno));
	return fd;
}

void slots_forget(struct master *m, unsigned slot)
{
	struct handover_slot *s = &m->h.slots[slot];

	unfollow(m, slot);
	door_remove(m->dir.path, slot);
	close(s->segment);
	close(s->orders);
	*s = (struct handover_slot){ .segment = -1, .orders = -1 };
	m->slot[slot].lost = m->slot[slot].vacant = false;
	hub_clear_slot(&m->hub, slot, hub_owner_master());
	atomic_store(&m->hub.shm->slot[slot].state, SLOT_UNUSED);
	atomic_store(&m->hub.shm->slot[slot].keeper, 0);
	atomic_store(&m->hub.shm->slot[slot].spare, 0);
	atomic_store(&m->hub.shm->slot[slot].worker, 0);
}

int slots_start(struct master *m, unsigned slot)
{
	struct handover_slot *s = &m->h.slots[slot];

	*s = (struct handover_slot){ .used = true, .orders = -1 };
	s->segment = make_segment(m, slot);
	if (s->segment < 0) {
		*s = (struct handover_slot){ .segment = -1, .orders = -1 };
		return -1;
	}
	hub_clear_slot(&m->hub, slot, hub_owner_master());
	m->hub.shm->slot[slot].connections_max = limits_slot_connections(m->sessions_max);
	if (slots_start_keeper(m, slot) < 0) {
		slots_forget(m, slot);
		return -1;
	}
	return 0;
}

int slots_renew(struct master *m, unsigned slot)
{
	struct handover_slot *s = &m->h.slots[slot];
	int fd = make_segment(m, slot);

	if (fd < 0)
		return -1;
	if (!m->h.fallback.there)
		close(s->segment);
	s->segment = fd;
	m->hub.shm->slot[slot].connections_max = limits_slot_connections(m->sessions_max);
	atomic_store(&m->hub.shm->slot[slot].state, SLOT_STARTING);
	atomic_store(&m->hub.shm->slot[slot].keeper, s->keeper);
	slots_tell_spare(m, slot);
	return 0;
}

void slots_note_spares(struct master *m)
{
	/* (A program that could not start knows no more than it was told.) */
	for (unsigned i = 0; m->hub.shm && i < INDEX_SLOTS_MAX; i++)
		m->h.slots[i].spare = m->h.slots[i].used ? atomic_load(&m->hub.shm->slot[i].spare) : 0;
}

void slots_tell_spare(const struct master *m, unsigned slot)
{
	atomic_store(&m->hub.shm->slot[slot].spare, m->h.slots[slot].spare);
}

void slots_recount(const struct master *m, unsigned slot)
{
	struct slot segment;

	if (slot_attach(&segment, m->h.slots[slot].segment, true) < 0)
		return;
	atomic_store(&segment.shm->flights, FLIGHTS_ALL);
	slot_detach(&segment);
}

/* ---- orders ---- */

int slots_order_replace(struct master *m, unsigned slot)
{
	bool by_path = m->by_path && !atomic_load(&m->hub.shm->slot[slot].keeper_beat);

	m->slot[slot].ordered = true;
	if (m->slot[slot].lost)
		return 0;
	return orders_send_replace(m->h.slots[slot].orders, keeper_handover(m, slot, -1, -1), by_path ? -1 : m->program);
}

int slots_order(struct master *m, unsigned slot, enum order order)
{
	return orders_send(m->h.slots[slot].orders, order);
}

/* ---- all of them ---- */

bool slots_is_ours(const struct master *m, uint32_t pid)
{
	return !process_ended(pid) && (process_is_child(pid) || process_runs_as(pid, m->workers_uid));
}

unsigned slots_alive(const struct master *m)
{
	unsigned n = 0;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		n += m->h.slots[i].used && (m->h.slots[i].keeper != 0 || m->slot[i].lost);
	return n;
}

void slots_kill(struct master *m, int sig)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		if (m->h.slots[i].used && m->h.slots[i].keeper)
			slots_signal(m, i, sig);
		else if (m->h.slots[i].used && m->slot[i].lost && slots_is_ours(m, m->slot[i].worker))
			kill((pid_t)m->slot[i].worker, sig);
	}
}

void slots_end(struct master *m)
{
	uint64_t deadline = restarts_now() + END_MS;
	bool there = true;

	while (there && restarts_now() < deadline) {
		there = false;
		for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
			const struct hub_slot_shm *shm = &m->hub.shm->slot[i];
			uint32_t of[] = { atomic_load(&shm->spare), atomic_load(&shm->keeper), m->h.slots[i].keeper, atomic_load(&shm->worker) };

			for (unsigned j = 0; m->h.slots[i].used && j < sizeof(of) / sizeof(of[0]); j++)
				if (of[j] && slots_is_ours(m, of[j])) {
					kill((pid_t)of[j], SIGKILL);
					there = true;
				}
		}
		if (there)
			poll(NULL, 0, END_POLL_MS);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}
