/*
 * What a keeper's death leads to.
 *
 * Its spare is the keeper in its place (spare.h). Its number stands in the hub, so it is known at once, also if it has not noticed yet. If that is dead, too, nobody can make another: a worker that is left is told to end
 * (master_slot.lost), and with it the descriptor table is gone, and the slot's connections. The master puts the hub right in their stead and starts a keeper with an empty slot; if that can't be just then, later
 * (master_slot.vacant).
 *
 * It begins with SIGCHLD (slots_reap()), at a start with keepers that have gone meanwhile (slots_take_over()), and goes on as time passes (slots_look_lost()). What goes wrong is logged here, and tried again; whoever calls is only
 * told when the server must stop.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "master/keeper.h"
#include "master/process.h"
#include "master/slots.h"
#include "shm/log.h"
#include "shm/slot.h"

/* ---- a keeper for an empty slot ---- */

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

static void look_soon(struct master *m)
{
	m->slots_timer.repeat = SLOTS_RETRY;
	ev_timer_again(m->loop, &m->slots_timer);
}

static void fill_later(struct master *m, unsigned slot, unsigned ms)
{
	m->slot[slot].retry_at = restarts_now() + ms;
	look_soon(m);
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
	} else if (slots_start_keeper(m, slot) == 0) {
		s->vacant = false;
		return;
	}
	fill_later(m, slot, restarts_pause(&s->restarts));
}

/* ---- its spare is the keeper ---- */

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
	return slots_is_ours(m, pid) && !is_known(m, pid);
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
	slots_follow(m, slot, pid);
	s->lost = false;
	s->looked = s->silent = 0;
	slots_signal(m, slot, SIGCONT);		/* (Somebody may have stopped it.) */
	log_info("slot %u: its spare is the keeper now, process %u", slot, pid);
	if (m->stopping) {
		slots_signal(m, slot, SIGTERM);
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

/* ---- neither keeper nor spare ---- */

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

/* The slot has no keeper. */
static void missed(struct master *m, unsigned slot)
{
	struct master_slot *s = &m->slot[slot];

	s->worker = atomic_load(&m->hub.shm->slot[slot].worker);
	if (take_keeper(m, slot))
		return;
	if (!slots_is_ours(m, s->worker)) {
		lost(m, slot);
		return;
	}
	s->lost = true;
	s->looked = s->silent = 0;
	if (!m->stopping)
		log_error("slot %u has neither keeper nor spare: its worker, process %u, is told to end", slot, s->worker);
	kill((pid_t)s->worker, SIGTERM);
	look_soon(m);
}

/* A worker that is to end has nobody else who would see that it hangs. (What may keep it from running is as in supervisor.c.) */
static void watch_lost(struct master *m, unsigned slot, uint64_t now)
{
	struct master_slot *s = &m->slot[slot];
	uint64_t beat = atomic_load_explicit(&m->hub.shm->slot[slot].worker_beat, memory_order_relaxed), limit = (uint64_t)m->config.settings.hang_limit;
	unsigned owner = lock_number(lock_owner(&m->hub.shm->lock));

	if (take_keeper(m, slot))
		return;
	if (!slots_is_ours(m, s->worker)) {
		lost(m, slot);
		return;
	}
	if (beat != s->beat || !s->looked || (owner != 0 && owner != slot + 1))
		s->silent = 0;
	else
		s->silent += now - s->looked < 2 * (uint64_t)(SLOTS_RETRY * 1000) ? now - s->looked : 2 * (uint64_t)(SLOTS_RETRY * 1000);
	s->beat = beat;
	s->looked = now;
	if (limit == 0 || s->silent < limit)
		return;
	log_error("worker %u of slot %u hangs since %llu ms, and has no keeper: killed", s->worker, slot, (unsigned long long)s->silent);
	kill((pid_t)s->worker, SIGKILL);
	s->silent = 0;
}

void slots_look_lost(struct master *m, unsigned slot, uint64_t now)
{
	if (m->slot[slot].lost)
		watch_lost(m, slot, now);
	else if (m->slot[slot].vacant && now >= m->slot[slot].retry_at)
		fill_vacant(m, slot);
}

bool slots_lost(const struct master *m)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (m->slot[i].lost || m->slot[i].vacant)
			return true;
	return false;
}

/* ---- a keeper is gone ---- */

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
	struct hub_slot_shm *shm = &m->hub.shm->slot[slot];
	uint32_t dead = m->h.slots[slot].keeper;
	bool nobody;

	slots_follow(m, slot, 0);
	atomic_compare_exchange_strong(&shm->keeper, &dead, 0);		/* (unless its spare is the keeper already) */
	nobody = !slots_is_ours(m, atomic_load(&shm->worker)) && !successor_of(m, slot);
	if (nobody && WIFEXITED(status) && (m->stopping || WEXITSTATUS(status) == KEEPER_DRAINED)) {
		if (!m->stopping)
			log_info("slot %u has served its last connection and is gone", slot);
		slots_forget(m, slot);
		/* A reload may have wanted it again just then. */
		if (!m->stopping && slot < (unsigned)m->config.settings.workers && slots_start(m, slot) < 0)
			m->again = true;
		return true;
	}
	/* (While there is a worker, or who makes one, nothing ends for it that keepers die.) */
	if (nobody && ((WIFEXITED(status) && WEXITSTATUS(status) == KEEPER_GAVE_UP) || died_without_progress(m, slot, status))) {
		log_error("slot %u: a crash loop that does not end (restart_limit); stopping", slot);
		slots_forget(m, slot);
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

		if (pid && !process_is_child(pid) && (ev_is_active(&m->slot[i].end) ? process_is_over(m->slot[i].end.fd) : process_ended(pid)) && !keeper_gone(m, i, status_of(m, i)))
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

void slots_take_over(struct master *m)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		if (m->h.slots[i].used && m->h.slots[i].keeper)
			slots_follow(m, i, m->h.slots[i].keeper);
		else if (m->h.slots[i].used && !m->slot[i].lost && !m->slot[i].vacant)
			missed(m, i);
	}
}
