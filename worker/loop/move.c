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
#include "worker/io/gate.h"
#include "worker/io/peer.h"
#include "worker/io/tcp_counts.h"
#include "worker/io/tls_out.h"
#include "worker/loop/connection.h"
#include "worker/loop/departed.h"
#include "worker/loop/move_message.h"
#include "worker/loop/move_session.h"
#include "worker/loop/orders.h"
#include "worker/loop/refuse.h"
#include "worker/protocol/answer.h"
#include "worker/protocol/input.h"
#include "worker/service/quota.h"
#include "worker/service/subscribe.h"
#include "worker/session/tell.h"
#include "worker/session/watch.h"

#define ASKED UINT64_MAX		/* where a request begins is known when its turn is over */
#define AT_ONCE 64			/* messages a turn */
#define PATIENCE 1000			/* milliseconds in which a new worker waits for room in a queue */

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

/* 0; -1 with errno: EAGAIN, the queue is full. */
static int send_session(struct worker *w, session_id sid, unsigned slot)
{
	const struct session_shm *s = session(&w->base, sid);
	const struct buffer_shm *head = pool_header(&w->base.slot, s->state.in);
	struct moved_peer peer = { .by = PEER_BY_NOBODY };
	struct move_parts parts = {
		.m = {
			.sender = w->base.number, .number = w->base.slot.shm->move_number, .sent = s->state.sent, .parsed = s->state.parsed,
			.everybody = atomic_load_explicit(&s->subscriptions, memory_order_relaxed) ? s->state.pos : 0,
			.input = (uint32_t)(head->base + head->len - s->state.parsed), .listener = session_slow(&s->state) | (session_is_admin(&s->state) ? MOVED_ADMIN : 0),
		},
		.input = pool_bytes(&w->base.slot, s->state.in) + (s->state.parsed - head->base),
		.rights = session_rights(&w->base, sid),
	};

	if (session_is_tls(&s->state)) {
		parts.tls = tls_entry(&w->base.tls, session_fd(&w->base, sid));
		parts.held = parts.tls->flow.held ? pool_bytes(&w->base.slot, parts.tls->flow.held) : NULL;
	}
	if (w->service.flood)
		parts.m.flood = w->service.flood[sid];
	peer.by = (uint32_t)slot_peers_get(&w->base.slot, sid, &peer.peer);
	if (peer.by != PEER_BY_NOBODY)
		parts.peer = &peer;
	strcpy(parts.m.transport, transport_table[s->state.transport].word);
	return move_message_send(w->start->queue[slot], session_fd(&w->base, sid), &parts);
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
	base_count(&w->base, COUNTER_moved_out, 1);
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
uint64_t move_next_number(const struct worker *w)
{
	uint64_t now = base_clock(), last = w->base.slot.shm->move_number;

	return now > last ? now : last + 1;
}

/* Whether TLS has something to send first. */
bool move_tls_owes(const struct worker *w, session_id sid)
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
	if (st->out != BUFFER_NONE || !session_plain(st) || move_tls_owes(w, m->sid))
		return false;
	head = pool_header(&w->base.slot, st->in);
	if (head->base + head->len - st->parsed > MOVE_INPUT_MAX) {
		session_end(&w->protocols, m->sid, st->parsed, 413, "too much follows a request that another worker is to deal with");
		output_flush(&w->output, m->sid);
		return true;
	}
	if (!gate_pass(&w->base, m->slot)) {
		if (atomic_load_explicit(&w->base.hub.shm->slot[m->slot].state, memory_order_relaxed) == SLOT_UNUSED) {
			input_stall(&w->protocols, m->sid);	/* the slot has ended: the request is read again */
			return true;
		}
		*full |= UINT64_C(1) << m->slot;
		return false;
	}
	w->base.slot.shm->move_number = move_next_number(w);
	/* release: what was received is counted, and the number is there */
	atomic_store_explicit(&w->base.slot.shm->moving, MOVING(m->sid, m->slot), memory_order_release);
	CRASH_POINT("move-noted");
	if (send_session(w, m->sid, m->slot) < 0) {
		atomic_store_explicit(&w->base.slot.shm->moving, 0, memory_order_release);
		gate_leave(&w->base, m->slot);
		if (errno == EAGAIN) {
			*full |= UINT64_C(1) << m->slot;
			return false;
		}
		session_abort(&w->base, m->sid, COUNTER_no_buffer);
		return true;
	}
	CRASH_POINT("move-sent");
	free_session(w, m->sid);
	gate_leave(&w->base, m->slot);
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

void move_free_again(struct worker *w, session_id sid)
{
	struct session_shm *s = session(&w->base, sid);

	if (session_is_tls(&s->state))
		tls_end(&w->base.tls, sid);
	/* (Its buffer and topics are nobody's then: the sessions are taken over behind this.) */
	atomic_store_explicit(&s->status, SESSION_FREE, memory_order_release);
	if (session_is_tls(&s->state))
		tls_wipe(&w->base.tls, sid);
	watch_end(&w->base.slot, session_fd(&w->base, sid));
	close(session_fd(&w->base, sid));
}

void move_redo(struct worker *w)
{
	uint64_t moving = atomic_load_explicit(&w->base.slot.shm->moving, memory_order_acquire);
	session_id sid = (session_id)(moving >> 32) - 1;
	unsigned slot = (uint32_t)moving;
	struct session_shm *s;

	if (!moving) {
		gate_leave_all(&w->base);
		return;
	}
	s = session(&w->base, sid);
	if (s->status == SESSION_OPEN && slot & MOVING_WHOLE) {
		move_session_redo(w, sid, slot & ~MOVING_WHOLE);
	} else if (s->status == SESSION_OPEN) {
		for (int waited = 0; send_session(w, sid, slot) < 0 && errno == EAGAIN && waited < PATIENCE; waited += 10) {
			poll(&(struct pollfd){ .fd = w->start->queue[slot], .events = POLLOUT }, 1, 10);
			base_beat(&w->base);
		}
		move_free_again(w, sid);
	}
	atomic_store_explicit(&w->base.slot.shm->moving, 0, memory_order_release);
	gate_leave_all(&w->base);
}

/* ---- receiving ---- */

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0 ? 0 : cookie;
}

/* Whether a session here has come with that message. */
static bool is_here(const struct worker *w, const struct move_looked *l)
{
	int fd = l->fd;
	uint32_t end = atomic_load_explicit(&w->base.slot.shm->fd_end, memory_order_relaxed);
	uint64_t cookie = cookie_of(fd);

	if (move_message_is_map(&l->m))
		return move_session_is_here(w, l);
	for (session_id sid = 0; cookie && sid < (session_id)end; sid++)
		if (session(&w->base, sid)->status == SESSION_OPEN && !session_parked(&w->base, sid) && cookie_of(session_fd(&w->base, sid)) == cookie)
			return true;
	return false;
}

/* (max_connections has counted it, and may count it twice at this moment.) */
static bool has_room(const struct worker *w, int fd)
{
	return (uint32_t)fd < w->base.slot.shm->sessions_max &&
	       atomic_load_explicit(&w->base.self->connections, memory_order_relaxed) < w->base.self->connections_max;
}

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
static bool open_session(struct worker *w, int fd, const struct move_looked *l)
{
	const struct move_message *m = &l->m;

	struct session_state_shm st = {
		.sent = m->sent, .parsed = m->parsed, .last_out = w->base.now, .transport = move_message_transport(m), .in = session_buffer(&w->base, fd, m->input),
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
	if (move_message_has_rights(m) && session_set_rights(&w->base, fd, (const struct rights *)l->rights) < 0) {
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
static void take(struct worker *w, int fd, const struct move_looked *l)
{
	const struct move_message *m = &l->m;
	struct event_peer peer = m->listener & MOVED_PEER ? l->peer.peer : peer_ask(fd);

	if (!has_room(w, fd) || !open_session(w, fd, l)) {
		struct refusal full = refuse_full(w, move_message_transport(m), &peer);

		if (m->listener & MOVED_TLS)
			close(fd);	/* (it would not understand plain words) */
		else
			refuse_take(w, fd, move_message_transport(m), &full);
		return;
	}
	quota_found(&w->service, fd);
	base_count(&w->base, COUNTER_moved_in, 1);
	tell_why(&w->base, fd, EVENT_CONNECT, EVENT_WHY_MOVED, m->sender, &peer);
	if (session_rights(&w->base, fd))
		tell_who(&w->base, fd, session_rights(&w->base, fd));
	if (w->service.flood)
		w->service.flood[fd] = m->flood;
}

/* The message is dealt with. */
static void take_out(struct worker *w, const struct move_looked *l)
{
	char byte;

	if (l->good) {
		w->base.slot.shm->moves_taken[l->m.sender] = l->m.number;
		arrived_note(w, l->m.sender);
	}
	atomic_signal_fence(memory_order_seq_cst);
	CRASH_POINT("move-taken");
	(void)!recv(w->start->queue[w->base.number], &byte, 1, MSG_DONTWAIT);
}

/* True: the next message may be looked at. */
static bool receive_session(struct worker *w, struct move_looked *l, bool there)
{
	bool taken = there || move_session_take(w, l);

	if (there && l->fd >= 0)
		close(l->fd);
	if (l->file >= 0)
		close(l->file);
	if (taken)
		take_out(w, l);
	move_message_forget(l);
	w->queue_waits = !taken;
	if (!taken)
		ev_io_stop(w->base.loop, &w->queue_io);
	return taken;
}

/* True: there was a message. */
static bool receive_message(struct worker *w)
{
	static struct move_looked l;
	bool there;

	if (orders_run(w))
		return false;		/* one a turn, or a piece of one */
	if (!move_message_look(w->start->queue[w->base.number], &l))
		return false;
	CRASH_POINT("move-received");
	there = l.good && l.m.number <= w->base.slot.shm->moves_taken[l.m.sender];	/* its sender died, and the next one has sent it again */
	if (l.good && move_message_is_map(&l.m))
		return receive_session(w, &l, there);
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
	move_message_forget(&l);
	if (l.fd >= 0 && connection_is_open(w, l.fd))
		input_stall(&w->protocols, l.fd);
	return true;
}

/* Nothing of the session has been dealt with since. */
void move_settle(struct worker *w)
{
	static struct move_looked l;

	if (w->start->queue[w->base.number] < 0 || !move_message_look(w->start->queue[w->base.number], &l))
		return;
	if (l.fd >= 0 && l.good && is_here(w, &l))
		take_out(w, &l);
	/* The last worker may have had its descriptor, as a copy of its own: that is no connection that nobody has seen yet. */
	for (uint32_t i = 0; l.fd >= 0 && i < w->orphans_count; i++)
		if (cookie_of(w->orphans[i]) == cookie_of(l.fd)) {
			close(w->orphans[i]);
			w->orphans[i] = w->orphans[--w->orphans_count];
			break;
		}
	move_message_forget(&l);
	if (l.fd >= 0)
		close(l.fd);
	if (l.file >= 0)
		close(l.file);
}

uint32_t move_under_way(const struct worker *w)
{
	return w->base.departed || w->arrived || w->queue_waits;
}

void move_tick(struct worker *w)
{
	if (!w->queue_waits)
		return;
	w->queue_waits = false;
	ev_io_start(w->base.loop, &w->queue_io);
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
