/*
 * Reload and upgrade are one thing: the configuration is read again, the program that stands at the path is asked whether it can take over,
 * the master executes it, keeping its process id and descriptors, and the new master has the slots replaced one at a time.
 *
 * Whatever can be refused is refused before anything is stopped.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/listen.h"
#include "master/master.h"
#include "shm/log.h"

#define PROBE_MS 10000
#define ROLL_POLL 0.002		/* seconds */
#define ROLL_PATIENCE 20.0	/* seconds for one slot */

/* ---- in the old program ---- */

static bool same_memory(const struct settings *a, const struct settings *b, const char **key)
{
	*key = a->ring_bytes != b->ring_bytes ? "ring_bytes" :
	       a->ring_messages != b->ring_messages ? "ring_messages" :
	       a->max_topics != b->max_topics ? "max_topics" :
	       a->max_frame != b->max_frame ? "max_frame" :
	       strcmp(a->runtime_dir, b->runtime_dir) != 0 ? "runtime_dir" :
	       strcmp(a->user, b->user) != 0 ? "user" : NULL;
	return !*key;
}

static bool has_listener(const struct heritage *h, int fd)
{
	for (unsigned i = 0; i < h->listeners; i++)
		if (h->listen[i].fd == fd)
			return true;
	return false;
}

/* Their files are removed by the next program: this one may yet have to go on. Until then they are open in the keepers. */
static void note_dropped(const struct master *m, struct heritage *next)
{
	next->dropped_count = 0;
	for (unsigned i = 0; i < m->h.listeners; i++)
		if (m->h.listen[i].file.ino && !has_listener(next, m->h.listen[i].fd)) {
			next->dropped[next->dropped_count] = m->h.listen[i];
			next->dropped[next->dropped_count++].fd = -1;
		}
}

/* The listen sockets of the new configuration: those that are there already, and new ones. -1 with error[], nothing changed. */
static int open_listeners(const struct master *m, const struct config *config, struct heritage *next, char error[CONFIG_ERROR_MAX])
{
	next->listeners = 0;
	for (unsigned i = 0; i < config->listeners; i++) {
		struct heritage_listener *l = &next->listen[next->listeners];
		bool found = false;

		for (unsigned j = 0; j < m->h.listeners && !found; j++)
			if (listen_serves(&m->h.listen[j], &config->listen[i])) {
				*l = m->h.listen[j];
				listen_rename(l, &config->listen[i]);
				found = true;
			}
		if (!found && listen_begin(l, &config->listen[i], error) < 0)
			return -1;
		next->listeners++;
	}
	note_dropped(m, next);
	return 0;
}

/* Listen sockets that the next program is not to have: close-on-exec, as it may yet not come to that. */
static void mark_listeners(const struct heritage *from, const struct heritage *in, int flag)
{
	for (unsigned i = 0; i < from->listeners; i++)
		if (!has_listener(in, from->listen[i].fd))
			fcntl(from->listen[i].fd, F_SETFD, flag);
}

static char **with_option(char **argv, char *option)
{
	size_t n = 0;
	char **args;

	while (argv[n])
		n++;
	args = calloc(n + 2, sizeof(*args));
	if (!args)
		return NULL;
	args[0] = argv[0];
	args[1] = option;
	memcpy(args + 2, argv + 1, (n - 1) * sizeof(*args));
	return args;
}

static void execute(const struct master *m, const char *option, int heritage)
{
	char text[64];
	char **args;

	snprintf(text, sizeof(text), "%s=%d", option, heritage);
	args = with_option(m->argv, text);
	if (args)
		execv(m->h.program, args);
	free(args);
}

/* Asks the program at the path, in a process of its own. PROBE_; with PROBE_NO error[] says why. */
static int probe(const struct master *m, int heritage, char error[CONFIG_ERROR_MAX])
{
	struct pollfd p = { .events = POLLIN };
	pid_t pid = fork();
	int status = 0;
	sigset_t none;

	if (pid == 0) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		/* It holds the listen sockets, and no lock that says so: it must not outlive the master. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if ((uint32_t)getppid() != m->h.master)
			_exit(127);
		execute(m, "--probe", heritage);
		_exit(127);
	}
	if (pid < 0) {
		snprintf(error, CONFIG_ERROR_MAX, "fork: %s", strerror(errno));
		return PROBE_NO;
	}
	p.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (p.fd < 0 || poll(&p, 1, PROBE_MS) <= 0)
		kill(pid, SIGKILL);
	close(p.fd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && (WEXITSTATUS(status) == PROBE_YES || WEXITSTATUS(status) == PROBE_SNAPSHOT))
		return WEXITSTATUS(status);
	if (WIFSIGNALED(status))
		snprintf(error, CONFIG_ERROR_MAX, "%.256s dies at start (signal %d); the old program goes on", m->h.program, WTERMSIG(status));
	else
		snprintf(error, CONFIG_ERROR_MAX, "%.256s can't take over (status %d, the log says why); the old program goes on",
			 m->h.program, WEXITSTATUS(status));
	return PROBE_NO;
}

/* While the next program is asked, and until it can take signals: one that our handler has taken, and our loop not yet, would be lost. */
static void hold_signals(sigset_t *before)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, before);
}

/* What has come in the same turn of the loop as the order to reload. */
static void pass_signals_on(const struct master *m)
{
	if (ev_is_pending(&m->on_term))
		raise(SIGTERM);
	if (ev_is_pending(&m->on_int))
		raise(SIGINT);
}

/* Returns only if it fails. Signals are held back. */
static void become(struct master *m, int heritage, char error[CONFIG_ERROR_MAX])
{
	if (m->next.caller >= 0)
		fcntl(m->next.caller, F_SETFD, 0);
	fcntl(m->dir.control, F_SETFD, 0);
	mark_listeners(&m->h, &m->next, FD_CLOEXEC);
	pass_signals_on(m);
	control_hurry();
	execute(m, "--heritage", heritage);
	mark_listeners(&m->h, &m->next, 0);
	snprintf(error, CONFIG_ERROR_MAX, "%.256s: %s", m->h.program, strerror(errno));
}

/* Closes those that were opened for the next program. */
static void end_new_listeners(struct master *m)
{
	for (unsigned i = 0; i < m->next.listeners; i++)
		if (!has_listener(&m->h, m->next.listen[i].fd))
			listen_end(&m->next.listen[i]);
	m->next.listeners = 0;
}

void reload_abandon(struct master *m)
{
	if (m->reloading)
		end_new_listeners(m);
}

static void refused(struct master *m, const char *error)
{
	log_error("reload refused: %s", error);
	end_new_listeners(m);
	control_answer(m->next.caller, error);
	m->reloading = false;
}

/* Asks, and becomes it. PROBE_SNAPSHOT, or PROBE_NO with error[]. */
static int try_successor(struct master *m, char error[CONFIG_ERROR_MAX])
{
	int fd = heritage_write(&m->next), answer;

	if (fd < 0) {
		snprintf(error, CONFIG_ERROR_MAX, "heritage: %s", strerror(errno));
		return PROBE_NO;
	}
	answer = probe(m, fd, error);
	if (answer == PROBE_YES) {
		become(m, fd, error);
		answer = PROBE_NO;
	}
	close(fd);
	return answer;
}

/* Every worker has left a snapshot; or the old program goes on. */
static void on_frozen(struct master *m, const char *failed)
{
	char error[CONFIG_ERROR_MAX];
	sigset_t before;

	if (failed) {
		refused(m, failed);
		return;
	}
	hold_signals(&before);
	m->next.snapshot = freeze_write_hub(m);
	if (m->next.snapshot < 0)
		snprintf(error, sizeof(error), "snapshot of the hub: %s", strerror(errno));
	else
		try_successor(m, error);
	freeze_undo(m);
	if (m->next.snapshot >= 0)
		close(m->next.snapshot);
	refused(m, error);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static void prepare(struct master *m, int caller)
{
	static struct config config;
	char error[CONFIG_ERROR_MAX];
	const char *key;

	if (m->rolling || m->reloading || m->stopping || slots_lost(m)) {
		control_answer(caller, m->stopping ? "the server is stopping" :
				       slots_lost(m) ? "a keeper is being replaced" : "a reload is under way");
		return;
	}
	m->reloading = true;
	m->next = m->h;
	m->next.caller = caller;
	m->next.fresh = false;
	if (config_read(&config, &m->source, error) < 0) {
		refused(m, error);
		return;
	}
	if (!same_memory(&config.settings, &m->config.settings, &key))
		log_warning("%s has changed: that takes a restart", key);
	if (open_listeners(m, &config, &m->next, error) < 0 || try_successor(m, error) == PROBE_NO)
		refused(m, error);
	else
		freeze(m, on_frozen);
}

void reload(struct master *m, int caller)
{
	sigset_t before;

	hold_signals(&before);
	prepare(m, caller);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* ---- in the new program ---- */

static void rolled(struct master *m)
{
	ev_timer_stop(m->loop, &m->roll_timer);
	m->rolling = false;
	m->h.fresh = false;
	log_info("reloaded");
	control_answer(m->h.caller, NULL);
	m->h.caller = -1;
}

/* Slots beyond the number of workers wanted drain; those that are missing are made. */
static void roll_one(struct master *m)
{
	unsigned i = m->roll_slot;
	bool wanted = i < (unsigned)m->config.settings.workers;

	m->roll_generation = atomic_load(&m->hub.shm->slot[i].generation);
	m->roll_deadline = ev_now(m->loop) + ROLL_PATIENCE;
	if (m->h.slots[i].used && !wanted)
		m->h.slots[i].draining = true;
	else if (m->h.slots[i].used)
		m->h.slots[i].draining = false;
	if (m->h.slots[i].used ? slots_order_replace(m, i) < 0 : slots_start(m, i) < 0)
		log_error("slot %u: could not be replaced: %s", i, strerror(errno));
}

static bool slot_rolled(const struct master *m)
{
	const struct hub_slot_shm *s = &m->hub.shm->slot[m->roll_slot];

	return !m->h.slots[m->roll_slot].used ||
	       (atomic_load(&s->generation) != m->roll_generation && atomic_load(&s->state) == SLOT_LIVE);
}

static void on_roll(struct ev_loop *loop, struct ev_timer *t, int events)
{
	struct master *m = ev_userdata(loop);
	bool late = ev_now(loop) > m->roll_deadline;

	(void)t;
	(void)events;
	if (m->stopping) {
		ev_timer_stop(loop, &m->roll_timer);
		return;
	}
	if (!slot_rolled(m) && !late)
		return;
	if (!slot_rolled(m))
		log_error("slot %u is not live after %.0f s; going on with the others", m->roll_slot, ROLL_PATIENCE);
	do {
		if (++m->roll_slot == INDEX_SLOTS_MAX) {
			rolled(m);
			return;
		}
	} while (!m->h.slots[m->roll_slot].used && m->roll_slot >= (unsigned)m->config.settings.workers);
	roll_one(m);
}

/* Keepers whose workers are gone already are told all at once. */
static void thaw_all(struct master *m)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (m->h.slots[i].used && slots_order_replace(m, i) < 0)
			log_error("slot %u could not be taken over: %s", i, strerror(errno));
}

static bool all_live(const struct master *m)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (m->h.slots[i].used && atomic_load(&m->hub.shm->slot[i].state) != SLOT_LIVE)
			return false;
	return true;
}

static void on_thaw(struct ev_loop *loop, struct ev_timer *t, int events)
{
	struct master *m = ev_userdata(loop);

	(void)events;
	if (!all_live(m) && ev_now(loop) < m->roll_deadline && !m->stopping)
		return;
	ev_timer_stop(loop, t);
	if (m->stopping)
		return;
	/* Once more, in the usual way: for slots that the configuration adds or takes away. */
	m->h.fresh = false;
	reload_roll(m);
}

void reload_roll(struct master *m)
{
	m->rolling = true;
	m->roll_slot = 0;
	if (m->h.fresh) {
		thaw_all(m);
		m->roll_deadline = ev_now(m->loop) + ROLL_PATIENCE;
		ev_timer_init(&m->roll_timer, on_thaw, ROLL_POLL, ROLL_POLL);
		ev_timer_start(m->loop, &m->roll_timer);
		return;
	}
	ev_timer_init(&m->roll_timer, on_roll, ROLL_POLL, ROLL_POLL);
	ev_timer_start(m->loop, &m->roll_timer);
	roll_one(m);
}
