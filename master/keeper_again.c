/*
 * Another keeper. See keeper_again.h.
 *
 * Whatever may fail for want of something is done before the worker is asked to leave: if this process ends before that, the worker makes yet another one.
 */
#include "master/keeper_again.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "master/keeper.h"
#include "master/keeper_start.h"
#include "master/program.h"
#include "shm/crash.h"
#include "shm/log.h"
#include "shm/title.h"

#define LIVED_MS 1000		/* a keeper that lived so long was well */
#define BEAT_MS 500
#define TRY_MS 50		/* between tries to execute the program */

unsigned keeper_again_pause(void *arg)
{
	struct keeper *k = arg;
	struct restarts *deaths = &k->h.keepers;

	if (restarts_now() - k->started >= LIVED_MS)
		*deaths = (struct restarts){ 0 };
	if (deaths->count++ < (unsigned)k->h.settings.restart_limit)
		return 0;
	return restarts_pause(deaths);
}

/* ---- in the new process ---- */

static void beat(const struct keeper *k)
{
	atomic_store_explicit(&k->self->keeper_beat, restarts_now(), memory_order_relaxed);
}

/* Its name, its log. Signals stay blocked: those that come are for the program that is executed, and wait for it. */
static void begin(const struct keeper *k)
{
	char who[32];

	snprintf(who, sizeof(who), "keeper %u", k->slot);
	settings_log_init(who, &k->h.settings);
	prctl(PR_SET_NAME, KEEPER_NAME);
	title_set("janus: keeper %u", k->slot);
	signal(SIGINT, SIG_DFL);
	beat(k);
}

/*
 * What the program is given: what the dead keeper knew when it made the worker. What it may have closed since is left out: its own program, and keys of before, which are due to be. Of an
 * order that it had taken we know nothing: the master gives it again.
 */
static int write_handover(struct keeper *k, uint64_t started)
{
	const struct handover *h = &k->h;

	if (restarts_now() - started >= WAY_BACK_MS)
		k->h.tls_before = -1;
	/* A program that has shown that its workers live is no canary any more. */
	if (atomic_load(&k->self->turns) >= RESTARTS_PROGRESS || (h->new_segments && atomic_load(&k->self->state) == SLOT_LIVE))
		k->h.canary = false;
	k->h.new_segments = k->h.restore = false;
	k->h.snapshot = -1;
	k->h.died = hub_now();
	return handover_write(h);
}

/* A worker that does not leave is killed, as one that hangs always is. */
static void wait_for_the_end(struct keeper *k, pid_t worker)
{
	struct pollfd p = { .fd = k->worker_pidfd, .events = POLLIN };
	int ms;

	supervisor_adopt(&k->supervisor, worker);
	CRASH_POINT("keeper-asked");
	do {
		beat(k);
		supervisor_watch(&k->supervisor);
		ms = supervisor_wait_ms(&k->supervisor);
	} while (poll(&p, 1, ms < BEAT_MS ? ms : BEAT_MS) <= 0);
	supervisor_gone(&k->supervisor);
	CRASH_POINT("keeper-alone");
}

static __attribute__((noreturn)) void execute(const struct keeper *k, int program, int handover)
{
	char option[64];
	char *argv[] = { (char *)(uintptr_t)KEEPER_NAME, option, NULL };

	snprintf(option, sizeof(option), "--heritage=%d", handover);
	for (;;) {
		program_execute(program, argv);
		log_error("the program can't be executed: %m; trying again");
		beat(k);
		nanosleep(&(struct timespec){ .tv_nsec = TRY_MS * 1000000L }, NULL);
	}
}

static __attribute__((noreturn)) void next(struct keeper *k, pid_t worker)
{
	uint64_t started = k->started;
	int program, handover;

	begin(k);
	CRASH_POINT("keeper-begun");
	k->started = restarts_now();
	program = program_running();
	handover = write_handover(k, started);
	if (program < 0 || handover < 0) {
		log_error("handover state: %m");
		_exit(KEEPER_SHORTAGE);
	}
	wait_for_the_end(k, worker);
	events_say(&k->hub.events, k->slot, EVENT_HANDOVER, atomic_load(&k->self->connections), "process %d, as its keeper had died", (int)worker);
	execute(k, program, handover);
}

/* ---- in the worker ---- */

pid_t keeper_again(void *arg)
{
	struct keeper *k = arg;
	pid_t worker = getpid();
	long pid;

	if (!k->worker_pidfd && (k->worker_pidfd = (int)syscall(SYS_pidfd_open, worker, 0)) < 0) {
		k->worker_pidfd = 0;
		return -1;
	}
	/* (Touched, so that the kernel writes to memory that is there.) */
	atomic_fetch_add(&k->self->keeper, 0);
	pid = syscall(SYS_clone, CLONE_FILES | CLONE_PARENT | CLONE_PARENT_SETTID, 0, &k->self->keeper, 0, 0);
	if (pid == 0)
		next(k, worker);
	k->started = restarts_now();
	return (pid_t)pid;
}
