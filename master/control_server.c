/*
 * The control socket: one packet a request, one packet the reply. Only the owner of the runtime folder can connect.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "master/master.h"
#include "proto/control.h"
#include "shm/lack.h"
#include "shm/log.h"

struct request_io {
	struct ev_io io;
	struct ev_timer timer;
	struct master *master;
};

#define CALLERS_MAX 16
#define BREATHER 0.1		/* seconds without looking for callers when descriptors are lacking */
#define PATIENCE 5.0		/* seconds for a caller to say what it wants */

static struct request_io callers[CALLERS_MAX];

static void reply(int fd, const void *packet, size_t len)
{
	if (send(fd, packet, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_warning_limited("control socket: %s", strerror(errno));
}

void control_answer(int fd, const char *error)
{
	static char packet[CONTROL_PACKET_MAX];

	if (fd < 0)
		return;
	reply(fd, packet, control_reply_pack(packet, error));
	close(fd);
}

static enum control_state state_of(const struct master *m, unsigned slot)
{
	if (m->h.slots[slot].draining)
		return CONTROL_STATE_DRAINING;
	switch (atomic_load(&m->hub.shm->slot[slot].state)) {
	case SLOT_STARTING:
		return CONTROL_STATE_STARTING;
	case SLOT_LIVE:
		return CONTROL_STATE_LIVE;
	default:
		return CONTROL_STATE_EMPTY;
	}
}

static void fill_workers(const struct master *m, struct control_status *status)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		const struct hub_slot_shm *s = &m->hub.shm->slot[i];
		struct control_worker *w = &status->worker[status->workers];

		if (!m->h.slots[i].used)
			continue;
		w->slot = i;
		w->state = state_of(m, i);
		w->keeper = m->h.slots[i].keeper;
		w->worker = atomic_load(&s->worker);
		w->connections = atomic_load(&s->connections);
		w->restarts = atomic_load(&s->restarts);
		w->generation = atomic_load(&s->generation);
		for (unsigned g = 0; g < TRANSPORT_GROUPS; g++)
			status->by_transport[g] += atomic_load(&s->by_transport[g]);
		status->connections_max += s->connections_max;
		status->buffered += atomic_load_explicit(&s->buffered, memory_order_relaxed);
		status->workers++;
	}
	if (m->config.settings.max_connections && (uint64_t)m->config.settings.max_connections < status->connections_max)
		status->connections_max = (uint64_t)m->config.settings.max_connections;
}

static void answer_status(const struct master *m, int fd)
{
	static struct control_status status;
	static char packet[CONTROL_PACKET_MAX];

	memset(&status, 0, sizeof(status));
	snprintf(status.version, sizeof(status.version), "%s", JANUS_VERSION);
	status.pid = (uint32_t)getpid();
	status.started = m->h.started;
	snprintf(status.file, sizeof(status.file), "%s", m->config.file);
	snprintf(status.runtime_dir, sizeof(status.runtime_dir), "%s", m->dir.path);
	status.listeners = m->h.listeners;
	for (unsigned i = 0; i < m->h.listeners; i++)
		snprintf(status.listen[i], sizeof(status.listen[i]), "%s", m->h.listen[i].bound);
	fill_workers(m, &status);
	status.buffered_max = m->hub.shm->buffered_max;
	reply(fd, packet, control_status_pack(packet, &status));
}

/* The hub, read-only: opened anew, as a descriptor's mode can't be narrowed. */
static void answer_hub(const struct master *m, int fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	static char packet[CONTROL_PACKET_MAX];
	struct iovec iov = { packet, control_reply_pack(packet, NULL) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof(int)) };
	char path[64];
	int hub;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", m->h.hub);
	hub = open(path, O_RDONLY | O_CLOEXEC);
	if (hub < 0) {
		reply(fd, packet, control_reply_pack(packet, strerror(errno)));
		return;
	}
	memcpy(CMSG_DATA(&control.head), &hub, sizeof(hub));
	if (sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_warning_limited("control socket: %s", strerror(errno));
	close(hub);
}

static void answer_unknown(int fd, const struct control_request *request)
{
	static char packet[CONTROL_PACKET_MAX];
	char text[128];

	snprintf(text, sizeof(text), "unknown command \"%s\"", request->name);
	reply(fd, packet, control_reply_pack(packet, text));
}

static void forget_caller(struct request_io *r)
{
	ev_io_stop(r->master->loop, &r->io);
	ev_timer_stop(r->master->loop, &r->timer);
	r->master = NULL;
}

static void answer(struct master *m, int fd, const struct control_request *request)
{
	switch (request->command) {
	case CONTROL_STATUS:
		answer_status(m, fd);
		break;
	case CONTROL_HUB:
		answer_hub(m, fd);
		break;
	case CONTROL_RELOAD:
		reload(m, fd);
		return;
	default:
		answer_unknown(fd, request);
	}
	close(fd);
}

static void hear(struct request_io *r)
{
	struct master *m = r->master;
	static char packet[CONTROL_PACKET_MAX];
	struct control_request request;
	int fd = r->io.fd;
	ssize_t n = recv(fd, packet, sizeof(packet), MSG_DONTWAIT);

	forget_caller(r);
	if (n > 0 && control_request_unpack(packet, (size_t)n, &request) == 0) {
		answer(m, fd, &request);
		return;
	}
	if (n > 0)
		reply(fd, packet, control_reply_pack(packet, "this is no request that this version understands"));
	else if (n < 0 && errno == EAGAIN)
		reply(fd, packet, control_reply_pack(packet, "a reload is under way"));		/* see control_hurry() */
	close(fd);
}

static void on_request(struct ev_loop *loop, struct ev_io *io, int events)
{
	(void)loop;
	(void)events;
	hear((struct request_io *)io);
}

void control_hurry(void)
{
	for (int i = 0; i < CALLERS_MAX; i++)
		if (callers[i].master)
			hear(&callers[i]);
}

static void on_timeout(struct ev_loop *loop, struct ev_timer *t, int events)
{
	struct request_io *r = (struct request_io *)((char *)t - offsetof(struct request_io, timer));
	int fd = r->io.fd;

	(void)loop;
	(void)events;
	forget_caller(r);
	close(fd);
}

/* Without descriptors, who wants to connect waits; and this process does not go round in circles meanwhile. */
static void on_breather(struct ev_loop *loop, struct ev_timer *t, int events)
{
	struct master *m = ev_userdata(loop);

	(void)t;
	(void)events;
	ev_io_start(loop, &m->on_control);
}

static struct ev_timer breather;

static void on_control(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct master *m = ev_userdata(loop);
	int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct request_io *r = NULL;

	(void)events;
	if (fd < 0) {
		if (lack(errno)) {
			ev_io_stop(loop, io);
			ev_timer_start(loop, &breather);
		}
		return;
	}
	for (int i = 0; i < CALLERS_MAX && !r; i++)
		if (!callers[i].master)
			r = &callers[i];
	if (!r) {
		control_answer(fd, "too many callers at one time");
		return;
	}
	r->master = m;
	ev_io_init(&r->io, on_request, fd, EV_READ);
	ev_timer_init(&r->timer, on_timeout, PATIENCE, 0);
	ev_io_start(loop, &r->io);
	ev_timer_start(loop, &r->timer);
}

void control_serve(struct master *m)
{
	ev_timer_init(&breather, on_breather, BREATHER, 0);
	ev_io_init(&m->on_control, on_control, m->dir.control, EV_READ);
	ev_io_start(m->loop, &m->on_control);
}
