/*
 * The keeper's worker: made, watched, missed, made again.
 *
 * Everything here acts first and logs afterwards: until the next worker is there, the slot's connections wait.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/keeper_process.h"
#include "master/privileges.h"
#include "shm/log.h"
#include "worker/loop/worker.h"

#define LOOK_MS 1000u		/* between looks at the worker's signs of life, at most */
#define LOOK_LEAST_MS 50u
#define STARTING_MS 1		/* while the worker starts: until it can be given orders */
#define FREEZE_DEATHS 2		/* workers that die of being asked for a snapshot before that is refused */
#define TRIAL_DEATHS 3		/* workers of a program on trial that die before it has failed */
#define TRIAL_WAIT_MS 10000	/* for the master's order after that */
#define TRIAL_START_MS 15000	/* in which its worker must be live */

/* ---- start ---- */

static __attribute__((noreturn)) void worker_child(struct keeper *k)
{
	struct worker_listener listeners[LISTENERS_MAX];
	int kept[] = { k->signals, k->h.slots[k->slot].orders, k->h.lock, k->snapshot, k->program, k->successor };
	struct worker_start start = {
		.settings = &k->h.settings,
		.slot = k->slot,
		.hub_fd = k->h.hub,
		.slot_fd = k->h.slots[k->slot].segment,
		.wake = k->h.wake,
		.listeners = listeners,
		.listeners_count = k->h.listeners,
		.kept = kept,
		.kept_count = sizeof(kept) / sizeof(kept[0]),
		.snapshot_fd = k->snapshot,
		.drain = k->h.slots[k->slot].draining,
		.died = k->h.died,
	};
	char who[32];

	snprintf(who, sizeof(who), "worker %u", k->slot);
	log_init(who, settings_log_level(&k->h.settings));
	prctl(PR_SET_NAME, WORKER_NAME);
	for (unsigned i = 0; i < k->h.listeners; i++)
		listeners[i] = (struct worker_listener){ .fd = k->h.listen[i].fd, .proto = k->h.listen[i].proto };
	_exit(worker_run(&start));
}

static void start_later(struct keeper *k, unsigned ms)
{
	k->start_at = restarts_now() + ms;
}

/* Two processes, one descriptor table, separate memory. (The child's thread id inside glibc is stale: see lock.h.) */
void keeper_start_worker(struct keeper *k)
{
	pid_t keeper = getpid();
	uint64_t now = restarts_now();
	long pid;

	k->start_at = 0;
	k->asked = ASKED_NOT;
	k->watch.still = 0;
	k->watch.hung = false;
	k->watch.looked = k->watch.beat = k->watch.started = now;
	atomic_store(&k->segment.shm->working_on, 0);
	atomic_store(&k->segment.shm->encoding, 0);
	atomic_store(&k->self->state, SLOT_STARTING);
	atomic_store(&k->self->turns, 0);
	atomic_store(&k->self->worker_beat, now);
	atomic_store(&k->self->roll, k->h.roll);
	atomic_store(&k->self->started, hub_now());
	atomic_fetch_add(&k->self->generation, 1);
	pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		/* In this order: a keeper that dies before the first is noticed by the second. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != keeper)
			_exit(1);
		atomic_store(&k->self->worker, (uint32_t)getpid());
		privileges_oom((pid_t)k->h.master, OOM_WORKER);
		worker_child(k);
	}
	if (pid < 0) {
		unsigned ms = restarts_pause(&k->restarts);

		start_later(k, ms);
		log_error("clone: %m; trying again in %u ms", ms);
		return;
	}
	k->worker = (pid_t)pid;
	atomic_store(&k->self->worker, (uint32_t)pid);
	if (k->stopping)
		keeper_ask_worker(k, ASKED_STOP);
}

void keeper_ask_worker(struct keeper *k, enum asked what)
{
	static const int signals[] = { [ASKED_REPLACE] = SIGHUP, [ASKED_FREEZE] = SIGUSR1, [ASKED_STOP] = SIGTERM };

	if (k->worker <= 0)
		return;
	kill(k->worker, signals[what]);
	k->asked = what;
}

/* ---- watch ---- */

/* Whether somebody has stopped it (SIGSTOP). */
static bool is_stopped(pid_t pid)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid && info.si_code == CLD_STOPPED;
}

static unsigned look_ms(const struct keeper *k)
{
	uint64_t ms = (uint64_t)k->h.settings.hang_limit / 4;

	return ms == 0 || ms > LOOK_MS ? LOOK_MS : ms < LOOK_LEAST_MS ? LOOK_LEAST_MS : (unsigned)ms;
}

/* It may be waiting for the hub lock, which another has: that one is to blame, and its own keeper sees to it. */
static bool may_wait_for_another(const struct keeper *k)
{
	uint32_t owner = lock_owner(&k->hub.shm->lock);

	return owner != 0 && owner != k->slot + 1;
}

static void kill_hung(struct keeper *k)
{
	bool stopped = is_stopped(k->worker);

	kill(k->worker, SIGKILL);
	/* One that somebody has stopped hangs of nothing that it was at. */
	k->watch.hung = !stopped;
	log_error("worker %d hangs since %llu ms%s: killed", (int)k->worker, (unsigned long long)k->watch.still,
		  stopped ? ", as somebody has stopped it" : "");
	k->watch.still = 0;
}

/*
 * A worker gives a sign of life ten times a second at least, also while it starts or writes a snapshot. One that gives none holds its
 * connections up, and in the end all publishers. Counted is the time in which it was looked at: when this process is not run either (a
 * container that is paused, a machine that is suspended), nobody hangs.
 */
static void watch_beat(struct keeper *k, uint64_t now)
{
	uint64_t beat = atomic_load_explicit(&k->self->worker_beat, memory_order_relaxed);
	uint64_t passed = now - k->watch.looked, most = 3 * look_ms(k) / 2, limit = (uint64_t)k->h.settings.hang_limit;

	if (passed < look_ms(k))
		return;
	k->watch.looked = now;
	if (beat != k->watch.beat) {
		k->watch.beat = beat;
		k->watch.still = 0;
		return;
	}
	k->watch.still += passed < most ? passed : most;
	if (limit && k->watch.still >= limit && !may_wait_for_another(k))
		kill_hung(k);
}

/* Told to stop, it has so long to deliver what is owed; told to hand over, it does that at the end of its turn. */
static uint64_t stop_ms(const struct keeper *k)
{
	return (uint64_t)k->h.settings.stop_limit + 2000;
}

void keeper_watch(struct keeper *k)
{
	uint64_t now = restarts_now();

	atomic_store_explicit(&k->self->keeper_beat, now, memory_order_relaxed);
	if (k->worker == 0) {
		if (k->replacing && now >= k->start_at)
			keeper_replace_now(k);
		else if (!k->replacing && k->start_at && now >= k->start_at)
			keeper_start_worker(k);
		return;
	}
	if (atomic_load_explicit(&k->self->turns, memory_order_relaxed) >= RESTARTS_PROGRESS) {
		restarts_progress(&k->restarts);
		restarts_ready(&k->restarts);
		k->h.trial = false;
		k->frozen_deaths = 0;
	}
	if (k->stopping && now - k->stop_at >= stop_ms(k)) {
		kill(k->worker, SIGKILL);
		log_warning("worker %d does not leave: killed", (int)k->worker);
	} else if (k->h.trial && atomic_load(&k->self->state) == SLOT_STARTING && now - k->watch.started >= TRIAL_START_MS) {
		k->restarts.count = TRIAL_DEATHS;	/* one is enough */
		k->watch.hung = true;
		kill(k->worker, SIGKILL);
	} else {
		watch_beat(k, now);
	}
}

int keeper_wait_ms(const struct keeper *k)
{
	uint64_t now = restarts_now();

	if (k->worker == 0 && k->start_at)
		return k->start_at <= now ? 0 : k->start_at - now < LOOK_MS ? (int)(k->start_at - now) : (int)LOOK_MS;
	if (k->worker > 0 && !k->asked && !keeper_takes_orders(k))
		return STARTING_MS;
	return (int)look_ms(k);
}

/* ---- death ---- */

static enum death death_of(const struct keeper *k, int status)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGSYS, SIGTRAP };

	if (k->watch.hung)
		return DEATH_HANG;
	if (!WIFSIGNALED(status))
		return DEATH_FAULT;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (WTERMSIG(status) == faults[i])
			return DEATH_FAULT;
	return DEATH_KILLED;
}

static void log_death(const struct keeper *k, pid_t worker, int status, enum verdict verdict)
{
	static const char *const said[] = {
		[VERDICT_NONE] = "",
		[VERDICT_SUSPECT] = "; what it was at is tried again",
		[VERDICT_SESSION] = "; the connection whose input it was handling is closed",
		[VERDICT_RECORD] = "; the message that it was encoding is skipped from here on",
	};
	uint32_t n = atomic_load(&k->self->connections);

	if (WIFSIGNALED(status))
		log_warning("worker %d died of signal %d (%s); %u connections go on with the next%s", (int)worker, WTERMSIG(status),
			    strsignal(WTERMSIG(status)), n, said[verdict]);
	else
		log_warning("worker %d ended with status %d; %u connections go on with the next%s", (int)worker, WEXITSTATUS(status), n,
			    said[verdict]);
}

/* The slot starts empty: its connections are closed. */
static void empty_slot(struct keeper *k)
{
	uint32_t count;

	/* (A hole can always be punched into memory of one's own. Should it fail, the sessions are gone all the same, as descriptors.) */
	if (slot_empty(&k->segment, k->h.slots[k->slot].segment, true, &count) < 0)
		log_error("slot segment: %m");
	hub_clear_slot(&k->hub, k->slot, k->slot + 1);
	hub_count(&k->hub, k->slot, COUNTER_closed_slot, count);
	hub_count(&k->hub, k->slot, COUNTER_closed, count);
	atomic_fetch_add(&k->self->emptied, 1);
	log_error("crash loop: more than %lld workers died one behind the other before they got anywhere; the slot starts empty, %u connections closed",
		  (long long)k->h.settings.restart_limit, count);
}

/* A program on trial whose workers die at the start: the master is told, and will have the old one executed. */
static void fail_trial(struct keeper *k)
{
	k->restarts.count = 0;
	atomic_fetch_add(&k->self->refused, 1);
	start_later(k, TRIAL_WAIT_MS);
	log_error("the new program's workers die before they get anywhere");
}

/* The worker died of its own, of nothing that could be taken away, and before it had got anywhere. -1, or the keeper's exit status. */
static int restart_in_vain(struct keeper *k)
{
	if (k->h.trial) {
		if (++k->restarts.count >= TRIAL_DEATHS)
			fail_trial(k);
		else
			keeper_start_worker(k);
		return -1;
	}
	switch (restarts_note(&k->restarts, &k->h.settings, restarts_now())) {
	case RESTART:
		break;
	case RESTART_EMPTY:
		empty_slot(k);
		break;
	case RESTART_NEVER:
		log_error("crash loop, also with an empty slot: giving up");
		return KEEPER_GAVE_UP;
	}
	keeper_start_worker(k);
	return -1;
}

/* Something was lacking at its start, which is no death. */
static void restart_lacking(struct keeper *k)
{
	unsigned ms = restarts_pause(&k->restarts);

	start_later(k, ms);
	log_error("the worker could not start for want of something; trying again in %u ms", ms);
}

/* It is gone and was not asked to be. -1, or the keeper's exit status. */
static int replace_dead(struct keeper *k, int status)
{
	bool progress = atomic_load(&k->self->turns) >= RESTARTS_PROGRESS;
	enum death death = death_of(k, status);
	enum verdict verdict = VERDICT_NONE;
	pid_t worker = k->worker;
	int r = -1;

	if (progress)
		restarts_progress(&k->restarts);
	/* With memory of its own a trial is over when the worker is live (roll.c). */
	if (k->h.fresh && k->was_live)
		k->h.trial = false;
	/* On trial, a death at the start is the program's fault and not that of what it found. */
	if (!k->h.trial || k->was_live)
		verdict = blame(&k->segment, death);
	k->worker = 0;
	atomic_fetch_add(&k->self->restarts, 1);
	if (progress || verdict != VERDICT_NONE || death == DEATH_KILLED)
		keeper_start_worker(k);
	else
		r = restart_in_vain(k);
	log_death(k, worker, status, verdict);
	return r;
}

/* It was to leave a snapshot, and could not or did not. */
static void freeze_failed(struct keeper *k)
{
	k->freezing = false;
	k->frozen_deaths = 0;
	atomic_fetch_add(&k->self->refused, 1);
}

/*
 * The server stops. A worker that left for something else, or died, has not delivered what is owed: another one does, while there is time.
 */
static int stop_on(struct keeper *k, int exited)
{
	k->worker = 0;
	if (exited == WORKER_STOPPED || exited == WORKER_DRAINED || restarts_now() - k->stop_at >= stop_ms(k))
		return KEEPER_STOPPED;
	keeper_start_worker(k);
	return -1;
}

int keeper_worker_gone(struct keeper *k, int status)
{
	int exited = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	bool left = k->asked && (exited == 0 || exited == WORKER_FROZEN || exited == WORKER_UNFROZEN || exited == WORKER_DRAINED ||
				 exited == WORKER_STOPPED);

	k->h.died = hub_now();
	k->was_live = atomic_load(&k->self->state) == SLOT_LIVE;
	atomic_store(&k->self->worker, 0);
	if (!left)
		hub_settle(&k->hub, k->slot);
	if (k->stopping)
		return stop_on(k, exited);
	if (exited == WORKER_DRAINED && k->h.slots[k->slot].draining && k->successor < 0)
		return KEEPER_DRAINED;
	atomic_store(&k->self->state, SLOT_STARTING);
	if (exited == WORKER_FROZEN && k->freezing) {
		k->worker = 0;
		k->frozen = true;
		atomic_store(&k->self->state, SLOT_FROZEN);
		return -1;
	}
	if (k->freezing && (exited == WORKER_UNFROZEN || ++k->frozen_deaths >= FREEZE_DEATHS))
		freeze_failed(k);
	if (left || exited == WORKER_DRAINED) {
		k->worker = 0;
		keeper_follow(k);
		keeper_start_worker(k);
	} else if (exited == WORKER_LACKING && k->successor < 0) {
		k->worker = 0;
		restart_lacking(k);
	} else if (k->successor >= 0) {
		/* Dead while it was to hand over: what it died of goes on in the slot segment. */
		enum verdict verdict = blame(&k->segment, death_of(k, status));
		pid_t worker = k->worker;

		k->worker = 0;
		log_death(k, worker, status, verdict);
		keeper_follow(k);
		keeper_start_worker(k);
	} else {
		return replace_dead(k, status);
	}
	return -1;
}
