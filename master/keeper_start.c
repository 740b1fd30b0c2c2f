/*
 * A keeper's start. See keeper_start.h.
 */
#include "master/keeper_start.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "master/keeper.h"
#include "master/privileges.h"
#include "master/program.h"
#include "master/runtime_dir.h"
#include "shm/shortage.h"
#include "shm/log.h"
#include "shm/snapshot.h"
#include "shm/title.h"

#define WAIT_MOST_MS 250		/* for what the machine is short of, before a sign of life */

/* After a failure with errno. Waits a while if the machine is only short of something: then it is worth a try. */
static bool try_again(struct keeper *k, const char *what)
{
	int error = errno;
	unsigned ms;

	if (!is_shortage(error)) {
		log_error("%s: %m", what);
		return false;
	}
	ms = restarts_pause(&k->waits);
	if (ms > WAIT_MOST_MS)
		ms = WAIT_MOST_MS;
	log_error("%s: %m; trying again in %u ms", what, ms);
	if (k->self)
		atomic_store_explicit(&k->self->keeper_beat, restarts_now(), memory_order_relaxed);
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
	return true;
}

static void open_log(const struct keeper *k)
{
	char who[32];

	snprintf(who, sizeof(who), "keeper %u", k->slot);
	settings_log_init(who, &k->h.settings);
}

int keeper_open_signals(struct keeper *k)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);	/* a terminal's: the master decides */
	sigprocmask(SIG_BLOCK, &set, NULL);
	k->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return k->signals < 0 ? -1 : 0;
}

/* The hub is where signs of life are given: so first of all. */
static int attach_hub(struct keeper *k)
{
	while (hub_attach(&k->hub, k->h.hub, true) < 0)
		if (!try_again(k, "hub segment"))
			return -1;
	k->hub.wake = k->h.wake;
	hub_keep(&k->hub, &k->h.settings);
	k->self = &k->hub.shm->slot[k->slot];
	log_follow_level(&k->hub.shm->log_level);
	log_count_lost(&k->self->counters[COUNTER_log_lost]);		/* and the workers', which are made of us */
	return 0;
}

static int attach_slot(struct keeper *k)
{
	while (slot_attach(&k->segment, k->h.slots[k->slot].segment, true) < 0)
		if (!try_again(k, "slot segment"))
			return -1;
	return 0;
}

/* Keys are the keeper's and its worker's alone. So the keeper makes this segment, and hands it on to what it executes, and the master never has it. */
static int attach_tls(struct keeper *k)
{
	uint32_t entries = k->segment.shm->sessions_max;
	char name[32];

	snprintf(name, sizeof(name), "janus-tls-%u", k->slot);
	while (k->h.tls < 0 && (k->h.tls = tls_create(name, entries)) < 0)
		if (!try_again(k, "TLS segment"))
			return -1;
	while (tls_attach(&k->tls, k->h.tls, entries) < 0)
		if (!try_again(k, "TLS segment"))
			return -1;
	return 0;
}

void keeper_take(int *had, int came)
{
	if (*had < 0) {
		*had = came;
		return;
	}
	dup2(came, *had);
	close(came);
}

int keeper_open_own(struct keeper *k)
{
	int program;

	while (keeper_open_signals(k) < 0)
		if (!try_again(k, "signalfd"))
			return -1;
	while ((program = program_running()) < 0)
		if (!try_again(k, "/proc/self/exe"))
			return -1;
	/* (No worker closes it, as poll() knows no O_PATH descriptor: so it stays at one number, which the spare knows.) */
	keeper_take(&k->program, program);
	fcntl(k->program, F_SETFD, FD_CLOEXEC);
	return 0;
}

static int open_snapshot(struct keeper *k)
{
	while ((k->snapshot = memfd_create("janus-snapshot", 0)) < 0)
		if (!try_again(k, "memfd"))
			return -1;
	return 0;
}

int keeper_start(struct keeper *k, int handover)
{
	if (handover_read(&k->h, handover) < 0 || k->h.slot < 0) {
		log_error("this is for the master to start: the handover state can't be read");
		return -1;
	}
	k->slot = (unsigned)k->h.slot;
	k->successor = k->program = -1;
	k->spare = (pid_t)k->h.slots[k->slot].spare;
	k->h.programs++;
	open_log(k);
	prctl(PR_SET_NAME, KEEPER_NAME);
	title_set("janus: keeper %u", k->slot);
	if (attach_hub(k) < 0)
		return -1;
	privileges_oom(atomic_load(&k->hub.shm->masters.oom), OOM_KEEPER);
	/* (A program before this one had the kernel stop it when the master dies.) */
	prctl(PR_SET_PDEATHSIG, 0);
	while (runtime_dir_hold(k->h.lock) < 0)
		if (!try_again(k, "lock"))
			return -1;
	while (runtime_dir_hold_program(k->h.lock, k->slot, &k->h.programs) < 0)
		if (!try_again(k, "lock"))
			return -1;
	while (privileges_drop(k->h.settings.user) < 0)
		if (!try_again(k, "user"))
			return -1;
	if (keeper_open_own(k) < 0 || open_snapshot(k) < 0 || attach_slot(k) < 0 || attach_tls(k) < 0)
		return -1;
	atomic_store(&k->self->keeper, (uint32_t)getpid());
	atomic_store(&k->self->keeper_end, 0);
	atomic_store(&k->self->door, k->h.slots[k->slot].door >= 0);
	/* Before the worker is live, and orders come: a master that follows a program whose keepers execute by path tells by it which are new. */
	atomic_store(&k->self->keeper_beat, restarts_now());
	restarts_ready(&k->waits);
	return 0;
}

void keeper_follow_settings(struct keeper *k)
{
	open_log(k);
	hub_keep(&k->hub, &k->h.settings);
}

/* For the snapshot to be read once more. What the hub has of the slot stays: up to where it has delivered, and the topics that messages before that are of, no snapshot of a slot says. */
static int make_empty(struct keeper *k)
{
	uint32_t count;

	return slot_empty(&k->segment, k->h.slots[k->slot].segment, false, &count) < 0 ? -1 : tls_empty(&k->tls, k->h.tls);
}

bool keeper_restore(struct keeper *k, bool again)
{
	bool good = true;

	if (k->h.snapshot < 0)
		return true;
	if (again && make_empty(k) < 0)
		log_error("slot segment: %m");
	while (snapshot_read_slot(&k->hub, &k->segment, &k->tls, k->slot, hub_owner_keeper(k->slot), k->h.snapshot) < 0) {
		int error = errno;

		good = make_empty(k) == 0 && !k->h.canary;
		errno = error;
		if (error == ENOMEM && try_again(k, "snapshot"))
			continue;
		hub_clear_slot(&k->hub, k->slot, hub_owner_keeper(k->slot));
		log_error("the sessions could not be taken over: %s; %s", strerror(error), good ? "the slot starts empty" : "the old program goes on");
		break;
	}
	return good;
}
