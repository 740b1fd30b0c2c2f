/*
 * Connections: what becomes of an accepted connection, and the closing of one that is over.
 *
 * A session is closed in an order that lets a successor go on from each point (unless it stays without a connection: park.h): first it is taken out of the session table (one store), then out of
 * its topics, and then its descriptor is closed. A successor closes a descriptor that has no session (orphans.c), unless nothing was ever sent or
 * received on it.
 */
#include "worker/loop/connection.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/transport.h"
#include "shm/crash.h"
#include "shm/log.h"
#include "shm/slot_peers.h"
#include "worker/delivery/landed.h"
#include "worker/delivery/leave.h"
#include "worker/delivery/output.h"
#include "worker/delivery/partial_frame.h"
#include "worker/io/listener.h"
#include "worker/io/session_peer.h"
#include "worker/io/tcp_counts.h"
#include "worker/io/tls_kernel.h"
#include "worker/io/tls_out.h"
#include "worker/loop/park.h"
#include "worker/loop/refuse.h"
#include "worker/service/attach.h"
#include "worker/session/tell.h"
#include "worker/session/watch.h"

#define CLOSE_US 5000		/* microseconds of a turn, for closing; looked at every CLOSED_AT_ONCE sessions */
#define CLOSED_AT_ONCE 16

void connection_watch(struct worker *w, session_id sid)
{
	if (watch_is_local(&w->base.slot, session_fd(&w->base, sid))) {
		session_mark(&w->base, sid, MARK_LOCAL);
		socket_peek_anew(session_fd(&w->base, sid));
	}
	session_watch(&w->base, sid);
}

/* Puts the greeting into the out buffer of `st`, the state of a session that does not exist yet. 0, or -1: no buffer. */
static int greet(struct worker *w, session_id sid, struct session_state_shm *st)
{
	struct transport_hello hello = session_hello(&w->base, sid);
	char frame[TRANSPORT_NOTICE_MAX];
	size_t len = transport_greeting(st->transport, &hello, frame);

	return len ? session_append(&w->base, sid, st, frame, len) : 0;
}

/* Fills in a session that does not exist yet. 0, or -1 with errno. */
static int prepare(struct worker *w, session_id sid)
{
	struct session_shm *s = session(&w->base, sid);

	memset(s, 0, sizeof(*s));
	if (w->base.why[sid])
		w->base.why[sid] = 0;
	if (w->service.flood)
		w->service.flood[sid] = (struct flood){ 0 };
	s->last_in = s->page_base = w->base.now;
	slot_peers_put(&w->base.slot, sid, &(struct event_peer){ .family = EVENT_NOWHERE }, PEER_BY_NOBODY);
	return token_make(s->token, w->base.number, (uint32_t)sid);
}

static void open_prepared(struct worker *w, session_id sid, const struct session_state_shm *st, uint64_t everybody)
{
	struct session_shm *s = session(&w->base, sid);

	s->state = *st;
	if (atomic_load_explicit(&w->base.slot.shm->fd_end, memory_order_relaxed) <= (uint32_t)sid)
		atomic_store_explicit(&w->base.slot.shm->fd_end, (uint32_t)sid + 1, memory_order_relaxed);
	/* release: the session is whole, with its greeting to be sent, when it is there */
	atomic_store_explicit(&s->status, SESSION_OPEN, memory_order_release);
	CRASH_POINT("accept-opened");
	session_count(&w->base, st->transport, 1);
	park_make_room(w);
	subscribe_join_everybody(&w->service, sid, everybody);
	connection_watch(w, sid);
}

int connection_open(struct worker *w, int fd, const struct session_state_shm *st, uint64_t everybody)
{
	if (prepare(w, fd) < 0)
		return -1;
	open_prepared(w, fd, st, everybody);
	return 0;
}

bool connection_is_open(const struct worker *w, int fd)
{
	return (uint32_t)fd < w->base.slot.shm->sessions_max && session(&w->base, fd)->status == SESSION_OPEN;
}

bool connection_has_room(struct worker *w, int fd, const struct arrival *a, struct refusal *why)
{
	if ((a->proto == PROTO_ADMIN || !listener_drains(&w->listeners)) && listener_counts(&w->listeners, fd, a->proto))
		return true;
	*why = refuse_full(w, protocol_transport(a->proto), &a->peer);
	return false;
}

bool connection_client_may(struct worker *w, int fd, const struct arrival *a, struct refusal *why)
{
	return a->proto == PROTO_ADMIN || quota_connect(&w->service, fd, protocol_transport(a->proto), &a->peer, why);
}

void connection_not(struct worker *w, int fd)
{
	quota_leave(&w->service, fd);
	atomic_fetch_sub_explicit(&w->base.self->connections, 1, memory_order_relaxed);
}

/* Makes a session of a connection that is counted, and has these rights (NULL: none of its own). 0, or -1: it is not counted any more, and the descriptor is the caller's. */
static int adopt(struct worker *w, int fd, const struct arrival *a, uint32_t flags, const struct rights *rights)
{
	session_id sid = fd;
	struct session_state_shm st = { .last_out = w->base.now, .transport = protocol_transport(a->proto), .flags = flags | SESSION_SLOW_IS(a->slow) };

	/* (Of a TLS connection the flow counts what was taken.) */
	if (!(flags & SESSION_TLS))
		st.parsed = a->header;
	if (a->proto == PROTO_ADMIN)
		st.flags |= SESSION_ADMIN;
	if (prepare(w, sid) < 0 || (rights && session_set_rights(&w->base, sid, rights) < 0) || greet(w, sid, &st) < 0) {
		log_warning_limited("a connection could not be taken in: %s", strerror(errno));
		session_set_rights(&w->base, fd, NULL);
		connection_not(w, fd);
		return -1;
	}
	/* The greeting says the token. */
	if (transport_has(st.transport, TRANSPORT_TALKS) && w->base.settings->session_linger > 0)
		session(&w->base, sid)->until = w->base.now;
	if (a->named)
		slot_peers_put(&w->base.slot, sid, &a->peer, PEER_BY_HEADER);
	open_prepared(w, sid, &st, 0);
	tell_why(&w->base, sid, EVENT_CONNECT, a->as, 0, &a->peer);
	if (rights)
		tell_who(&w->base, sid, rights);
	if (session_pending(&w->base, sid))
		landed_defer(&w->streams, sid);
	output_flush(&w->output, sid);
	return 0;
}

void connection_take(struct worker *w, int fd, const struct arrival *a)
{
	struct refusal why;
	bool room = connection_has_room(w, fd, a, &why);

	if (!room || !connection_client_may(w, fd, a, &why)) {
		if (room)
			connection_not(w, fd);
		refuse_take(w, fd, protocol_transport(a->proto), &why);
		return;
	}
	base_count(&w->base, a->as, 1);
	if (adopt(w, fd, a, 0, NULL) < 0)
		close(fd);
}

/*
 * Has the kernel make the connection's records, if it is to and can. (A death until the session is there costs the handshake, whoever has the keys by then.) 0, or -1:
 * the connection must be closed.
 */
static int begin_by_kernel(struct worker *w, int fd, struct tls_entry_shm *e)
{
	int r;

	/* (What of the handshake is to be sent first is sealed already.) */
	if (w->base.settings->kernel_tls != KERNEL_TLS_AUTO || e->flow.pending)
		return 0;
	r = tls_kernel_begin(fd, e);
	CRASH_POINT("tls-kernel-begun");
	if (r != 0)
		return r < 0 ? -1 : 0;
	e->flow.control |= TLS_BY_KERNEL;
	base_count(&w->base, COUNTER_tls_by_kernel, 1);
	return 0;
}

/* Fills in the entry of a connection whose handshake is done. 0, or -1: the kernel can't tell what it has taken, or there is no buffer. */
static int begin_tls(struct worker *w, int fd, const struct tls_entry_shm *entry, const void *unsent, size_t unsent_len)
{
	struct tls_entry_shm *e = tls_entry(&w->base.tls, fd);
	struct tls_flow_shm flow = { .out_seq = entry->flow.out_seq, .in_seq = entry->flow.in_seq };

	if (!tls_out_ready(&w->base) || tcp_accepted(fd, &flow.wire_out) < 0 || tcp_taken(fd, &flow.wire_in) < 0)
		return -1;
	if (unsent_len > 0) {
		flow.pending = session_buffer(&w->base, fd, unsent_len);
		if (flow.pending == BUFFER_NONE)
			return -1;
		memcpy(pool_bytes(&w->base.slot, flow.pending), unsent, unsent_len);
		flow.pending_end = (uint32_t)unsent_len;
	}
	tls_begin(&w->base.tls, fd);
	*e = *entry;
	e->flow = flow;
	CRASH_POINT("tls-begun");
	if (begin_by_kernel(w, fd, e) == 0)
		return 0;
	tls_out_end(&w->base, fd);
	return -1;
}

int connection_open_tls(struct worker *w, int fd, const struct arrival *a, const struct tls_entry_shm *entry, const void *unsent, size_t unsent_len, const struct rights *rights)
{
	base_count(&w->base, a->as, 1);
	if (begin_tls(w, fd, entry, unsent, unsent_len) < 0) {
		connection_not(w, fd);
		return -1;
	}
	if (adopt(w, fd, a, SESSION_TLS, rights) < 0) {
		tls_out_end(&w->base, fd);
		return -1;
	}
	tls_settled(&w->base.tls);
	return 0;
}

void connection_close(struct worker *w, session_id sid)
{
	struct session_shm *s = session(&w->base, sid);
	struct event_peer peer;

	if (session_parked(&w->base, sid)) {
		park_end(w, sid, COUNTER_closed);
		return;
	}
	if (session_lingers(&w->base, sid) && !w->stopping) {
		park_session(w, sid);
		return;
	}
	if (session_is_tls(&s->state))
		tls_end(&w->base.tls, session_fd(&w->base, sid));
	/* release: a successor sees the session whole or not at all */
	atomic_store_explicit(&s->status, SESSION_FREE, memory_order_release);
	CRASH_POINT("close-freed");
	connection_let_go(w, sid);
	CRASH_POINT("close-left");
	peer = session_peer(&w->base, sid);
	close(session_fd(&w->base, sid));
	CRASH_POINT("close-closed");
	tell_why(&w->base, sid, EVENT_DISCONNECT, tell_reason(&w->base, sid), 0, &peer);
	base_count(&w->base, COUNTER_closed, 1);
	atomic_fetch_sub_explicit(&w->base.self->connections, 1, memory_order_relaxed);
}

void connection_let_go(struct worker *w, session_id sid)
{
	struct session_shm *s = session(&w->base, sid);

	attach_forget(&w->base, sid);
	quota_leave(&w->service, sid);
	if (s->state.flags & SESSION_BEHIND)
		atomic_fetch_sub_explicit(&w->base.self->behind, 1, memory_order_relaxed);
	if (s->state.flags & SESSION_CUT)
		partial_leave(w->partial, sid, &s->state);
	pool_give(&w->base.pool, s->state.in);
	pool_give(&w->base.pool, s->state.out);
	if (session_is_tls(&s->state))
		tls_out_end(&w->base, sid);
	session_set_rights(&w->base, sid, NULL);
	leave_all(&w->topics, w->multi_topic, sid, s->state.transport);
	session_count(&w->base, s->state.transport, -1);
	watch_end(&w->base.slot, session_fd(&w->base, sid));
	w->base.marks[sid] = 0;
}

bool connection_close_over(struct worker *w)
{
	uint64_t since = base_clock();
	session_id sid;

	for (unsigned n = 1; (sid = session_next_over(&w->base)) >= 0; n++) {
		connection_close(w, sid);
		if (n % CLOSED_AT_ONCE)
			continue;
		base_beat(&w->base);
		if (base_clock() - since > CLOSE_US)
			break;
	}
	return w->base.over_count > 0;
}
