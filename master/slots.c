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
#include <sys/wait.h>
#include <unistd.h>

#include "master/keeper.h"
#include "master/limits.h"
#include "master/master.h"
#include "master/process.h"
#include "master/notify.h"
#include "master/program.h"
#include "shm/shortage.h"
#include "shm/log.h"
#include "shm/slot.h"

#define WATCH 1.0		/* seconds between looks at keepers */
#define RETRY 0.02		/* and while one is to be made again */
#define SILENT_MS 10000		/* without a sign of life, if hang_limit says nothing */

/* What a keeper gets of the handover state. */
static const struct handover *keeper_handover(const struct master *m, unsigned slot, int orders)
{
	static struct handover h;

	h = m->h;
	handover_strip(&h);
	h.slot = (int)slot;
	h.died = 0;
	h.slots[slot].orders = orders;
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
	if (m->h.fallback.there && m->h.fallback.secrets >= 0 && m->h.fallback.secrets != m->h.secrets)
		close(m->h.fallback.secrets);
	snprintf(option, sizeof(option), "--heritage=%d", handover);
	program_execute(m->program, argv);
	log_error("the program can't be executed: %s", strerror(errno));
	_exit(is_shortage(errno) ? KEEPER_SHORTAGE : KEEPER_FAILED);
}

static void forget(struct master *m, unsigned slot);

static int start_keeper(struct master *m, unsigned slot)
{
	struct handover_slot *s = &m->h.slots[slot];
	int ours, keepers, handover;
	pid_t pid;

	if (orders_open(&ours, &keepers) < 0) {
		log_error("socketpair: %s", strerror(errno));
		return -1;
	}
	handover = handover_write(keeper_handover(m, slot, keepers));
	if (handover < 0) {
		log_error("handover state: %s", strerror(errno));
		close(ours);
		close(keepers);
		return -1;
	}
	if (s->orders >= 0)
		close(s->orders);
	s->orders = ours;
	atomic_store(&m->hub.shm->slot[slot].state, SLOT_STARTING);
	atomic_store(&m->hub.shm->slot[slot].turns, 0);
	atomic_store(&m->hub.shm->slot[slot].worker, 0);
	pid = fork();
	if (pid == 0)
		keeper_child(m, slot, handover);
	close(keepers);
	close(handover);
	if (pid < 0) {
		log_error("fork: %s", strerror(errno));
		return -1;
	}
	s->keeper = (uint32_t)pid;
	m->slot[slot].looked = m->slot[slot].silent = 0;
	m->slot[slot].ours = true;
	return 0;
}

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

int slots_start(struct master *m, unsigned slot)
{
	struct handover_slot *s = &m->h.slots[slot];

	*s = (struct handover_slot){ .used = true, .orders = -1 };
	s->segment = make_segment(m, slot);
	if (s->segment < 0) {
		*s = (struct handover_slot){ .segment = -1, .orders = -1 };
		return -1;
	}
	hub_clear_slot(&m->hub, slot, INDEX_SLOTS_MAX + 1);
	m->hub.shm->slot[slot].connections_max = limits_slot_connections(m->sessions_max);
	if (start_keeper(m, slot) < 0) {
		forget(m, slot);
		return -1;
	}
	return 0;
}

int slots_order_replace(struct master *m, unsigned slot)
{
	bool by_path = m->by_path && !atomic_load(&m->hub.shm->slot[slot].keeper_beat);

	return orders_send_replace(m->h.slots[slot].orders, keeper_handover(m, slot, -1), by_path ? -1 : m->program);
}

int slots_order(struct master *m, unsigned slot, enum order order)
{
	return orders_send(m->h.slots[slot].orders, order);
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
	return 0;
}

void slots_recount(const struct master *m, unsigned slot)
{
	struct slot segment;

	if (slot_attach(&segment, m->h.slots[slot].segment, true) < 0)
		return;
	atomic_store(&segment.shm->flights, FLIGHTS_ALL);
	slot_detach(&segment);
}

/* ---- what becomes of them ---- */

static void forget(struct master *m, unsigned slot)
{
	struct handover_slot *s = &m->h.slots[slot];

	close(s->segment);
	close(s->orders);
	*s = (struct handover_slot){ .segment = -1, .orders = -1 };
	m->slot[slot].lost = m->slot[slot].vacant = false;
	hub_clear_slot(&m->hub, slot, INDEX_SLOTS_MAX + 1);
	atomic_store(&m->hub.shm->slot[slot].state, SLOT_UNUSED);
	atomic_store(&m->hub.shm->slot[slot].keeper, 0);
	atomic_store(&m->hub.shm->slot[slot].worker, 0);
}

/* Forgets all of the slot's sessions. -1 with errno: the machine is short of something. */
static int clear_lost(struct master *m, unsigned slot)
{
	struct slot segment;
	uint32_t count = 0;

	if (slot_attach(&segment, m->h.slots[slot].segment, true) < 0)
		return -1;
	if (slot_empty(&segment, m->h.slots[slot].segment, false, &count) < 0) {
		slot_detach(&segment);
		return -1;
	}
	slot_detach(&segment);
	hub_clear_slot(&m->hub, slot, INDEX_SLOTS_MAX + 1);
	hub_count(&m->hub, slot, COUNTER_closed_slot, count);
	hub_count(&m->hub, slot, COUNTER_closed, count);
	atomic_fetch_add(&m->hub.shm->slot[slot].emptied, 1);
	m->slot[slot].uncleared = false;
	log_error("slot %u lost its keeper: it starts empty, %u connections closed", slot, count);
	events_say(&m->hub.events, EVENTS_MASTER, EVENT_EMPTY, count, "slot %u lost its keeper: it starts empty", slot);
	return 0;
}

static void fill_later(struct master *m, unsigned slot, unsigned ms)
{
	m->slot[slot].retry_at = restarts_now() + ms;
	m->slots_timer.repeat = RETRY;
	ev_timer_again(m->loop, &m->slots_timer);
}

void slots_hold(struct master *m, bool hold)
{
	m->held = hold;
}

/* Makes the slot's next keeper; or says when that is tried again. */
static void fill_vacant(struct master *m, unsigned slot)
{
	struct master_slot *s = &m->slot[slot];

	if (m->held) {
		fill_later(m, slot, 0);
		return;
	}
	if (s->uncleared && clear_lost(m, slot) < 0) {
		log_error("slot %u: %s", slot, strerror(errno));
	} else if (start_keeper(m, slot) == 0) {
		s->vacant = false;
		return;
	}
	fill_later(m, slot, restarts_pause(&s->restarts));
}

/* Keeper and worker are gone, and with them the connections. */
static void lost(struct master *m, unsigned slot)
{
	m->slot[slot].lost = false;
	hub_repair(&m->hub, slot);
	if (m->stopping)
		return;
	m->slot[slot].vacant = m->slot[slot].uncleared = true;
	if (m->slot[slot].shortage)
		fill_later(m, slot, restarts_pause(&m->slot[slot].restarts));
	else
		fill_vacant(m, slot);
	m->slot[slot].shortage = false;
}

/* Notes a keeper's death. True: the keepers die of their own fault, one after the other, before a worker is live, and that must end. */
static bool died_without_progress(struct master *m, unsigned slot, int status)
{
	bool killed = WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGTERM);

	m->slot[slot].shortage = WIFEXITED(status) && WEXITSTATUS(status) == KEEPER_SHORTAGE;
	if (atomic_load(&m->hub.shm->slot[slot].turns) > 0) {
		restarts_progress(&m->slot[slot].restarts);
		restarts_ready(&m->slot[slot].restarts);
	} else if (!killed && !m->slot[slot].shortage && !m->held)
		return restarts_note(&m->slot[slot].restarts, &m->config.settings, restarts_now()) != RESTART;
	return false;
}

/* False: the server must stop. */
static bool keeper_gone(struct master *m, unsigned slot, int status)
{
	uint32_t worker = atomic_load(&m->hub.shm->slot[slot].worker);

	m->h.slots[slot].keeper = 0;
	if (WIFEXITED(status) && (m->stopping || WEXITSTATUS(status) == KEEPER_DRAINED)) {
		if (!m->stopping)
			log_info("slot %u has served its last connection and is gone", slot);
		forget(m, slot);
		/* A reload may have wanted it again just then. */
		if (!m->stopping && slot < (unsigned)m->config.settings.workers && slots_start(m, slot) < 0)
			m->again = true;
		return true;
	}
	if ((WIFEXITED(status) && WEXITSTATUS(status) == KEEPER_GAVE_UP) || died_without_progress(m, slot, status)) {
		log_error("slot %u: a crash loop that does not end (restart_limit); stopping", slot);
		forget(m, slot);
		return false;
	}
	m->slot[slot].lost = true;
	events_say(&m->hub.events, EVENTS_MASTER, EVENT_DEATH, atomic_load(&m->hub.shm->slot[slot].connections), "the keeper of slot %u, of %s %d", slot,
		   WIFSIGNALED(status) ? "signal" : "its own with status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	/* If its worker is still there, it is this process's child now, and reaped here when it ends. */
	if (worker == 0 || kill((pid_t)worker, 0) < 0)
		lost(m, slot);
	return true;
}

bool slots_reap(struct master *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (data_reap(m, pid, status) || bridge_reap(m, pid, status) || jwks_reap(m, pid, status))
			continue;
		for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
			if (!m->h.slots[i].used)
				continue;
			if (m->h.slots[i].keeper == (uint32_t)pid) {
				if (!keeper_gone(m, i, status))
					return false;
			} else if (m->slot[i].lost && atomic_load(&m->hub.shm->slot[i].worker) == (uint32_t)pid) {
				lost(m, i);
			}
		}
	}
	return true;
}

/* ---- watch ---- */

/*
 * A keeper gives a sign of life once a second. One that gives none would not notice its worker's death: all publishers would wait for that
 * slot. If somebody has stopped it, it is told to go on; if that does not help and its worker is gone, it is killed, as then the slot serves
 * nobody. (As in the keeper, time counts only as far as this process was run itself.)
 */
static void watch_keeper(struct master *m, unsigned slot, uint64_t now)
{
	struct master_slot *s = &m->slot[slot];
	const struct hub_slot_shm *shm = &m->hub.shm->slot[slot];
	uint64_t beat = atomic_load_explicit(&shm->keeper_beat, memory_order_relaxed), passed = s->looked ? now - s->looked : 0;
	uint64_t limit = m->config.settings.hang_limit ? (uint64_t)m->config.settings.hang_limit : SILENT_MS, before = s->silent;
	uint32_t worker = atomic_load(&shm->worker);

	s->looked = now;
	/* (With another layout, a keeper that has not followed yet gives its signs of life in the old hub, which is not looked at.) */
	if (beat != s->beat || (m->h.new_segments && atomic_load(&shm->reload_number) != m->h.reload_number)) {
		s->beat = beat;
		s->silent = 0;
		return;
	}
	s->silent += passed < 2 * (uint64_t)(WATCH * 1000) ? passed : 2 * (uint64_t)(WATCH * 1000);
	if (s->silent < limit)
		return;
	if (before < limit || before / 1000 != s->silent / 1000)
		kill((pid_t)m->h.slots[slot].keeper, SIGCONT);
	if (before < limit)
		log_error("keeper %u of slot %u gives no sign of life since %llu ms: told to go on (SIGCONT)", m->h.slots[slot].keeper, slot,
			  (unsigned long long)s->silent);
	if (s->silent >= 2 * limit && (worker == 0 || process_ended(worker))) {
		log_error("keeper %u of slot %u gives no sign of life, and its worker is gone: killed", m->h.slots[slot].keeper, slot);
		kill((pid_t)m->h.slots[slot].keeper, SIGKILL);
		s->silent = 0;
	}
}

static void on_watch(struct ev_loop *loop, struct ev_timer *t, int events)
{
	struct master *m = ev_userdata(loop);
	uint64_t now = restarts_now();

	(void)events;
	t->repeat = WATCH;
	ev_timer_again(loop, t);
	if (m->stopping)
		return;
	data_look(m, now);
	bridge_look(m, now);
	ticket_keys_look(m);
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		if (!m->h.slots[i].used)
			continue;
		if (m->h.slots[i].keeper)
			watch_keeper(m, i, now);
		else if (m->slot[i].vacant && now >= m->slot[i].retry_at)
			fill_vacant(m, i);
		else if (m->slot[i].vacant)
			t->repeat = RETRY;
	}
}

void slots_watch(struct master *m)
{
	ev_timer_init(&m->slots_timer, on_watch, WATCH, WATCH);
	ev_timer_start(m->loop, &m->slots_timer);
}

void slots_take_over(struct master *m)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		if (!m->h.slots[i].used || m->h.slots[i].keeper || m->slot[i].lost || m->slot[i].vacant)
			continue;
		m->slot[i].lost = true;
		if (process_ended(atomic_load(&m->hub.shm->slot[i].worker)))
			lost(m, i);
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
		if (m->slot[i].lost || m->slot[i].vacant)
			return true;
	return false;
}

void slots_kill(struct master *m, int sig)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (m->h.slots[i].used && m->h.slots[i].keeper)
			kill((pid_t)m->h.slots[i].keeper, sig);
}
