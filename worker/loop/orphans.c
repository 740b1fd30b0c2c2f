/*
 * Descriptors that a new worker finds in its table, and that belong to no session: the dead worker's entrance and io_uring, connections that were just
 * being closed, connections that were accepted and not made sessions of yet, and TLS handshakes that were under way. Those on which nothing was ever sent or
 * received are as good as new, and are served, from their handshake on if they came by a listener with TLS. All others are closed.
 */
#include "worker/loop/orphans.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "worker/io/peer.h"
#include "worker/io/tcp_counts.h"
#include "worker/loop/connection.h"
#include "worker/loop/handshakes.h"
#include "worker/loop/proxied.h"
#include "worker/session/watch.h"

/* Descriptors that are asked for with one poll(). */
#define AT_ONCE 1024

/* Whether the descriptor is one that the keeper has given to this worker, or that must stay open for others. */
static bool kept(const struct worker *w, int fd)
{
	const struct worker_start *s = w->start;

	if (fd <= 2 || fd == s->hub_fd || fd == s->slot_fd || fd == s->tls_fd || fd == watch_set(&w->base.slot))
		return true;
	for (unsigned i = 0; i < s->listeners_count; i++)
		if (s->listeners[i].fd == fd)
			return true;
	for (unsigned i = 0; i < s->kept_count; i++)
		if (s->kept[i] == fd)
			return true;
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (s->wake[i] == fd || s->queue[i] == fd)
			return true;
	return false;
}

static bool listens(int fd)
{
	int yes = 0;
	socklen_t len = sizeof(yes);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &len) == 0 && yes;
}

/* Whether it is a connection on which nothing was ever sent or received. */
static bool untouched(int fd)
{
	uint64_t sent, taken;

	if (socket_is_local(fd))
		return !listens(fd) && socket_peeked(fd) == -1;
	return tcp_accepted(fd, &sent) == 0 && tcp_taken(fd, &taken) == 0 && !sent && !taken;
}

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

/* Whether a listener on address `ours` takes connections to address `local`. A listener on all addresses has the address 0. */
static bool same_address(const void *ours, const void *local, size_t size)
{
	static const uint8_t all[sizeof(struct in6_addr)];

	return memcmp(ours, all, size) == 0 || memcmp(ours, local, size) == 0;
}

/* Whether a connected socket with the address `local` may come from the listener with the address `ours`. */
static bool comes_from(const union address *local, const union address *ours)
{
	if (local->any.sa_family != ours->any.sa_family)
		return false;
	switch (ours->any.sa_family) {
	case AF_INET:
		return ours->in.sin_port == local->in.sin_port &&
		       same_address(&ours->in.sin_addr, &local->in.sin_addr, sizeof(ours->in.sin_addr));
	case AF_INET6:
		return ours->in6.sin6_port == local->in6.sin6_port &&
		       same_address(&ours->in6.sin6_addr, &local->in6.sin6_addr, sizeof(ours->in6.sin6_addr));
	case AF_UNIX:
		return strncmp(ours->un.sun_path, local->un.sun_path, sizeof(ours->un.sun_path)) == 0;
	}
	return false;
}

/* The listener that a connected socket came from; NULL: it came from none of ours. */
static const struct worker_listener *listener_of(const struct worker *w, int fd)
{
	union address local, ours;
	socklen_t len = sizeof(local);

	memset(&local, 0, sizeof(local));
	if (getsockname(fd, &local.any, &len) < 0)
		return NULL;
	for (unsigned i = 0; i < w->start->listeners_count; i++) {
		memset(&ours, 0, sizeof(ours));
		len = sizeof(ours);
		if (getsockname(w->start->listeners[i].fd, &ours.any, &len) == 0 && comes_from(&local, &ours))
			return &w->start->listeners[i];
	}
	return NULL;
}

/* Whether the descriptor is a session's. The table beyond `fd_end` was never touched, and reading it would take memory. */
static bool is_sessions(const struct worker *w, int fd)
{
	return (uint32_t)fd < atomic_load_explicit(&w->base.slot.shm->fd_end, memory_order_relaxed) && session(&w->base, fd)->status == SESSION_OPEN;
}

/* Whether it was a session's that has just been sent to another slot (move.h). */
static bool has_moved(const struct worker *w, int fd)
{
	return atomic_load_explicit(&w->base.slot.shm->moving, memory_order_acquire) >> 32 == (uint32_t)fd + 1;
}

static int deal_with(struct worker *w, int fd)
{
	if (kept(w, fd))
		return 0;
	watch_end(&w->base.slot, fd);	/* a session that was just being closed */
	if (!has_moved(w, fd) && untouched(fd) && listener_of(w, fd))
		return base_push(&w->orphans, &w->orphans_count, &w->orphans_room, fd);
	close(fd);
	return 0;
}

/* For when poll() fails: it takes no more descriptors than RLIMIT_NOFILE, which may be less than what is open. */
static void ask_one_by_one(struct pollfd *asked, int count)
{
	for (int i = 0; i < count; i++)
		asked[i].revents = fcntl(asked[i].fd, F_GETFD) < 0 ? POLLNVAL : 0;
}

/*
 * Looks at every number that a session's descriptor can have and that is no session's, as any of them may be open. It asks with poll(), to which a closed descriptor costs 5
 * ns.
 */
int orphans_close(struct worker *w)
{
	static struct pollfd asked[AT_ONCE];
	int end = (int)w->base.slot.shm->sessions_max;

	for (int fd = 3; fd < end;) {
		int count = 0;

		for (; fd < end && count < AT_ONCE; fd++)
			if (!is_sessions(w, fd))
				asked[count++] = (struct pollfd){ .fd = fd };
		if (poll(asked, (nfds_t)count, 0) < 0)
			ask_one_by_one(asked, count);
		for (int i = 0; i < count; i++)
			if (!(asked[i].revents & POLLNVAL) && deal_with(w, asked[i].fd) < 0)
				return -1;
	}
	return 0;
}

void orphans_adopt(struct worker *w)
{
	for (uint32_t i = 0; i < w->orphans_count; i++) {
		const struct worker_listener *from = listener_of(w, w->orphans[i]);

		if (from) {
			struct arrival a = { .proto = from->proto, .slow = from->slow, .as = COUNTER_adopted, .peer = peer_ask(w->orphans[i]) };

			if (from->proxy)
				proxied_take(w, w->orphans[i], &a, from->tls);
			else if (from->tls)
				handshakes_take(w, w->orphans[i], &a);
			else
				connection_take(w, w->orphans[i], &a);
		} else {
			close(w->orphans[i]);
		}
	}
	w->orphans_count = 0;
}
