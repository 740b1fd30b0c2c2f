/*
 * Moving connections between workers. See move.h.
 */
#include "worker/loop/move.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/transport.h"
#include "shm/crash.h"
#include "shm/log.h"
#include "shm/slot_peers.h"
#include "worker/io/peer.h"
#include "worker/io/tcp_counts.h"
#include "worker/io/tls_out.h"
#include "worker/loop/connection.h"
#include "worker/loop/orders.h"
#include "worker/loop/refuse.h"
#include "worker/protocol/answer.h"
#include "worker/protocol/input.h"
#include "worker/service/quota.h"
#include "worker/service/subscribe.h"
#include "worker/session/tell.h"

#define VERSION 1			/* of the message: programs with different ones may follow each other */
#define VERSION_RIGHTS 2		/* of one with the session's rights behind the input: who does not know them must not take the connection */
#define WORD_MAX 28			/* bytes of a transport's name */
#define ASKED UINT64_MAX		/* where a request begins is known when its turn is over */
#define INPUT_MAX 65536			/* bytes of input that go along */
#define AT_ONCE 64			/* messages a turn */
#define MOVED_ADMIN 4			/* it came by an admin listener */
#define MOVED_TLS 8			/* its connection is a TLS one, whose entry stands behind the input */
#define MOVED_PEER 16			/* a proxy has named its client, as struct moved_peer behind the input and the entry */
#define LISTENER_MAX (MOVED_PEER + MOVED_TLS + MOVED_ADMIN + SLOW_DISCONNECT)
#define PATIENCE 1000			/* milliseconds in which a new worker waits for room in a queue */

struct message {
	uint32_t version;
	uint32_t sender;		/* slot */
	uint64_t number;		/* slot_shm.move_number */
	uint64_t sent, parsed;		/* session_state_shm */
	uint64_t everybody;		/* from which sequence on it is owed what goes to everybody, and what its token names; 0: it is not */
	struct flood flood;
	uint32_t input;			/* bytes of input from `parsed` on, which follow; behind that the entry of its TLS connection (MOVED_TLS), its client (MOVED_PEER), and what the session may do (proto/rights.h) */
	char transport[WORD_MAX];
	uint32_t listener;		/* what its listener says: enum slow_policy, MOVED_ADMIN, MOVED_TLS, MOVED_PEER. (The programs before knew none, and filled it with 0.) */
};

struct moved_peer {
	struct event_peer peer;
	uint32_t by;			/* enum peer_by */
};

int move_queue(void)
{
	struct sockaddr_un self = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(self.sun_family);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0), most = 1 << 20;

	/* Bound to a name that the kernel chooses, and connected to itself, it takes nothing from others. */
	if (fd < 0 || bind(fd, (struct sockaddr *)&self, len) < 0)
		goto fail;
	len = sizeof(self);
	if (getsockname(fd, (struct sockaddr *)&self, &len) < 0 || connect(fd, (struct sockaddr *)&self, len) < 0)
		goto fail;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &most, sizeof(most));
	return fd;
fail:
	if (fd >= 0)
		close(fd);
	return -1;
}

/* ---- sending ---- */

bool move_ask(struct worker *w, session_id sid, unsigned slot)
{
	const struct hub_slot_shm *s = &w->base.hub.shm->slot[slot];
	struct asked_move *list, *m;

	if (w->start->queue[slot] < 0 ||
	    atomic_load_explicit(&s->connections, memory_order_relaxed) >= s->connections_max)
		return false;
	for (uint32_t i = 0; i < w->moves_count; i++)
		if (w->moves[i].sid == sid) {
			w->moves[i].slot = slot;
			return true;
		}
	if (w->moves_count == w->moves_room) {
		list = realloc(w->moves, (w->moves_room + 16) * sizeof(*list));
		if (!list)
			return false;
		w->moves = list;
		w->moves_room += 16;
	}
	m = &w->moves[w->moves_count++];
	*m = (struct asked_move){ .sid = sid, .slot = slot, .parsed = ASKED };
	memcpy(m->token, session(&w->base, sid)->token, sizeof(m->token));
	return true;
}

static int send_message(int queue, int fd, const struct message *m, const void *input, const struct tls_entry_shm *tls, const void *held, const struct moved_peer *peer,
			const struct rights *rights)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec parts[] = {
		{ (void *)m, sizeof(*m) }, { (void *)input, m->input }, { (void *)tls, tls ? sizeof(*tls) : 0 }, { (void *)held, tls ? tls->flow.held_len : 0 },
		{ (void *)peer, peer ? sizeof(*peer) : 0 }, { (void *)rights, rights ? rights->size : 0 },
	};
	struct msghdr msg = { .msg_iov = parts, .msg_iovlen = 6, .msg_control = &control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(queue, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 0;
}

/* 0; -1 with errno: EAGAIN, the queue is full. */
static int send_session(struct worker *w, session_id sid, unsigned slot)
{
	const struct session_shm *s = session(&w->base, sid);
	const struct buffer_shm *head = pool_header(&w->base.slot, s->state.in);
	const struct tls_entry_shm *tls = session_is_tls(&s->state) ? tls_entry(&w->base.tls, session_fd(&w->base, sid)) : NULL;
	const struct rights *rights = session_rights(&w->base, sid);
	struct moved_peer peer = { .by = PEER_BY_NOBODY };
	struct message m = {
		.version = rights ? VERSION_RIGHTS : VERSION, .sender = w->base.number, .number = w->base.slot.shm->move_number, .sent = s->state.sent, .parsed = s->state.parsed,
		.everybody = atomic_load_explicit(&s->subscriptions, memory_order_relaxed) ? s->state.pos : 0,
		.input = (uint32_t)(head->base + head->len - s->state.parsed), .listener = session_slow(&s->state) | (session_is_admin(&s->state) ? MOVED_ADMIN : 0) | (tls ? MOVED_TLS : 0),
	};

	if (w->service.flood)
		m.flood = w->service.flood[sid];
	peer.by = (uint32_t)slot_peers_get(&w->base.slot, sid, &peer.peer);
	if (peer.by != PEER_BY_NOBODY)
		m.listener |= MOVED_PEER;
	strcpy(m.transport, transport_table[s->state.transport].word);
	return send_message(w->start->queue[slot], session_fd(&w->base, sid), &m, pool_bytes(&w->base.slot, s->state.in) + (s->state.parsed - head->base), tls,
			    tls && tls->flow.held ? pool_bytes(&w->base.slot, tls->flow.held) : NULL, peer.by != PEER_BY_NOBODY ? &peer : NULL, rights);
}

/* The session ends here; the connection stays. */
static void free_session(struct worker *w, session_id sid)
{
	if (session_is_tls(&session(&w->base, sid)->state))
		tls_end(&w->base.tls, session_fd(&w->base, sid));
	atomic_store_explicit(&session(&w->base, sid)->status, SESSION_FREE, memory_order_release);
	CRASH_POINT("move-freed");
	connection_let_go(w, sid);
	close(session_fd(&w->base, sid));
	tell_session(&w->base, sid, EVENT_MOVE, (uint32_t)w->base.slot.shm->moving, NULL, 0, NULL);
	atomic_fetch_sub_explicit(&w->base.self->connections, 1, memory_order_relaxed);
	atomic_store_explicit(&w->base.slot.shm->moving, 0, memory_order_release);
}

/* Whether the session still waits to be moved. */
static bool waits(const struct worker *w, const struct asked_move *m)
{
	const struct session_shm *s = session(&w->base, m->sid);

	return s->status == SESSION_OPEN && s->state.parsed == m->parsed && token_is(s->token, m->token) && s->state.in != BUFFER_NONE && !session_has(&w->base, m->sid, MARK_OVER) &&
	       !(s->state.flags & (SESSION_CLOSE | SESSION_LINGER | SESSION_PARKED));
}

/* Numbers go up also when a slot has become empty: they are times. */
static uint64_t next_number(const struct worker *w)
{
	uint64_t now = base_clock(), last = w->base.slot.shm->move_number;

	return now > last ? now : last + 1;
}

/* Whether TLS has something to send first. */
static bool tls_owes(const struct worker *w, session_id sid)
{
	return session_pending(&w->base, sid) || (session_is_tls(&session(&w->base, sid)->state) && tls_entry(&w->base.tls, session_fd(&w->base, sid))->flow.control & TLS_OWED);
}

/* True: it is dealt with. If not as its queue is full, *full has the slot. */
static bool move(struct worker *w, const struct asked_move *m, uint64_t *full)
{
	const struct session_state_shm *st = &session(&w->base, m->sid)->state;
	const struct buffer_shm *head;

	if (subscribe_has_own(&w->base, m->sid))
		return true;		/* it goes on here */
	if (st->out != BUFFER_NONE || !session_plain(st) || tls_owes(w, m->sid))
		return false;
	head = pool_header(&w->base.slot, st->in);
	if (head->base + head->len - st->parsed > INPUT_MAX) {
		session_end(&w->protocols, m->sid, st->parsed, 413, "too much follows a request that another worker is to deal with");
		output_flush(&w->output, m->sid);
		return true;
	}
	w->base.slot.shm->move_number = next_number(w);
	/* release: what was received is counted, and the number is there */
	atomic_store_explicit(&w->base.slot.shm->moving, MOVING(m->sid, m->slot), memory_order_release);
	CRASH_POINT("move-noted");
	if (send_session(w, m->sid, m->slot) < 0) {
		atomic_store_explicit(&w->base.slot.shm->moving, 0, memory_order_release);
		if (errno == EAGAIN) {
			*full |= UINT64_C(1) << m->slot;
			return false;
		}
		session_abort(&w->base, m->sid, COUNTER_no_buffer);
		return true;
	}
	CRASH_POINT("move-sent");
	free_session(w, m->sid);
	return true;
}

void move_run(struct worker *w)
{
	uint32_t kept = 0;
	uint64_t full = 0;		/* slots */

	for (uint32_t i = 0; i < w->moves_count; i++) {
		struct asked_move *m = &w->moves[i];

		if (m->parsed == ASKED)
			m->parsed = session(&w->base, m->sid)->state.parsed;
		if (!waits(w, m) || (!(full >> m->slot & 1) && move(w, m, &full)))
			continue;
		w->moves[kept++] = *m;
	}
	w->moves_count = kept;
}

void move_redo(struct worker *w)
{
	uint64_t moving = atomic_load_explicit(&w->base.slot.shm->moving, memory_order_acquire);
	session_id sid = (session_id)(moving >> 32) - 1;
	unsigned slot = (uint32_t)moving;
	struct session_shm *s;

	if (!moving)
		return;
	s = session(&w->base, sid);
	if (s->status == SESSION_OPEN) {
		for (int waited = 0; send_session(w, sid, slot) < 0 && errno == EAGAIN && waited < PATIENCE; waited += 10) {
			poll(&(struct pollfd){ .fd = w->start->queue[slot], .events = POLLOUT }, 1, 10);
			base_beat(&w->base);
		}
		if (session_is_tls(&s->state))
			tls_end(&w->base.tls, sid);
		/* (Its buffer and topics are nobody's then: the sessions are taken over behind this.) */
		atomic_store_explicit(&s->status, SESSION_FREE, memory_order_release);
		if (session_is_tls(&s->state))
			tls_wipe(&w->base.tls, sid);
		close(sid);
	}
	atomic_store_explicit(&w->base.slot.shm->moving, 0, memory_order_release);
}

/* ---- receiving ---- */

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0 ? 0 : cookie;
}

/* Whether a session here has that socket. */
static bool is_here(const struct worker *w, int fd)
{
	uint32_t end = atomic_load_explicit(&w->base.slot.shm->fd_end, memory_order_relaxed);
	uint64_t cookie = cookie_of(fd);

	for (session_id sid = 0; cookie && sid < (session_id)end; sid++)
		if (session(&w->base, sid)->status == SESSION_OPEN && !session_parked(&w->base, sid) && cookie_of(session_fd(&w->base, sid)) == cookie)
			return true;
	return false;
}

static uint32_t transport_of(const struct message *m)
{
	uint32_t t = 0;

	while (t < TRANSPORTS && strncmp(transport_table[t].word, m->transport, WORD_MAX) != 0)
		t++;
	return t;
}

/* (max_connections has counted it, and may count it twice at this moment.) */
static bool has_room(const struct worker *w, int fd)
{
	return (uint32_t)fd < w->base.slot.shm->sessions_max &&
	       atomic_load_explicit(&w->base.self->connections, memory_order_relaxed) < w->base.self->connections_max;
}

/* A message that is looked at, and still in the queue. */
struct looked {
	struct message m;
	char input[INPUT_MAX + sizeof(struct tls_entry_shm) + TLS_RECORD_MAX + sizeof(struct moved_peer) + RIGHTS_SIZE_MAX];
	struct moved_peer peer;		/* with MOVED_PEER */
	_Alignas(struct rights) char rights[RIGHTS_SIZE_MAX];	/* with VERSION_RIGHTS */
	int fd;				/* the connection's, this worker's own; -1: there was no descriptor left for it */
	bool good;
};

/* Fills in the entry of its TLS connection, behind which stands what is held. False: there is no buffer for that. */
static bool begin_tls(struct worker *w, int fd, const void *entry)
{
	struct tls_entry_shm *e = tls_entry(&w->base.tls, fd);

	tls_begin(&w->base.tls, fd);
	memcpy(e, entry, sizeof(*e));
	if (!e->flow.held)
		return true;
	e->flow.held = session_buffer(&w->base, fd, e->flow.held_len);
	if (e->flow.held == BUFFER_NONE) {
		tls_wipe(&w->base.tls, fd);
		return false;
	}
	pool_header(&w->base.slot, e->flow.held)->since = w->base.now;
	memcpy(pool_bytes(&w->base.slot, e->flow.held), (const uint8_t *)entry + sizeof(*e), e->flow.held_len);
	return true;
}

/* Makes a session of it. False: there is no memory. */
static bool open_session(struct worker *w, int fd, const struct looked *l)
{
	const struct message *m = &l->m;

	struct session_state_shm st = {
		.sent = m->sent, .parsed = m->parsed, .last_out = w->base.now, .transport = transport_of(m), .in = session_buffer(&w->base, fd, m->input),
		.flags = SESSION_SLOW_IS(m->listener % MOVED_ADMIN) | (m->listener & MOVED_ADMIN ? SESSION_ADMIN : 0) | (m->listener & MOVED_TLS ? SESSION_TLS : 0),
	};
	struct buffer_shm *head;

	if (st.in == BUFFER_NONE)
		return false;
	if (!session_buffer_grow(&w->base, fd, st.in, m->input)) {
		pool_give(&w->base.pool, st.in);
		return false;
	}
	head = pool_header(&w->base.slot, st.in);
	head->base = m->parsed;
	head->len = m->input;
	head->since = w->base.now;
	memcpy(pool_bytes(&w->base.slot, st.in), l->input, m->input);
	/* (The entry means nothing until the session is there.) */
	if (m->version == VERSION_RIGHTS && session_set_rights(&w->base, fd, (const struct rights *)l->rights) < 0) {
		pool_give(&w->base.pool, st.in);
		return false;
	}
	if (session_is_tls(&st) && !begin_tls(w, fd, l->input + m->input)) {
		pool_give(&w->base.pool, st.in);
		session_set_rights(&w->base, fd, NULL);
		return false;
	}
	atomic_fetch_add_explicit(&w->base.self->connections, 1, memory_order_relaxed);
	if (connection_open(w, fd, &st, m->everybody) < 0) {
		atomic_fetch_sub_explicit(&w->base.self->connections, 1, memory_order_relaxed);
		pool_give(&w->base.pool, st.in);
		session_set_rights(&w->base, fd, NULL);
		if (session_is_tls(&st))
			tls_out_end(&w->base, fd);
		return false;
	}
	if (session_is_tls(&st))
		tls_settled(&w->base.tls);
	if (m->everybody)
		subscribe_join_channels(&w->service, fd, m->everybody);
	if (m->listener & MOVED_PEER)
		slot_peers_put(&w->base.slot, fd, &l->peer.peer, (enum peer_by)l->peer.by);
	return true;
}

/* Makes a session of the connection, or refuses it. */
static void take(struct worker *w, int fd, const struct looked *l)
{
	const struct message *m = &l->m;
	struct event_peer peer = m->listener & MOVED_PEER ? l->peer.peer : peer_ask(fd);

	if (!has_room(w, fd) || !open_session(w, fd, l)) {
		struct refusal full = refuse_full(w, transport_of(m), &peer);

		if (m->listener & MOVED_TLS)
			close(fd);	/* (it would not understand plain words) */
		else
			refuse_take(w, fd, transport_of(m), &full);
		return;
	}
	quota_found(&w->service, fd);
	tell_why(&w->base, fd, EVENT_CONNECT, EVENT_WHY_MOVED, m->sender, &peer);
	if (session_rights(&w->base, fd))
		tell_who(&w->base, fd, session_rights(&w->base, fd));
	if (w->service.flood)
		w->service.flood[fd] = m->flood;
}

/* How many bytes of the message are of its TLS connection: the entry, and what is held. More than there are: it is none. */
static size_t tls_size(const struct looked *l, size_t n)
{
	struct tls_flow_shm flow;

	if (n < sizeof(l->m) || l->m.input > INPUT_MAX || !(l->m.listener & MOVED_TLS))
		return 0;
	if (n < sizeof(l->m) + l->m.input + sizeof(struct tls_entry_shm))
		return SIZE_MAX / 2;
	memcpy(&flow, l->input + l->m.input + offsetof(struct tls_entry_shm, flow), sizeof(flow));
	return flow.held_len <= TLS_RECORD_MAX ? sizeof(struct tls_entry_shm) + flow.held_len : SIZE_MAX / 2;
}

/* Whether a message of `n` bytes is one that can be taken. */
static bool is_good(struct looked *l, size_t n)
{
	size_t peer = l->m.listener & MOVED_PEER ? sizeof(l->peer) : 0, tls = tls_size(l, n);
	size_t rights = n - sizeof(l->m) - l->m.input - tls - peer;

	if (n < sizeof(l->m) || l->m.input > INPUT_MAX || n < sizeof(l->m) + l->m.input + tls + peer || l->m.sender >= INDEX_SLOTS_MAX || transport_of(&l->m) >= TRANSPORTS ||
	    l->m.listener > LISTENER_MAX)
		return false;
	if (peer > 0)
		memcpy(&l->peer, l->input + l->m.input + tls, peer);
	if (l->m.version == VERSION)
		return rights == 0;
	if (l->m.version != VERSION_RIGHTS || rights > sizeof(l->rights))
		return false;
	memcpy(l->rights, l->input + l->m.input + tls + peer, rights);
	return rights_check(l->rights, rights);
}

/* False: there is none. */
static bool look(const struct worker *w, struct looked *l)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec parts[] = { { &l->m, sizeof(l->m) }, { l->input, sizeof(l->input) } };
	struct msghdr msg = { .msg_iov = parts, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(w->start->queue[w->base.number], &msg, MSG_PEEK | MSG_DONTWAIT);
	struct cmsghdr *c;

	if (n < 0)
		return false;
	c = CMSG_FIRSTHDR(&msg);
	l->fd = -1;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(&l->fd, CMSG_DATA(c), sizeof(l->fd));
	l->good = is_good(l, (size_t)n);
	return true;
}

static void forget_keys(struct looked *l)
{
	if (l->good && l->m.listener & MOVED_TLS)
		explicit_bzero(l->input + l->m.input, sizeof(struct tls_entry_shm));
}

/* The message is dealt with. */
static void take_out(struct worker *w, const struct looked *l)
{
	char byte;

	if (l->good)
		w->base.slot.shm->moves_taken[l->m.sender] = l->m.number;
	atomic_signal_fence(memory_order_seq_cst);
	CRASH_POINT("move-taken");
	(void)!recv(w->start->queue[w->base.number], &byte, 1, MSG_DONTWAIT);
}

/* True: there was a message. */
static bool receive_message(struct worker *w)
{
	static struct looked l;
	bool there;

	if (orders_run(w))
		return false;		/* one a turn, or a piece of one */
	if (!look(w, &l))
		return false;
	CRASH_POINT("move-received");
	there = l.good && l.m.number <= w->base.slot.shm->moves_taken[l.m.sender];	/* its sender died, and the next one has sent it again */
	if (!l.good || l.fd < 0) {
		log_warning_limited("a connection that another worker sent was not understood, or there was no descriptor for it; it is closed");
		base_count(&w->base, COUNTER_closed_uncertain, 1);
	}
	if (l.fd >= 0 && l.good && !there)
		take(w, l.fd, &l);
	else if (l.fd >= 0)
		close(l.fd);
	CRASH_POINT("move-opened");
	take_out(w, &l);
	forget_keys(&l);
	if (l.fd >= 0 && connection_is_open(w, l.fd))
		input_stall(&w->protocols, l.fd);
	return true;
}

/* Nothing of the session has been dealt with since. */
void move_settle(struct worker *w)
{
	static struct looked l;

	if (w->start->queue[w->base.number] < 0 || !look(w, &l))
		return;
	if (l.fd >= 0 && l.good && is_here(w, l.fd))
		take_out(w, &l);
	forget_keys(&l);
	if (l.fd >= 0)
		close(l.fd);
}

static void on_queue(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct worker *w = ev_userdata(loop);

	(void)io;
	(void)events;
	for (int i = 0; i < AT_ONCE && receive_message(w); i++)
		;
}

void move_start(struct worker *w)
{
	if (w->start->queue[w->base.number] < 0)
		return;
	ev_io_init(&w->queue_io, on_queue, w->start->queue[w->base.number], EV_READ);
	ev_io_start(w->base.loop, &w->queue_io);
}
