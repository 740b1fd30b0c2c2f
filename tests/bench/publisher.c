#include "tests/bench/publisher.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "tests/bench/clock.h"
#include "tests/bench/outlet.h"

#define EVENTS 64
#define WAKE UINT32_MAX
#define TIMER (UINT32_MAX - 1)

struct publisher {
	struct member *m;
	struct outlet *outlet;
	uint64_t start;		/* of the round */
	uint64_t deadline;	/* of the set-up */
	enum order order;
	int epoll, timer;
};

static int init(struct publisher *p, struct member *m)
{
	struct epoll_event wake = { .events = EPOLLIN, .data.u32 = WAKE }, timer = { .events = EPOLLIN, .data.u32 = TIMER };

	*p = (struct publisher){ .m = m };
	p->outlet = calloc(m->opt->publishers, sizeof(*p->outlet));
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	p->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (!p->outlet || p->epoll < 0 || p->timer < 0)
		return -1;
	for (uint32_t i = 0; i < m->opt->publishers; i++)
		if (outlet_init(&p->outlet[i], m, p->epoll, i))
			return -1;
	return epoll_ctl(p->epoll, EPOLL_CTL_ADD, m->wake, &wake) || epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->timer, &timer) ? -1 : 0;
}

static void set_up(struct publisher *p)
{
	p->deadline = clock_now() + options_setup_ns(p->m->opt);
	for (uint32_t i = 0; !p->m->opt->classic && i < p->m->opt->publishers; i++)
		outlet_open(&p->outlet[i]);
}

/* Returns whether to go on. */
static bool obey(struct publisher *p)
{
	uint32_t word = member_order(p->m);

	if (!word)
		return true;
	p->order = ORDER_OF(word);
	switch (p->order) {
	case ORDER_SETUP:
		set_up(p);
		break;
	case ORDER_RUN:
		p->start = clock_now();
		for (uint32_t i = 0; i < p->m->opt->publishers; i++)
			outlet_start(&p->outlet[i]);
		break;
	case ORDER_QUIT:
		return false;
	default:
		for (uint32_t i = 0; i < p->m->opt->publishers; i++)
			p->outlet[i].active = false;
		member_done(p->m);
	}
	return true;
}

static void go_on_setting_up(struct publisher *p)
{
	uint32_t busy = 0;

	for (uint32_t i = 0; i < p->m->opt->publishers; i++)
		busy += p->outlet[i].state == OUTLET_CONNECTING || p->outlet[i].state == OUTLET_GREETING;
	if (!busy || clock_now() >= p->deadline) {
		member_fault(p->m, FAULT_BAD, busy);
		member_done(p->m);
	}
}

/* Lets each connection send what is due. Returns when there will be more to send. */
static uint64_t go_on_running(struct publisher *p)
{
	uint64_t now = clock_now(), next = UINT64_MAX;
	bool active = false;

	for (uint32_t i = 0; i < p->m->opt->publishers; i++) {
		uint64_t due = outlet_advance(&p->outlet[i], p->start, now);

		next = due < next ? due : next;
		active |= p->outlet[i].active;
	}
	if (!active)
		member_done(p->m);
	return next <= now ? 0 : next;
}

/* `due` is 0 for at once, UINT64_MAX for no time. */
static int sleep_until(struct publisher *p, struct epoll_event *events, uint64_t due)
{
	struct itimerspec at = { .it_value = { .tv_sec = (time_t)(due / CLOCK_S), .tv_nsec = (long)(due % CLOCK_S) } };

	if (due && due != UINT64_MAX)
		timerfd_settime(p->timer, TFD_TIMER_ABSTIME, &at, NULL);
	return epoll_wait(p->epoll, events, EVENTS, due ? 1000 : 0);
}

int publisher_run(struct member *m)
{
	struct epoll_event events[EVENTS];
	struct publisher p;
	uint64_t due = UINT64_MAX, ignored;

	if (init(&p, m)) {
		perror("janusbench: the publisher");
		return 3;
	}
	for (;;) {
		int n = sleep_until(&p, events, due);

		if (n < 0 && errno != EINTR)
			return 3;
		for (int i = 0; i < n; i++) {
			if (events[i].data.u32 == WAKE) {
				if (!obey(&p))
					return 0;
			} else if (events[i].data.u32 == TIMER) {
				if (read(p.timer, &ignored, sizeof(ignored)) < 0 && errno != EAGAIN)
					return 3;
			} else {
				outlet_event(&p.outlet[events[i].data.u32], events[i].events);
			}
		}
		due = UINT64_MAX;
		if (p.order == ORDER_SETUP)
			go_on_setting_up(&p);
		else if (p.order == ORDER_RUN)
			due = go_on_running(&p);
	}
}
