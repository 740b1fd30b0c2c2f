/*
 * The control socket: a request is one packet, and so is its reply. Only the owner of the runtime folder can connect, and the members of control_group.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "master/master.h"
#include "shm/shortage.h"
#include "shm/log.h"

struct request_io {
	struct ev_io io;
	struct ev_timer timer;
	struct master *master;
};

#define CALLERS_MAX 16
#define ACCEPT_PAUSE 0.1	/* seconds without looking for callers when descriptors are short */
#define PATIENCE 5.0		/* seconds for a caller to say what it wants */

static struct request_io callers[CALLERS_MAX];

static const struct control_handler *handlers;

void control_send(int fd, const void *packet, size_t len)
{
	if (send(fd, packet, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_warning_limited("control socket: %s", strerror(errno));
}

void control_answer(int fd, const char *error)
{
	static char packet[CONTROL_PACKET_MAX];

	if (fd < 0)
		return;
	control_send(fd, packet, control_reply_pack(packet, error));
	close(fd);
}

static void forget_caller(struct request_io *r)
{
	ev_io_stop(r->master->loop, &r->io);
	ev_timer_stop(r->master->loop, &r->timer);
	r->master = NULL;
}

static void answer(struct master *m, int fd, const struct control_request *request)
{
	char text[128];

	for (const struct control_handler *h = handlers; h->command; h++)
		if (h->command == request->command) {
			h->run(m, fd, request);
			return;
		}
	snprintf(text, sizeof(text), "unknown command \"%s\"", request->name);
	control_answer(fd, text);
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
		control_answer(fd, "this is no request that this version understands");
	else if (n < 0 && errno == EAGAIN)
		control_answer(fd, "a reload is under way");		/* see control_hurry() */
	else
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

/* When there are no descriptors, callers wait: trying to accept them at once again would only keep this process busy. */
static void on_accept_pause(struct ev_loop *loop, struct ev_timer *t, int events)
{
	struct master *m = ev_userdata(loop);

	(void)t;
	(void)events;
	ev_io_start(loop, &m->on_control);
}

static struct ev_timer accept_pause;

static void on_control(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct master *m = ev_userdata(loop);
	int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct request_io *r = NULL;

	(void)events;
	if (fd < 0) {
		if (is_shortage(errno)) {
			ev_io_stop(loop, io);
			ev_timer_start(loop, &accept_pause);
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

void control_serve(struct master *m, const struct control_handler *table)
{
	handlers = table;
	ev_timer_init(&accept_pause, on_accept_pause, ACCEPT_PAUSE, 0);
	ev_io_init(&m->on_control, on_control, m->dir.control, EV_READ);
	ev_io_start(m->loop, &m->on_control);
}
