/*
 * Sockets are edge-triggered: a recv() that does not fill the buffer has emptied the socket, so that a readiness mostly costs one
 * system call. A subscriber that pauses (--slow) just ignores its events and is read to the end when it resumes.
 */
#include "tests/bench/subscriber.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tests/bench/check.h"
#include "tests/bench/clock.h"
#include "tests/bench/net.h"
#include "tests/bench/speak.h"
#include "tests/bench/wire.h"

#define BUFFER (256u << 10)	/* bytes; shared by all connections of the process */
#define UNANSWERED 512u		/* subscribes that one of them has sent and not had an answer to: what is sent is taken at once */
#define EVENTS 512
#define WAKE UINT32_MAX		/* epoll data of the coordinator's eventfd; a subscriber's is its index */
#define SMALL_RCVBUF 4096	/* so that a slow subscriber soon has the server's sends blocked, and one that reads on takes parts */
#define SLOW_TICK_MS 20
#define SLOW_QUIET (500 * CLOCK_MS)
#define SLOW_READS 9u		/* with --slow-again, it reads so many times as long as it pauses: a small buffer makes it slow enough */
#define SLOW_PART 4u		/* it pauses when it has had a quarter of the round */

struct subscriber {
	struct member *m;
	struct checker check;
	struct sub *sub;
	uint32_t first, count;		/* its share of all subscribers */
	uint32_t opened;
	uint32_t outstanding;
	uint32_t missing;		/* subscribers that the round still waits for */
	uint32_t paused;
	uint64_t deadline;		/* of the set-up */
	bool resumes;			/* --resume: its first connection's session may be resumed */
	uint64_t slow_heard;		/* the last time a slow one that may lose got something */
	enum order order;
	int epoll;
	char *buf;
};

/* Whether it is one of `some`, spread evenly over all subscribers. */
static bool is_one_of(const struct options *opt, uint32_t some, uint32_t i)
{
	return (uint64_t)i * some / opt->subscribers != (uint64_t)(i + 1) * some / opt->subscribers;
}

/* Whether the round can't end without this one having had all. */
static bool is_awaited(const struct subscriber *p, const struct sub *s)
{
	return s->flags & SUB_COUNTS && !(s->flags & SUB_SLOW && p->m->opt->slow_may_lose);
}

/* Messages may come before this process has seen ORDER_RUN: the publisher may have seen it first. */
static bool in_round(const struct subscriber *p)
{
	return p->order == ORDER_ARM || p->order == ORDER_RUN;
}

static uint32_t index_of(const struct subscriber *p, const struct sub *s)
{
	return p->first + (uint32_t)(s - p->sub);
}

_Static_assert(SPEAK_SOME_MAX <= BUFFER, "what is said at once");

static void fail(struct subscriber *p, struct sub *s, const char *what, int error)
{
	if (what)
		member_note(p->m, "bad: subscriber %u: %s%s%s", index_of(p, s), what, error ? ": " : "",
			    error ? strerror(error) : "");
	member_fault(p->m, FAULT_BAD, 1);
	if (s->state != SUB_NONE) {
		net_close(s->fd);
		p->outstanding--;
	}
	check_gone(&p->check, s);
	s->state = SUB_BAD;
}

static void lose(struct subscriber *p, struct sub *s, int error)
{
	if (s->flags & SUB_SLOW && p->m->opt->slow_may_lose) {
		member_count(&p->m->me->slow_gone, 1);
	} else {
		member_fault(p->m, FAULT_CONNECTIONS, 1);
		member_note(p->m, "connection lost: subscriber %u of topic %u (%s): %s", index_of(p, s), s->topic,
			    p->m->opt->transport[s->transport].speak->name, error ? strerror(error) : "end of file");
	}
	net_close(s->fd);
	check_gone(&p->check, s);
	s->state = SUB_GONE;
	if (s->flags & SUB_PAUSED)
		p->paused--;
	s->flags &= (uint8_t)~SUB_PAUSED;
	if (in_round(p) && is_awaited(p, s) && !(s->flags & SUB_WHOLE))
		p->missing--;
}

static void pause_one(struct subscriber *p, struct sub *s, uint64_t now)
{
	uint64_t resume = now + (uint64_t)(p->m->opt->slow_s * (double)CLOCK_S);

	s->flags |= SUB_PAUSED | SUB_RESTED;
	s->heard = (uint32_t)(resume / CLOCK_MS);	/* not used otherwise by a slow one; wraps */
	p->paused++;
}

/* A slow one has received something. (Between pauses, `heard` says when the next one is due.) */
static bool pauses_now(const struct subscriber *p, const struct sub *s, uint64_t now)
{
	uint32_t had = check_received(s), all = p->m->opt->messages;

	if (!p->m->opt->slow_again)
		return !(s->flags & SUB_RESTED) && had >= all / SLOW_PART;
	return had < all && (!(s->flags & SUB_RESTED) || (int32_t)((uint32_t)(now / CLOCK_MS) - s->heard) >= 0);
}

/* What follows from a subscriber having received something. */
static void received(struct subscriber *p, struct sub *s, uint64_t now)
{
	uint32_t had = check_received(s), all = p->m->opt->messages;

	if (!in_round(p) || !(s->flags & SUB_COUNTS))
		return;
	if (had == all && !(s->flags & SUB_WHOLE)) {
		s->flags |= SUB_WHOLE;
		p->missing -= is_awaited(p, s);
		if (s->flags & SUB_RESTED && p->m->shm->round == 1)
			member_count(&p->m->me->slow_caught_up, 1);
	}
	if (s->flags & SUB_SLOW) {
		p->slow_heard = now;
		if (pauses_now(p, s, now))
			pause_one(p, s, now);
	}
}

static void set_up_ended(struct subscriber *p, struct sub *s)
{
	if (s->state == SUB_READY && p->m->opt->resume && !p->resumes) {
		p->resumes = net_resume(s->fd);
		if (!p->resumes) {
			fail(p, s, "no ticket has come", 0);
			return;
		}
	}
	if (s->state == SUB_READY) {
		p->outstanding--;
		member_count(&p->m->me->good, 1);
		p->m->me->by[s->transport].good++;
	} else if (s->state == SUB_BAD) {
		s->state = SUB_ACK;	/* still open */
		fail(p, s, NULL, 0);
	}
}

static void pong(const struct member *m, struct sub *s)
{
	char frame[16];
	const struct speak *speak = m->opt->transport[s->transport].speak;
	size_t len = speak->pong ? speak->pong(frame) : 0;

	for (; s->pongs; s->pongs--)
		if (len && net_send(s->fd, frame, len) < 0)
			s->pongs = 1;	/* the server reads nothing, or is gone: recv() will tell */
}

/* Subscribes to what topics it is not yet to be told of, as far as may be. */
static void ask(struct subscriber *p, struct sub *s)
{
	const struct speak *speak = p->m->opt->transport[s->transport].speak;

	while (s->heard < wire_topics() && (speak->one_ack || s->heard - s->acks < UNANSWERED)) {
		size_t len = speak_subscribe_some(speak, p->buf, s->topic, &s->heard);

		if (net_send(s->fd, p->buf, len) != (ssize_t)len) {
			fail(p, s, "sending its subscribe", errno);
			return;
		}
	}
}

/* Reads until the socket is empty. */
static void on_readable(struct subscriber *p, struct sub *s)
{
	while (!(s->flags & SUB_PAUSED)) {
		bool setting_up = s->state < SUB_READY;
		ssize_t n = net_recv(s->fd, p->buf, BUFFER);
		uint64_t now;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0 && setting_up) {
			fail(p, s, "closed while being set up", n ? errno : 0);
			return;
		}
		if (n <= 0) {
			lose(p, s, n ? errno : 0);
			return;
		}
		now = clock_now();
		check_feed(&p->check, s, p->buf, (size_t)n, now);
		if (s->pongs)
			pong(p->m, s);
		if (setting_up && s->state >= SUB_READY)
			set_up_ended(p, s);
		else if (setting_up)
			ask(p, s);
		if (s->state == SUB_BAD)
			return;
		received(p, s, now);
		if (n < (ssize_t)BUFFER)
			return;
	}
}

static void on_connected(struct subscriber *p, struct sub *s)
{
	const struct speak *speak = p->m->opt->transport[s->transport].speak;
	int error = net_ready(s->fd);

	if (error == EINPROGRESS)
		return;
	if (error) {
		fail(p, s, "connect", error);
		return;
	}
	if (p->resumes && !net_is_resumed(s->fd)) {
		fail(p, s, "its session was not resumed", 0);
		return;
	}
	s->state = speak->greets ? SUB_GREETING : SUB_ACK;
	ask(p, s);
}

static void on_event(struct subscriber *p, const struct epoll_event *event)
{
	struct sub *s = &p->sub[event->data.u32];

	if (s->state == SUB_BAD || s->state == SUB_GONE)
		return;
	if (s->state == SUB_CONNECTING)
		on_connected(p, s);
	if (s->state != SUB_CONNECTING && s->state != SUB_BAD && event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		on_readable(p, s);
		/* An end that came with the last bytes has no event of its own. */
		if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR) && s->state != SUB_BAD && s->state != SUB_GONE)
			on_readable(p, s);
	}
}

static void open_one(struct subscriber *p)
{
	const struct options *opt = p->m->opt;
	const struct transport *t;
	struct sub *s = &p->sub[p->opened];
	uint32_t i = p->first + p->opened++;
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };
	bool small;

	s->topic = i % opt->topics;
	s->transport = (uint8_t)options_transport_of(opt, i);
	t = &opt->transport[s->transport];
	s->flags = is_one_of(opt, opt->slow, i) ? SUB_SLOW : 0;
	small = s->flags & SUB_SLOW || is_one_of(opt, opt->small, opt->subscribers - 1 - i);
	s->fd = net_connect(&t->address, t->address_len, t->tls, i, small ? SMALL_RCVBUF : 0);
	if (s->fd < 0) {
		fail(p, s, "connect", errno);
		return;
	}
	s->state = SUB_CONNECTING;
	p->outstanding++;
	event.data.u32 = (uint32_t)(s - p->sub);
	if (epoll_ctl(p->epoll, EPOLL_CTL_ADD, s->fd, &event))
		fail(p, s, "epoll_ctl", errno);
}

static void go_on_setting_up(struct subscriber *p)
{
	uint32_t at_once = p->m->opt->resume && !p->resumes ? 1 : p->m->opt->at_once;

	if (clock_now() >= p->deadline) {
		for (uint32_t i = 0; i < p->count; i++)
			if (p->sub[i].state < SUB_READY)
				fail(p, &p->sub[i], "not set up in time", 0);
		p->opened = p->count;
	}
	while (p->opened < p->count && p->outstanding < at_once)
		open_one(p);
	if (p->opened == p->count && !p->outstanding)
		member_done(p->m);
}

static void arm(struct subscriber *p)
{
	p->missing = 0;
	for (uint32_t i = 0; i < p->count; i++) {
		check_arm_sub(&p->check, &p->sub[i]);
		p->missing += is_awaited(p, &p->sub[i]);
	}
	check_arm(&p->check);
	member_done(p->m);
}

/* With few messages in a round there is no midst: slow ones pause at once. */
static void start_round(struct subscriber *p)
{
	uint64_t now = clock_now();

	p->slow_heard = now;
	if (p->m->opt->messages / SLOW_PART > 0 || !p->m->opt->slow)
		return;
	for (uint32_t i = 0; i < p->count; i++)
		if (p->sub[i].flags & SUB_SLOW && p->sub[i].flags & SUB_COUNTS && !(p->sub[i].flags & SUB_RESTED))
			pause_one(p, &p->sub[i], now);
}

static void count(struct subscriber *p)
{
	check_count(&p->check);
	for (uint32_t i = 0; i < p->count; i++)
		check_count_sub(&p->check, &p->sub[i]);
	member_done(p->m);
}

static void resume_some(struct subscriber *p)
{
	uint32_t now = (uint32_t)(clock_now() / CLOCK_MS);

	for (uint32_t i = 0; p->paused && i < p->count; i++) {
		struct sub *s = &p->sub[i];

		if (s->flags & SUB_PAUSED && (int32_t)(now - s->heard) >= 0) {
			s->flags &= (uint8_t)~SUB_PAUSED;
			s->heard = now + (uint32_t)(p->m->opt->slow_s * 1000) * SLOW_READS;
			p->paused--;
			on_readable(p, s);
			if (s->state == SUB_READY)
				on_readable(p, s);	/* the end, had it come meanwhile, has no event any more */
		}
	}
}

static void go_on_running(struct subscriber *p)
{
	const struct options *opt = p->m->opt;

	if (p->paused)
		resume_some(p);
	if (p->missing || p->paused)
		return;
	if (opt->slow && opt->slow_may_lose && clock_now() - p->slow_heard < SLOW_QUIET)
		return;
	member_done(p->m);
}

/* Returns whether to go on. */
static bool obey(struct subscriber *p)
{
	uint32_t word = member_order(p->m);

	if (!word)
		return true;
	p->order = ORDER_OF(word);
	switch (p->order) {
	case ORDER_SETUP:
		p->deadline = clock_now() + options_setup_ns(p->m->opt);
		break;
	case ORDER_ARM:
		arm(p);
		break;
	case ORDER_RUN:
		start_round(p);
		break;
	case ORDER_COUNT:
		count(p);
		break;
	default:
		for (uint32_t i = 0; i < p->count; i++)
			if (p->sub[i].state == SUB_READY)
				net_abort(p->sub[i].fd);
		return false;
	}
	return true;
}

static int init(struct subscriber *p, struct member *m)
{
	const struct options *opt = m->opt;
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = WAKE };
	uint32_t share = opt->subscribers / opt->processes, more = opt->subscribers % opt->processes;

	*p = (struct subscriber){ .m = m };
	p->count = share + (m->number < more);
	p->first = m->number * share + (m->number < more ? m->number : more);
	p->sub = calloc(p->count, sizeof(*p->sub));
	p->buf = malloc(BUFFER);
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!p->sub || !p->buf || p->epoll < 0 || check_init(&p->check, m))
		return -1;
	return epoll_ctl(p->epoll, EPOLL_CTL_ADD, m->wake, &event);
}

int subscriber_run(struct member *m)
{
	struct epoll_event events[EVENTS];
	struct subscriber p;

	if (init(&p, m)) {
		perror("janusbench: a process of subscribers");
		return 3;
	}
	for (;;) {
		bool slow = p.order == ORDER_RUN && m->opt->slow;
		int n = epoll_wait(p.epoll, events, EVENTS, slow ? SLOW_TICK_MS : 1000);

		if (n < 0 && errno != EINTR)
			return 3;
		for (int i = 0; i < n; i++) {
			if (events[i].data.u32 != WAKE)
				on_event(&p, &events[i]);
			else if (!obey(&p))
				return 0;
		}
		if (p.order == ORDER_SETUP)
			go_on_setting_up(&p);
		else if (p.order == ORDER_RUN)
			go_on_running(&p);
	}
}
