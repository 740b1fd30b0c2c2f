/*
 * A guest's connection is in one of few states; whatever state it is in, its time comes (`due`) and it is dropped: also while it connects, and before it was
 * answered. What has come of a frame that is not whole goes with it. Who has had the last message of each publisher stays.
 *
 * Dropped in silence means: the socket stays open and is not read any more, so that the server goes on sending to it until its buffers are full. It is
 * closed a while later (ABANDONED), as there is a limit to what this process can hold.
 */
#include "tests/bench/reconnector.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tests/bench/clock.h"
#include "tests/bench/comeback.h"
#include "tests/bench/histogram.h"
#include "tests/bench/ledger.h"
#include "tests/bench/net.h"
#include "tests/bench/speak.h"
#include "tests/bench/wire.h"

#define BUFFER (256u << 10)		/* bytes received at a time */
#define EVENTS 512
#define WAKE UINT32_MAX			/* epoll data of the coordinator's eventfd; a guest's is its index */
#define TICK_MS 10
#define ABANDONED (5 * CLOCK_S)
#define PATIENCE (30 * CLOCK_S)		/* for the answer to one who comes back */
#define SOON 10u			/* one in so many is dropped at once again, */
#define SOON_S 0.05			/* within this time */
#define SHOWN 100			/* bytes of a frame in a note */

enum guest_state { AWAY, CONNECTING, ASKED, HERE };

struct guest {
	int fd;
	uint32_t topic;
	uint8_t state, transport;
	bool good;			/* it has been here: it counts */
	bool complete;
	bool back;			/* on this connection it comes back */
	uint16_t pongs;
	uint64_t since;			/* when this connection was begun */
	uint64_t due;			/* when it is dropped, or comes back */
	struct stamp at;		/* its position; epoch 0: none yet */
	struct comeback comeback;
	bool moved;			/* a message has come on this connection */
	char *part;			/* of a frame that is not whole */
	size_t part_len;
	struct ledger ledger;
};

struct abandoned {
	int fd;
	uint64_t until;
};

struct reconnector {
	struct member *m;
	struct guest *guest;
	uint32_t first, count;		/* its share of all subscribers */
	uint32_t opened, outstanding;
	uint32_t missing;		/* guests that the round still waits for */
	uint64_t deadline;		/* of the set-up */
	uint64_t random;
	enum order order;
	int epoll;
	char *buf;
	size_t frame_max;
	struct abandoned *abandoned;	/* a queue of 2 * count: first in, first out */
	uint32_t abandoned_first, abandoned_count;
};

static uint64_t next_random(struct reconnector *r)
{
	r->random ^= r->random << 13;
	r->random ^= r->random >> 7;
	r->random ^= r->random << 17;
	return r->random;
}

/* From 0 up to `seconds`, in ns. */
static uint64_t random_time(struct reconnector *r, double seconds)
{
	return (uint64_t)((double)(next_random(r) >> 11) / (double)(1ull << 53) * seconds * (double)CLOCK_S);
}

static const struct speak *speak_of(const struct reconnector *r, const struct guest *g)
{
	return r->m->opt->transport[g->transport].speak;
}

static uint32_t index_of(const struct reconnector *r, const struct guest *g)
{
	return r->first + (uint32_t)(g - r->guest);
}

static void fault(struct reconnector *r, const struct guest *g, enum fault fault, const char *what, const char *more)
{
	char at[TOLD_POSITION_MAX] = "nowhere";

	if (g->at.epoch)
		told_position(at, &g->at);
	member_fault(r->m, fault, 1);
	member_note(r->m, "subscriber %u of topic %u (%s) at %s: %s%s%s", index_of(r, g), g->topic, speak_of(r, g)->name, at, what, *more ? ": " : "", more);
}

/* ---- breaking off ---- */

static void forget_part(struct guest *g)
{
	free(g->part);
	g->part = NULL;
	g->part_len = 0;
}

static void close_abandoned(struct reconnector *r, uint64_t now)
{
	while (r->abandoned_count && r->abandoned[r->abandoned_first].until <= now) {
		net_abort(r->abandoned[r->abandoned_first].fd);
		r->abandoned_first = (r->abandoned_first + 1) % (2 * r->count);
		r->abandoned_count--;
	}
}

/* The socket stays, and nobody reads it. */
static void abandon(struct reconnector *r, int fd, uint64_t now)
{
	if (r->abandoned_count == 2 * r->count)
		close_abandoned(r, r->abandoned[r->abandoned_first].until);
	epoll_ctl(r->epoll, EPOLL_CTL_DEL, fd, NULL);
	r->abandoned[(r->abandoned_first + r->abandoned_count++) % (2 * r->count)] = (struct abandoned){ fd, now + ABANDONED };
}

/* The connection is over for the guest, whoever ended it. */
static void leave(struct reconnector *r, struct guest *g, uint64_t now)
{
	if (!g->good)
		r->outstanding--;
	forget_part(g);
	g->state = AWAY;
	g->fd = -1;
	g->due = next_random(r) % 2 ? now : now + random_time(r, r->m->opt->away_s);
}

static void drop(struct reconnector *r, struct guest *g, uint64_t now)
{
	enum drop way = (enum drop)(next_random(r) % DROPS);

	switch (way) {
	case DROP_FIN:
		shutdown(g->fd, SHUT_WR);	/* what was not read would make close() say RST */
		net_close(g->fd);
		break;
	case DROP_RST:
		net_abort(g->fd);
		break;
	default:
		abandon(r, g->fd, now);
	}
	r->m->me->reconnects.dropped[way]++;
	comeback_dropped(&g->comeback, g->state == ASKED, way == DROP_SILENT, now);
	leave(r, g, now);
}

/* Its session is with an earlier connection of its own; it comes again. */
static void taken(struct reconnector *r, struct guest *g, uint64_t now)
{
	r->m->me->reconnects.taken++;
	comeback_dropped(&g->comeback, false, true, now);
	net_close(g->fd);
	leave(r, g, now);
}

static void note_gone(struct reconnector *r, const struct guest *g)
{
	r->m->me->reconnects.gone++;
	member_note(r->m, "gone: the session of subscriber %u of topic %u (%s)", index_of(r, g), g->topic, speak_of(r, g)->name);
}

/* There is no such session; it comes again and subscribes. */
static void gone(struct reconnector *r, struct guest *g, uint64_t now)
{
	note_gone(r, g);
	comeback_forget(&g->comeback);
	net_close(g->fd);
	leave(r, g, now);
}

/* The server has ended the connection, which it must not; or has it not answered. */
static void lose(struct reconnector *r, struct guest *g, const char *what, int error)
{
	fault(r, g, g->good ? FAULT_CONNECTIONS : FAULT_BAD, what, error ? strerror(error) : "");
	net_close(g->fd);
	leave(r, g, clock_now());
}

/* ---- coming back ---- */

static void come(struct reconnector *r, struct guest *g, uint64_t now)
{
	const struct options *opt = r->m->opt;
	const struct transport *t = &opt->transport[g->transport];
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u32 = (uint32_t)(g - r->guest) };

	g->since = now;
	g->due = now + (next_random(r) % SOON ? (uint64_t)(opt->reconnect_s / 2 * (double)CLOCK_S) + random_time(r, opt->reconnect_s)
					      : random_time(r, SOON_S));
	g->back = g->at.epoch;
	comeback_begin(&g->comeback, g->back && next_random(r) % 100 < opt->attach);
	g->moved = false;
	g->pongs = 0;
	g->fd = net_connect(&t->address, t->address_len, t->tls, index_of(r, g), 0);
	if (g->fd < 0) {
		fault(r, g, FAULT_BAD, "connect", strerror(errno));
		g->due = now + CLOCK_S;
		return;
	}
	g->state = CONNECTING;
	if (!g->good)
		r->outstanding++;
	if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, g->fd, &event))
		lose(r, g, "epoll_ctl", errno);
}

static void ask(struct reconnector *r, struct guest *g)
{
	char position[TOLD_POSITION_MAX];
	size_t len;
	int error = net_ready(g->fd);

	if (error == EINPROGRESS)
		return;
	if (error) {
		lose(r, g, "connect", error);
		return;
	}
	if (g->back)
		told_position(position, &g->at);
	len = speak_of(r, g)->come(r->buf, g->topic, g->back ? position : NULL, comeback_words(&g->comeback, r->m->opt->attach));
	if (net_send(g->fd, r->buf, len) != (ssize_t)len)
		lose(r, g, "sending its subscribe", errno);
	else
		g->state = ASKED;
}

static void answered(struct reconnector *r, struct guest *g, enum told_recovered recovered, uint64_t now)
{
	struct reconnects_shm *counts = &r->m->me->reconnects;
	enum comeback_outcome outcome = comeback_answered(&g->comeback);

	g->state = HERE;
	if (!g->good) {
		g->good = true;
		r->outstanding--;
		member_count(&r->m->me->good, 1);
		r->m->me->by[g->transport].good++;
	}
	if (!g->back)
		return;
	counts->resumed++;
	counts->attached += outcome == COMEBACK_ATTACHED;
	counts->standing += outcome == COMEBACK_ATTACHED && g->comeback.stands;
	if (outcome == COMEBACK_GONE)
		note_gone(r, g);
	counts->recovered += recovered == TOLD_RECOVERED;
	counts->not_recovered += recovered == TOLD_NOT_RECOVERED;
	histogram_add(&counts->answered, now - g->since);
}

/* What is no message. A stream's position is that which was asked for, or a later one with no message of its topics between; where it is said twice, it is the same. */
static void hear(struct reconnector *r, struct guest *g, const char *frame, size_t len, uint64_t now)
{
	struct told told = { 0 };
	bool lost;

	if (speak_of(r, g)->told(frame, len, &told)) {
		fault(r, g, FAULT_TORN, "what was said of its position", "");
		return;
	}
	comeback_told(&g->comeback, &told);
	lost = told.recovered == TOLD_NOT_RECOVERED || told.missed;
	r->m->me->reconnects.said += told.missed + (g->state == ASKED ? told.missing : 0);
	if (lost && g->ledger.account)
		ledger_told(&g->ledger);
	if (!told.at.epoch)
		return;
	if (g->at.epoch && !lost && !g->moved && (told.at.epoch != g->at.epoch || told.at.id < g->at.id || (g->state == HERE && told.at.id > g->at.id)))
		fault(r, g, FAULT_STAMPS, "its stream begins elsewhere", "");
	if (!g->moved)
		g->at = told.at;
	if (g->state != ASKED)
		return;
	if (g->back && told.recovered == TOLD_NOTHING)
		fault(r, g, FAULT_TORN, "no word of whether all is there", "");
	answered(r, g, told.recovered, now);
}

/* ---- messages ---- */

static void enter(struct reconnector *r, struct guest *g, const struct payload *p, const struct stamp *stamp, uint64_t now)
{
	struct member_shm *me = r->m->me;
	uint32_t silent;
	char what[96];

	snprintf(what, sizeof(what), "publisher %u's message %u, id %llu", p->publisher, p->seq, (unsigned long long)stamp->id);
	switch (ledger_enter(&g->ledger, p, &silent)) {
	case ACCOUNT_AGAIN:
		fault(r, g, FAULT_DOUBLED, "again came", what);
		return;
	case ACCOUNT_LATE:
		fault(r, g, FAULT_REORDERED, "late came", what);
		break;
	case ACCOUNT_NEW:
		if (silent)	/* (counted at the end) */
			member_note(r->m, "lost: subscriber %u of topic %u (%s): %u before %s", index_of(r, g), g->topic, speak_of(r, g)->name,
				    silent, what);
		if (stamp->id <= g->at.id || stamp->epoch != g->at.epoch)
			fault(r, g, FAULT_STAMPS, "behind that came", what);
	}
	g->at = *stamp;
	g->moved = true;
	histogram_add(&me->latency, now - (r->m->shm->base + p->sent));
	member_count(&me->deliveries, 1);
	me->by[g->transport].deliveries++;
	member_delivered(r->m, g->transport, p, now);
	if (!g->complete && ledger_complete(&g->ledger)) {
		g->complete = true;
		r->missing--;
	}
}

static void message(struct reconnector *r, struct guest *g, const char *frame, size_t len, uint64_t now)
{
	const struct options *opt = r->m->opt;
	struct payload p = { .topic = g->topic };
	struct stamp stamp = { 0 };

	if (comeback_excuses(&g->comeback, now) && comeback_is_taken(frame, len))
		return;		/* the end will follow */
	if (g->state != HERE || !g->ledger.account)
		fault(r, g, FAULT_TORN, "a message before its answer, or before any was published", "");
	else if (speak_of(r, g)->message(frame, len, options_size_read(opt), &p, &stamp) || p.run != r->m->shm->run || p.round != r->m->shm->round ||
		 p.publisher >= opt->publishers || account_index(p.publisher, p.seq, opt->publishers) >= opt->messages)
		fault(r, g, FAULT_TORN, "no message that was published", "");
	else
		enter(r, g, &p, &stamp, now);
}

static void frame_whole(struct reconnector *r, struct guest *g, const char *frame, size_t len, uint64_t now)
{
	char shown[SHOWN + 1];

	switch (speak_of(r, g)->kind(frame, len)) {
	case SPEAK_MESSAGE:
		message(r, g, frame, len, now);
		break;
	case SPEAK_PING:
		member_count(&r->m->me->pings, 1);
		g->pongs++;
		break;
	case SPEAK_BAD:
		if (g->comeback.attaches && g->state == ASKED && comeback_is_gone(frame, len)) {
			gone(r, g, now);
			break;
		}
		if (comeback_excuses(&g->comeback, now) && comeback_is_taken(frame, len))
			break;		/* the end will follow */
		snprintf(shown, sizeof(shown), "%.*s", (int)len, frame);
		lose(r, g, "instead of an answer", 0);
		member_note(r->m, "  that was: %s", shown);
		break;
	default:
		hear(r, g, frame, len, now);
	}
}

/* Takes the frames of buf[0..n), and keeps what is behind them. */
static void take(struct reconnector *r, struct guest *g, size_t n, uint64_t now)
{
	const struct speak *speak = speak_of(r, g);
	size_t at = 0, len;

	while (at < n && g->state != AWAY && (len = speak->cut(r->buf + at, n - at))) {
		frame_whole(r, g, r->buf + at, len, now);
		at += len;
	}
	if (g->state == AWAY || at == n)
		return;
	if (n - at > r->frame_max) {
		lose(r, g, "a frame that is longer than any can be", 0);
		return;
	}
	g->part_len = n - at;
	g->part = malloc(g->part_len);
	if (!g->part)
		exit(3);
	memcpy(g->part, r->buf + at, g->part_len);
}

static void pong(struct reconnector *r, struct guest *g)
{
	char frame[16];
	size_t len = speak_of(r, g)->pong ? speak_of(r, g)->pong(frame) : 0;

	for (; g->pongs; g->pongs--)
		if (len && net_send(g->fd, frame, len) < 0)
			g->pongs = 1;	/* the server reads nothing, or is gone: recv() will tell */
}

/* Reads until the socket is empty. */
static void on_readable(struct reconnector *r, struct guest *g)
{
	while (g->state != AWAY) {
		size_t had = g->part_len, n;
		ssize_t got;

		memcpy(r->buf, g->part ? g->part : "", had);
		got = net_recv(g->fd, r->buf + had, BUFFER);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0 && comeback_excuses(&g->comeback, clock_now())) {
			taken(r, g, clock_now());
			return;
		}
		if (got <= 0) {
			lose(r, g, "closed by the server", got ? errno : 0);
			return;
		}
		member_count(&r->m->me->bytes, (uint64_t)got);
		forget_part(g);
		n = had + (size_t)got;
		take(r, g, n, clock_now());
		if (g->state != AWAY && g->pongs)
			pong(r, g);
		if (got < (ssize_t)BUFFER)
			return;
	}
}

/* What is left in the queue of events of a connection that was dropped meanwhile is of no harm to the next one: it finds nothing to read. */
static void on_event(struct reconnector *r, const struct epoll_event *event)
{
	struct guest *g = &r->guest[event->data.u32];

	if (g->state == CONNECTING && event->events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
		ask(r, g);
	if (g->state == CONNECTING || !(event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
		return;
	on_readable(r, g);
	/* An end that came with the last bytes has no event of its own. */
	if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		on_readable(r, g);
}

/* ---- orders ---- */

static void open_one(struct reconnector *r, uint64_t now)
{
	const struct options *opt = r->m->opt;
	struct guest *g = &r->guest[r->opened];
	uint32_t i = r->first + r->opened++;

	g->topic = i % opt->topics;
	g->transport = (uint8_t)options_transport_of(opt, i);
	come(r, g, now);
}

static void go_on_setting_up(struct reconnector *r)
{
	uint64_t now = clock_now();

	if (now >= r->deadline) {
		for (uint32_t i = 0; i < r->opened; i++)
			if (!r->guest[i].good && r->guest[i].state != AWAY)
				lose(r, &r->guest[i], "not set up in time", 0);
		member_fault(r->m, FAULT_BAD, r->count - r->opened);
		r->opened = r->count;
	}
	while (r->opened < r->count && r->outstanding < r->m->opt->at_once)
		open_one(r, now);
	if (r->opened == r->count && !r->outstanding)
		member_done(r->m);
}

static void arm(struct reconnector *r)
{
	r->missing = 0;
	for (uint32_t i = 0; i < r->count; i++) {
		if (!r->guest[i].good)
			continue;
		ledger_init(&r->guest[i].ledger, r->m->opt->messages, r->m->opt->publishers);
		r->missing++;
	}
	member_done(r->m);
}

static void go_on_running(struct reconnector *r)
{
	uint64_t now = clock_now();

	close_abandoned(r, now);
	for (uint32_t i = 0; i < r->count; i++) {
		struct guest *g = &r->guest[i];

		if (!g->good)
			continue;
		if ((g->state == CONNECTING || g->state == ASKED) && now >= g->since + PATIENCE)
			lose(r, g, "is not answered", 0);
		else if (g->state == AWAY && now >= g->due)
			come(r, g, now);
		else if (g->state != AWAY && !g->complete && now >= g->due)
			drop(r, g, now);
	}
	if (!r->missing)
		member_done(r->m);
}

static void count(struct reconnector *r)
{
	for (uint32_t i = 0; i < r->count; i++) {
		const struct guest *g = &r->guest[i];
		struct ledger_losses lost;

		if (!g->good)
			continue;
		lost = ledger_losses(&g->ledger);
		r->m->me->reconnects.told += lost.told;
		member_fault(r->m, FAULT_LOST, lost.silent);
		if (lost.silent)
			member_note(r->m, "lost: %u of %u messages by subscriber %u of topic %u (%s)", lost.silent, r->m->opt->messages, index_of(r, g),
				    g->topic, speak_of(r, g)->name);
		if (!lost.told && !lost.silent && !g->ledger.account->late && !member_same_order(r->m, g->transport, g->topic, g->ledger.account->hash))
			fault(r, g, FAULT_REORDERED, "saw the publishers' messages in another order than the rest", "");
	}
	member_done(r->m);
}

static void go(struct reconnector *r)
{
	for (uint32_t i = 0; i < r->count; i++)
		if (r->guest[i].state != AWAY)
			net_abort(r->guest[i].fd);
	close_abandoned(r, UINT64_MAX);
}

/* Those who came long ago are not dropped all at once. */
static void start_round(struct reconnector *r)
{
	uint64_t now = clock_now();

	for (uint32_t i = 0; i < r->count; i++)
		r->guest[i].due = now + random_time(r, r->m->opt->reconnect_s);
}

/* Returns whether to go on. */
static bool obey(struct reconnector *r)
{
	uint32_t word = member_order(r->m);

	if (!word)
		return true;
	r->order = ORDER_OF(word);
	switch (r->order) {
	case ORDER_SETUP:
		r->deadline = clock_now() + options_setup_ns(r->m->opt);
		break;
	case ORDER_ARM:
		arm(r);
		break;
	case ORDER_RUN:
		start_round(r);
		break;
	case ORDER_COUNT:
		count(r);
		break;
	default:
		go(r);
		return false;
	}
	return true;
}

static int init(struct reconnector *r, struct member *m)
{
	const struct options *opt = m->opt;
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = WAKE };
	uint32_t share = opt->subscribers / opt->processes, more = opt->subscribers % opt->processes;

	*r = (struct reconnector){ .m = m, .frame_max = options_size_most(opt) + SPEAK_EXTRA + SPEAK_ANSWER_MAX };
	r->random = ((uint64_t)m->shm->run << 32 | (m->number + 1)) * 0x9e3779b97f4a7c15ull | 1;
	r->count = share + (m->number < more);
	r->first = m->number * share + (m->number < more ? m->number : more);
	r->guest = calloc(r->count, sizeof(*r->guest));
	r->abandoned = calloc(2 * r->count, sizeof(*r->abandoned));
	r->buf = malloc(r->frame_max + BUFFER);
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!r->guest || !r->abandoned || !r->buf || r->epoll < 0)
		return -1;
	return epoll_ctl(r->epoll, EPOLL_CTL_ADD, m->wake, &event);
}

int reconnector_run(struct member *m)
{
	struct epoll_event events[EVENTS];
	struct reconnector r;

	if (init(&r, m)) {
		perror("janusbench: a process of subscribers");
		return 3;
	}
	for (;;) {
		int n = epoll_wait(r.epoll, events, EVENTS, r.order == ORDER_RUN ? TICK_MS : 1000);

		if (n < 0 && errno != EINTR)
			return 3;
		for (int i = 0; i < n; i++) {
			if (events[i].data.u32 != WAKE)
				on_event(&r, &events[i]);
			else if (!obey(&r))
				return 0;
		}
		if (r.order == ORDER_SETUP)
			go_on_setting_up(&r);
		else if (r.order == ORDER_RUN)
			go_on_running(&r);
	}
}
