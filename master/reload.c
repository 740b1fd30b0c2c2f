/*
 * Reload and upgrade are one thing: the configuration is read again, the program that stands at the path is asked whether it can take over,
 * the master executes it, keeping its process id and descriptors, and the new master has the slots replaced one at a time.
 *
 * Whatever can be refused is refused before anything is stopped.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/listen.h"
#include "master/master.h"
#include "master/probe.h"
#include "master/program.h"
#include "master/secret_files.h"
#include "shm/crash.h"
#include "shm/log.h"

static void warn_of_restarts(const struct settings *wanted, const struct settings *running)
{
	const struct setting *d = NULL;

	while ((d = settings_restart(wanted, running, d)) != NULL)
		log_warning("%s has changed: that takes a restart (a stop and a start; systemctl restart is none)", d->name);
}

/* (What is in them can't be shown, as a setting's value is.) */
static void tell_of_files(const struct master *m)
{
	char changed[SECRET_FILES_CHANGED_MAX];

	secret_files_changed(m->h.secrets, m->next.secrets, changed);
	if (changed[0])
		log_info("reload: files have other contents than before: %s", changed);
}

static bool has_listener(const struct handover *h, int fd)
{
	for (unsigned i = 0; i < h->listeners; i++)
		if (h->listen[i].fd == fd)
			return true;
	return false;
}

static int open_next(const struct master *m, const struct listen_address *address, struct handover *next, char error[CONFIG_ERROR_MAX])
{
	struct handover_listener *l = &next->listen[next->listeners];
	bool found = false;

	for (unsigned j = 0; j < m->h.listeners && !found; j++)
		if (listen_serves(&m->h.listen[j], address)) {
			*l = m->h.listen[j];
			listen_rename(l, address);
			found = true;
		}
	/* (Our own sockets, which go when nobody uses them any more, may be in the way, as 127.0.0.1 is in that of *.) */
	if (!found && listen_begin(l, address, error) < 0 &&
	    (errno != EADDRINUSE || config_address_path(address) || listen_begin_beside(l, address, m->h.listen, m->h.listeners, error) < 0))
		return -1;
	next->listeners++;
	return 0;
}

/* The listen sockets of the new configuration, and the server's own: those that are there already, and new ones. -1 with error[], nothing changed. */
static int open_listeners(const struct master *m, const struct config *config, struct handover *next, char error[CONFIG_ERROR_MAX])
{
	struct listen_address own;

	next->listeners = 0;
	for (unsigned i = 0; i < config->listeners; i++)
		if (open_next(m, &config->listen[i], next, error) < 0)
			return -1;
	if (config_address_own(&own, m->dir.path) == 0)
		return open_next(m, &own, next, error);
	return 0;
}

/* Until the next program can take signals, they stay pending. One that libev had read already, and had not handled, would be lost. */
static void hold_signals(sigset_t *before)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, before);
}

/* Signals that libev has read in this turn of the loop, but not handled: raised again, for the next program. */
static void pass_signals_on(const struct master *m)
{
	if (ev_is_pending(&m->on_term))
		raise(SIGTERM);
	if (ev_is_pending(&m->on_int))
		raise(SIGINT);
	if (ev_is_pending(&m->on_leave))
		raise(SIGUSR1);
	if (ev_is_pending(&m->on_hup))
		raise(SIGHUP);
}

void reload_execute(struct master *m, int program, int handover)
{
	int caller = m->next.caller;

	if (caller >= 0)
		fcntl(caller, F_SETFD, 0);
	fcntl(m->dir.control, F_SETFD, 0);
	pass_signals_on(m);
	control_hurry();
	program_become(program, m->argv, "--heritage", handover);
	if (caller >= 0)
		fcntl(caller, F_SETFD, FD_CLOEXEC);
	fcntl(m->dir.control, F_SETFD, FD_CLOEXEC);
}

/* Closes those that were opened for the next program. */
static void end_new_listeners(struct master *m)
{
	for (unsigned i = 0; i < m->next.listeners; i++)
		if (!has_listener(&m->h, m->next.listen[i].fd))
			listen_end(&m->next.listen[i]);
	m->next.listeners = 0;
}

/* And the secrets that were read for it. */
static void forget_new_secrets(struct master *m)
{
	if (m->next.secrets >= 0 && m->next.secrets != m->h.secrets)
		close(m->next.secrets);
	m->next.secrets = -1;
}

void reload_abandon(struct master *m)
{
	if (!m->reloading)
		return;
	end_new_listeners(m);
	forget_new_secrets(m);
}

static void refused(struct master *m, const char *error)
{
	log_error("reload refused: %s", error);
	events_say(&m->hub.events, EVENTS_MASTER, EVENT_RELOAD, m->next.reload_number, "refused: %s", error);
	hub_count(&m->hub, 0, COUNTER_reloads_failed, 1);
	end_new_listeners(m);
	forget_new_secrets(m);
	if (m->next_program >= 0)
		close(m->next_program);
	m->next_program = -1;
	report_refused(m, m->next.caller, error);
	m->reloading = false;
}

void reload_again(struct master *m)
{
	if (m->again && !m->reloading && !m->rolling && !m->stopping && !slots_lost(m))
		raise(SIGHUP);
}

/* Asks the next program whether it can take over, and executes it if so. Returns if not: PROBE_SNAPSHOT, or PROBE_NO with error[]. */
static int try_successor(struct master *m, char error[CONFIG_ERROR_MAX])
{
	int answer = probe_ask(m, m->next_program, error), fd;

	if (answer != PROBE_YES)
		return answer;
	m->next.again = m->again;	/* it may have been asked for while the workers left their snapshots; */
	m->next.data = m->h.data;	/* and these may have become others, or none */
	m->next.bridge = m->h.bridge;
	fd = handover_write(&m->next);
	fcntl(m->program, F_SETFD, 0);		/* the next program can go back to this one */
	if (fd >= 0)
		reload_execute(m, m->next_program, fd);
	fcntl(m->program, F_SETFD, FD_CLOEXEC);
	snprintf(error, CONFIG_ERROR_MAX, "%.256s: %s; the old program goes on", m->h.program, strerror(errno));
	if (fd >= 0)
		close(fd);
	return PROBE_NO;
}

/* Notes hub and segments for a program that makes its own, and may have to go back to these. (Slots may have ended while the workers left.) */
static void note_memory(struct master *m)
{
	slots_note_spares(m);
	memcpy(m->next.slots, m->h.slots, sizeof(m->next.slots));
	m->next.fallback.hub = m->h.hub;
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		m->next.fallback.segment[i] = m->h.slots[i].used ? m->h.slots[i].segment : -1;
}

/* From here on keepers that lose their master do not go on by themselves. (Nor if this one comes back: it says so to each then.) */
static int move_to_successor(struct master *m, char error[CONFIG_ERROR_MAX])
{
	int answer;

	atomic_store(&m->hub.shm->masters.moving, 1);
	CRASH_POINT("master-moving");
	answer = try_successor(m, error);
	atomic_store(&m->hub.shm->masters.moving, 0);
	return answer;
}

/* Every worker has left a snapshot; or the old program goes on. */
static void on_quiesced(struct master *m, const char *failed)
{
	char error[CONFIG_ERROR_MAX];
	sigset_t before;

	if (failed) {
		refused(m, failed);
		return;
	}
	hold_signals(&before);
	note_memory(m);
	m->next.snapshot = quiesce_write_hub(m);
	if (m->next.snapshot < 0)
		snprintf(error, sizeof(error), "snapshot of the hub: %s", strerror(errno));
	else if (move_to_successor(m, error) == PROBE_SNAPSHOT)
		snprintf(error, sizeof(error), "%.256s can't say whether it reads the snapshot; the old program goes on", m->h.program);
	quiesce_undo(m);
	if (m->next.snapshot >= 0)
		close(m->next.snapshot);
	refused(m, error);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* What the following program is given, before the new configuration is looked at; and what it would go back to. */
static void begin_next(struct master *m, int caller)
{
	struct handover_fallback *fallback = &m->next.fallback;

	m->next = m->h;
	m->next.caller = caller;
	m->next.new_segments = m->next.restore = m->next.again = m->next.adopted = false;
	m->next.failed[0] = '\0';
	m->next.lost = report_lost(m);
	m->next.moved = report_moved(m);
	m->next.reload_number++;
	fallback->there = true;
	fallback->program = m->program;
	fallback->hub = -1;
	fallback->settings = m->h.settings;
	fallback->config = m->h.config;
	fallback->secrets = m->h.secrets;
	fallback->listeners = m->h.listeners;
	memcpy(fallback->listen, m->h.listen, sizeof(fallback->listen));
}

/* NULL, or why it can't be now. */
static const char *busy(const struct master *m)
{
	return m->stopping ? "the server is stopping" :
	       slots_lost(m) ? "a keeper is being replaced" :
	       m->rolling || m->reloading ? "a reload is under way" : NULL;
}

static void prepare(struct master *m, int caller)
{
	static struct config config;
	char error[CONFIG_ERROR_MAX];

	if (busy(m)) {
		/* A signal has nobody who could be told to try again. */
		m->again |= caller < 0;
		control_answer(caller, busy(m));
		return;
	}
	m->reloading = true;
	m->again = false;
	service_reloading(m);
	begin_next(m, caller);
	if (config_read(&config, &m->source, error) < 0 || bridge_check(m, &config.settings, error) < 0 || secret_files_read(&config.settings, &m->next.secrets, error) < 0) {
		refused(m, error);
		return;
	}
	tell_of_files(m);
	warn_of_restarts(&config.settings, &m->config.settings);
	m->next_program = program_open(m->h.program);
	if (m->next_program < 0) {
		snprintf(error, sizeof(error), "%.256s: %s; the old program goes on", m->h.program, strerror(errno));
		refused(m, error);
	} else if (open_listeners(m, &config, &m->next, error) < 0 || try_successor(m, error) == PROBE_NO)
		refused(m, error);
	else
		quiesce(m, on_quiesced);
}

void reload(struct master *m, int caller)
{
	sigset_t before;

	hold_signals(&before);
	prepare(m, caller);
	sigprocmask(SIG_SETMASK, &before, NULL);
}
