/*
 * The second half of a reload, in the program that follows: the slots take it up.
 *
 * One slot comes first, on trial: its keeper executes the program, and makes a worker, which has to become live and turn its loop. Only then
 * do the others follow. If it does not, the master executes the old program again, which the heritage kept (`before`: program, settings,
 * listen sockets, and segments where they are others), and that one has the slot back. So a program whose workers die costs no connection.
 *
 * With segments of another layout, all other slots stay frozen during the trial, and the way back is open until the worker is live: from
 * then on it may have published into the new ring.
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
#include "shm/log.h"

#define POLL 0.002		/* seconds */
#define PATIENCE_MS 20000	/* for one slot */
#define BACK_MS 100		/* between tries to become the old program */

static struct hub_slot_shm *shm_of(const struct master *m, unsigned slot)
{
	return &m->hub.shm->slot[slot];
}

__attribute__((format(printf, 2, 3))) static void note_failure(struct master *m, const char *format, ...)
{
	char text[HERITAGE_TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_error("%s", text);
	if (!m->roll_error[0])
		memcpy(m->roll_error, text, sizeof(text));
}

/* ---- the old program's things ---- */

static bool has_listener(const struct heritage_listener *listen, unsigned count, int fd)
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
	const struct heritage_before *b = &m->h.before;

	if (!b->there)
		return;
	fcntl(b->program, F_SETFD, FD_CLOEXEC);		/* a program opens itself anew: program_running() */
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
	struct heritage_before *b = &m->h.before;

	if (!b->there)
		return;
	for (unsigned i = 0; i < b->listeners; i++)
		if (!has_listener(m->h.listen, m->h.listeners, b->listen[i].fd))
			listen_end(&b->listen[i]);
	close(b->program);
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
	struct heritage_before *b = &m->h.before;

	m->next = m->h;
	m->next.before.there = false;
	m->next.settings = b->settings;
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
	m->next.fresh = b->hub >= 0;
	m->next.restore = false;
	if (m->h.snapshot >= 0)
		fcntl(m->h.snapshot, F_SETFD, FD_CLOEXEC);
	m->next.snapshot = -1;
	m->next.trial_slot = m->rolling ? (int)m->roll_slot : -1;
	m->next.again = m->again;
	m->next.roll++;
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
	fd = heritage_write(&m->next);
	if (fd >= 0) {
		mark(m, 0);
		reload_execute(m, m->h.before.program, fd);
		mark(m, FD_CLOEXEC);
		close(fd);
	}
	log_error("%s, and the old program can't be executed: %s; trying again", why, strerror(errno));
	sigprocmask(SIG_SETMASK, &before, NULL);
}

void roll_give_back(struct master *m, const char *why)
{
	if (m->h.before.there)
		go_back(m, why);
}

/* ---- the end ---- */

static void rolled(struct master *m)
{
	const char *error = m->h.failed[0] ? m->h.failed : m->roll_error[0] ? m->roll_error : NULL;

	ev_timer_stop(m->loop, &m->roll_timer);
	m->rolling = false;
	m->h.fresh = m->h.restore = false;
	m->h.trial_slot = -1;
	let_go(m);
	if (error)
		log_error("reload: %s", error);
	else
		log_info("reloaded");
	control_answer(m->h.caller, error);
	m->h.caller = -1;
	m->h.failed[0] = '\0';
}

void roll_abandon(struct master *m)
{
	if (!m->rolling)
		return;
	ev_timer_stop(m->loop, &m->roll_timer);
	let_go(m);
}

/* ---- one slot after the other ---- */

static bool wanted(const struct master *m, unsigned slot)
{
	return slot < (unsigned)m->config.settings.workers;
}

static bool has_followed(const struct master *m, unsigned slot)
{
	return atomic_load(&shm_of(m, slot)->roll) == m->h.roll && atomic_load(&shm_of(m, slot)->state) == SLOT_LIVE;
}

/* Slots beyond the number of workers wanted drain; those that are missing are made. */
static void roll_one(struct master *m, unsigned slot)
{
	m->roll_slot = slot;
	m->roll_refused = atomic_load(&shm_of(m, slot)->refused);
	m->roll_deadline = restarts_now() + PATIENCE_MS;
	m->h.slots[slot].draining = m->h.slots[slot].used && !wanted(m, slot);
	if (m->slot[slot].lost || m->slot[slot].vacant)
		return;		/* its next keeper is this program's anyway */
	if (m->h.slots[slot].used ? slots_order_replace(m, slot) < 0 : slots_start(m, slot) < 0)
		note_failure(m, "slot %u could not be replaced: %s", slot, strerror(errno));
}

/* The next slot that has something to do, or none. */
static void roll_next(struct master *m, unsigned slot)
{
	for (; slot < INDEX_SLOTS_MAX; slot++) {
		bool used = m->h.slots[slot].used;

		if (!used && !wanted(m, slot))
			continue;
		if (used && wanted(m, slot) && !m->h.slots[slot].draining && has_followed(m, slot))
			continue;
		m->roll_step = ROLL_EACH;
		roll_one(m, slot);
		return;
	}
	rolled(m);
}

/* A slot whose keeper refuses, or which does not become live in time. */
static bool gave_up(struct master *m)
{
	if (atomic_load(&shm_of(m, m->roll_slot)->refused) != m->roll_refused)
		note_failure(m, "slot %u could not follow, and goes on as it was (its keeper's log says why)", m->roll_slot);
	else if (restarts_now() > m->roll_deadline)
		note_failure(m, "slot %u is not live after %d s", m->roll_slot, PATIENCE_MS / 1000);
	else
		return false;
	return true;
}

static void poll_each(struct master *m)
{
	unsigned slot = m->roll_slot;

	if (m->h.slots[slot].used && !has_followed(m, slot) && !gave_up(m))
		return;
	roll_next(m, slot + 1);
}

/* ---- all at once ---- */

static void roll_all(struct master *m, unsigned but)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (m->h.slots[i].used && m->h.slots[i].keeper && !m->slot[i].ours && i != but && slots_order_replace(m, i) < 0)
			note_failure(m, "slot %u could not be taken over: %s", i, strerror(errno));
	m->roll_step = ROLL_ALL;
	m->roll_deadline = restarts_now() + PATIENCE_MS;
}

static bool is_back(const struct master *m, unsigned slot)
{
	bool came_back = m->h.failed[0] && (int)slot == m->h.trial_slot;

	return came_back ? has_followed(m, slot) : atomic_load(&shm_of(m, slot)->state) == SLOT_LIVE;
}

static void poll_all(struct master *m)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		if (!m->h.slots[i].used || is_back(m, i))
			continue;
		if (restarts_now() < m->roll_deadline)
			return;
		note_failure(m, "slot %u is not live after %d s", i, PATIENCE_MS / 1000);
	}
	m->h.fresh = m->h.restore = false;
	/* Slots that the configuration adds or takes away follow in the usual way. For the old program that is back there are none. */
	if (m->h.failed[0])
		rolled(m);
	else
		roll_next(m, 0);
}

/* ---- the trial ---- */

static void begin_trial(struct master *m)
{
	unsigned slot = 0;

	while (slot < INDEX_SLOTS_MAX && (!m->h.slots[slot].used || !wanted(m, slot)))
		slot++;
	if (slot == INDEX_SLOTS_MAX) {
		let_go(m);
		roll_next(m, 0);
		return;
	}
	m->roll_step = ROLL_TRIAL;
	slots_hold(m, true);		/* no slot but this one gets the program */
	m->h.trial = true;
	roll_one(m, slot);
	m->h.trial = false;
}

static void pass(struct master *m)
{
	unsigned slot = m->roll_slot;

	m->roll_step = ROLL_EACH;
	slots_hold(m, false);
	let_go(m);
	if (m->h.fresh)
		roll_all(m, slot);
	else
		roll_next(m, 0);
}

static void poll_trial(struct master *m)
{
	const struct hub_slot_shm *s = shm_of(m, m->roll_slot);

	if (!m->trial_failed && (m->slot[m->roll_slot].lost || m->slot[m->roll_slot].vacant))
		m->trial_failed = "the new program's keeper died";
	if (m->trial_failed) {
		if (restarts_now() >= m->back_at)
			go_back(m, m->trial_failed);
		m->back_at = restarts_now() + BACK_MS;
		return;
	}
	hub_wake(&m->hub, m->roll_slot);	/* a worker that has nothing to do turns its loop all the same */
	if (has_followed(m, m->roll_slot) && (m->h.fresh || atomic_load(&s->turns) >= RESTARTS_PROGRESS)) {
		pass(m);
		return;
	}
	if (atomic_load(&s->refused) != m->roll_refused)
		m->trial_failed = "the new program's workers die before they get anywhere, or it can't take over";
	else if (restarts_now() > m->roll_deadline)
		m->trial_failed = "the new program's worker is not live in time";
}

/* The program that followed this one has failed: its one slot, if it had one, comes back, with the segments that it left; the others are where they
 * were. (Keepers that died meanwhile have been made anew already.) */
static void roll_back(struct master *m)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		if (!m->h.slots[i].used || !m->h.slots[i].keeper || m->slot[i].ours)
			continue;
		if ((int)i != m->h.trial_slot) {
			if (m->h.fresh && slots_order(m, i, ORDER_THAW) < 0)
				note_failure(m, "slot %u can't be told to go on", i);
			continue;
		}
		if (m->h.fresh)
			slots_recount(m, i);
		if (slots_order_replace(m, i) < 0)
			note_failure(m, "slot %u could not be taken back: %s", i, strerror(errno));
	}
	m->roll_step = ROLL_ALL;
	m->roll_deadline = restarts_now() + PATIENCE_MS;
}

static void on_roll(struct ev_loop *loop, struct ev_timer *t, int events)
{
	static void (*const poll[])(struct master *) = { [ROLL_TRIAL] = poll_trial, [ROLL_ALL] = poll_all, [ROLL_EACH] = poll_each };
	struct master *m = ev_userdata(loop);

	(void)t;
	(void)events;
	poll[m->roll_step](m);
}

void roll_begin(struct master *m)
{
	m->rolling = true;
	m->again = m->h.again;
	m->roll_error[0] = '\0';
	ev_timer_init(&m->roll_timer, on_roll, POLL, POLL);
	ev_timer_start(m->loop, &m->roll_timer);
	mark(m, FD_CLOEXEC);
	if (m->h.failed[0])
		roll_back(m);
	else if (m->h.before.there)
		begin_trial(m);
	else if (m->h.fresh)
		roll_all(m, INDEX_SLOTS_MAX);
	else
		roll_next(m, 0);
}
