/*
 * The master: reads the configuration, opens what workers inherit, starts a keeper a slot, and from then on waits: for signals, for keepers
 * that end, for janusctl. It never touches a session, so nothing that a client sends can bring it down.
 */
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "master/adoption.h"
#include "master/door.h"
#include "master/limits.h"
#include "master/listen.h"
#include "master/notify.h"
#include "master/privileges.h"
#include "master/program.h"
#include "master/programs.h"
#include "master/secret_files.h"
#include "proto/control.h"
#include "shm/crash.h"
#include "shm/fetched_keys.h"
#include "shm/log.h"
#include "shm/snapshot.h"
#include "shm/tickets.h"
#include "shm/title.h"
#include "worker/loop/move.h"

#define STOP_SECONDS(m) ((double)(m)->h.settings.stop_limit / 1000 + 6)	/* for keepers to leave before they are killed */
#define END_OTHERS_MS 1000
#define WAIT_FOR_ORPHANS_MS 8000	/* keepers of a killed predecessor */

/* ---- stop ---- */

static void on_stop_timeout(struct ev_loop *loop, struct ev_timer *t, int events)
{
	(void)t;
	(void)events;
	log_warning("keepers do not leave: killing them");
	slots_kill(ev_userdata(loop), SIGKILL);
}

/* The files of Unix sockets go at once: the next server needs not wait for the last keeper. */
static void end_listeners(struct master *m)
{
	for (unsigned i = 0; i < m->h.listeners; i++)
		listen_end(&m->h.listen[i]);
	m->h.listeners = 0;
}

/* Keepers first, then the journal, and what is for other nodes. */
static void end_if_alone(struct master *m)
{
	if (!m->stopping || slots_alive(m) > 0)
		return;
	data_end(m);
	bridge_end(m);
	if (data_alive(m) || bridge_alive(m))
		ev_timer_stop(m->loop, &m->stop_timer);
	else
		ev_break(m->loop, EVBREAK_ALL);
}

/* Stops everything in order and ends with `status`. */
static void master_stop(struct master *m, int status)
{
	if (m->stopping)
		return;
	m->stopping = true;
	m->status = status;
	service_stopping();
	reload_abandon(m);
	rolling_abandon(m);
	jwks_end(m);
	end_listeners(m);
	control_answer(m->h.caller, "the server is stopping");
	m->h.caller = -1;
	slots_kill(m, SIGTERM);
	ev_timer_init(&m->stop_timer, on_stop_timeout, STOP_SECONDS(m), 2.0);
	ev_timer_start(m->loop, &m->stop_timer);
	end_if_alone(m);
}

/* ---- signals ---- */

/* Those that are no keepers and no workers, at once. */
static void end_others(struct master *m)
{
	uint64_t deadline = restarts_now() + END_OTHERS_MS;

	if (bridge_alive(m))
		kill((pid_t)m->h.bridge, SIGKILL);
	if (data_alive(m))
		kill((pid_t)m->h.data, SIGKILL);
	while (waitpid(-1, NULL, WNOHANG) >= 0 && restarts_now() < deadline)
		poll(NULL, 0, 1);
}

static void on_term(struct ev_loop *loop, struct ev_signal *s, int events)
{
	(void)events;
	struct master *m = ev_userdata(loop);

	if (m->stopping) {
		log_warning("%s once more: killing everything", strsignal(s->signum));
		slots_end(m);
		end_others(m);
		ev_break(m->loop, EVBREAK_ALL);
		return;
	}
	log_info("%s: stopping", strsignal(s->signum));
	events_say(&m->hub.events, EVENTS_MASTER, EVENT_SERVER, 0, "%s: stopping", strsignal(s->signum));
	master_stop(m, 0);
}

/* Keepers see the end of their orders, and wait for the next master. */
static void on_leave(struct ev_loop *loop, struct ev_signal *s, int events)
{
	struct master *m = ev_userdata(loop);

	(void)events;
	if (m->stopping)
		return;
	log_info("%s: leaving; %u workers go on without a master for %lld s", strsignal(s->signum), slots_alive(m), (long long)m->h.settings.master_linger / 1000);
	events_say(&m->hub.events, EVENTS_MASTER, EVENT_SERVER, 0, "%s: leaving", strsignal(s->signum));
	_exit(0);
}

static void on_hup(struct ev_loop *loop, struct ev_signal *s, int events)
{
	(void)s;
	(void)events;
	reload(ev_userdata(loop), -1);
}

static void on_child(struct ev_loop *loop, struct ev_signal *s, int events)
{
	struct master *m = ev_userdata(loop);

	(void)s;
	(void)events;
	while (!slots_reap(m))
		master_stop(m, 1);
	end_if_alone(m);
}

/* A reload that was asked for while none was possible may be possible now. */
static void on_turn(struct ev_loop *loop, struct ev_prepare *p, int events)
{
	(void)p;
	(void)events;
	reload_again(ev_userdata(loop));
}

/* ---- what janusctl may ask ---- */

static void control_reload(struct master *m, int caller, const struct control_request *request)
{
	(void)request;
	reload(m, caller);
}

/* The caller knows by its connection's end that the server has ended: it is left open until then. */
static void control_stop(struct master *m, int caller, const struct control_request *request)
{
	static char packet[CONTROL_PACKET_MAX];

	(void)request;
	log_info("janusctl: stopping");
	control_send(caller, packet, control_reply_pack(packet, NULL));
	master_stop(m, 0);
}

static const struct control_handler handlers[] = {
	{ CONTROL_STATUS, control_status },
	{ CONTROL_HUB, control_hub },
	{ CONTROL_SLOTS, control_slots },
	{ CONTROL_CONFIG, control_config },
	{ CONTROL_LOG, control_log },
	{ CONTROL_KICK, control_kick },
	{ CONTROL_DRAIN, control_drain },
	{ CONTROL_RELOAD, control_reload },
	{ CONTROL_STOP, control_stop },
	{ 0 },
};

/*
 * Blocks those signals that are watched, which libev reads from a signalfd, and no others. One that comes while another program is executed, or behind the first keeper's start, stays
 * pending until they are.
 */
static void mask_signals(void)
{
	sigset_t watched;

	sigemptyset(&watched);
	sigaddset(&watched, SIGTERM);
	sigaddset(&watched, SIGINT);
	sigaddset(&watched, SIGHUP);
	sigaddset(&watched, SIGUSR1);
	sigaddset(&watched, SIGCHLD);
	sigprocmask(SIG_SETMASK, &watched, NULL);
}

static void start_watchers(struct master *m)
{
	ev_set_userdata(m->loop, m);
	ev_signal_init(&m->on_term, on_term, SIGTERM);
	ev_signal_start(m->loop, &m->on_term);
	ev_signal_init(&m->on_int, on_term, SIGINT);
	ev_signal_start(m->loop, &m->on_int);
	ev_signal_init(&m->on_hup, on_hup, SIGHUP);
	ev_signal_start(m->loop, &m->on_hup);
	ev_signal_init(&m->on_leave, on_leave, SIGUSR1);
	ev_signal_start(m->loop, &m->on_leave);
	ev_signal_init(&m->on_child, on_child, SIGCHLD);
	ev_signal_start(m->loop, &m->on_child);
	ev_prepare_init(&m->on_turn, on_turn);
	ev_prepare_start(m->loop, &m->on_turn);
	control_serve(m, handlers);
	mask_signals();
}

/* ---- start ---- */

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

/* Who may use janusctl: root, whom the workers run as, and a group. */
static int share_sockets(const struct master *m, char error[RUNTIME_DIR_ERROR_MAX])
{
	const struct passwd *pw = privileges_user(m->config.settings.user);

	return runtime_dir_share(&m->dir, pw ? pw->pw_uid : geteuid(), m->config.settings.control_group, error);
}

/* For the next master, should this one die. */
static void note_arguments(struct master *m)
{
	struct handover *h = &m->h;

	h->arguments_len = 0;
	h->arguments_there = true;
	for (char **p = m->argv + 1; m->argv[0] && *p; p++) {
		size_t len = strlen(*p) + 1;

		if (len > sizeof(h->arguments) - h->arguments_len) {
			h->arguments_there = false;
			return;
		}
		memcpy(h->arguments + h->arguments_len, *p, len);
		h->arguments_len += (unsigned)len;
	}
}

/* The folder, and the lock. */
static int open_dir(struct master *m, char error[RUNTIME_DIR_ERROR_MAX])
{
	if (m->h.revived)
		return runtime_dir_take(&m->dir, m->h.lock, error);
	return runtime_dir_lock(&m->dir, m->config.settings.runtime_dir, error);
}

/* What a process that follows no other program knows by itself. */
static int start_alone(struct master *m)
{
	m->h.master = (uint32_t)getpid();
	m->h.slot = m->h.caller = m->h.snapshot = m->h.tls = m->h.tls_before = m->h.canary_slot = m->h.secrets = -1;
	m->h.started = (uint64_t)time(NULL);
	m->h.managed = notify_reachable();
	note_arguments(m);
	if (!m->h.revived && program_path(m->h.program, sizeof(m->h.program)) < 0) {
		log_error("the program's path: %m");
		return -1;
	}
	return 0;
}

/* A server that follows no other program. */
static int start_fresh(struct master *m)
{
	char error[RUNTIME_DIR_ERROR_MAX], wrong[CONFIG_ERROR_MAX];

	if (start_alone(m) < 0)
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
	mask_signals();		/* (Keepers would go on without a master that is ended by one.) */
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

/* One that follows another program: everything is there. */
static int start_successor(struct master *m)
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

static int read_config(struct config *config, const struct config_source *source)
{
	char error[CONFIG_ERROR_MAX];

	if (config_read(config, source, error) < 0) {
		log_error("%s", error);
		return -1;
	}
	if (config_reached_admin(config))
		log_warning(CONFIG_REACHED_ADMIN, config_reached_admin(config)->url);
	return 0;
}

/* What the program before this one had. (An earlier version says nothing of it. If it came back, nothing is new.) */
static void note_before(struct master *m)
{
	m->before.settings = m->h.settings;
	if (m->h.fallback.there) {
		m->before.listeners = m->h.fallback.listeners;
		memcpy(m->before.listen, m->h.fallback.listen, sizeof(m->before.listen));
	}
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		m->before.slots |= (uint64_t)m->h.slots[i].used << i;
	m->before.there = m->h.fallback.there && !m->h.failed[0];
}

/* What a keeper says to the master that it starts: where the server is. All else this one finds by itself, or is told when it adopts the keepers. */
static int read_revived(struct master *m, int revived)
{
	static struct handover h;

	if (handover_read(&h, revived) < 0) {
		log_error("what the keeper says can't be read");
		return -1;
	}
	m->h.revived = true;
	m->h.lock = h.lock;
	m->config.settings = h.settings;
	memcpy(m->h.program, h.program, sizeof(m->h.program));
	snprintf(m->dir.path, sizeof(m->dir.path), "%s", h.settings.runtime_dir);
	return 0;
}

/* A configuration with errors starts no server. One that is there goes on with what it has, if it is found. -1, or it does not return. */
static int adopt_at_least(struct master *m)
{
	struct config_source source = m->source;
	char error[RUNTIME_DIR_ERROR_MAX > CONFIG_ERROR_MAX ? RUNTIME_DIR_ERROR_MAX : CONFIG_ERROR_MAX];

	source.find = true;
	if (config_read(&m->config, &source, error) == 0 && door_any(m->config.settings.runtime_dir) && start_alone(m) == 0 && runtime_dir_lock(&m->dir, m->config.settings.runtime_dir, error) == 0)
		adoption_try(m);
	m->dir.lock = -1;
	return -1;
}

static int prepare(struct master *m, const struct config_source *source, int handover, int revived)
{
	char error[PRIVILEGES_ERROR_MAX];
	bool taken_up = true;

	log_init("master", LOG_LEVEL_INFO);
	prctl(PR_SET_NAME, "janus");	/* (a program that is executed by descriptor is named by the number) */
	if (handover >= 0 && handover_read(&m->h, handover) < 0) {
		log_error("the handover state can't be read");
		return -1;
	}
	if (revived >= 0 && read_revived(m, revived) < 0)
		return -1;
	if (handover >= 0) {
		settings_log_init("master", &m->h.settings);
		m->dir.control = m->h.control;
		note_before(m);
	}
	if (revived >= 0) {
		taken_up = false;	/* by the keepers' program, if at all */
	} else if (handover >= 0 && (m->h.failed[0] || m->h.adopted)) {
		taken_up = false;
		m->config.settings = m->h.settings;	/* the configuration is the one that failed; or what it says is looked at later */
		if (source->file || (source->installed && access(source->installed, F_OK) == 0))
			snprintf(m->config.file, sizeof(m->config.file), "%s", source->file ? source->file : source->installed);
	} else if (read_config(&m->config, source) < 0) {
		/* (It was good when the predecessor read it.) */
		if (handover < 0)
			return adopt_at_least(m);
		m->config.settings = m->h.settings;
		taken_up = false;
	}
	settings_log_init("master", &m->config.settings);
	title_set("janus: master%s%s", m->config.file[0] ? " " : "", m->config.file);
	if (taken_up)
		report_note_config(m, handover < 0);
	if (handover >= 0)
		settings_keep(&m->config.settings, &m->h.settings);
	if (privileges_check(m->config.settings.user, error) < 0) {
		log_error("%s", error);
		return -1;
	}
	m->workers_uid = privileges_user(m->config.settings.user) ? privileges_user(m->config.settings.user)->pw_uid : geteuid();
	m->h.settings = m->config.settings;
	m->h.layout = HUB_LAYOUT;
	m->h.snapshot_version = SNAPSHOT_VERSION;
	m->next_program = -1;
	m->program = program_running();
	if (m->program < 0) {
		log_error("/proc/self/exe: %m");
		return -1;
	}
	m->sessions_max = privileges_raise_descriptors();
	if (m->sessions_max < 512) {
		log_error("%u descriptors are too few: raise the limit (`ulimit -n 65536` before the start; in the systemd unit: LimitNOFILE=65536)", m->sessions_max);
		return -1;
	}
	/* Workers whose keeper was killed become our children. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	m->loop = ev_loop_new(EVFLAG_NOENV | EVFLAG_SIGNALFD);
	return m->loop ? 0 : -1;
}

static void close_dir(struct master *m)
{
	door_remove_all(m->dir.path);
	programs_forget(m->dir.path);
	runtime_dir_close(&m->dir);
}

int master_main(const struct config_source *source, char **argv, int handover, int revived)
{
	static struct master master;
	struct master *m = &master;
	bool adopted;

	m->source = *source;
	m->argv = argv;
	if (prepare(m, source, handover, revived) < 0) {
		rolling_give_back(m, "the new program can't start (the log says why)");
		return 1;
	}
	if ((handover >= 0 ? start_successor(m) : start_fresh(m)) < 0) {
		if (m->h.adopted || m->dir.lock < 0)
			return 1;	/* (Keepers go on, and wait for the next one.) */
		rolling_give_back(m, "the new program can't start (the log says why)");
		slots_kill(m, SIGKILL);
		data_abandon(m);
		end_listeners(m);
		if (m->dir.lock > 0)
			close_dir(m);
		return 1;
	}
	start_watchers(m);
	slots_watch(m);
	data_watch(m);
	bridge_watch(m);
	while (!slots_reap(m))
		master_stop(m, 1);
	slots_take_over(m);
	adopted = m->h.adopted;
	/* (First: a slot that is nobody's may have the hub lock.) */
	if (adopted && !m->stopping && adoption_settle(m) < 0)
		return 1;
	if (handover >= 0 && !m->stopping)
		data_take_over(m);
	if (!m->stopping) {
		bridge_take_over(m);
		jwks_watch(m);
	}
	if (handover >= 0 && !adopted && !m->stopping)
		rolling_begin(m);
	service_start(m, handover >= 0 && !adopted);
	if (!m->stopping || slots_alive(m) > 0 || data_alive(m) || bridge_alive(m))
		ev_run(m->loop, 0);
	close_dir(m);
	log_info("stopped");
	return m->status;
}
