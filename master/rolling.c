/*
 * The rolling replacement: the second half of a reload, in the program that follows. Slot after slot gets the new program.
 *
 * The first slot is the canary: its keeper executes the program and makes a worker, which has to become live and turn its loop. Only then do the
 * others follow. If it does not, the master executes the old program again, which the handover state kept (`fallback`: program, settings, listen
 * sockets, and segments if the new ones are others), and the old program takes the slot back. So a program whose workers die costs no connection.
 *
 * If the new program has segments of its own (another layout), all workers have left before, and the other slots wait without one while there is a
 * canary. The way back is open until the canary's worker is live: from then on it may have published into the new ring.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "master/keeper.h"
#include "master/listen.h"
#include "master/master.h"
#include "shm/crash.h"
#include "shm/log.h"

#define POLL 0.002		/* seconds */
#define PATIENCE_MS 20000	/* for one slot */
#define BACK_MS 100		/* between tries to become the old program */
#define EVEN_MS 10000		/* in which workers even out their connections, when there are more workers than before */
#define MOVES_MS 5000		/* that a reload waits while they do, or while slots that end give theirs away; */
#define STILL_MS 400		/* less if none goes any more */

static struct hub_slot_shm *shm_of(const struct master *m, unsigned slot)
{
	return &m->hub.shm->slot[slot];
}

__attribute__((format(printf, 2, 3))) static void note_failure(struct master *m, const char *format, ...)
{
	char text[HANDOVER_TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_error("%s", text);
	if (!m->rolling_error[0])
		memcpy(m->rolling_error, text, sizeof(text));
}

/* ---- what only the old program has ---- */

static bool has_listener(const struct handover_listener *listen, unsigned count, int fd)
{
	for (unsigned i = 0; i < count; i++)
		if (listen[i].fd == fd)
			return true;
	return false;
}

/* Makes all descriptors that only the old program uses close-on-exec (FD_CLOEXEC), so that keepers don't inherit them; or not (0), before the old
 * program is executed. */
static void mark(const struct master *m, int flags)
{
	const struct handover_fallback *b = &m->h.fallback;

	if (!b->there)
		return;
	fcntl(b->program, F_SETFD, FD_CLOEXEC);		/* a program opens itself anew: program_running() */
	if (b->secrets >= 0 && b->secrets != m->h.secrets)
		fcntl(b->secrets, F_SETFD, flags);
	if (m->h.secrets >= 0 && b->secrets != m->h.secrets)
		fcntl(m->h.secrets, F_SETFD, flags ? 0 : FD_CLOEXEC);
	for (unsigned i = 0; i < b->listeners; i++)
		if (!has_listener(m->h.listen, m->h.listeners, b->listen[i].fd))
			fcntl(b->listen[i].fd, F_SETFD, flags);
	if (b->hub < 0)
		return;
	fcntl(b->hub, F_SETFD, flags);
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (b->segment[i] >= 0)
			fcntl(b->segment[i], F_SETFD, flags);
	/* And the reverse with what only this program uses. */
	if (m->h.hub != b->hub)
		fcntl(m->h.hub, F_SETFD, flags ? 0 : FD_CLOEXEC);
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (m->h.slots[i].used && m->h.slots[i].segment != b->segment[i])
			fcntl(m->h.slots[i].segment, F_SETFD, flags ? 0 : FD_CLOEXEC);
}

/* There is no way back any more: what only the old program had is closed. */
static void let_go(struct master *m)
{
	struct handover_fallback *b = &m->h.fallback;

	if (!b->there)
		return;
	for (unsigned i = 0; i < b->listeners; i++)
		if (!has_listener(m->h.listen, m->h.listeners, b->listen[i].fd))
			listen_end(&b->listen[i]);
	close(b->program);
	if (b->secrets >= 0 && b->secrets != m->h.secrets)
		close(b->secrets);
	if (b->hub >= 0) {
		close(b->hub);
		for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
			if (b->segment[i] >= 0)
				close(b->segment[i]);
	}
	b->there = false;
}

/* What the old program is given when it is executed again. */
static void write_back(struct master *m, const char *why)
{
	struct handover_fallback *b = &m->h.fallback;

	slots_note_spares(m);
	m->next = m->h;
	m->next.fallback.there = false;
	m->next.settings = b->settings;
	m->next.config = b->config;
	m->next.secrets = b->secrets;
	m->next.listeners = b->listeners;
	memcpy(m->next.listen, b->listen, sizeof(m->next.listen));
	m->next.dropped_count = 0;
	for (unsigned i = 0; i < m->h.listeners; i++)
		if (!has_listener(b->listen, b->listeners, m->h.listen[i].fd))
			m->next.dropped[m->next.dropped_count++] = m->h.listen[i];
	if (b->hub >= 0) {
		m->next.hub = b->hub;
		for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
			m->next.slots[i].segment = b->segment[i];
	}
	m->next.new_segments = b->hub >= 0;
	m->next.restore = false;
	if (m->h.snapshot >= 0)
		fcntl(m->h.snapshot, F_SETFD, FD_CLOEXEC);
	m->next.snapshot = -1;
	m->next.canary_slot = m->rolling ? (int)m->rolling_slot : -1;
	m->next.again = m->again;
	m->next.reload_number++;
	snprintf(m->next.failed, sizeof(m->next.failed), "%.400s; the old program goes on", why);
}

/* Becomes the old program again. Returns only if that fails. */
static void go_back(struct master *m, const char *why)
{
	sigset_t all, before;
	int fd;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	write_back(m, why);
	log_error("%s", m->next.failed);
	fd = handover_write(&m->next);
	if (fd >= 0) {
		mark(m, 0);
		reload_execute(m, m->h.fallback.program, fd);
		mark(m, FD_CLOEXEC);
		close(fd);
	}
	log_error("%s, and the old program can't be executed: %s; trying again", why, strerror(errno));
	sigprocmask(SIG_SETMASK, &before, NULL);
}

void rolling_give_back(struct master *m, const char *why)
{
	if (m->h.fallback.there)
		go_back(m, why);
}

/* ---- the end ---- */

static void finish(struct master *m)
{
	const char *error = m->h.failed[0] ? m->h.failed : m->rolling_error[0] ? m->rolling_error : NULL;

	ev_timer_stop(m->loop, &m->rolling_timer);
	m->rolling = false;
	m->h.new_segments = m->h.restore = false;
	m->h.canary_slot = -1;
	let_go(m);
	slots_give_doors(m);
	events_say(&m->hub.events, EVENTS_MASTER, EVENT_RELOAD, m->h.reload_number, "%s", error ? error : "reloaded, janus " JANUS_VERSION);
	hub_count(&m->hub, 0, error ? COUNTER_reloads_failed : COUNTER_reloads, 1);
	report_done(m, m->h.caller, error);
	m->h.caller = -1;
	m->h.failed[0] = '\0';
}

void rolling_abandon(struct master *m)
{
	if (!m->rolling)
		return;
	ev_timer_stop(m->loop, &m->rolling_timer);
	let_go(m);
}

/* ---- a slot ---- */

static bool wanted(const struct master *m, unsigned slot)
{
	return slot < (unsigned)m->config.settings.workers;
}

static bool has_followed(const struct master *m, unsigned slot)
{
	return atomic_load(&shm_of(m, slot)->reload_number) == m->h.reload_number && atomic_load(&shm_of(m, slot)->state) == SLOT_LIVE;
}

/* Slots beyond the number of workers wanted drain; those that are missing are made. */
static void replace_one(struct master *m, unsigned slot)
{
	m->rolling_slot = slot;
	m->rolling_refused = atomic_load(&shm_of(m, slot)->refused);
	m->rolling_deadline = restarts_now() + PATIENCE_MS;
	m->rolling_added |= wanted(m, slot) && (!m->h.slots[slot].used || m->h.slots[slot].draining);
	m->h.slots[slot].draining = m->h.slots[slot].used && !wanted(m, slot);
	if (m->slot[slot].vacant)
		return;		/* its next keeper is this program's anyway */
	if (m->h.slots[slot].used ? slots_order_replace(m, slot) < 0 : slots_start(m, slot) < 0)
		note_failure(m, "slot %u could not be replaced: %s", slot, strerror(errno));
}

/* ---- connections go from one to another ---- */

/* Whether no slot is to end any more, and none has clearly more connections than the mean. */
static bool is_even(const struct master *m)
{
	uint64_t sum = 0, most = 0, n = 0, each;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		uint64_t connections = atomic_load(&shm_of(m, i)->connections);

		if (!m->h.slots[i].used)
			continue;
		if (m->h.slots[i].draining)
			return false;
		n++;
		sum += connections;
		most = connections > most ? connections : most;
	}
	each = n ? (sum + n - 1) / n : 0;
	return !m->rolling_added || most <= each + each / 16;
}

static void poll_moves(struct master *m)
{
	uint64_t moved = report_moved(m), now = restarts_now();

	if (moved != m->rolling_moved)
		m->rolling_moved_at = now;
	m->rolling_moved = moved;
	if (is_even(m) || now >= m->rolling_deadline || now - m->rolling_moved_at >= STILL_MS)
		finish(m);
}

/* All slots have followed. What goes on in the background may go on for longer than the reload. */
static void finish_moves(struct master *m)
{
	report_note_workers(m, true);
	m->rolling_step = ROLLING_MOVES;
	m->rolling_moved = report_moved(m);
	m->rolling_moved_at = restarts_now();
	m->rolling_deadline = restarts_now() + MOVES_MS;
	if (m->rolling_added)
		atomic_store(&m->hub.shm->even_until, restarts_now() + EVEN_MS);
	poll_moves(m);
}

/* ---- one slot after the other ---- */

/* The next slot that has something to do, or none. */
static void replace_next(struct master *m, unsigned slot)
{
	for (; slot < INDEX_SLOTS_MAX; slot++) {
		bool used = m->h.slots[slot].used;

		if (!used && !wanted(m, slot))
			continue;
		if (used && wanted(m, slot) && !m->h.slots[slot].draining && has_followed(m, slot))
			continue;
		m->rolling_step = ROLLING_EACH;
		replace_one(m, slot);
		return;
	}
	finish_moves(m);
}

/* A slot whose keeper refuses, or which does not become live in time. */
static bool gave_up(struct master *m)
{
	if (atomic_load(&shm_of(m, m->rolling_slot)->refused) != m->rolling_refused)
		note_failure(m, "slot %u could not follow, and goes on as it was (its keeper's log says why)", m->rolling_slot);
	else if (restarts_now() > m->rolling_deadline)
		note_failure(m, "slot %u is not live after %d s", m->rolling_slot, PATIENCE_MS / 1000);
	else
		return false;
	return true;
}

static void poll_each(struct master *m)
{
	unsigned slot = m->rolling_slot;

	if (m->h.slots[slot].used && !has_followed(m, slot) && !gave_up(m))
		return;
	replace_next(m, slot + 1);
}

/* ---- all at once ---- */

static void replace_all(struct master *m, unsigned but)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (m->h.slots[i].used && m->h.slots[i].keeper && !m->slot[i].ours && i != but && slots_order_replace(m, i) < 0)
			note_failure(m, "slot %u could not be taken over: %s", i, strerror(errno));
	m->rolling_step = ROLLING_ALL;
	m->rolling_deadline = restarts_now() + PATIENCE_MS;
}

static bool is_back(const struct master *m, unsigned slot)
{
	bool came_back = m->h.failed[0] && (int)slot == m->h.canary_slot;

	return came_back ? has_followed(m, slot) : atomic_load(&shm_of(m, slot)->state) == SLOT_LIVE;
}

static void poll_all(struct master *m)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		if (!m->h.slots[i].used || is_back(m, i))
			continue;
		if (restarts_now() < m->rolling_deadline)
			return;
		note_failure(m, "slot %u is not live after %d s", i, PATIENCE_MS / 1000);
	}
	m->h.new_segments = m->h.restore = false;
	/* Slots that the configuration adds or takes away follow in the usual way. For the old program that is back there are none. */
	if (m->h.failed[0])
		finish_moves(m);
	else
		replace_next(m, 0);
}

/* ---- the canary ---- */

static void begin_canary(struct master *m)
{
	unsigned slot = 0;

	while (slot < INDEX_SLOTS_MAX && (!m->h.slots[slot].used || !wanted(m, slot)))
		slot++;
	if (slot == INDEX_SLOTS_MAX) {
		let_go(m);
		replace_next(m, 0);
		return;
	}
	m->rolling_step = ROLLING_CANARY;
	slots_hold(m, true);		/* no slot but this one gets the program */
	m->h.canary = true;
	replace_one(m, slot);
	m->h.canary = false;
	CRASH_POINT("master-canary");
}

static void pass_canary(struct master *m)
{
	unsigned slot = m->rolling_slot;

	m->rolling_step = ROLLING_EACH;
	CRASH_POINT("master-passed");
	slots_hold(m, false);
	let_go(m);
	if (m->h.new_segments)
		replace_all(m, slot);
	else
		replace_next(m, 0);
}

static void poll_canary(struct master *m)
{
	const struct hub_slot_shm *s = shm_of(m, m->rolling_slot);

	if (!m->canary_failed && m->slot[m->rolling_slot].vacant)
		m->canary_failed = "the new program's keeper died";
	if (m->canary_failed) {
		if (restarts_now() >= m->back_at)
			go_back(m, m->canary_failed);
		m->back_at = restarts_now() + BACK_MS;
		return;
	}
	hub_wake(&m->hub, m->rolling_slot);	/* a worker that has nothing to do turns its loop all the same */
	if (has_followed(m, m->rolling_slot) && (m->h.new_segments || atomic_load(&s->turns) >= RESTARTS_PROGRESS)) {
		pass_canary(m);
		return;
	}
	if (atomic_load(&s->refused) != m->rolling_refused)
		m->canary_failed = "the new program's workers die before they get anywhere, or it can't take over";
	else if (restarts_now() > m->rolling_deadline)
		m->canary_failed = "the new program's worker is not live in time";
}

/*
 * The program that followed this one has failed, and this one is back. The canary's slot, if it came so far, is replaced once more, with the
 * segments of before; the other slots are where they were. (Keepers that died meanwhile have been made anew already.)
 */
static void take_back(struct master *m)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		if (!m->h.slots[i].used || (!m->h.slots[i].keeper && !m->slot[i].lost) || m->slot[i].ours)
			continue;
		if ((int)i != m->h.canary_slot) {
			if (m->h.new_segments && slots_order(m, i, ORDER_RESUME) < 0)
				note_failure(m, "slot %u can't be told to go on", i);
			continue;
		}
		if (m->h.new_segments) {
			slots_tell_spare(m, i);
			slots_recount(m, i);
		}
		if (slots_order_replace(m, i) < 0)
			note_failure(m, "slot %u could not be taken back: %s", i, strerror(errno));
	}
	m->rolling_step = ROLLING_ALL;
	m->rolling_deadline = restarts_now() + PATIENCE_MS;
}

static void on_poll(struct ev_loop *loop, struct ev_timer *t, int events)
{
	static void (*const poll[])(struct master *) = { [ROLLING_CANARY] = poll_canary, [ROLLING_ALL] = poll_all, [ROLLING_EACH] = poll_each, [ROLLING_MOVES] = poll_moves };
	struct master *m = ev_userdata(loop);

	(void)t;
	(void)events;
	report_note_workers(m, false);
	poll[m->rolling_step](m);
}

static void begin(struct master *m)
{
	m->rolling = true;
	m->rolling_error[0] = '\0';
	m->rolling_added = false;
	report_begin_workers();
	ev_timer_init(&m->rolling_timer, on_poll, POLL, POLL);
	ev_timer_start(m->loop, &m->rolling_timer);
}

/* The master died when the first slot had followed: the others do now. */
void rolling_join(struct master *m, uint64_t slots)
{
	begin(m);
	log_info("the slots that wait with snapshots follow");
	m->h.new_segments = m->h.restore = true;
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (slots >> i & 1 && (slots_renew(m, i) < 0 || slots_order_replace(m, i) < 0))
			note_failure(m, "slot %u could not be taken over: %s", i, strerror(errno));
	m->rolling_step = ROLLING_ALL;
	m->rolling_deadline = restarts_now() + PATIENCE_MS;
}

void rolling_begin(struct master *m)
{
	begin(m);
	m->again = m->h.again;
	atomic_store(&m->hub.shm->log_level, 0);	/* from here on it is what the configuration says */
	mark(m, FD_CLOEXEC);
	if (m->h.failed[0])
		take_back(m);
	else if (m->h.fallback.there)
		begin_canary(m);
	else if (m->h.new_segments)
		replace_all(m, INDEX_SLOTS_MAX);
	else
		replace_next(m, 0);
}
