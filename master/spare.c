/*
 * The spare. See spare.h.
 *
 * It holds no descriptor of its own, as a worker that starts would close it: it learns of the keeper's death by a signal (PR_SET_PDEATHSIG). For the same reason a spare that becomes the keeper opens nothing before the worker
 * is live or gone.
 */
#include "master/spare.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "master/keeper.h"
#include "master/process.h"
#include "master/runtime_dir.h"
#include "shm/crash.h"
#include "shm/log.h"
#include "shm/title.h"

#define LIVED_MS 1000		/* a keeper that lived so long was well */
#define BEAT_MS 500
#define STARTING_MS 1		/* between looks at a worker that is not live yet */
#define MADE_MS 50		/* between spares, if they die */

static void beat(const struct keeper *k)
{
	atomic_store_explicit(&k->self->keeper_beat, restarts_now(), memory_order_relaxed);
}

unsigned spare_pause(struct keeper *k)
{
	struct restarts *deaths = &k->h.keepers;

	if (restarts_now() - k->started >= LIVED_MS)
		*deaths = (struct restarts){ 0 };
	if (deaths->count++ < (unsigned)k->h.settings.restart_limit)
		return 0;
	return restarts_pause(deaths);
}

/* ---- the spare's wait ---- */

/* The kernel tells of the parent's death, whatever others send. (SIGCHLD, as it does no harm to a keeper.) What comes after the death is for the keeper that this process is by then. */
static void wait_for_death(pid_t keeper)
{
	siginfo_t info = { 0 };
	sigset_t all;

	sigfillset(&all);
	prctl(PR_SET_PDEATHSIG, SIGCHLD);
	while (getppid() == keeper)
		if (sigwaitinfo(&all, &info) < 0)
			info.si_signo = 0;
	prctl(PR_SET_PDEATHSIG, 0);
	if (info.si_signo == SIGTERM)
		raise(SIGTERM);
}

/* ---- the keeper in its place ---- */

/* Another process is the keeper from now on, and the master finds its number. */
static void become_keeper(struct keeper *k)
{
	atomic_store(&k->self->keeper_end, 0);
	atomic_store(&k->self->keeper, (uint32_t)getpid());
	beat(k);
	prctl(PR_SET_NAME, KEEPER_NAME);
	title_set("janus: keeper %u", k->slot);
	log_warning("the keeper has died; process %d is the next one", (int)getpid());
}

/* What only the dead keeper knew, or was in the midst of. The master tells again what it has ordered. */
static void forget(struct keeper *k)
{
	k->spare = k->spare_ended = 0;
	k->successor = -1;
	k->bereft = k->met = k->quiescing = k->replacing = false;
	k->quiesced = atomic_load(&k->self->state) == SLOT_QUIESCED;
	/* A program that has shown that its workers live is no canary any more. */
	if (atomic_load(&k->self->turns) >= RESTARTS_PROGRESS || (k->h.new_segments && atomic_load(&k->self->state) == SLOT_LIVE))
		k->supervisor.canary = false;
	/* (It may have been about to execute a program with another layout.) */
	fcntl(k->h.hub, F_SETFD, 0);
	fcntl(k->h.slots[k->slot].segment, F_SETFD, 0);
	if (k->h.tls_before >= 0)
		fcntl(k->h.tls_before, F_SETFD, 0);
}

static void pause_between(const struct keeper *k, unsigned ms)
{
	uint64_t until = restarts_now() + ms;

	if (ms)
		log_error("keepers die one behind the other; the next one begins in %u ms", ms);
	for (uint64_t now = restarts_now(); now < until; now = restarts_now()) {
		beat(k);
		poll(NULL, 0, until - now < BEAT_MS ? (int)(until - now) : BEAT_MS);
	}
}

/* A pidfd of the worker, -1 if it can't be told to be one yet: one that is not live might close it. */
static int watch_worker(const struct keeper *k, pid_t worker, bool *gone)
{
	bool live = atomic_load(&k->self->state) == SLOT_LIVE;
	int fd = live ? process_open((uint32_t)worker) : -1;

	*gone = fd < 0 && ((live && errno == ESRCH) || (kill(worker, 0) < 0 && errno == ESRCH));
	return fd;
}

/* The worker, if there is one, leaves. Not being its parent, this process does not learn how it ended. One that does not leave is killed, as one that hangs always is. */
static void have_worker_leave(struct keeper *k)
{
	pid_t worker = (pid_t)atomic_load(&k->self->worker);
	struct pollfd p = { .fd = -1, .events = POLLIN };
	bool gone = worker == 0;
	int ms;

	if (worker) {
		supervisor_adopt(&k->supervisor, worker);
		CRASH_POINT("keeper-asked");
	}
	while (!gone) {
		beat(k);
		if (p.fd < 0)
			p.fd = watch_worker(k, worker, &gone);
		supervisor_watch(&k->supervisor);
		ms = p.fd < 0 ? STARTING_MS : supervisor_wait_ms(&k->supervisor);
		gone = gone || poll(&p, 1, ms < BEAT_MS ? ms : BEAT_MS) > 0;
	}
	if (p.fd >= 0)
		close(p.fd);
	if (worker)
		events_say(&k->hub.events, k->slot, EVENT_HANDOVER, atomic_load(&k->self->connections), "process %d, as its keeper had died", (int)worker);
}

/* As spare_make(), until there is one: where there are no processes, a worker that is there serves on, as there may be none for the next one. */
static bool make_another(struct keeper *k)
{
	bool second = spare_make(k);

	while (!second && k->spare == 0) {
		beat(k);
		poll(NULL, 0, MADE_MS);
		second = spare_make(k);
	}
	return second;
}

/*
 * Another process is the one that counts: a spare that was made later; or one that a program has made which the keeper had executed. If that has another layout, it looks into another hub. So it is the locks that tell.
 */
static bool is_another(const struct keeper *k)
{
	return atomic_load(&k->self->spare) != (uint32_t)getpid() || runtime_dir_followed(k->h.lock, k->slot, k->h.programs);
}

static void take_over(struct keeper *k)
{
	unsigned ms;

	if (is_another(k))
		_exit(KEEPER_STOPPED);
	CRASH_POINT("spare-missed");
	become_keeper(k);
	CRASH_POINT("spare-keeper");
	forget(k);
	ms = spare_pause(k);
	k->started = restarts_now();
	if (make_another(k))
		return;		/* all that follows has been done, by this process: the one that made it has died in the midst of it */
	CRASH_POINT("spare-again");
	pause_between(k, ms);
	if (!k->quiesced) {
		have_worker_leave(k);
		supervisor_gone(&k->supervisor);
		CRASH_POINT("keeper-alone");
		if (ftruncate(k->snapshot, 0) < 0)	/* it may have been to leave one */
			log_error("snapshot: %m");
	}
	k->supervisor.worker = 0;
	k->supervisor.asked = ASKED_NOTHING;
	k->h.died = hub_now();
	if (keeper_open_own(k) < 0)
		_exit(KEEPER_SHORTAGE);
	while (runtime_dir_hold_anew(k->h.lock) < 0) {
		beat(k);
		poll(NULL, 0, STARTING_MS);
	}
	k->spare_old = true;		/* it has none of this */
}

/* ---- in the keeper ---- */

static bool is_there(pid_t spare)
{
	return spare > 0 && waitpid(spare, NULL, WNOHANG) == 0;
}

/* The one that was told to end. */
static void reap(struct keeper *k, int options)
{
	if (k->spare_ended && waitpid(k->spare_ended, NULL, options) != 0)
		k->spare_ended = 0;
}

/* (Who is the last to have a table closes all of it as it ends: with many connections that takes longer than they are to wait for a worker.) */
static void end(struct keeper *k, pid_t spare)
{
	if (!spare)
		return;
	reap(k, 0);
	kill(spare, SIGKILL);
	k->spare_ended = spare;
}

bool spare_make(struct keeper *k)
{
	pid_t keeper = getpid(), before = is_there(k->spare) ? k->spare : 0;
	sigset_t all, mask;
	long pid;

	/* (Touched, so that the kernel writes to memory that is there.) */
	atomic_fetch_add(&k->self->spare, 0);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &mask);
	pid = syscall(SYS_clone, CLONE_FILES | CLONE_PARENT_SETTID | SIGCHLD, 0, &k->self->spare, 0, 0);
	if (pid == 0) {
		prctl(PR_SET_NAME, SPARE_NAME);
		title_set("janus: spare %u", k->slot);
		CRASH_POINT("spare-begun");
		wait_for_death(keeper);
		take_over(k);
		sigprocmask(SIG_SETMASK, &mask, NULL);
		return true;
	}
	CRASH_POINT("spare-made");
	end(k, before);
	k->spare = pid < 0 ? 0 : (pid_t)pid;
	k->spare_old = false;
	k->spare_made = restarts_now();
	sigprocmask(SIG_SETMASK, &mask, NULL);
	if (pid < 0) {
		atomic_store(&k->self->spare, 0);
		log_warning_limited("no process for a spare: %m; trying again");
	}
	return false;
}

bool spare_due(struct keeper *k)
{
	reap(k, WNOHANG);
	if (!is_there(k->spare))
		k->spare = 0;
	return (k->spare == 0 || k->spare_old) && restarts_now() - k->spare_made >= MADE_MS;
}

void spare_end(struct keeper *k)
{
	end(k, is_there(k->spare) ? k->spare : 0);
	spare_wait(k);
	k->spare = 0;
	atomic_store(&k->self->spare, 0);
}

void spare_wait(struct keeper *k)
{
	reap(k, 0);
}
