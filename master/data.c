/*
 * janus-data, as the master sees it: a child like the keepers, but one that can be killed and made again at any time. So whatever is to change (program,
 * settings, segments) comes to it by its being killed and followed by another.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "master/data_process.h"
#include "master/master.h"
#include "master/notify.h"
#include "master/privileges.h"
#include "master/process.h"
#include "master/program.h"
#include "shm/journal.h"
#include "shm/log.h"

#define END_SECONDS 30.0		/* to write the journal's end before it is killed */
#define ABANDON_MS 5000
#define SILENT_MS 10000			/* without a sign of life, if hang_limit says nothing */
#define POLL_MS 2

static struct journal_shm *journal_of(const struct master *m)
{
	return &m->hub.shm->journal;
}

/* It is told by SIGUSR1 alone: what a terminal or a service manager sends to all is for the master. */
static __attribute__((noreturn)) void child(const struct master *m, int handover)
{
	static const int ignored[] = { SIGTERM, SIGINT, SIGHUP };
	char option[64];
	char *argv[] = { (char *)(uintptr_t)DATA_NAME, option, NULL };
	int inherited[] = { handover, m->h.hub, m->h.lock };
	sigset_t told;

	notify_disinherit();
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&told);
	sigaddset(&told, SIGUSR1);
	sigprocmask(SIG_SETMASK, &told, NULL);
	/* (Where there is no such call, it has some more descriptors than it needs.) */
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	for (size_t i = 0; i < sizeof(inherited) / sizeof(inherited[0]); i++)
		fcntl(inherited[i], F_SETFD, 0);
	snprintf(option, sizeof(option), "--heritage=%d", handover);
	program_execute(m->program, argv);
	log_error("the program can't be executed: %s", strerror(errno));
	_exit(1);
}

static int make(struct master *m)
{
	static struct handover h;
	int handover;
	pid_t pid;

	h = m->h;
	handover_strip(&h);
	h.secrets = h.tickets = h.fetched = -1;
	handover = handover_write(&h);
	pid = handover < 0 ? -1 : fork();
	if (pid == 0)
		child(m, handover);
	if (handover >= 0)
		close(handover);
	if (pid < 0) {
		log_error(DATA_NAME ": %s", strerror(errno));
		return -1;
	}
	m->h.data = (uint32_t)pid;
	m->data_next = atomic_load(&journal_of(m)->next);
	return 0;
}

static bool is_on(const struct master *m)
{
	return m->h.settings.data[0] != '\0';
}

bool data_alive(const struct master *m)
{
	return m->h.data != 0;
}

/* ---- start ---- */

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

/*
 * As root, for the user that it is to belong to. Here, and not in the process that uses it: only at a server's start do the settings come of the configuration, and not of keepers, whose word is
 * no reason to make anything as root.
 */
static int make_folder(const struct settings *settings)
{
	const struct passwd *pw = privileges_user(settings->user);

	if (mkdir(settings->data, 0700) < 0)
		return errno == EEXIST ? 0 : -1;
	return pw ? chown(settings->data, pw->pw_uid, pw->pw_gid) : 0;
}

int data_open(struct master *m)
{
	int status;

	if (!is_on(m))
		return 0;
	if (make_folder(&m->h.settings) < 0) {
		log_error("cannot make %s: %s", m->h.settings.data, strerror(errno));
		return -1;
	}
	atomic_store(&journal_of(m)->state, JOURNAL_READING);
	if (make(m) < 0)
		return -1;
	while (atomic_load(&journal_of(m)->state) == JOURNAL_READING) {
		if (waitpid((pid_t)m->h.data, &status, WNOHANG) == (pid_t)m->h.data) {
			m->h.data = 0;
			if (WIFSIGNALED(status))
				log_error("data: reading %s/" JOURNAL_NAME " ended with signal %d (%s). If it does so again, move it away to start without what is in it",
					  m->h.settings.data, WTERMSIG(status), strsignal(WTERMSIG(status)));
			return -1;
		}
		pause_ms(POLL_MS);
	}
	return 0;
}

void data_abandon(struct master *m)
{
	uint64_t deadline = restarts_now() + ABANDON_MS;

	if (!data_alive(m))
		return;
	kill((pid_t)m->h.data, SIGUSR1);
	while (waitpid((pid_t)m->h.data, NULL, WNOHANG) == 0 && restarts_now() < deadline)
		pause_ms(POLL_MS);
	m->h.data = 0;
}

/* ---- what becomes of it ---- */

static void make_later(struct master *m)
{
	m->data_timer.repeat = restarts_pause(&m->data_restarts) / 1000.0;
	ev_timer_again(m->loop, &m->data_timer);
}

static void on_timer(struct ev_loop *loop, struct ev_timer *t, int events)
{
	struct master *m = ev_userdata(loop);

	(void)events;
	ev_timer_stop(loop, t);
	if (m->data_ending && data_alive(m)) {
		log_error(DATA_NAME " %u does not end: killed; the next server can't know whether messages are missing", m->h.data);
		m->data_replaced = true;
		kill((pid_t)m->h.data, SIGKILL);
	} else if (!m->data_ending && !data_alive(m) && make(m) < 0) {
		make_later(m);
	}
}

void data_watch(struct master *m)
{
	ev_timer_init(&m->data_timer, on_timer, 1, 1);
}

/* What a dead one may have held. Of what the lock protects it has changed nothing. */
static void let_go(const struct master *m)
{
	struct lock_shm *lock = &m->hub.shm->lock;
	uint32_t dead = lock_owner(lock), ours = hub_owner_master();

	if (lock_number(dead) == JOURNAL_OWNER && lock_take_over(lock, dead, ours))
		lock_release(lock, ours);
	atomic_store(&journal_of(m)->pinned, 0);
}

/* If the master before was killed, its janus-data has gone on. */
static void end_orphan(const struct master *m)
{
	process_end_orphan(atomic_exchange(&journal_of(m)->pid, 0), m->workers_uid, DATA_NAME);
	let_go(m);
}

void data_take_over(struct master *m)
{
	if (!is_on(m))
		return;
	if (m->h.new_segments) {
		/* Nothing is known here of the file that is there: it is written anew. */
		atomic_store(&journal_of(m)->id, 0);
		if (atomic_load(&journal_of(m)->state) != JOURNAL_FAILING)
			atomic_store(&journal_of(m)->state, JOURNAL_GOOD);
	}
	m->data_replaced = data_alive(m);
	if (m->data_replaced) {
		kill((pid_t)m->h.data, SIGKILL);
		return;
	}
	end_orphan(m);
	if (make(m) < 0)
		make_later(m);
}

static void tell_silent(const struct master *m)
{
	log_error(DATA_NAME " %u gives no sign of life since %llu ms: its disk may hang; what is published is in memory alone", m->h.data,
		  (unsigned long long)m->data_silence.silent);
	atomic_store(&journal_of(m)->error, ETIMEDOUT);
	atomic_store(&journal_of(m)->since, hub_now());
	atomic_store(&journal_of(m)->state, JOURNAL_FAILING);
	kill((pid_t)m->h.data, SIGCONT);	/* if it is that somebody has stopped it */
}

void data_look(struct master *m, uint64_t now)
{
	uint64_t limit = m->config.settings.hang_limit ? (uint64_t)m->config.settings.hang_limit : SILENT_MS;

	if (!data_alive(m))
		m->data_silence = (struct silence){ .looked = now };
	else if (silence_look(&m->data_silence, atomic_load_explicit(&journal_of(m)->beat, memory_order_relaxed), now, limit))
		tell_silent(m);
}

bool data_reap(struct master *m, pid_t pid, int status)
{
	bool replaced = m->data_replaced;

	if (m->h.data != (uint32_t)pid)
		return false;
	m->h.data = 0;
	m->data_replaced = false;
	atomic_store(&journal_of(m)->pid, 0);
	let_go(m);
	if (m->data_ending) {
		if (WIFSIGNALED(status) && !replaced && make(m) == 0) {
			kill((pid_t)m->h.data, SIGUSR1);
			return true;
		}
		m->data_ended = true;
		ev_timer_stop(m->loop, &m->data_timer);
		return true;
	}
	if (!replaced && WIFSIGNALED(status))
		log_warning(DATA_NAME " %d died of signal %d (%s); another one goes on", (int)pid, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (!replaced)
		log_warning(DATA_NAME " %d ended with status %d; another one goes on", (int)pid, WEXITSTATUS(status));
	if (m->stopping)
		return true;		/* (data_end() makes another one) */
	/* At once, if it has got somewhere. */
	if (atomic_load(&journal_of(m)->next) != m->data_next) {
		restarts_ready(&m->data_restarts);
		replaced = true;
	}
	if (!replaced || make(m) < 0)
		make_later(m);
	return true;
}

/* ---- the end ---- */

void data_end(struct master *m)
{
	if (!is_on(m) || m->data_ended || m->data_ending)
		return;
	m->data_ending = true;
	ev_timer_stop(m->loop, &m->data_timer);
	if (!data_alive(m) && make(m) < 0)
		return;
	kill((pid_t)m->h.data, SIGUSR1);
	m->data_timer.repeat = END_SECONDS;
	ev_timer_again(m->loop, &m->data_timer);
}
