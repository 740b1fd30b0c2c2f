/*
 * janus-bridge, as the master sees it: a child that speaks with NATS (shm/nodes.h says what it does with the hub). It can be killed at any time and made again, so whatever is to change
 * (program, settings, segments) comes to it by that. When the master dies it goes on, as keepers do; the next master replaces it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/master.h"
#include "master/notify.h"
#include "master/privileges.h"
#include "master/process.h"
#include "master/program.h"
#include "master/secret_files.h"
#include "shm/log.h"
#include "shm/nodes.h"

#define NAME "janus-bridge"
#define END_SECONDS 5.0			/* to send what there is */
#define WAIT_SECONDS 0.05
#define SILENT_MS 10000			/* without a sign of life, if hang_limit says nothing */

static bool is_on(const struct master *m)
{
	return m->h.settings.nats[0] != '\0';
}

bool bridge_alive(const struct master *m)
{
	return m->h.bridge != 0;
}

int bridge_check(const struct master *m, const struct settings *settings, char error[CONFIG_ERROR_MAX])
{
	char path[PROGRAM_PATH_MAX];

	if (!settings->nats[0] || program_helper(path, m->h.program, NAME) == 0)
		return 0;
	snprintf(error, CONFIG_ERROR_MAX, "nats: %.400s: %s; it is installed with the server, in libexec/janus", path, strerror(errno));
	return -1;
}

/* ---- the child ---- */

static void inherit(int fd)
{
	if (fd >= 0)
		fcntl(fd, F_SETFD, 0);
}

static __attribute__((noreturn)) void child(const struct master *m, const struct handover *h, int handover)
{
	char path[PROGRAM_PATH_MAX], option[64];
	char *argv[] = { (char *)(uintptr_t)NAME, option, NULL };
	sigset_t none;

	notify_disinherit();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (privileges_drop(m->h.settings.user) < 0)
		_exit(1);
	privileges_oom(atomic_load(&m->hub.shm->masters.oom), OOM_WORKER);
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	inherit(handover);
	inherit(h->hub);
	inherit(h->lock);
	inherit(h->secrets);
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		inherit(h->wake[i]);
	snprintf(option, sizeof(option), "--heritage=%d", handover);
	(void)!program_helper(path, m->h.program, NAME);
	execv(path, argv);
	log_error("%s: %s", path, strerror(errno));
	_exit(1);
}

/* -1 with errno. */
static int fork_child(struct master *m)
{
	static struct handover h;
	int handover, error;
	pid_t pid;

	h = m->h;
	handover_strip(&h);
	h.tickets = h.fetched = -1;
	h.secrets = m->h.secrets < 0 ? -1 : secret_files_of_nats(m->h.secrets);
	if (m->h.secrets >= 0 && h.secrets < 0)
		return -1;
	handover = handover_write(&h);
	pid = handover < 0 ? -1 : fork();
	if (pid == 0)
		child(m, &h, handover);
	error = errno;
	if (handover >= 0)
		close(handover);
	if (h.secrets >= 0)
		close(h.secrets);
	errno = error;
	return pid;
}

static int make(struct master *m)
{
	struct nodes_shm *nodes = &m->hub.shm->nodes;
	pid_t pid = fork_child(m);

	if (pid < 0) {
		log_error(NAME ": %m");
		return -1;
	}
	m->h.bridge = (uint32_t)pid;
	m->bridge.connected = atomic_load(&nodes->connected);
	m->bridge.silence = (struct silence){ .looked = restarts_now() };
	atomic_store(&nodes->pid, m->h.bridge);
	atomic_fetch_add(&nodes->made, 1);
	return 0;
}

/* ---- when there is none ---- */

static void again_in(struct master *m, double seconds)
{
	m->bridge.timer.repeat = seconds;
	ev_timer_again(m->loop, &m->bridge.timer);
}

static void stream_is(struct master *m, const char *name, bool fresh)
{
	uint64_t lost;

	if (*name) {
		nodes_stream_is(&m->hub, name, fresh);
		return;
	}
	lost = nodes_stream_end(&m->hub, hub_owner_master());
	if (lost == 0)
		return;
	hub_count(&m->hub, SLOT_BRIDGE, COUNTER_nodes_lost, lost);
	log_warning("the stream is switched off: up to %llu messages are lost that it has not answered", (unsigned long long)lost);
}

/*
 * Has one made, if there is to be one. Not while there is a way back to another hub, whose sequences it would give again (peers would take them for messages that they have had); nor
 * while its slot is a worker's, of a program that had one more.
 */
static void go_on(struct master *m)
{
	if (m->bridge.held || m->bridge.ending)
		return;
	if (!is_on(m)) {
		stream_is(m, "", false);
		nodes_end(&m->hub, hub_owner_master());
		return;
	}
	if (m->h.slots[SLOT_BRIDGE].used) {
		again_in(m, WAIT_SECONDS);
		return;
	}
	nodes_begin(&m->hub, m->h.settings.node);
	stream_is(m, m->h.settings.nats_stream, false);
	if (m->h.fallback.there && m->h.fallback.hub >= 0)
		again_in(m, WAIT_SECONDS);
	else if (make(m) < 0)
		again_in(m, restarts_pause(&m->bridge.restarts) / 1000.0);
}

static void on_timer(struct ev_loop *loop, struct ev_timer *t, int events)
{
	struct master *m = ev_userdata(loop);

	(void)events;
	ev_timer_stop(loop, t);
	if (!bridge_alive(m)) {
		go_on(m);
		return;
	}
	log_warning(NAME " %u does not end: killed; what it has not sent is lost", m->h.bridge);
	kill((pid_t)m->h.bridge, SIGKILL);
}

/* ---- its life ---- */

void bridge_open(struct master *m)
{
	if (!is_on(m))
		return;
	nodes_begin(&m->hub, m->h.settings.node);
	stream_is(m, m->h.settings.nats_stream, true);
}

void bridge_watch(struct master *m)
{
	ev_timer_init(&m->bridge.timer, on_timer, 1, 1);
}

static void replace(struct master *m)
{
	m->bridge.replaced = true;
	kill((pid_t)m->h.bridge, SIGKILL);
}

/* What a dead one has left in the hub. */
static void put_right(struct master *m)
{
	m->h.bridge = 0;
	atomic_store(&m->hub.shm->nodes.pid, 0);
	hub_repair(&m->hub, SLOT_BRIDGE);
	nodes_bereave(&m->hub);
}

/* If the master before was killed, its bridge has gone on. */
static void end_orphan(struct master *m)
{
	uint32_t pid = atomic_load(&m->hub.shm->nodes.pid);

	if (pid == 0)
		return;
	process_end_orphan(pid, m->workers_uid, NAME);
	put_right(m);
}

void bridge_take_over(struct master *m)
{
	if (bridge_alive(m)) {
		replace(m);
		return;
	}
	end_orphan(m);
	go_on(m);
}

void bridge_hold(struct master *m, bool hold)
{
	m->bridge.held = hold;
	if (!hold && !bridge_alive(m))
		go_on(m);
	else if (hold && bridge_alive(m))
		replace(m);
	if (hold)
		ev_timer_stop(m->loop, &m->bridge.timer);
}

void bridge_look(struct master *m, uint64_t now)
{
	uint64_t limit = m->config.settings.hang_limit ? (uint64_t)m->config.settings.hang_limit : SILENT_MS;

	if (!bridge_alive(m) || !silence_look(&m->bridge.silence, atomic_load_explicit(&m->hub.shm->nodes.beat, memory_order_relaxed), now, limit))
		return;
	log_error(NAME " %u gives no sign of life since %llu ms: killed", m->h.bridge, (unsigned long long)m->bridge.silence.silent);
	kill((pid_t)m->h.bridge, SIGKILL);
}

static void tell_death(pid_t pid, int status)
{
	if (WIFSIGNALED(status))
		log_warning(NAME " %d died of signal %d (%s); another one goes on", (int)pid, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		log_warning(NAME " %d ended with status %d; another one goes on", (int)pid, WEXITSTATUS(status));
}

bool bridge_reap(struct master *m, pid_t pid, int status)
{
	struct nodes_shm *nodes = &m->hub.shm->nodes;
	bool at_once = m->bridge.replaced || m->bridge.connected != atomic_load(&nodes->connected);

	if (!bridge_alive(m) || m->h.bridge != (uint32_t)pid)
		return false;
	put_right(m);
	ev_timer_stop(m->loop, &m->bridge.timer);
	if (!m->bridge.replaced && !m->bridge.ending)
		tell_death(pid, status);
	m->bridge.replaced = false;
	if (at_once)
		restarts_ready(&m->bridge.restarts);
	if (at_once || m->bridge.held || m->bridge.ending)
		go_on(m);
	else
		again_in(m, restarts_pause(&m->bridge.restarts) / 1000.0);
	return true;
}

void bridge_end(struct master *m)
{
	if (m->bridge.ending)
		return;
	m->bridge.ending = true;
	ev_timer_stop(m->loop, &m->bridge.timer);
	if (!bridge_alive(m))
		return;
	kill((pid_t)m->h.bridge, nodes_state(&m->hub) == NODES_CONNECTED ? SIGTERM : SIGKILL);
	again_in(m, END_SECONDS);
}
