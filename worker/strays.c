/*
 * Descriptors in the table that nobody owns, found by a new worker: the dead one's epoll and io_uring, a connection closed half way, one
 * accepted and not yet written down. All are closed but the last kind, which is served: nothing was ever sent or received on
 * it, so it is as good as new.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "worker/worker.h"

#define ABOVE 128		/* descriptors above the highest session that may have been opened since */

static bool kept(const struct worker *w, int fd)
{
	const struct worker_start *s = w->start;

	if (fd <= 2 || fd == s->hub_fd || fd == s->slot_fd)
		return true;
	for (unsigned i = 0; i < s->listeners_count; i++)
		if (s->listeners[i].fd == fd)
			return true;
	for (unsigned i = 0; i < s->kept_count; i++)
		if (s->kept[i] == fd)
			return true;
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (s->wake[i] == fd)
			return true;
	return false;
}

static bool untouched(int fd)
{
	uint64_t sent, taken;

	return kernel_accepted(fd, &sent) == 0 && kernel_taken(fd, &taken) == 0 && !sent && !taken;
}

/* The protocol of the listener that a connected socket came from; -1: none of ours. The port stands at the same place for IPv4 and IPv6. */
static int proto_of(const struct worker *w, int fd)
{
	for (unsigned i = 0; i < w->start->listeners_count; i++) {
		struct sockaddr_in6 ours, local;
		socklen_t a = sizeof(ours), b = sizeof(local);

		if (getsockname(w->start->listeners[i].fd, (struct sockaddr *)&ours, &a) == 0 &&
		    getsockname(fd, (struct sockaddr *)&local, &b) == 0 && ours.sin6_family == local.sin6_family &&
		    ours.sin6_port == local.sin6_port)
			return w->start->listeners[i].proto;
	}
	return -1;
}

int strays_close(struct worker *w)
{
	uint32_t end = atomic_load_explicit(&w->slot.shm->fd_end, memory_order_relaxed) + ABOVE;

	if (end > w->slot.shm->sessions_max)
		end = w->slot.shm->sessions_max;
	for (int fd = 3; fd < (int)end; fd++) {
		if (session(w, fd)->status == SESSION_OPEN || fcntl(fd, F_GETFD) < 0 || kept(w, fd))
			continue;
		if (!untouched(fd) || proto_of(w, fd) < 0)
			close(fd);
		else if (worker_push(&w->strays, &w->strays_count, &w->strays_room, fd) < 0)
			return -1;
	}
	return 0;
}

void strays_adopt(struct worker *w)
{
	for (uint32_t i = 0; i < w->strays_count; i++) {
		worker_count(w, COUNTER_adopted, 1);
		accept_adopt(w, w->strays[i], proto_of(w, w->strays[i]));
	}
	w->strays_count = 0;
}
