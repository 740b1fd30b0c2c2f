#include "tests/bench/crowd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tests/bench/clock.h"
#include "tests/bench/net.h"

#define BUFFER (256u << 10)		/* bytes received at a time */
#define EVENTS 512
#define SHOWN 160			/* bytes of a frame in a fault */

enum state { CONNECTING, ASKED, HERE };

struct comer {
	int fd;
	uint32_t topic;
	uint32_t next;			/* the seq of the message that it is to get now */
	enum state state;
	char *part;			/* of a frame that is not whole */
	size_t part_len;
};

struct crowd {
	struct crowd_plan plan;
	struct comer *comer;
	struct stamp *first;		/* a topic; epoch 0: none has come */
	uint32_t opened, answered, complete;
	uint64_t began, ended, bytes;
	size_t frame_max;
	char *buf, fault[256];
	int epoll;
};

struct crowd *crowd_create(const struct crowd_plan *plan)
{
	struct crowd *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->plan = *plan;
	c->frame_max = plan->size + SPEAK_EXTRA + SPEAK_ANSWER_MAX;
	c->comer = calloc(plan->count, sizeof(*c->comer));
	c->first = calloc(plan->topics, sizeof(*c->first));
	c->buf = malloc(c->frame_max + BUFFER);
	c->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (c->comer && c->first && c->buf && c->epoll >= 0)
		return c;
	crowd_destroy(c);
	return NULL;
}

void crowd_destroy(struct crowd *c)
{
	if (!c)
		return;
	for (uint32_t i = 0; i < c->opened; i++) {
		if (c->comer[i].fd >= 0)
			net_abort(c->comer[i].fd);
		free(c->comer[i].part);
	}
	if (c->epoll >= 0)
		close(c->epoll);
	free(c->buf);
	free(c->first);
	free(c->comer);
	free(c);
}

/* The first one counts: the run is worth nothing then. */
static void fault(struct crowd *c, const struct comer *comer, const char *what, const char *more, size_t more_len)
{
	if (!*c->fault)
		snprintf(c->fault, sizeof(c->fault), "number %u, message %u of topic %u: %s%s%.*s", (unsigned)(comer - c->comer), comer->next, comer->topic, what,
			 more_len ? ": " : "", (int)(more_len < SHOWN ? more_len : SHOWN), more);
}

static void fault_errno(struct crowd *c, const struct comer *comer, const char *what, int error)
{
	fault(c, comer, what, strerror(error), strlen(strerror(error)));
}

/* ---- coming ---- */

static void open_one(struct crowd *c)
{
	uint32_t i = c->opened++;
	struct comer *comer = &c->comer[i];
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u32 = i };

	*comer = (struct comer){ .topic = i % c->plan.topics, .next = c->plan.from };
	comer->fd = net_connect(&c->plan.transport->address, c->plan.transport->address_len, false, i, 0);
	if (comer->fd < 0 || epoll_ctl(c->epoll, EPOLL_CTL_ADD, comer->fd, &event))
		fault_errno(c, comer, "connect", errno);
}

static void ask(struct crowd *c, struct comer *comer)
{
	char position[TOLD_POSITION_MAX], words[SPEAK_COME_MAX];
	int error = net_ready(comer->fd);
	size_t len;

	if (error) {
		fault_errno(c, comer, "connect", error);
		return;
	}
	if (c->plan.position)
		told_position(position, &c->plan.position[comer->topic]);
	len = c->plan.transport->speak->come(words, comer->topic, c->plan.position ? position : NULL, NULL);
	if (!len || send(comer->fd, words, len, MSG_NOSIGNAL) != (ssize_t)len)
		fault_errno(c, comer, "sending what it wants", errno);
	comer->state = ASKED;
}

static void answered(struct crowd *c, struct comer *comer)
{
	if (comer->state == HERE)
		return;
	comer->state = HERE;
	c->answered++;
}

/* ---- what comes ---- */

static void message(struct crowd *c, struct comer *comer, const char *frame, size_t len)
{
	struct payload p = { .topic = comer->topic };
	struct stamp stamp = { 0 };

	answered(c, comer);
	if (c->plan.transport->speak->message(frame, len, c->plan.size, &p, &stamp) || p.run != c->plan.run) {
		fault(c, comer, "came what was not published", frame, len);
		return;
	}
	if (p.seq != comer->next || comer->next == c->plan.until) {
		snprintf(c->buf, c->frame_max, "%u", p.seq);
		fault(c, comer, "instead came", c->buf, strlen(c->buf));
		return;
	}
	if (!c->first[comer->topic].epoch)
		c->first[comer->topic] = stamp;
	if (++comer->next < c->plan.until)
		return;
	c->complete++;
	c->ended = clock_now();
}

static void frame_whole(struct crowd *c, struct comer *comer, const char *frame, size_t len)
{
	const struct speak *speak = c->plan.transport->speak;
	enum speak_frame kind = speak->kind(frame, len);
	struct told told = { 0 };
	char pong[16];

	if (kind == SPEAK_MESSAGE) {
		message(c, comer, frame, len);
		return;
	}
	if (kind == SPEAK_BAD || (speak->told && speak->told(frame, len, &told)))
		fault(c, comer, "came", frame, len);
	else if (told.recovered == TOLD_NOT_RECOVERED || told.missed)
		fault(c, comer, "was told that some are missing", "", 0);
	else if (kind == SPEAK_ACK)
		answered(c, comer);
	else if (kind == SPEAK_PING && speak->pong && send(comer->fd, pong, speak->pong(pong), MSG_NOSIGNAL) < 0)
		fault_errno(c, comer, "pong", errno);
}

/* Takes the frames of buf[0..n), and keeps what is behind them. */
static void take(struct crowd *c, struct comer *comer, size_t n)
{
	size_t at = 0, len;

	while (at < n && !*c->fault && (len = c->plan.transport->speak->cut(c->buf + at, n - at))) {
		frame_whole(c, comer, c->buf + at, len);
		at += len;
	}
	free(comer->part);
	comer->part = NULL;
	comer->part_len = n - at;
	if (n == at || *c->fault)
		return;
	if (n - at > c->frame_max)
		fault(c, comer, "a frame that is longer than any can be", c->buf + at, n - at);
	else if ((comer->part = malloc(n - at)))
		memcpy(comer->part, c->buf + at, n - at);
	else
		fault_errno(c, comer, "memory", errno);
}

/* Reads until the socket is empty. */
static void on_readable(struct crowd *c, struct comer *comer)
{
	while (!*c->fault) {
		size_t had = comer->part ? comer->part_len : 0;
		ssize_t got;

		memcpy(c->buf, comer->part ? comer->part : "", had);
		got = recv(comer->fd, c->buf + had, BUFFER, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0) {
			fault_errno(c, comer, "closed by the server", got ? errno : 0);
			return;
		}
		c->bytes += (uint64_t)got;
		take(c, comer, had + (size_t)got);
	}
}

static void on_event(struct crowd *c, const struct epoll_event *event)
{
	struct comer *comer = &c->comer[event->data.u32];

	if (comer->state == CONNECTING && event->events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
		ask(c, comer);
	if (comer->state != CONNECTING && event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		on_readable(c, comer);
}

/* ---- the whole ---- */

static bool reached(const struct crowd *c, enum crowd_state state)
{
	return state == CROWD_ANSWERED ? c->answered == c->plan.count : state == CROWD_COMPLETE && c->complete == c->plan.count;
}

int crowd_until(struct crowd *c, enum crowd_state state, uint64_t deadline)
{
	struct epoll_event events[EVENTS];

	if (!c->began)
		c->began = clock_now();
	while (!reached(c, state) && !*c->fault) {
		uint64_t now = clock_now();
		int n;

		if (now >= deadline && state == CROWD_MORE)
			return 0;
		if (now >= deadline)
			snprintf(c->fault, sizeof(c->fault), "too late: of %u have come %u, were answered %u, have had all %u", c->plan.count, c->opened,
				 c->answered, c->complete);
		while (c->opened < c->plan.count && c->opened - c->answered < c->plan.at_once && !*c->fault)
			open_one(c);
		n = epoll_wait(c->epoll, events, EVENTS, 20);
		for (int i = 0; i < n && !*c->fault; i++)
			on_event(c, &events[i]);
	}
	return *c->fault ? -1 : 0;
}

const char *crowd_fault(const struct crowd *c)
{
	return c->fault;
}

struct stamp crowd_first(const struct crowd *c, uint32_t topic)
{
	return c->first[topic];
}

uint64_t crowd_began(const struct crowd *c)
{
	return c->began;
}

uint64_t crowd_ended(const struct crowd *c)
{
	return c->ended;
}

uint64_t crowd_bytes(const struct crowd *c)
{
	return c->bytes;
}
