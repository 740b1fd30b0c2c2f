/*
 * The keeper's death. See next_keeper.h.
 *
 * A worker that stops makes no keeper: it ends by itself. One whose master is gone makes one as ever: whether to wait for another master is the keeper's to know.
 */
#include "worker/loop/next_keeper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shm/crash.h"
#include "shm/log.h"

#define RETRY_MS 50		/* until it is tried again, for want of processes or descriptors */

static void follow(struct worker *w);

static void later(struct worker *w, unsigned ms)
{
	w->keeper.timer.repeat = ms / 1000.0;
	ev_timer_again(w->base.loop, &w->keeper.timer);
}

/* 0, or -1 with errno. The new process does not return. Signals are for this one: it must take none with handlers that are ours. */
static int make(struct worker *w)
{
	const struct worker_start *s = w->start;
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = s->make_keeper(s->keeper_arg);
	CRASH_POINT("keeper-made");
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (pid < 0) {
		log_warning_limited("no process for another keeper: %m; trying again");
		return -1;
	}
	w->keeper.pid = pid;
	log_warning("the keeper has died; process %d is the next one", (int)pid);
	return 0;
}

static void make_now(struct worker *w)
{
	if (make(w) < 0)
		later(w, RETRY_MS);
	else
		follow(w);
}

/* There is none. */
static void missed(struct worker *w)
{
	unsigned ms;

	w->keeper.pid = 0;
	if (w->stopping)
		return;
	CRASH_POINT("keeper-missed");
	ms = w->start->keeper_pause(w->start->keeper_arg);
	if (ms == 0) {
		make_now(w);
		return;
	}
	log_error("keepers die one behind the other; the next one is made in %u ms", ms);
	later(w, ms);
}

static void on_death(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct worker *w = ev_userdata(loop);

	(void)events;
	ev_io_stop(loop, io);
	close(io->fd);
	missed(w);
}

/* The keeper that made this process is its parent, as long as it lives. (The number of one that is gone could be another's.) */
static bool is_gone(const struct worker *w)
{
	return w->keeper.pid == w->start->keeper && getppid() != w->start->keeper;
}

static void follow(struct worker *w)
{
	int fd = (int)syscall(SYS_pidfd_open, w->keeper.pid, 0);
	bool gone = (fd < 0 && errno == ESRCH) || is_gone(w);

	if (fd >= 0 && gone)
		close(fd);
	if (gone) {
		missed(w);
	} else if (fd < 0) {
		later(w, RETRY_MS);
	} else {
		ev_io_set(&w->keeper.io, fd, EV_READ);
		ev_io_start(w->base.loop, &w->keeper.io);
	}
}

static void on_time(struct ev_loop *loop, struct ev_timer *t, int events)
{
	struct worker *w = ev_userdata(loop);

	(void)events;
	ev_timer_stop(loop, t);
	if (w->keeper.pid)
		follow(w);
	else if (!w->stopping)
		make_now(w);
}

void next_keeper_start(struct worker *w)
{
	ev_init(&w->keeper.io, on_death);
	ev_init(&w->keeper.timer, on_time);
	w->keeper.pid = w->start->keeper;
	follow(w);
}

void next_keeper_leave(struct worker *w)
{
	struct pollfd p = { .fd = ev_is_active(&w->keeper.io) ? w->keeper.io.fd : -1, .events = POLLIN };

	if (w->stopping)
		return;
	if (poll(&p, 1, 0) > 0 || is_gone(w))
		w->keeper.pid = 0;
	while (!w->keeper.pid && make(w) < 0) {
		base_beat(&w->base);
		nanosleep(&(struct timespec){ .tv_nsec = RETRY_MS * 1000000L }, NULL);
	}
}
