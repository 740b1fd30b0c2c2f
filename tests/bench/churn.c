#include "tests/bench/churn.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/clock.h"
#include "tests/bench/net.h"
#include "tests/bench/wire.h"

#define SLOTS 256u
#define WAKE UINT32_MAX
#define STAY (50 * CLOCK_MS)
#define PATIENCE (5 * CLOCK_S)		/* to be let in */
#define TICK_MS 5

enum state { FREE, CONNECTING, GREETING, ACK, STAYING };

struct slot {
	enum state state;
	int fd;
	uint64_t until;
	size_t len;
	char in[WIRE_GREETING_MAX + 64];	/* up to the ACK */
};

struct churn {
	struct member *m;
	struct slot slot[SLOTS];
	bool on;
	uint64_t next;			/* when the next one comes */
	uint32_t made;
	int epoll;
};

static void leave(struct churn *c, struct slot *s, const char *fault, int error)
{
	if (fault) {
		member_fault(c->m, FAULT_CHURNED, 1);
		member_note(c->m, "churn: %s%s%s", fault, error ? ": " : "", error ? strerror(error) : "");
	}
	if (s->fd >= 0)
		net_abort(s->fd);
	s->fd = -1;
	s->state = FREE;
}

static void come(struct churn *c, struct slot *s)
{
	const struct transport *flash = options_flash(c->m->opt);
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u32 = (uint32_t)(s - c->slot) };

	*s = (struct slot){ .state = CONNECTING, .until = clock_now() + PATIENCE };
	s->fd = net_connect(&flash->address, flash->address_len, flash->tls, NET_CHURN, 0);
	if (s->fd < 0 || epoll_ctl(c->epoll, EPOLL_CTL_ADD, s->fd, &event))
		leave(c, s, "connect", errno);
}

static void connected(struct churn *c, struct slot *s)
{
	char frame[WIRE_SUBSCRIBE_MAX], topic[WIRE_TOPIC_MAX];
	size_t len;
	int error = net_ready(s->fd);

	if (error == EINPROGRESS)
		return;
	wire_topic(topic, wire_topic_number(c->made++ % c->m->opt->topics, 0));
	len = wire_subscribe(frame, topic);
	if (error)
		leave(c, s, "connect", error);
	else if (net_send(s->fd, frame, len) != (ssize_t)len)
		leave(c, s, "sending its subscribe", errno);
	else
		s->state = GREETING;
}

/* The greeting and the ACK; what comes after is thrown away. */
static void take(struct churn *c, struct slot *s)
{
	size_t at = 0;
	char *end;

	while (s->state < STAYING && (end = memchr(s->in + at, WIRE_END, s->len - at))) {
		size_t len = (size_t)(end + 1 - (s->in + at));

		if (s->state == GREETING && wire_is_greeting(s->in + at, len)) {
			s->state = ACK;
		} else if (s->state == ACK && wire_is_ack(s->in + at, len)) {
			s->state = STAYING;
			s->until = clock_now() + STAY;
			member_count(&c->m->me->good, 1);
		} else {
			leave(c, s, "instead of greeting and ACK came something else", 0);
			return;
		}
		at += len;
	}
	s->len -= at;
	memmove(s->in, s->in + at, s->len);
	if (s->state == STAYING)
		s->len = 0;
	else if (s->len == sizeof(s->in))
		leave(c, s, "instead of greeting and ACK came something long", 0);
}

static void readable(struct churn *c, struct slot *s)
{
	while (s->state > CONNECTING) {
		ssize_t n = net_recv(s->fd, s->in + s->len, sizeof(s->in) - s->len);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			leave(c, s, "closed by the server", n ? errno : 0);
			return;
		}
		s->len += (size_t)n;
		take(c, s);
	}
}

static void sweep(struct churn *c)
{
	uint64_t now = clock_now(), every = (uint64_t)((double)CLOCK_S / c->m->opt->churn);

	for (uint32_t i = 0; i < SLOTS; i++) {
		struct slot *s = &c->slot[i];

		if (s->state != FREE && now >= s->until)
			leave(c, s, s->state == STAYING ? NULL : "not let in in time", 0);
		if (s->state == FREE && c->on && now >= c->next) {
			c->next += every;
			come(c, s);
		}
	}
	if (now > c->next + CLOCK_S)
		c->next = now;		/* all slots have been taken for a while: don't make up for it */
}

/* Returns whether to go on. It never holds a round up. */
static bool obey(struct churn *c)
{
	uint32_t word = member_order(c->m);

	if (!word)
		return true;
	c->on = ORDER_OF(word) == ORDER_RUN;
	c->next = clock_now();
	member_done(c->m);
	return ORDER_OF(word) != ORDER_QUIT;
}

int churn_run(struct member *m)
{
	struct epoll_event events[64], wake = { .events = EPOLLIN, .data.u32 = WAKE };
	struct churn c = { .m = m, .epoll = epoll_create1(EPOLL_CLOEXEC) };

	if (c.epoll < 0 || epoll_ctl(c.epoll, EPOLL_CTL_ADD, m->wake, &wake))
		return 3;
	for (;;) {
		int n = epoll_wait(c.epoll, events, 64, TICK_MS);

		for (int i = 0; i < n; i++) {
			struct slot *s = &c.slot[events[i].data.u32 == WAKE ? 0 : events[i].data.u32];

			if (events[i].data.u32 == WAKE) {
				if (!obey(&c))
					return 0;
				continue;
			}
			if (s->state == CONNECTING)
				connected(&c, s);
			readable(&c, s);
		}
		sweep(&c);
	}
}
