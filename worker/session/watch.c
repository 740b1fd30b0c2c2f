/*
 * The sessions' epoll set. See watch.h.
 */
#include "worker/session/watch.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shm/crash.h"

int watch_set(const struct slot *slot)
{
	return (int)atomic_load_explicit(&slot->shm->watch_set, memory_order_relaxed) - 1;
}

/* Another program, with a segment of its own, has had the sessions meanwhile, and may have closed the set: the number is another file's by now. */
static bool was_elsewhere(const struct slot *slot)
{
	return atomic_load_explicit(&slot->shm->flights, memory_order_relaxed) == FLIGHTS_ALL;
}

static bool is_set(int fd)
{
	struct epoll_event e;

	return fd >= 0 && epoll_wait(fd, &e, 1, 0) >= 0;
}

int watch_renew(const struct slot *slot)
{
	int was = watch_set(slot), fd = epoll_create1(0);

	if (fd < 0)
		return -1;
	CRASH_POINT("watch-made");
	memset((void *)slot->watch, 0, atomic_load_explicit(&slot->shm->fd_end, memory_order_relaxed));
	/* release: nothing is said to be in the set when it is there */
	atomic_store_explicit(&slot->shm->watch_set, (uint32_t)fd + 1, memory_order_release);
	CRASH_POINT("watch-noted");
	if (was >= 0)
		close(was);
	return 0;
}

int watch_open(const struct slot *slot)
{
	if (!was_elsewhere(slot) && is_set(watch_set(slot)))
		return 0;
	atomic_store_explicit(&slot->shm->watch_set, 0, memory_order_relaxed);	/* (if that is a set, it is one that nobody owns) */
	return watch_renew(slot);
}

static void note(const struct slot *slot, int fd, int events)
{
	uint8_t kind = atomic_load_explicit(&slot->watch[fd], memory_order_relaxed) & (WATCH_TCP | WATCH_LOCAL);

	/* The compiler keeps the order of this and of the system calls around it, which is all that a successor needs. */
	atomic_store_explicit(&slot->watch[fd], (uint8_t)(kind | events), memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
}

/* MOD or ADD: what is written down may be less than what is there. */
static int change(const struct slot *slot, int fd, int had, int events)
{
	struct epoll_event e = { .events = (events & EV_READ ? EPOLLIN : 0u) | (events & EV_WRITE ? EPOLLOUT : 0u), .data.u64 = (uint64_t)fd };
	int set = watch_set(slot);

	if (epoll_ctl(set, had ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e) == 0)
		return 0;
	if (had ? errno == ENOENT : errno == EEXIST)
		return epoll_ctl(set, had ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &e);
	return -1;
}

int watch_put(const struct slot *slot, int fd, int events)
{
	int had = watch_has(slot, fd);

	note(slot, fd, had & events);
	CRASH_POINT("watch-lessened");
	if (!events)
		return epoll_ctl(watch_set(slot), EPOLL_CTL_DEL, fd, NULL);
	if (change(slot, fd, had, events) < 0)
		return -1;
	CRASH_POINT("watch-put");
	note(slot, fd, events);
	return 0;
}

/* (What is written down may be less than what is there: a worker that died in between would leave room for output registered that is reported for ever.) */
int watch_heed(const struct slot *slot, int fd, uint32_t reported, int wants)
{
	int registered = (reported & EPOLLIN ? EV_READ : 0) | (reported & EPOLLOUT ? EV_WRITE : 0);

	/* (An error is reported whatever is registered; until the descriptor is taken out.) */
	return registered & ~wants || !wants ? watch_put(slot, fd, wants) : 0;
}

int watch_end(const struct slot *slot, int fd)
{
	atomic_store_explicit(&slot->watch[fd], 0, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
	return epoll_ctl(watch_set(slot), EPOLL_CTL_DEL, fd, NULL);
}

bool watch_is_local(const struct slot *slot, int fd)
{
	uint8_t byte = atomic_load_explicit(&slot->watch[fd], memory_order_relaxed);
	int domain = 0;
	socklen_t len = sizeof(domain);

	if (!(byte & (WATCH_TCP | WATCH_LOCAL))) {
		byte |= getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX ? WATCH_LOCAL : WATCH_TCP;
		atomic_store_explicit(&slot->watch[fd], byte, memory_order_relaxed);
	}
	return byte & WATCH_LOCAL;
}
