/*
 * Slots, as the master sees them: a segment, a keeper, and what becomes of the slot when the keeper is gone.
 *
 * When a keeper has died, its spare is the keeper in its place (spare.h). Its number stands in the hub, so it is known at once, also if it has not noticed yet. If that is dead, too, nobody can make another: a worker that
 * is left is told to end, and with it the descriptor table is gone, and the slot's connections. The master puts the hub right in their stead and starts a keeper with an empty slot.
 *
 * Keepers that this master has adopted (adoption.h), and their workers, are not its children: so each keeper is watched by a pidfd, whoever's child it is.
 */
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
#include "master/master.h"
#include "master/process.h"
#include "master/notify.h"
#include "master/program.h"
#include "master/revive.h"
#include "shm/crash.h"
#include "shm/shortage.h"
#include "shm/log.h"
#include "shm/slot.h"

#define WATCH 1.0		/* seconds between looks at keepers */
#define RETRY 0.02		/* and while one is to be made again */
#define END_MS 2000		/* for those that were killed */
#define END_POLL_MS 2
#define SILENT_MS 10000		/* without a sign of life, if hang_limit says nothing */

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

static void forget(struct master *m, unsigned slot);

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

/* Watches the slot's keeper. (Without a pidfd it is looked at once a second.) */
static void follow(struct master *m, unsigned slot)
{
	int fd;

	unfollow(m, slot);
	fd = process_open(m->h.slots[slot].keeper);
	if (fd < 0) {
		if (errno == ESRCH)
			ev_feed_signal_event(m->loop, SIGCHLD);
		return;
	}
	ev_io_init(&m->slot[slot].end, on_end, fd, EV_READ);
	ev_io_start(m->loop, &m->slot[slot].end);
}

static void tell_keeper(const struct master *m, unsigned slot, int sig)
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

static int start_keeper(struct master *m, unsigned slot)
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
	s->keeper = (uint32_t)pid;
	m->slot[slot].looked = m->slot[slot].silent = 0;
	m->slot[slot].ours = true;
	m->slot[slot].ordered = false;
	follow(m, slot);
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
	return orders_send_replace(m->h.slots[slot].orders, keeper_handover(m, slot, -1, -1), by_path ? -1 : m->program);
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

/* ---- what becomes of them ---- */

static void forget(struct master *m, unsigned slot)
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
	log_error("slot %u lost its keeper and its spare: it starts empty, %u connections closed", slot, count);
	events_say(&m->hub.events, EVENTS_MASTER, EVENT_EMPTY, count, "slot %u lost its keeper and its spare: it starts empty", slot);
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

/* A child of this process, living or not. */
static bool is_child(uint32_t pid)
{
	siginfo_t info;

	return pid && waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/*
 * A living process of this server's. Numbers in the hub are what workers say: one that is no child of ours is taken if it runs as workers do, so that nothing can be done to it that they could not do
 * themselves.
 */
static bool is_ours(const struct master *m, uint32_t pid)
{
	return !process_ended(pid) && (is_child(pid) || process_runs_as(pid, m->workers_uid));
}

/* Of those of whom it is known what they are. */
static bool is_known(const struct master *m, uint32_t pid)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (m->h.slots[i].used && m->h.slots[i].keeper == pid)
			return true;
	return pid == m->h.data || pid == m->h.bridge || pid == (uint32_t)m->jwks.pid;
}

static bool may_be_keeper(const struct master *m, uint32_t pid)
{
	return is_ours(m, pid) && !is_known(m, pid);
}

/* All three are gone, and with them the connections. */
static void lost(struct master *m, unsigned slot)
{
	m->slot[slot].lost = false;
	/* (The spare of the program before may wait to be told that it is the keeper.) */
	if (may_be_keeper(m, m->h.slots[slot].spare))
		kill((pid_t)m->h.slots[slot].spare, SIGKILL);
	m->h.slots[slot].spare = 0;
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

/* Who is in the place of the keeper that has died, or will be as soon as it has noticed; 0: nobody. (One that becomes the keeper says so first, and makes another spare then. So a number that is a spare's while nobody is the keeper is that one's.) */
static uint32_t successor_of(const struct master *m, unsigned slot)
{
	const struct hub_slot_shm *shm = &m->hub.shm->slot[slot];
	uint32_t spare = atomic_load(&shm->spare), keeper = atomic_load(&shm->keeper);

	return may_be_keeper(m, keeper) ? keeper : may_be_keeper(m, spare) ? spare : 0;
}

/* Takes the keeper in the dead one's place. False: there is none. */
static bool take_keeper(struct master *m, unsigned slot)
{
	const struct hub_slot_shm *shm = &m->hub.shm->slot[slot];
	struct master_slot *s = &m->slot[slot];
	uint32_t pid = successor_of(m, slot);

	if (!pid)
		return false;
	m->h.slots[slot].keeper = pid;
	follow(m, slot);
	s->lost = false;
	s->looked = s->silent = 0;
	tell_keeper(m, slot, SIGCONT);		/* (Somebody may have stopped it.) */
	log_info("slot %u: its spare is the keeper now, process %u", slot, pid);
	if (m->stopping) {
		tell_keeper(m, slot, SIGTERM);
	} else if (s->ordered && atomic_load(&shm->reload_number) != m->h.reload_number) {
		m->h.canary = m->rolling && m->rolling_step == ROLLING_CANARY;
		if (slots_order_replace(m, slot) < 0)
			log_error("slot %u could not be replaced: %s", slot, strerror(errno));
		m->h.canary = false;
	} else if (!m->h.new_segments || m->h.failed[0]) {
		/* (It may wait with a snapshot, as the dead one did when it was told to go on.) */
		(void)!slots_order(m, slot, ORDER_RESUME);
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
	if (!is_ours(m, s->worker)) {
		lost(m, slot);
		return;
	}
	s->lost = true;
	s->looked = s->silent = 0;
	if (!m->stopping)
		log_error("slot %u has neither keeper nor spare: its worker, process %u, is told to end", slot, s->worker);
	kill((pid_t)s->worker, SIGTERM);
	m->slots_timer.repeat = RETRY;
	ev_timer_again(m->loop, &m->slots_timer);
}

/* False: the server must stop. */
static bool keeper_gone(struct master *m, unsigned slot, int status)
{
	struct hub_slot_shm *shm = &m->hub.shm->slot[slot];
	uint32_t dead = m->h.slots[slot].keeper;
	bool nobody;

	unfollow(m, slot);
	m->h.slots[slot].keeper = 0;
	atomic_compare_exchange_strong(&shm->keeper, &dead, 0);		/* (unless its spare is the keeper already) */
	nobody = !is_ours(m, atomic_load(&shm->worker)) && !successor_of(m, slot);
	if (nobody && WIFEXITED(status) && (m->stopping || WEXITSTATUS(status) == KEEPER_DRAINED)) {
		if (!m->stopping)
			log_info("slot %u has served its last connection and is gone", slot);
		forget(m, slot);
		/* A reload may have wanted it again just then. */
		if (!m->stopping && slot < (unsigned)m->config.settings.workers && slots_start(m, slot) < 0)
			m->again = true;
		return true;
	}
	/* (While there is a worker, or who makes one, nothing ends for it that keepers die.) */
	if (nobody && ((WIFEXITED(status) && WEXITSTATUS(status) == KEEPER_GAVE_UP) || died_without_progress(m, slot, status))) {
		log_error("slot %u: a crash loop that does not end (restart_limit); stopping", slot);
		forget(m, slot);
		return false;
	}
	/* It died of its own fault before it had done what it was ordered: the spare goes on as all was, and is not told again. */
	if (m->slot[slot].ordered && (!WIFSIGNALED(status) || (WTERMSIG(status) != SIGKILL && WTERMSIG(status) != SIGTERM)) && atomic_load(&shm->reload_number) != m->h.reload_number) {
		m->slot[slot].ordered = false;
		atomic_fetch_add(&shm->refused, 1);
	}
	m->keepers_died++;
	events_say(&m->hub.events, EVENTS_MASTER, EVENT_DEATH, atomic_load(&shm->connections), "the keeper of slot %u, of %s %d", slot,
		   WIFSIGNALED(status) ? "signal" : "its own with status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	missed(m, slot);
	return true;
}

/* How a keeper ended that is not our child: as waitpid() says it. It has told that itself, unless it was killed. */
static int status_of(const struct master *m, unsigned slot)
{
	uint32_t said = atomic_load(&m->hub.shm->slot[slot].keeper_end);

	return said & KEEPER_SAID ? (int)(said & 0xff) << 8 : SIGKILL;
}

/* False: the server must stop. */
static bool reap_others(struct master *m)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		uint32_t pid = m->h.slots[i].used ? m->h.slots[i].keeper : 0;

		if (pid && !is_child(pid) && (ev_is_active(&m->slot[i].end) ? process_is_over(m->slot[i].end.fd) : process_ended(pid)) && !keeper_gone(m, i, status_of(m, i)))
			return false;
	}
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
	return reap_others(m);
}

/* ---- watch ---- */

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
		tell_keeper(m, slot, SIGCONT);
	if (before < limit)
		log_error("keeper %u of slot %u gives no sign of life since %llu ms: told to go on (SIGCONT)", m->h.slots[slot].keeper, slot,
			  (unsigned long long)s->silent);
	if (s->silent >= 2 * limit && (worker == 0 || process_ended(worker))) {
		log_error("keeper %u of slot %u gives no sign of life, and its worker is gone: killed", m->h.slots[slot].keeper, slot);
		tell_keeper(m, slot, SIGKILL);
		s->silent = 0;
	}
}

/* A worker that is to end has nobody else who would see that it hangs. (What may keep it from running is as in supervisor.c.) */
static void watch_lost(struct master *m, unsigned slot, uint64_t now)
{
	struct master_slot *s = &m->slot[slot];
	uint64_t beat = atomic_load_explicit(&m->hub.shm->slot[slot].worker_beat, memory_order_relaxed), limit = (uint64_t)m->config.settings.hang_limit;
	unsigned owner = lock_number(lock_owner(&m->hub.shm->lock));

	if (take_keeper(m, slot))
		return;
	if (!is_ours(m, s->worker)) {
		lost(m, slot);
		return;
	}
	if (beat != s->beat || !s->looked || (owner != 0 && owner != slot + 1))
		s->silent = 0;
	else
		s->silent += now - s->looked < 2 * (uint64_t)(RETRY * 1000) ? now - s->looked : 2 * (uint64_t)(RETRY * 1000);
	s->beat = beat;
	s->looked = now;
	if (limit == 0 || s->silent < limit)
		return;
	log_error("worker %u of slot %u hangs since %llu ms, and has no keeper: killed", s->worker, slot, (unsigned long long)s->silent);
	kill((pid_t)s->worker, SIGKILL);
	s->silent = 0;
}

void slots_give_doors(const struct master *m)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (m->h.slots[i].used && m->h.slots[i].keeper)
			give_door(m, i);
}

/* This master is no link of a chain of such that die one behind the other (revive.h). */
static void note_progress(const struct master *m, uint64_t now)
{
	if (now - m->watched_since < REVIVE_PROGRESS_MS)
		return;
	atomic_store(&m->hub.shm->masters.started, 0);
	atomic_store(&m->hub.shm->masters.given_up, 0);
}

static void on_watch(struct ev_loop *loop, struct ev_timer *t, int events)
{
	struct master *m = ev_userdata(loop);
	uint64_t now = restarts_now();

	(void)events;
	t->repeat = WATCH;
	if (m->stopping)
		return;
	note_progress(m, now);
	data_look(m, now);
	bridge_look(m, now);
	ticket_keys_look(m);
	slots_give_doors(m);
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		if (!m->h.slots[i].used)
			continue;
		if (m->h.slots[i].keeper && !ev_is_active(&m->slot[i].end))
			follow(m, i);
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
	m->watched_since = restarts_now();
	ev_timer_init(&m->slots_timer, on_watch, WATCH, WATCH);
	ev_timer_start(m->loop, &m->slots_timer);
}

void slots_take_over(struct master *m)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		if (m->h.slots[i].used && m->h.slots[i].keeper)
			follow(m, i);
		else if (m->h.slots[i].used && !m->slot[i].lost && !m->slot[i].vacant)
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
			tell_keeper(m, i, sig);
		else if (m->h.slots[i].used && m->slot[i].lost && is_ours(m, m->slot[i].worker))
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
				if (of[j] && is_ours(m, of[j])) {
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
