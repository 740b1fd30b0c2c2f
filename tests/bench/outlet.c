#include "tests/bench/outlet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/clock.h"
#include "tests/bench/net.h"
#include "tests/bench/wire.h"

#define PONG_MAX 16u
#define CHUNK (16u << 10)	/* bytes built and written at a time: send times are taken when a message is built */

int outlet_init(struct outlet *o, struct member *m, int epoll, uint32_t number)
{
	size_t frame = options_size_most(m->opt) + SPEAK_EXTRA;

	*o = (struct outlet){ .m = m, .transport = &m->opt->publish[number % m->opt->nodes], .fd = -1, .epoll = epoll, .number = number };
	o->out_max = frame > CHUNK ? frame : CHUNK;
	o->out = malloc(o->out_max);
	schedule_start(&o->next, number, m->opt);
	return o->out ? 0 : -1;
}

/* A connection that ends before its time: no more of this publisher's messages will be sent. */
static void lost(struct outlet *o, const char *what, int error)
{
	bool setting_up = o->state < OUTLET_OPEN && !o->m->opt->classic;

	member_fault(o->m, setting_up ? FAULT_BAD : FAULT_PUBLISHERS, 1);
	member_note(o->m, "%s: publisher %u: %s: %s", setting_up ? "bad" : "publisher lost", o->number, what,
		    error ? strerror(error) : "end of file");
	if (o->fd >= 0)
		net_close(o->fd);
	o->fd = -1;
	o->state = OUTLET_GONE;
	o->active = false;
}

void outlet_open(struct outlet *o)
{
	const struct transport *t = o->transport;
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u32 = o->number };

	o->state = OUTLET_CONNECTING;
	o->in_len = o->out_len = o->out_sent = 0;
	o->blocked = false;
	o->fd = net_connect(&t->address, t->address_len, t->tls, NET_PUBLISHER, 0);
	if (o->fd < 0 || epoll_ctl(o->epoll, EPOLL_CTL_ADD, o->fd, &event))
		lost(o, "connect", errno);
}

void outlet_start(struct outlet *o)
{
	schedule_start(&o->next, o->number, o->m->opt);
	o->active = o->state != OUTLET_GONE && !schedule_ended(&o->next, o->m->opt);
}

/* Writes the next message's frame to the buffer. */
static void build(struct outlet *o)
{
	const struct options *opt = o->m->opt;
	uint64_t sent = clock_now();
	struct payload p = { .run = o->m->shm->run, .topic = o->next.topic, .round = o->m->shm->round, .publisher = o->number,
		.seq = o->next.index / opt->publishers, .sent = sent - o->m->shm->base };
	size_t size = payload_size(&p, opt->size, options_size_most(opt));

	if (opt->classic)
		o->out_len += wire_classic(o->out + o->out_len, &p, size);
	else
		o->out_len += o->transport->speak->publish(o->out + o->out_len, &p, size);
	atomic_store_explicit(&o->m->shm->sent[(size_t)o->next.topic * opt->messages + o->next.index], sent, memory_order_relaxed);
	member_count(&o->m->me->deliveries, 1);
	schedule_next(&o->next, opt);
}

/* Returns whether all is out. */
static bool flush(struct outlet *o)
{
	while (o->out_sent < o->out_len) {
		ssize_t n = net_send(o->fd, o->out + o->out_sent, o->out_len - o->out_sent);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			o->blocked = true;
			return false;
		}
		if (n < 0) {
			lost(o, "send", errno);
			return false;
		}
		o->out_sent += (size_t)n;
	}
	o->out_len = o->out_sent = 0;
	return true;
}

static uint64_t advance_streaming(struct outlet *o, uint64_t start, uint64_t now)
{
	const struct options *opt = o->m->opt;
	uint64_t due = 0;

	while (!schedule_ended(&o->next, opt) && o->out_len + options_size_most(opt) + SPEAK_EXTRA <= o->out_max) {
		due = start + schedule_due(&o->next, opt);
		if (due > now)
			break;
		build(o);
	}
	if (!flush(o))
		return UINT64_MAX;
	if (schedule_ended(&o->next, opt)) {
		o->active = false;
		return UINT64_MAX;
	}
	return due > now ? due : now;
}

/* One message, and the end of what we have to say. */
static uint64_t advance_classic(struct outlet *o, uint64_t start, uint64_t now)
{
	uint64_t due = start + schedule_due(&o->next, o->m->opt);

	if (o->state == OUTLET_CLOSED) {
		if (due > now)
			return due;
		outlet_open(o);
	} else if (o->state == OUTLET_OPEN) {
		if (!o->out_len)
			build(o);
		if (flush(o)) {
			shutdown(o->fd, SHUT_WR);
			o->state = OUTLET_ENDING;
		}
	}
	return UINT64_MAX;
}

uint64_t outlet_advance(struct outlet *o, uint64_t start, uint64_t now)
{
	if (!o->active || o->blocked)
		return UINT64_MAX;
	if (o->m->opt->classic)
		return advance_classic(o, start, now);
	return o->state == OUTLET_OPEN ? advance_streaming(o, start, now) : UINT64_MAX;
}

static void frame(struct outlet *o, const char *text, size_t len)
{
	const struct speak *speak = o->transport->speak;
	enum speak_frame kind = speak->kind(text, len);

	if (o->state == OUTLET_GREETING && (kind == SPEAK_GREETING || kind == SPEAK_ACK)) {
		if (kind == SPEAK_GREETING || !speak->greets_after_ack)
			o->state = OUTLET_OPEN;
	} else if (kind == SPEAK_PING) {
		member_count(&o->m->me->pings, 1);
		if (speak->pong && !o->m->opt->classic && o->out_len + PONG_MAX <= o->out_max) {	/* behind whole frames, so between frames */
			o->out_len += speak->pong(o->out + o->out_len);
			if (!o->blocked)
				flush(o);
		}
	} else if (kind == SPEAK_BAD || !speak->answers) {
		member_fault(o->m, FAULT_ANSWERS, 1);
		member_note(o->m, "bad answer to publisher %u: %.*s", o->number, (int)len, text);
	}
}

static void take_input(struct outlet *o)
{
	const struct speak *speak = o->transport->speak;
	size_t at = 0, len;

	while (o->state != OUTLET_GONE && at < o->in_len && (len = speak->cut(o->in + at, o->in_len - at))) {
		frame(o, o->in + at, len);
		at += len;
	}
	o->in_len -= at;
	memmove(o->in, o->in + at, o->in_len);
	if (o->in_len == sizeof(o->in)) {
		member_fault(o->m, FAULT_ANSWERS, 1);
		o->in_len = 0;
	}
}

/* A classic connection has been closed after its message: on to the next. A RST is as good: the server had read it all, or its
 * message will be missed. */
static void ended(struct outlet *o)
{
	net_close(o->fd);
	o->fd = -1;
	o->state = OUTLET_CLOSED;
	if (schedule_ended(&o->next, o->m->opt))
		o->active = false;
}

static void read_input(struct outlet *o)
{
	while (o->state != OUTLET_GONE) {
		ssize_t n = net_recv(o->fd, o->in + o->in_len, sizeof(o->in) - o->in_len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			if (o->state == OUTLET_ENDING)
				ended(o);
			else
				lost(o, "closed by the server", n ? errno : 0);
			return;
		}
		o->in_len += (size_t)n;
		take_input(o);
	}
}

/* What a publisher says first, before the server may have greeted it. */
static void introduce(struct outlet *o)
{
	const struct speak *speak = o->transport->speak;
	char topic[WIRE_TOPIC_MAX], text[SPEAK_SUBSCRIBE_MAX];
	size_t len;

	if (!speak->open_publisher)
		return;
	wire_topic(topic, 0);
	len = speak->open_publisher(text, topic);
	if (net_send(o->fd, text, len) != (ssize_t)len)
		lost(o, "send", errno);
}

void outlet_event(struct outlet *o, uint32_t events)
{
	if (o->fd < 0)
		return;
	if (o->state == OUTLET_CONNECTING) {
		int error = net_ready(o->fd);

		if (error == EINPROGRESS)
			return;
		if (error) {
			lost(o, "connect", error);
			return;
		}
		o->state = o->transport->speak->greets_publisher ? OUTLET_GREETING : OUTLET_OPEN;
		introduce(o);
	}
	if (events & EPOLLOUT)
		o->blocked = false;
	if (o->state != OUTLET_GONE && events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		read_input(o);
}
