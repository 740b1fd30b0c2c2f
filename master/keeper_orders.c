/*
 * The master's orders, and the descriptors that come with them.
 *
 * A worker that starts closes the descriptors that nobody owns, those of an order among them. So orders wait until it is live, or until
 * there is none.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "master/keeper_process.h"
#include "shm/log.h"

#define DESCRIPTORS_MAX (LISTENERS_MAX + 4)	/* of an order: heritage, program, hub, segment, listen sockets */

bool keeper_takes_orders(const struct keeper *k)
{
	return !k->stopping && (k->worker == 0 || (!k->asked && atomic_load(&k->self->state) == SLOT_LIVE));
}

/* ---- the program that follows ---- */

/* Returns only if it can't be executed. */
static void execute(struct keeper *k)
{
	char option[64];
	char *argv[] = { (char *)(uintptr_t)KEEPER_NAME, option, NULL };

	snprintf(option, sizeof(option), "--heritage=%d", k->successor);
	close(k->signals);
	program_execute(k->program, argv);
	log_error("the program can't be executed: %m; going on with the old one");
	keeper_open_signals(k);
}

void keeper_follow(struct keeper *k)
{
	if (k->successor < 0)
		return;
	execute(k);
	if (k->h.fresh)
		return;		/* these segments are not for this program */
	close(k->successor);
	k->successor = -1;
	atomic_fetch_add(&k->self->refused, 1);
}

/* ---- replace ---- */

/*
 * What the master's descriptors are called here. fds: program, hub and segment if it is `fresh`, listen sockets. The listen sockets that the
 * next worker is not given are closed by it, as nobody owns them: until then the last one may still use them.
 */
static void adopt_descriptors(struct keeper *k, struct heritage *next, const int *fds)
{
	close(k->program);
	k->program = *fds++;
	fcntl(k->program, F_SETFD, FD_CLOEXEC);		/* the next program opens its own */
	next->hub = k->h.hub;
	next->slots[k->slot].segment = k->h.slots[k->slot].segment;
	next->snapshot = -1;
	if (next->fresh) {
		/* The old ones are mapped, and serve until the program has been executed. */
		close(k->h.hub);
		close(k->h.slots[k->slot].segment);
		next->hub = *fds++;
		next->slots[k->slot].segment = *fds++;
		next->snapshot = next->restore ? k->snapshot : -1;
	}
	for (unsigned i = 0; i < next->listeners; i++)
		next->listen[i].fd = *fds++;
	next->lock = k->h.lock;
	next->control = next->caller = -1;
	next->slot = (int)k->slot;
	memcpy(next->wake, k->h.wake, sizeof(next->wake));
	next->slots[k->slot].orders = k->h.slots[k->slot].orders;
	/* Should the program not be there to execute, the old one goes on with the new settings. */
	next->died = hub_now();
	k->h = *next;
}

/* The number of descriptors that come with this heritage, itself not counted. */
static unsigned descriptors_of(const struct heritage *next)
{
	return 1 + (next->fresh ? 2 : 0) + next->listeners;
}

static void refuse(struct keeper *k, const char *why, const int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
	atomic_fetch_add(&k->self->refused, 1);
	log_error("an order to replace the worker could not be followed: %s", why);
}

/* fds: the heritage, and what comes with it. */
static void order_replace(struct keeper *k, const int *fds, unsigned count)
{
	static struct heritage next;

	/* (heritage_read() closes the heritage. Never twice: the worker may have been given the number meanwhile.) */
	if (count < 1 || k->successor >= 0) {
		refuse(k, "another is under way", fds, count);
		return;
	}
	if (heritage_read(&next, fds[0]) < 0 || descriptors_of(&next) != count - 1) {
		refuse(k, "it makes no sense", fds + 1, count - 1);
		return;
	}
	adopt_descriptors(k, &next, fds + 1);
	k->successor = heritage_write(&k->h);
	/* (Without one, the worker is replaced all the same: the settings and listen sockets are new.) */
	if (k->successor < 0 && !next.fresh)
		atomic_fetch_add(&k->self->refused, 1);
	k->freezing = false;
	k->replacing = k->worker == 0;
	keeper_ask_worker(k, ASKED_REPLACE);
}

/* A worker is not there: what the order wanted is done now. With other segments it is tried again until it works. */
void keeper_replace_now(struct keeper *k)
{
	unsigned ms;

	if (k->successor < 0)
		k->successor = heritage_write(&k->h);
	keeper_follow(k);
	if (!k->h.fresh) {
		k->replacing = k->frozen = false;
		keeper_start_worker(k);
		return;
	}
	ms = restarts_pause(&k->restarts);
	k->start_at = restarts_now() + ms;
	log_error("the new program can't be executed; trying again in %u ms", ms);
}

/* ---- freeze, thaw, stop ---- */

static void order_thaw(struct keeper *k)
{
	k->freezing = false;
	if (!k->frozen)
		return;
	k->frozen = false;
	keeper_start_worker(k);
}

void keeper_stop(struct keeper *k)
{
	if (k->stopping)
		return;
	k->stopping = true;
	k->stop_at = restarts_now();
	if (k->worker > 0)
		keeper_ask_worker(k, ASKED_STOP);
	else if (!k->replacing)
		keeper_start_worker(k);		/* it delivers what is owed */
}

/* ---- the socket ---- */

static unsigned passed(const struct cmsghdr *c)
{
	return c && c->cmsg_type == SCM_RIGHTS ? (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int)) : 0;
}

void keeper_take_order(struct keeper *k)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int) * DESCRIPTORS_MAX)];
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
		keeper_stop(k);
		return;
	}
	c = CMSG_FIRSTHDR(&msg);
	if (msg.msg_flags & MSG_CTRUNC) {
		refuse(k, "too few descriptors for those that come with it", c ? (const int *)CMSG_DATA(c) : NULL, passed(c));
		return;
	}
	if (order == ORDER_FREEZE) {
		k->freezing = true;
		k->frozen_deaths = 0;
	}
	if (order == ORDER_THAW)
		order_thaw(k);
	if (order == ORDER_REPLACE && c && c->cmsg_type == SCM_RIGHTS)
		order_replace(k, (const int *)CMSG_DATA(c), passed(c));
}
