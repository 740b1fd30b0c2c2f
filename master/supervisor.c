/*
 * Supervision of a worker. See supervisor.h.
 *
 * Everything here acts first and logs afterwards: until the next worker is there, the slot's connections wait.
 */
#include "master/supervisor.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/crash.h"
#include "shm/log.h"
#include "worker/loop/worker.h"

#define LOOK_MS 1000u		/* between looks at the worker's signs of life, at most */
#define LOOK_LEAST_MS 50u
#define STARTING_MS 1		/* while the worker starts: until it is live, and its keeper can take orders */
#define STOP_MORE_MS 2000	/* for a worker to end, beyond stop_limit */
#define CANARY_DEATHS 3		/* workers of a canary that die before it has failed */
#define CANARY_WAIT_MS 10000	/* for the master's order after that */
#define CANARY_START_MS 15000	/* in which its worker must be live */

static struct hub_slot_shm *shm_of(const struct supervisor *s)
{
	return &s->hub->shm->slot[s->slot];
}

/* ---- start ---- */

static void start_later(struct supervisor *s, unsigned ms)
{
	s->start_at = restarts_now() + ms;
}

/* What the last worker left of itself is no longer true. */
static void begin(struct supervisor *s)
{
	struct hub_slot_shm *shm = shm_of(s);
	uint64_t now = restarts_now();

	s->start_at = 0;
	s->asked = ASKED_NOTHING;
	s->watch.still = 0;
	s->watch.hung = false;
	s->watch.looked = s->watch.beat = s->watch.started = now;
	atomic_store(&s->segment->shm->working_on, 0);
	atomic_store(&s->segment->shm->encoding, 0);
	atomic_store(&shm->state, SLOT_STARTING);
	atomic_store(&shm->turns, 0);
	atomic_store(&shm->worker_beat, now);
	atomic_store(&shm->reload_number, s->reload_number);
	atomic_store(&shm->started, hub_now());
	atomic_fetch_add(&shm->generation, 1);
}

/*
 * Two processes, one descriptor table, separate memory. (The child's thread id inside glibc is stale: see lock.h.) The kernel writes the worker's number into the hub before
 * the worker runs, so if this process dies at this very moment the master knows of the worker all the same.
 */
void supervisor_start(struct supervisor *s)
{
	long pid;

	begin(s);
	pid = syscall(SYS_clone, CLONE_FILES | CLONE_PARENT_SETTID | SIGCHLD, 0, &shm_of(s)->worker, 0, 0);
	if (pid == 0) {
		s->run(s->arg);
		_exit(1);
	}
	if (pid < 0) {
		unsigned ms = restarts_pause(&s->restarts);

		start_later(s, ms);
		log_error("clone: %m; trying again in %u ms", ms);
		return;
	}
	s->worker = (pid_t)pid;
	if (s->stopping)
		supervisor_ask(s, ASKED_STOP);
}

void supervisor_ask(struct supervisor *s, enum asked what)
{
	static const int signals[] = { [ASKED_REPLACE] = SIGHUP, [ASKED_SNAPSHOT] = SIGUSR1, [ASKED_STOP] = SIGTERM };

	if (s->worker <= 0)
		return;
	kill(s->worker, signals[what]);
	s->asked = what;
}

/* ---- stop ---- */

void supervisor_stop(struct supervisor *s)
{
	s->stopping = true;
	s->stop_at = restarts_now();
	supervisor_ask(s, ASKED_STOP);
}

bool supervisor_stop_overdue(const struct supervisor *s)
{
	return s->stopping && restarts_now() - s->stop_at >= (uint64_t)s->settings->stop_limit + STOP_MORE_MS;
}

/* ---- watch ---- */

bool supervisor_settled(const struct supervisor *s)
{
	return s->worker == 0 || (!s->asked && atomic_load(&shm_of(s)->state) == SLOT_LIVE);
}

/* Whether somebody has stopped it (SIGSTOP). */
static bool is_stopped(pid_t pid)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid && info.si_code == CLD_STOPPED;
}

static unsigned look_ms(const struct supervisor *s)
{
	uint64_t ms = (uint64_t)s->settings->hang_limit / 4;

	return ms == 0 || ms > LOOK_MS ? LOOK_MS : ms < LOOK_LEAST_MS ? LOOK_LEAST_MS : (unsigned)ms;
}

/* It may be waiting for the hub lock, which another has: that one is to blame, and its own keeper sees to it. */
static bool may_wait_for_another(const struct supervisor *s)
{
	unsigned owner = lock_number(lock_owner(&s->hub->shm->lock));

	return owner != 0 && owner != s->slot + 1;
}

static void kill_hung(struct supervisor *s)
{
	bool stopped = is_stopped(s->worker);

	kill(s->worker, SIGKILL);
	/* If somebody has stopped it, then what it was at is not why it hangs. */
	s->watch.hung = !stopped;
	log_error("worker %d hangs since %llu ms%s: killed", (int)s->worker, (unsigned long long)s->watch.still,
		  stopped ? ", as somebody has stopped it" : "");
	s->watch.still = 0;
}

/*
 * A worker gives a sign of life ten times a second at least, also while it starts or writes a snapshot. One that gives none holds its
 * connections up, and in the end all publishers. Counted is the time in which it was looked at: when this process is not run either (a
 * container that is paused, a machine that is suspended), nobody hangs.
 */
static void watch_beat(struct supervisor *s, uint64_t now)
{
	uint64_t beat = atomic_load_explicit(&shm_of(s)->worker_beat, memory_order_relaxed);
	uint64_t passed = now - s->watch.looked, most = 3 * look_ms(s) / 2, limit = (uint64_t)s->settings->hang_limit;

	if (passed < look_ms(s))
		return;
	s->watch.looked = now;
	if (beat != s->watch.beat) {
		s->watch.beat = beat;
		s->watch.still = 0;
		return;
	}
	s->watch.still += passed < most ? passed : most;
	if (limit && s->watch.still >= limit && !may_wait_for_another(s))
		kill_hung(s);
}

static bool canary_overdue(const struct supervisor *s, uint64_t now)
{
	return s->canary && atomic_load(&shm_of(s)->state) == SLOT_STARTING && now - s->watch.started >= CANARY_START_MS;
}

void supervisor_watch(struct supervisor *s)
{
	uint64_t now = restarts_now();

	if (s->worker == 0) {
		if (s->start_at && now >= s->start_at)
			supervisor_start(s);
		return;
	}
	if (atomic_load_explicit(&shm_of(s)->turns, memory_order_relaxed) >= RESTARTS_PROGRESS) {
		restarts_progress(&s->restarts);
		restarts_ready(&s->restarts);
		s->canary = false;
	}
	if (supervisor_stop_overdue(s)) {
		kill(s->worker, SIGKILL);
		log_warning("worker %d does not leave: killed", (int)s->worker);
	} else if (canary_overdue(s, now)) {
		s->restarts.count = CANARY_DEATHS;	/* no further one is tried */
		s->watch.hung = true;
		kill(s->worker, SIGKILL);
	} else {
		watch_beat(s, now);
	}
}

int supervisor_wait_ms(const struct supervisor *s)
{
	uint64_t now = restarts_now();

	if (s->worker == 0 && s->start_at)
		return s->start_at <= now ? 0 : s->start_at - now < LOOK_MS ? (int)(s->start_at - now) : (int)LOOK_MS;
	if (!s->asked && !supervisor_settled(s))
		return STARTING_MS;
	return (int)look_ms(s);
}

/* ---- the end of a worker ---- */

static enum worker_end end_of(const struct supervisor *s, int status)
{
	if (!WIFEXITED(status))
		return END_DIED;
	switch (WEXITSTATUS(status)) {
	case WORKER_DRAINED:
		return END_DRAINED;
	case WORKER_SHORTAGE:
		return END_SHORTAGE;
	}
	if (!s->asked)
		return END_DIED;
	switch (WEXITSTATUS(status)) {
	case 0:
		return END_LEFT;
	case WORKER_SNAPSHOT:
		return END_SNAPSHOT;
	case WORKER_NO_SNAPSHOT:
		return END_NO_SNAPSHOT;
	case WORKER_STOPPED:
		return END_STOPPED;
	}
	return END_DIED;
}

bool supervisor_reap(struct supervisor *s, enum worker_end *end)
{
	bool ended = false;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == s->worker) {
			s->status = status;
			ended = true;
		}
	if (!ended)
		return false;
	*end = end_of(s, s->status);
	s->gone = s->worker;
	s->worker = 0;
	s->was_live = atomic_load(&shm_of(s)->state) == SLOT_LIVE;
	atomic_store(&shm_of(s)->worker, 0);
	if (!s->asked || *end == END_DIED || *end == END_SHORTAGE)
		hub_repair(s->hub, s->slot);
	atomic_store(&shm_of(s)->state, SLOT_STARTING);
	CRASH_POINT("keeper-reaped");
	return true;
}

/* ---- death ---- */

static enum death death_of(const struct supervisor *s)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGSYS, SIGTRAP };

	if (s->watch.hung)
		return DEATH_HANG;
	if (!WIFSIGNALED(s->status))
		return DEATH_FAULT;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (WTERMSIG(s->status) == faults[i])
			return DEATH_FAULT;
	return DEATH_KILLED;
}

static const char *verdict_text(enum verdict verdict)
{
	static const char *const said[] = {
		[VERDICT_NONE] = "",
		[VERDICT_SUSPECT] = "; what it was at is tried again",
		[VERDICT_SESSION] = "; the connection whose input it was handling is closed",
		[VERDICT_RECORD] = "; the message that it was encoding is skipped from here on",
	};

	return said[verdict];
}

/* Nobody else writes to the slot's events: its worker is gone, and the next one is not there yet. */
static void tell_death(const struct supervisor *s, enum verdict verdict)
{
	uint32_t n = atomic_load(&shm_of(s)->connections);

	if (WIFSIGNALED(s->status))
		events_say(&s->hub->events, s->slot, EVENT_DEATH, n, "worker %d, of signal %d%s%s", (int)s->gone, WTERMSIG(s->status),
			   s->watch.hung ? ", as it hung" : "", verdict_text(verdict));
	else
		events_say(&s->hub->events, s->slot, EVENT_DEATH, n, "worker %d, with status %d%s", (int)s->gone, WEXITSTATUS(s->status), verdict_text(verdict));
}

static void log_death(const struct supervisor *s, enum verdict verdict)
{
	uint32_t n = atomic_load(&shm_of(s)->connections);

	if (WIFSIGNALED(s->status))
		log_warning("worker %d died of signal %d (%s); %u connections go on with the next%s", (int)s->gone, WTERMSIG(s->status),
			    strsignal(WTERMSIG(s->status)), n, verdict_text(verdict));
	else
		log_warning("worker %d ended with status %d; %u connections go on with the next%s", (int)s->gone, WEXITSTATUS(s->status), n,
			    verdict_text(verdict));
}

/* The slot starts empty: its connections are closed. */
static void empty_slot(struct supervisor *s)
{
	uint32_t count;

	atomic_store(&shm_of(s)->emptying, 1);
	CRASH_POINT("slot-emptying");
	/* (It does not fail with a memfd of our own. If it did, the sessions would be gone all the same, as their descriptors are closed.) */
	if (slot_empty(s->segment, s->segment_fd, true, &count) < 0 || tls_empty(s->tls, s->tls_fd) < 0)
		log_error("slot segment: %m");
	CRASH_POINT("slot-emptied");
	hub_clear_slot(s->hub, s->slot, hub_owner_keeper(s->slot));
	hub_count(s->hub, s->slot, COUNTER_closed_slot, count);
	hub_count(s->hub, s->slot, COUNTER_closed, count);
	atomic_fetch_add(&shm_of(s)->emptied, 1);
	events_say(&s->hub->events, s->slot, EVENT_EMPTY, count, "the slot starts empty: its workers died one behind the other");
	log_error("crash loop: more than %lld workers died one behind the other before they got anywhere; the slot starts empty, %u connections closed",
		  (long long)s->settings->restart_limit, count);
	atomic_store(&shm_of(s)->emptying, 0);
}

/* The workers of a canary die at their start: the master is told, and will have the old program executed. */
static void fail_canary(struct supervisor *s)
{
	s->restarts.count = 0;
	atomic_fetch_add(&shm_of(s)->refused, 1);
	start_later(s, CANARY_WAIT_MS);
	log_error("the new program's workers die before they get anywhere");
}

/* It died of its own fault, nothing could be blamed and taken away, and it had made no progress. */
static bool restart_without_progress(struct supervisor *s)
{
	if (s->canary) {
		if (++s->restarts.count >= CANARY_DEATHS)
			fail_canary(s);
		else
			supervisor_start(s);
		return true;
	}
	switch (restarts_note(&s->restarts, s->settings, restarts_now())) {
	case RESTART:
		break;
	case RESTART_EMPTY:
		empty_slot(s);
		break;
	case RESTART_NEVER:
		log_error("crash loop, also with an empty slot: giving up");
		return false;
	}
	supervisor_start(s);
	return true;
}

void supervisor_retry(struct supervisor *s)
{
	unsigned ms = restarts_pause(&s->restarts);

	start_later(s, ms);
	log_error("the worker could not start for want of something; trying again in %u ms", ms);
}

bool supervisor_replace(struct supervisor *s)
{
	bool progress = atomic_load(&shm_of(s)->turns) >= RESTARTS_PROGRESS, useful = true;
	enum death death = death_of(s);
	enum verdict verdict = VERDICT_NONE;

	if (progress)
		restarts_progress(&s->restarts);
	if (s->canary_until_live && s->was_live)
		s->canary = false;
	/* If a canary's worker dies at its start, that is the new program's fault, and not that of the session or record that it was at. */
	if (!s->canary || s->was_live)
		verdict = attribution_note(s->segment, death);
	atomic_fetch_add(&shm_of(s)->restarts, 1);
	tell_death(s, verdict);
	if (progress || verdict != VERDICT_NONE || death == DEATH_KILLED)
		supervisor_start(s);
	else
		useful = restart_without_progress(s);
	log_death(s, verdict);
	return useful;
}

void supervisor_note_death(struct supervisor *s)
{
	enum verdict verdict = attribution_note(s->segment, death_of(s));

	tell_death(s, verdict);
	log_death(s, verdict);
}

/* ---- a worker that is another's child ---- */

void supervisor_adopt(struct supervisor *s, pid_t worker)
{
	s->worker = worker;
	s->asked = ASKED_NOTHING;
	s->start_at = 0;
	s->watch.still = 0;
	s->watch.looked = s->watch.started = restarts_now();
	supervisor_ask(s, ASKED_REPLACE);
}

void supervisor_gone(struct supervisor *s)
{
	s->gone = s->worker;
	s->worker = 0;
	atomic_store(&shm_of(s)->worker, 0);
	hub_repair(s->hub, s->slot);
	if (atomic_load(&shm_of(s)->emptying))
		empty_slot(s);
	atomic_store(&shm_of(s)->state, SLOT_STARTING);
}
