/*
 * The keeper. It waits, for its worker to die and for orders, and does as little as it can in between: whatever goes wrong here costs the
 * slot all of its connections.
 */
#include "master/keeper.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/privileges.h"
#include "master/restarts.h"
#include "master/runtime_dir.h"
#include "shm/hub.h"
#include "shm/log.h"
#include "shm/slot.h"
#include "shm/snapshot.h"
#include "worker/worker.h"

#define LIVE_POLL_MS 1		/* while the worker starts: until it can be given orders */
#define WATCH_MS 1000		/* between looks at the worker's turns */
#define STOP_MS 5000		/* for a worker to leave before it is killed */

struct keeper {
	struct heritage h;
	unsigned slot;
	struct hub hub;
	struct hub_slot_shm *self;
	struct slot segment;
	int signals;
	pid_t worker;
	bool stopping;
	int snapshot;			/* where the worker puts one if asked to */
	bool freezing, frozen, thaw;
	int successor;			/* heritage to execute the program with, -1 none */
	uint64_t asked;			/* when the worker was told to leave, milliseconds; 0 it was not */
	struct restarts restarts;
	uint64_t turns, turned;			/* of the worker's loop, as last seen, and when that was (milliseconds) */
	int outdated[LISTENERS_MAX];	/* listen sockets that the next worker does not get */
	unsigned outdated_count;
};

static uint64_t now_ms(void)
{
	return restarts_now();
}

/* ---- the worker ---- */

static __attribute__((noreturn)) void worker_child(struct keeper *k, bool blame)
{
	struct worker_listener listeners[LISTENERS_MAX];
	int kept[] = { k->signals, k->h.slots[k->slot].orders, k->h.lock, k->snapshot };
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
		.blame = blame,
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

/* Two processes, one descriptor table, separate memory. (The child's thread id inside glibc is stale: see lock.h.) */
static int start_worker(struct keeper *k, bool blame)
{
	pid_t keeper = getpid();
	long pid;

	atomic_store(&k->self->state, SLOT_STARTING);
	atomic_fetch_add(&k->self->generation, 1);
	atomic_store(&k->self->started, hub_now());
	pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (pid < 0) {
		log_error("clone: %s", strerror(errno));
		return -1;
	}
	if (pid == 0) {
		/* In this order: a keeper that dies before the first is noticed by the second. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != keeper)
			_exit(1);
		atomic_store(&k->self->worker, (uint32_t)getpid());
		worker_child(k, blame);
	}
	k->worker = (pid_t)pid;
	k->asked = 0;
	atomic_store(&k->self->worker, (uint32_t)pid);
	return 0;
}

static void ask_worker(struct keeper *k, int sig)
{
	if (k->worker <= 0)
		return;
	kill(k->worker, sig);
	if (!k->asked)
		k->asked = now_ms();
}

/* It died of its own fault, rather than by somebody's hand. */
static bool own_fault(int status)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };

	if (!WIFSIGNALED(status))
		return false;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (WTERMSIG(status) == faults[i])
			return true;
	return false;
}

static void log_death(const struct keeper *k, int status)
{
	uint32_t n = atomic_load(&k->self->connections);

	if (WIFSIGNALED(status))
		log_warning("worker %d died of signal %d (%s); %u connections go on with the next", (int)k->worker, WTERMSIG(status),
			    strsignal(WTERMSIG(status)), n);
	else
		log_warning("worker %d ended with status %d; %u connections go on with the next", (int)k->worker,
			    WEXITSTATUS(status), n);
}

/* ---- after a death ---- */

/* The slot starts empty: its connections are closed. */
static int empty_slot(struct keeper *k)
{
	uint32_t count;

	if (slot_empty(&k->segment, k->h.slots[k->slot].segment, true, &count) < 0) {
		log_error("slot segment: %s", strerror(errno));
		return -1;
	}
	hub_clear_slot(&k->hub, k->slot, k->slot + 1);
	hub_count(&k->hub, k->slot, COUNTER_closed_slot, count);
	hub_count(&k->hub, k->slot, COUNTER_closed, count);
	atomic_fetch_add(&k->self->emptied, 1);
	log_error("more than %lld restarts in %lld ms: the slot starts empty, %u connections closed",
		  (long long)k->h.settings.restart_limit, (long long)k->h.settings.restart_window, count);
	return 0;
}

/* The worker is gone and was not asked to be. 0, or the keeper's exit status. */
static int replace_dead(struct keeper *k, int status)
{
	bool blame = own_fault(status);

	log_death(k, status);
	atomic_fetch_add(&k->self->restarts, 1);
	switch (restarts_note(&k->restarts, &k->h.settings)) {
	case RESTART:
		break;
	case RESTART_EMPTY:
		if (empty_slot(k) < 0)
			return KEEPER_FAILED;
		blame = false;
		break;
	case RESTART_NEVER:
		log_error("its workers go on dying with an empty slot: giving up");
		return KEEPER_GAVE_UP;
	}
	return start_worker(k, blame) < 0 ? KEEPER_FAILED : 0;
}

/* Becomes the program that stands at its path now, with the same descriptors. Returns only if that fails. */
static void execute_successor(struct keeper *k)
{
	char option[64];
	char *argv[] = { (char *)(uintptr_t)KEEPER_NAME, option, NULL };

	snprintf(option, sizeof(option), "--heritage=%d", k->successor);
	close(k->signals);
	execv(k->h.program, argv);
	log_error("%s: %s; going on with the old program", k->h.program, strerror(errno));
	close(k->successor);
	k->successor = -1;
}

static int open_signals(struct keeper *k);

static int follow(struct keeper *k)
{
	execute_successor(k);
	return open_signals(k);
}

/* -1 to go on, or the exit status. */
static int worker_gone(struct keeper *k, int status)
{
	bool left = WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == WORKER_FROZEN) && k->asked;
	int r;

	k->h.died = hub_now();
	atomic_store(&k->self->worker, 0);
	while (k->outdated_count > 0)
		close(k->outdated[--k->outdated_count]);
	if (!left)
		hub_settle(&k->hub, k->slot);
	if (WIFEXITED(status) && WEXITSTATUS(status) == WORKER_DRAINED && k->h.slots[k->slot].draining)
		return KEEPER_DRAINED;
	if (k->stopping)
		return KEEPER_STOPPED;
	if (k->freezing && WIFEXITED(status) && WEXITSTATUS(status) == WORKER_FROZEN) {
		k->worker = 0;
		k->asked = 0;
		k->frozen = true;
		atomic_store(&k->self->state, SLOT_FROZEN);
		return -1;
	}
	atomic_store(&k->self->state, SLOT_STARTING);
	if (k->successor >= 0) {
		if (!left)
			log_death(k, status);
		if (follow(k) < 0)
			return KEEPER_FAILED;
		left = true;
	}
	r = left ? start_worker(k, false) : replace_dead(k, status);
	if (left && r < 0)
		return KEEPER_FAILED;
	return r > 0 ? r : -1;
}

/* ---- orders ---- */

/* What the master's descriptors are called here. */
static void adopt_descriptors(struct keeper *k, struct heritage *next, const int *fds, unsigned count)
{
	/* The worker still uses the old ones. */
	for (unsigned i = 0; i < k->h.listeners; i++)
		k->outdated[k->outdated_count++] = k->h.listen[i].fd;
	next->hub = k->h.hub;
	next->slots[k->slot].segment = k->h.slots[k->slot].segment;
	next->snapshot = -1;
	if (next->fresh) {
		next->hub = fds[0];
		next->slots[k->slot].segment = fds[1];
		next->snapshot = k->snapshot;
		fds += 2;
		count -= 2;
	}
	for (unsigned i = 0; i < next->listeners && i < count; i++)
		next->listen[i].fd = fds[i];
	next->lock = k->h.lock;
	next->control = next->caller = -1;
	next->slot = (int)k->slot;
	memcpy(next->wake, k->h.wake, sizeof(next->wake));
	next->slots[k->slot].orders = k->h.slots[k->slot].orders;
	/* Should the program not be there to execute, the old one goes on with the new settings. */
	next->died = hub_now();
	k->h = *next;
}

static void order_replace(struct keeper *k, const int *fds, unsigned count)
{
	static struct heritage next;

	/* (heritage_read() closes the heritage. Never twice: the worker may have been given the number meanwhile.) */
	if (count < 1 || heritage_read(&next, fds[0]) < 0 || k->successor >= 0 || next.listeners + (next.fresh ? 3 : 1) != count) {
		log_error("an order from the master makes no sense");
		for (unsigned i = 1; i < count; i++)
			close(fds[i]);
		return;
	}
	adopt_descriptors(k, &next, fds + 1, count - 1);
	k->successor = heritage_write(&k->h);
	if (k->successor < 0)
		log_error("heritage: %s", strerror(errno));
	if (!k->frozen)
		ask_worker(k, SIGHUP);
	else if (k->successor >= 0)
		k->thaw = follow(k) == 0;
}

static void order_thaw(struct keeper *k)
{
	k->freezing = false;
	k->thaw = k->frozen;
}

static void stop(struct keeper *k)
{
	k->stopping = true;
	if (k->frozen)
		exit(KEEPER_STOPPED);
	ask_worker(k, SIGTERM);
}

static void take_order(struct keeper *k)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int) * (LISTENERS_MAX + 3))];
	} control;
	char order = 0;
	struct iovec iov = { &order, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(k->h.slots[k->slot].orders, &msg, MSG_DONTWAIT);
	struct cmsghdr *c;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		/* The master is gone. */
		stop(k);
		return;
	}
	c = CMSG_FIRSTHDR(&msg);
	if (order == ORDER_FREEZE)
		k->freezing = true;
	if (order == ORDER_THAW)
		order_thaw(k);
	if (order == ORDER_REPLACE && c && c->cmsg_type == SCM_RIGHTS)
		order_replace(k, (const int *)CMSG_DATA(c), (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int)));
}

/* ---- the wait ---- */

static int open_signals(struct keeper *k)
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

/* -1 to go on, or the exit status. */
static int take_signals(struct keeper *k)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(k->signals, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo == SIGTERM)
			stop(k);
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == k->worker) {
			int r = worker_gone(k, status);

			if (r >= 0)
				return r;
		}
	return -1;
}

/*
 * A worker that starts closes the descriptors that nobody owns. Those that come with an order would be among them, so orders wait until
 * it is live.
 */
static bool takes_orders(const struct keeper *k)
{
	return !k->stopping && (k->frozen || atomic_load(&k->self->state) == SLOT_LIVE);
}

/* A live worker makes ten turns a second at least. One that makes none holds its connections up, and in the end all publishers. */
static void watch_turns(struct keeper *k)
{
	uint64_t turns = atomic_load_explicit(&k->self->counters[COUNTER_loops], memory_order_relaxed);
	uint64_t now = now_ms();

	if (turns != k->turns || atomic_load(&k->self->state) != SLOT_LIVE || !k->turned) {
		k->turns = turns;
		k->turned = now;
	} else if (k->h.settings.hang_limit && now - k->turned > (uint64_t)k->h.settings.hang_limit) {
		log_error("worker %d hangs since %llu ms: killing it", (int)k->worker, (unsigned long long)(now - k->turned));
		kill(k->worker, SIGKILL);
		k->turned = now;
	}
}

static int wait_timeout(const struct keeper *k)
{
	uint64_t spent;

	if (!k->asked && k->frozen)
		return -1;
	if (!k->asked)
		return takes_orders(k) ? WATCH_MS : LIVE_POLL_MS;
	spent = now_ms() - k->asked;
	return spent >= STOP_MS ? 0 : (int)(STOP_MS - spent);
}

static int run(struct keeper *k)
{
	for (;;) {
		struct pollfd p[2] = {
			{ .fd = k->signals, .events = POLLIN },
			{ .fd = takes_orders(k) ? k->h.slots[k->slot].orders : -1, .events = POLLIN },
		};
		int r = poll(p, 2, wait_timeout(k));

		if (r == 0 && k->asked && now_ms() - k->asked >= STOP_MS) {
			log_warning("worker %d does not leave: killing it", (int)k->worker);
			kill(k->worker, SIGKILL);
			k->asked = now_ms();
		}
		if (k->worker > 0)
			watch_turns(k);
		if (p[0].revents && (r = take_signals(k)) >= 0)
			return r;
		if (p[1].revents && takes_orders(k))
			take_order(k);
		if (k->freezing && !k->frozen && !k->asked && takes_orders(k))
			ask_worker(k, SIGUSR1);
		if (k->thaw) {
			k->thaw = k->frozen = k->freezing = false;
			if (start_worker(k, false) < 0)
				return KEEPER_FAILED;
		}
	}
}

static int keeper_init(struct keeper *k, int heritage)
{
	char who[32];

	if (heritage_read(&k->h, heritage) < 0 || k->h.slot < 0) {
		log_error("this is for the master to start: the heritage can't be read");
		return -1;
	}
	k->slot = (unsigned)k->h.slot;
	k->successor = -1;
	snprintf(who, sizeof(who), "keeper %u", k->slot);
	log_init(who, settings_log_level(&k->h.settings));
	prctl(PR_SET_NAME, KEEPER_NAME);
	if (open_signals(k) < 0 || runtime_dir_hold(k->h.lock) < 0) {
		log_error("start: %s", strerror(errno));
		return -1;
	}
	if (privileges_drop(k->h.settings.user) < 0)
		return -1;
	/* Changing the user clears it. The master's end of the orders socket tells the same; this is for a master that is killed. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if ((uint32_t)getppid() != k->h.master)
		return -1;
	if (hub_attach(&k->hub, k->h.hub, true) < 0 || slot_attach(&k->segment, k->h.slots[k->slot].segment) < 0) {
		log_error("shared memory: %s", strerror(errno));
		return -1;
	}
	k->hub.wake = k->h.wake;
	k->self = &k->hub.shm->slot[k->slot];
	atomic_store(&k->self->keeper, (uint32_t)getpid());
	k->snapshot = memfd_create("janus-snapshot", 0);
	if (k->snapshot < 0) {
		log_error("memfd: %s", strerror(errno));
		return -1;
	}
	return 0;
}

/* A predecessor of another layout has left its sessions as a snapshot. */
static void restore(struct keeper *k)
{
	if (k->h.snapshot < 0)
		return;
	if (snapshot_read_slot(&k->hub, &k->segment, k->slot, k->slot + 1, k->h.snapshot) < 0) {
		uint32_t count;

		log_error("the sessions could not be taken over: %s; the slot starts empty", strerror(errno));
		if (slot_empty(&k->segment, k->h.slots[k->slot].segment, false, &count) == 0)
			hub_clear_slot(&k->hub, k->slot, k->slot + 1);
	}
	close(k->h.snapshot);
	k->h.snapshot = -1;
}

int keeper_main(int heritage)
{
	static struct keeper keeper;
	struct keeper *k = &keeper;

	log_init("keeper", LOG_LEVEL_INFO);
	if (keeper_init(k, heritage) < 0)
		return KEEPER_FAILED;
	restore(k);
	if (start_worker(k, false) < 0)
		return KEEPER_FAILED;
	return run(k);
}
