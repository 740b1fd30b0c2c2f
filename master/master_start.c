/*
 * What a server opens, and in which order: all that keepers and workers inherit; then the first keepers. See master_start.h.
 */
#include "master/master_start.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "master/adoption.h"
#include "master/door.h"
#include "master/limits.h"
#include "master/listen.h"
#include "master/privileges.h"
#include "master/programs.h"
#include "master/secret_files.h"
#include "shm/crash.h"
#include "shm/fetched_keys.h"
#include "shm/log.h"
#include "shm/snapshot.h"
#include "shm/tickets.h"
#include "worker/loop/move.h"

#define WAIT_FOR_ORPHANS_MS 8000	/* keepers of a killed predecessor */

/* ---- listen sockets ---- */

/*
 * When a predecessor was killed, its lock in the runtime folder may be free while its listen sockets are still open: the kernel closes a keeper's
 * descriptors one by one, and with many connections that takes seconds.
 */
static int open_listener(struct master *m, const struct listen_address *address, uint64_t deadline)
{
	struct timespec pause = { .tv_nsec = 5000000 };
	char error[CONFIG_ERROR_MAX];
	bool said = false;

	while (listen_begin(&m->h.listen[m->h.listeners], address, error) < 0) {
		if (errno != EADDRINUSE || !m->dir.left_behind || restarts_now() >= deadline) {
			log_error("%s", error);
			return -1;
		}
		if (!said)
			log_info("%s: waiting for an earlier janus to let it go", address->url);
		said = true;
		nanosleep(&pause, NULL);
	}
	listen_limit(&m->h.listen[m->h.listeners++], &m->config.settings);
	return 0;
}

/* The server's own. */
static int open_own_listener(struct master *m, uint64_t deadline)
{
	struct listen_address own;

	if (config_address_own(&own, m->dir.path) < 0) {
		log_error("%s/admin: %m", m->dir.path);
		return -1;
	}
	return open_listener(m, &own, deadline);
}

/* A program that is older than such a listener has handed none over. */
static int open_missing_listener(struct master *m)
{
	for (unsigned i = 0; i < m->h.listeners; i++)
		if (listen_is_own(&m->h.listen[i], m->dir.path))
			return 0;
	return open_own_listener(m, 0);
}

static int open_listeners(struct master *m)
{
	uint64_t deadline = restarts_now() + WAIT_FOR_ORPHANS_MS;

	for (unsigned i = 0; i < m->config.listeners; i++)
		if (open_listener(m, &m->config.listen[i], deadline) < 0)
			return -1;
	return open_own_listener(m, deadline);
}

/* ---- what processes share ---- */

/* For all slots that there may ever be: every process has these descriptors at the same numbers, also a keeper that is made later. */
static int open_wakes(struct master *m)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		m->h.wake[i] = eventfd(0, EFD_NONBLOCK);
		if (m->h.wake[i] < 0) {
			log_error("eventfd: %s", strerror(errno));
			return -1;
		}
		m->h.queue[i] = move_queue();
		if (m->h.queue[i] < 0) {
			log_error("a queue of connections between workers: %s", strerror(errno));
			return -1;
		}
	}
	return 0;
}

/* All that there will ever be have it at the same number, too. */
static int open_tickets(struct master *m)
{
	m->h.tickets = tickets_create();
	if (m->h.tickets < 0) {
		log_error("the keys of TLS tickets: %m");
		return -1;
	}
	ticket_keys_look(m);
	return 0;
}

static int open_fetched_keys(struct master *m)
{
	m->h.fetched = fetched_keys_create();
	if (m->h.fetched < 0)
		log_error("the keys of tokens that are fetched: %m");
	return m->h.fetched < 0 ? -1 : 0;
}

/* For who looks whether there is one. `more`: it is one that the hub has not had yet. */
static void note_master(struct master *m, unsigned more)
{
	struct masters_shm *masters = &m->hub.shm->masters;

	atomic_store(&masters->oom, privileges_oom_own());
	atomic_store(&masters->pid, (uint32_t)getpid());
	atomic_store(&masters->revived, m->h.revived);
	atomic_fetch_add(&masters->count, more);
	atomic_store(&masters->gone, 0);
	atomic_store(&masters->moving, 0);
}

static int open_hub(struct master *m)
{
	m->h.hub = hub_create(&m->config.settings);
	if (m->h.hub < 0 || hub_attach(&m->hub, m->h.hub, true) < 0) {
		log_error("hub segment: %s (ring_bytes, ring_messages, max_topics, history_bytes)", strerror(errno));
		return -1;
	}
	m->hub.wake = m->h.wake;
	log_follow_level(&m->hub.shm->log_level);
	hub_keep(&m->hub, &m->config.settings);
	note_master(m, 1);
	m->hub.shm->buffered_max = limits_buffered(&m->config.settings);
	m->hub.shm->subscriptions_max = limits_subscriptions(&m->config.settings, m->sessions_max);
	return 0;
}

/* ---- the runtime folder ---- */

/* The folder, and the lock. */
static int open_dir(struct master *m, char error[RUNTIME_DIR_ERROR_MAX])
{
	if (m->h.revived)
		return runtime_dir_take(&m->dir, m->h.lock, error);
	return runtime_dir_lock(&m->dir, m->config.settings.runtime_dir, error);
}

/* Who may use janusctl: root, whom the workers run as, and a group. */
static int share_sockets(const struct master *m, char error[RUNTIME_DIR_ERROR_MAX])
{
	const struct passwd *pw = privileges_user(m->config.settings.user);

	return runtime_dir_share(&m->dir, pw ? pw->pw_uid : geteuid(), m->config.settings.control_group, error);
}

/* ---- a start ---- */

static void say_started(const struct master *m)
{
	char few[512];
	uint64_t max = 0;

	if (limits_connections(&m->config.settings, m->sessions_max, few, sizeof(few)) < 0)
		log_warning("%s", few);
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (m->h.slots[i].used)
			max += m->hub.shm->slot[i].connections_max;
	if (m->config.settings.max_connections && (uint64_t)m->config.settings.max_connections < max)
		max = (uint64_t)m->config.settings.max_connections;
	for (unsigned i = 0; i < m->h.listeners; i++)
		log_info("listening on %s", m->h.listen[i].bound);
	events_say(&m->hub.events, EVENTS_MASTER, EVENT_SERVER, 0, "janus %s, process %d", JANUS_VERSION, (int)getpid());
	log_info("janus %s: %lld workers, room for %llu connections and %llu MB of what is buffered for them", JANUS_VERSION,
		 (long long)m->config.settings.workers, (unsigned long long)max, (unsigned long long)(m->hub.shm->buffered_max >> 20));
}

/* Keepers would go on without a master that is told to end before it can tell them (master_linger). What comes from here on is heard when it can. */
static void hold_signals(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
}

int master_start_fresh(struct master *m)
{
	char error[RUNTIME_DIR_ERROR_MAX], wrong[CONFIG_ERROR_MAX];

	if (master_prepare_alone(m) < 0)
		return -1;
	if (open_dir(m, error) < 0) {
		log_error("%s", error);
		return -1;
	}
	m->h.lock = m->dir.lock;
	if (adoption_try(m) < 0) {
		m->dir.lock = -1;	/* (What is in the folder is the keepers'.) */
		return -1;
	}
	if (m->h.revived) {
		log_info("no keeper is there any more whom this master could take over");
		m->dir.lock = -1;
		return -1;
	}
	if (runtime_dir_wait(&m->dir, WAIT_FOR_ORPHANS_MS, error) < 0 || runtime_dir_serve(&m->dir, error) < 0) {
		log_error("%s", error);
		m->dir.lock = -1;	/* (Keepers may hold it.) */
		return -1;
	}
	m->h.control = m->dir.control;
	door_remove_all(m->dir.path);	/* (of a server whose last program knew none) */
	programs_note(m->dir.path);
	if (bridge_check(m, &m->config.settings, wrong) < 0 || secret_files_read(&m->config.settings, &m->h.secrets, wrong) < 0) {
		log_error("%s", wrong);
		return -1;
	}
	if (open_wakes(m) < 0 || open_tickets(m) < 0 || open_fetched_keys(m) < 0 || open_hub(m) < 0 || data_open(m) < 0 || open_listeners(m) < 0)
		return -1;
	bridge_open(m);
	if (share_sockets(m, error) < 0) {
		log_error("%s", error);
		return -1;
	}
	hold_signals();
	for (unsigned i = 0; i < (unsigned)m->config.settings.workers; i++)
		if (slots_start(m, i) < 0)
			return -1;
	say_started(m);
	return 0;
}

/* One that follows a program with another layout: everything is there, but in snapshots. */
static int restore_segments(struct master *m)
{
	if (!m->h.fallback.there)
		close(m->h.hub);
	if (open_hub(m) < 0)
		return -1;
	if (snapshot_read_hub(&m->hub, m->h.snapshot) < 0) {
		log_error("snapshot of the hub: %s", strerror(errno));
		return -1;
	}
	close(m->h.snapshot);
	m->h.snapshot = -1;
	m->h.new_segments = m->h.restore = true;
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (m->h.slots[i].used && slots_renew(m, i) < 0)
			return -1;
	return 0;
}

int master_start_successor(struct master *m)
{
	char error[RUNTIME_DIR_ERROR_MAX];

	snprintf(m->dir.path, sizeof(m->dir.path), "%s", m->h.settings.runtime_dir);
	m->dir.lock = m->h.lock;
	m->dir.control = m->h.control;
	if (m->h.reload_number == 0 && !m->h.adopted) {
		m->by_path = true;
		m->h.reload_number = 1;
	}
	programs_note(m->dir.path);
	fcntl(m->dir.control, F_SETFD, FD_CLOEXEC);
	if (m->h.caller >= 0)
		fcntl(m->h.caller, F_SETFD, FD_CLOEXEC);
	for (unsigned i = 0; i < m->h.listeners; i++) {
		listen_inherit(&m->h.listen[i]);
		listen_limit(&m->h.listen[i], &m->config.settings);
	}
	for (unsigned i = 0; i < m->h.dropped_count; i++)
		listen_end(&m->h.dropped[i]);
	m->h.dropped_count = 0;
	ticket_keys_look(m);
	if (open_missing_listener(m) < 0)
		return -1;
	if (share_sockets(m, error) < 0)
		log_error("%s", error);
	if (m->h.snapshot >= 0)
		return FAIL_POINT("successor-restore") ? -1 : restore_segments(m);
	if (hub_attach(&m->hub, m->h.hub, true) < 0) {
		log_error("hub segment: %s", strerror(errno));
		return -1;
	}
	m->hub.wake = m->h.wake;
	log_follow_level(&m->hub.shm->log_level);
	hub_keep(&m->hub, &m->config.settings);
	note_master(m, m->h.adopted);
	return FAIL_POINT("successor-start") ? -1 : 0;
}
