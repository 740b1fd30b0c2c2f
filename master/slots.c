/*
 * Slots, as the master sees them: a segment, a keeper, and what becomes of the slot when the keeper is gone.
 *
 * A keeper that dies takes the descriptor table with it, as its worker dies with it (PR_SET_PDEATHSIG): the slot's connections are
 * lost. The master waits for the worker too (it is the reaper of orphans), puts the hub right in their stead and starts a keeper
 * with an empty slot.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/keeper.h"
#include "master/master.h"
#include "shm/log.h"
#include "shm/slot.h"

#define RESERVED 160		/* descriptors of a slot that are no connections: eventfds, listen sockets, the worker's own */

/* What of the heritage a keeper gets. */
static int keeper_heritage(const struct master *m, unsigned slot, int orders)
{
	static struct heritage h;

	h = m->h;
	h.slot = (int)slot;
	h.control = h.caller = h.snapshot = -1;
	h.died = 0;
	h.slots[slot].orders = orders;
	return heritage_write(&h);
}

static __attribute__((noreturn)) void keeper_child(const struct master *m, unsigned slot, int orders)
{
	char option[64];
	char *argv[] = { (char *)(uintptr_t)KEEPER_NAME, option, NULL };
	sigset_t none;
	int heritage = keeper_heritage(m, slot, orders);

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
	snprintf(option, sizeof(option), "--heritage=%d", heritage);
	execv(m->h.program, argv);
	log_error("%s: %s", m->h.program, strerror(errno));
	_exit(KEEPER_FAILED);
}

static void forget(struct master *m, unsigned slot);

static int start_keeper(struct master *m, unsigned slot)
{
	struct heritage_slot *s = &m->h.slots[slot];
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0) {
		log_error("socketpair: %s", strerror(errno));
		return -1;
	}
	if (s->orders >= 0)
		close(s->orders);
	s->orders = pair[0];
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	atomic_store(&m->hub.shm->slot[slot].state, SLOT_STARTING);
	pid = fork();
	if (pid == 0)
		keeper_child(m, slot, pair[1]);
	close(pair[1]);
	if (pid < 0) {
		log_error("fork: %s", strerror(errno));
		return -1;
	}
	s->keeper = (uint32_t)pid;
	return 0;
}

int slots_start(struct master *m, unsigned slot)
{
	struct heritage_slot *s = &m->h.slots[slot];
	char name[32];

	snprintf(name, sizeof(name), "janus-slot-%u", slot);
	*s = (struct heritage_slot){ .used = true, .orders = -1 };
	s->segment = slot_create(name, m->sessions_max, (uint32_t)m->config.settings.max_frame);
	if (s->segment < 0) {
		log_error("slot segment: %s", strerror(errno));
		*s = (struct heritage_slot){ .segment = -1, .orders = -1 };
		return -1;
	}
	hub_clear_slot(&m->hub, slot, INDEX_SLOTS_MAX + 1);
	m->hub.shm->slot[slot].connections_max = m->sessions_max - RESERVED;
	if (start_keeper(m, slot) < 0) {
		forget(m, slot);
		return -1;
	}
	return 0;
}

int slots_order_replace(struct master *m, unsigned slot)
{
	struct heritage_slot *s = &m->h.slots[slot];
	int fds[LISTENERS_MAX + 3];
	unsigned count = 1;
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(fds))];
	} control;
	char order = ORDER_REPLACE;
	struct iovec iov = { &order, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control };
	ssize_t n;

	fds[0] = keeper_heritage(m, slot, -1);
	if (fds[0] < 0)
		return -1;
	if (m->h.fresh) {
		fds[count++] = m->h.hub;
		fds[count++] = s->segment;
	}
	for (unsigned i = 0; i < m->h.listeners; i++)
		fds[count++] = m->h.listen[i].fd;
	msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
	memset(&control, 0, sizeof(control));
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(&control.head), fds, count * sizeof(int));
	n = sendmsg(s->orders, &msg, MSG_NOSIGNAL);
	close(fds[0]);
	return n == 1 ? 0 : -1;
}

int slots_order(struct master *m, unsigned slot, char order)
{
	return send(m->h.slots[slot].orders, &order, 1, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

int slots_renew(struct master *m, unsigned slot)
{
	struct heritage_slot *s = &m->h.slots[slot];
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "janus-slot-%u", slot);
	fd = slot_create(name, m->sessions_max, (uint32_t)m->config.settings.max_frame);
	if (fd < 0) {
		log_error("slot segment: %s", strerror(errno));
		return -1;
	}
	close(s->segment);
	s->segment = fd;
	m->hub.shm->slot[slot].connections_max = m->sessions_max - RESERVED;
	atomic_store(&m->hub.shm->slot[slot].state, SLOT_STARTING);
	atomic_store(&m->hub.shm->slot[slot].keeper, s->keeper);
	return 0;
}

/* ---- what becomes of them ---- */

static void forget(struct master *m, unsigned slot)
{
	struct heritage_slot *s = &m->h.slots[slot];

	close(s->segment);
	close(s->orders);
	*s = (struct heritage_slot){ .segment = -1, .orders = -1 };
	hub_clear_slot(&m->hub, slot, INDEX_SLOTS_MAX + 1);
	atomic_store(&m->hub.shm->slot[slot].state, SLOT_UNUSED);
	atomic_store(&m->hub.shm->slot[slot].keeper, 0);
	atomic_store(&m->hub.shm->slot[slot].worker, 0);
}

/* Keeper and worker are gone, and with them the connections. */
static void lost(struct master *m, unsigned slot)
{
	struct slot segment;
	uint32_t count = 0;

	m->slot[slot].lost = false;
	hub_settle(&m->hub, slot);
	if (m->stopping)
		return;
	if (slot_attach(&segment, m->h.slots[slot].segment) < 0 ||
	    slot_empty(&segment, m->h.slots[slot].segment, false, &count) < 0) {
		log_error("slot segment: %s", strerror(errno));
		master_stop(m, 1);
		return;
	}
	slot_detach(&segment);
	hub_clear_slot(&m->hub, slot, INDEX_SLOTS_MAX + 1);
	hub_count(&m->hub, slot, COUNTER_closed_slot, count);
	hub_count(&m->hub, slot, COUNTER_closed, count);
	atomic_fetch_add(&m->hub.shm->slot[slot].emptied, 1);
	if (restarts_note(&m->slot[slot].restarts, &m->config.settings) != RESTART) {
		log_error("keepers of slot %u go on dying: giving up", slot);
		master_stop(m, 1);
		return;
	}
	log_error("slot %u lost its keeper: it starts empty, %u connections closed", slot, count);
	if (start_keeper(m, slot) < 0)
		master_stop(m, 1);
}

static void keeper_gone(struct master *m, unsigned slot, int status)
{
	uint32_t worker = atomic_load(&m->hub.shm->slot[slot].worker);

	m->h.slots[slot].keeper = 0;
	if (WIFEXITED(status) && (m->stopping || WEXITSTATUS(status) == KEEPER_DRAINED)) {
		if (!m->stopping)
			log_info("slot %u has served its last connection and is gone", slot);
		forget(m, slot);
		return;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == KEEPER_GAVE_UP) {
		log_error("slot %u: restart_limit passed twice; stopping", slot);
		forget(m, slot);
		master_stop(m, 1);
		return;
	}
	m->slot[slot].lost = true;
	/* Its worker is ours to reap now, if it still is there. */
	if (worker == 0 || kill((pid_t)worker, 0) < 0)
		lost(m, slot);
}

void slots_reap(struct master *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
			if (!m->h.slots[i].used)
				continue;
			if (m->h.slots[i].keeper == (uint32_t)pid)
				keeper_gone(m, i, status);
			else if (m->slot[i].lost && atomic_load(&m->hub.shm->slot[i].worker) == (uint32_t)pid)
				lost(m, i);
		}
	}
}

unsigned slots_alive(const struct master *m)
{
	unsigned n = 0;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		n += m->h.slots[i].used && (m->h.slots[i].keeper != 0 || m->slot[i].lost);
	return n;
}

bool slots_lost(const struct master *m)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (m->slot[i].lost)
			return true;
	return false;
}

void slots_kill(struct master *m, int sig)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (m->h.slots[i].used && m->h.slots[i].keeper)
			kill((pid_t)m->h.slots[i].keeper, sig);
}
