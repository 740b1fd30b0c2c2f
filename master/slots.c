/*
 * Slots, as the master sees them: a segment, a keeper, and what becomes of the slot when the keeper is gone.
 *
 * When a keeper has died, its worker is the master's child (it is the reaper of orphans), and has the descriptor table. It makes another keeper, which is the master's child, too, and
 * whose number stands in the hub (keeper_again.h): that one is taken as the slot's. If there is no worker, or it dies before there is another keeper, the table is gone, and with it the slot's
 * connections: the master puts the hub right in their stead and starts a keeper with an empty slot.
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
	m->slot[slot].ordered = false;
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
	hub_clear_slot(&m->hub, slot, hub_owner_master());
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

	m->slot[slot].ordered = true;
	if (m->slot[slot].lost)
		return 0;
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
	hub_clear_slot(&m->hub, slot, hub_owner_master());
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
	hub_clear_slot(&m->hub, slot, hub_owner_master());
	hub_count(&m->hub, slot, COUNTER_closed_slot, count);
	hub_count(&m->hub, slot, COUNTER_closed, count);
	atomic_fetch_add(&m->hub.shm->slot[slot].emptied, 1);
	m->slot[slot].uncleared = false;
	log_error("slot %u lost its keeper, and no worker was there to make another: it starts empty, %u connections closed", slot, count);
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

/* ---- a keeper is gone ---- */

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

/* A living child of this process. (Numbers in the hub are what workers say.) */
static bool is_child(uint32_t pid)
{
	siginfo_t info = { 0 };

	return pid && waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

/* Of those of whom it is known what they are. */
static bool is_known(const struct master *m, uint32_t pid)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (m->h.slots[i].used && m->h.slots[i].keeper == pid)
			return true;
	return pid == m->h.data || pid == m->h.bridge || pid == (uint32_t)m->jwks.pid;
}

/* Takes the keeper that the slot's worker has made. False: there is none. */
static bool take_keeper(struct master *m, unsigned slot)
{
	const struct hub_slot_shm *shm = &m->hub.shm->slot[slot];
	struct master_slot *s = &m->slot[slot];
	uint32_t pid = atomic_load(&shm->keeper);

	if (!is_child(pid) || is_known(m, pid))
		return false;
	m->h.slots[slot].keeper = pid;
	s->lost = false;
	s->looked = s->silent = 0;
	log_info("slot %u: its worker has made another keeper, process %u", slot, pid);
	if (m->stopping) {
		kill((pid_t)pid, SIGTERM);
	} else if (s->ordered && atomic_load(&shm->reload_number) != m->h.reload_number) {
		m->h.canary = m->rolling && m->rolling_step == ROLLING_CANARY;
		if (slots_order_replace(m, slot) < 0)
			log_error("slot %u could not be replaced: %s", slot, strerror(errno));
		m->h.canary = false;
	}
	return true;
}

/* The slot has no keeper. */
static void missed(struct master *m, unsigned slot)
{
	struct master_slot *s = &m->slot[slot];

	s->worker = atomic_load(&m->hub.shm->slot[slot].worker);
	if (take_keeper(m, slot))
		return;
	if (!is_child(s->worker)) {
		lost(m, slot);
		return;
	}
	s->lost = true;
	s->looked = s->silent = 0;
	if (m->stopping)
		kill((pid_t)s->worker, SIGTERM);
	m->slots_timer.repeat = RETRY;
	ev_timer_again(m->loop, &m->slots_timer);
}

/* False: the server must stop. */
static bool keeper_gone(struct master *m, unsigned slot, int status)
{
	struct hub_slot_shm *shm = &m->hub.shm->slot[slot];
	uint32_t dead = m->h.slots[slot].keeper, worker = atomic_load(&shm->worker);

	m->h.slots[slot].keeper = 0;
	atomic_compare_exchange_strong(&shm->keeper, &dead, 0);		/* (unless its worker has made another) */
	if (!is_child(worker) && WIFEXITED(status) && (m->stopping || WEXITSTATUS(status) == KEEPER_DRAINED)) {
		if (!m->stopping)
			log_info("slot %u has served its last connection and is gone", slot);
		forget(m, slot);
		/* A reload may have wanted it again just then. */
		if (!m->stopping && slot < (unsigned)m->config.settings.workers && slots_start(m, slot) < 0)
			m->again = true;
		return true;
	}
	/* (While a worker serves, nothing ends for it that keepers die.) */
	if (!is_child(worker) && ((WIFEXITED(status) && WEXITSTATUS(status) == KEEPER_GAVE_UP) || died_without_progress(m, slot, status))) {
		log_error("slot %u: a crash loop that does not end (restart_limit); stopping", slot);
		forget(m, slot);
		return false;
	}
	m->keepers_died++;
	events_say(&m->hub.events, EVENTS_MASTER, EVENT_DEATH, atomic_load(&shm->connections), "the keeper of slot %u, of %s %d", slot,
		   WIFSIGNALED(status) ? "signal" : "its own with status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	missed(m, slot);
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
			} else if (m->slot[i].lost && m->slot[i].worker == (uint32_t)pid && !take_keeper(m, i)) {
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

/* A worker without a keeper has nobody else who would see that it hangs. (What may keep it from running is as in supervisor.c.) */
static void watch_lost(struct master *m, unsigned slot, uint64_t now)
{
	struct master_slot *s = &m->slot[slot];
	uint64_t beat = atomic_load_explicit(&m->hub.shm->slot[slot].worker_beat, memory_order_relaxed), limit = (uint64_t)m->config.settings.hang_limit;
	unsigned owner = lock_number(lock_owner(&m->hub.shm->lock));

	if (take_keeper(m, slot))
		return;
	if (beat != s->beat || !s->looked || (owner != 0 && owner != slot + 1))
		s->silent = 0;
	else
		s->silent += now - s->looked < 2 * (uint64_t)(RETRY * 1000) ? now - s->looked : 2 * (uint64_t)(RETRY * 1000);
	s->beat = beat;
	s->looked = now;
	if (limit == 0 || s->silent < limit || !is_child(s->worker))
		return;
	log_error("worker %u of slot %u hangs since %llu ms, and has no keeper: killed", s->worker, slot, (unsigned long long)s->silent);
	kill((pid_t)s->worker, SIGKILL);
	s->silent = 0;
}

static void on_watch(struct ev_loop *loop, struct ev_timer *t, int events)
{
	struct master *m = ev_userdata(loop);
	uint64_t now = restarts_now();

	(void)events;
	t->repeat = WATCH;
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
		else if (m->slot[i].lost)
			watch_lost(m, i, now);
		else if (m->slot[i].vacant && now >= m->slot[i].retry_at)
			fill_vacant(m, i);
		if (m->slot[i].vacant || m->slot[i].lost)
			t->repeat = RETRY;
	}
	ev_timer_again(loop, t);
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
		missed(m, i);
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
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		if (m->h.slots[i].used && m->h.slots[i].keeper)
			kill((pid_t)m->h.slots[i].keeper, sig);
		else if (m->h.slots[i].used && m->slot[i].lost && is_child(m->slot[i].worker))
			kill((pid_t)m->slot[i].worker, sig);
	}
}
