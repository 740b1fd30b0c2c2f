/*
 * A worker's start: everything that is the worker's own is rebuilt from the slot segment, the hub and the kernel. The first worker of a slot finds
 * no sessions. The successor of a worker that died, or that handed over, finds that worker's sessions. There is no other way to start.
 *
 * The order is this. First, descriptors that no session owns (orphans.c). Then the redo record and the publish intent. Then lists, topics and
 * buffers, which follow from the sessions. Then the session that the last worker died of is closed. Then sends that were under way, and input that
 * was received and not counted: the kernel knows both. Then watchers. At last, the worker goes on with what the last one has left undone.
 */
#include "worker/loop/recover.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shm/crash.h"
#include "shm/log.h"
#include "shm/slot_rights.h"
#include "worker/delivery/frame.h"
#include "worker/delivery/landed.h"
#include "worker/delivery/landed_tls.h"
#include "worker/delivery/local_topics.h"
#include "worker/delivery/multi_topic.h"
#include "worker/delivery/output.h"
#include "worker/delivery/partial_frame.h"
#include "worker/delivery/subscription_list.h"
#include "worker/io/tcp_counts.h"
#include "worker/io/tls_in.h"
#include "worker/loop/connection.h"
#include "worker/loop/departed.h"
#include "worker/loop/move.h"
#include "worker/loop/park.h"
#include "worker/protocol/input.h"
#include "worker/service/quota.h"
#include "worker/service/attach.h"
#include "worker/service/waiting.h"
#include "worker/session/tell.h"
#include "worker/session/watch.h"

static bool is_open(const struct worker *w, session_id sid)
{
	return session(&w->base, sid)->status == SESSION_OPEN;
}

static session_id sessions_end(const struct worker *w)
{
	return atomic_load_explicit(&w->base.slot.shm->fd_end, memory_order_relaxed);
}

/* Notes the session that is being recovered, to be blamed for a crash (shm/attribution.h). Now and then gives a sign of life. */
static void work_on(struct worker *w, session_id sid)
{
	base_on(&w->base, sid);
	if (sid % 256 == 0)
		base_beat(&w->base);
}

/*
 * If the dead worker had published (the intent is DONE), marks the session's input as taken. It may be marked already; marking it twice changes
 * nothing.
 */
static void finish_publish(struct worker *w)
{
	struct intent_shm *intent = &w->base.self->intent;

	if (atomic_load_explicit(&intent->state, memory_order_acquire) != INTENT_DONE)
		return;
	/* A request that is not answered yet is dealt with again, and finds what it has published (resume_answer()). */
	if (intent->answered && is_open(w, intent->fd) && session(&w->base, (int)intent->fd)->state.parsed < intent->parsed)
		return;
	if (is_open(w, intent->fd)) {
		struct session_state_shm st = session(&w->base, (int)intent->fd)->state;

		if (st.parsed < intent->parsed)
			st.parsed = intent->parsed;
		st.flags |= intent->flags;
		slot_commit(&w->base.slot, (int)intent->fd, &st);
	}
	publish_done(&w->base.hub, w->base.number);
}

/* Aborts a session of which nobody can tell what was sent or received. The loop closes it later. */
static void uncertain(struct worker *w, session_id sid)
{
	log_field("connection", "%d", sid);
	log_warning_limited("connection %d: what it was sent can't be told any more; closing it", sid);
	session_abort(&w->base, sid, COUNTER_closed_uncertain);
}

/* Asks the kernel what it took for the session, and records what is not recorded yet. */
static void land(struct worker *w, session_id sid)
{
	const struct session_state_shm *st = &session(&w->base, sid)->state;
	uint64_t accepted;

	CRASH_ALWAYS("land-abort");
	if (tcp_accepted(session_fd(&w->base, sid), &accepted) < 0 || accepted < st->sent ||
	    (accepted > st->sent && landed_advance(&w->streams, sid, accepted - st->sent, false) < 0))
		uncertain(w, sid);
}

/* The same of a TLS session. `taken`: what its flow's was to be with the send. */
static void land_tls(struct worker *w, session_id sid, uint64_t taken)
{
	CRASH_ALWAYS("land-abort");
	if (!landed_tls(&w->streams, sid, taken) && !session_has(&w->base, sid, MARK_OVER))
		uncertain(w, sid);
}

/* Whether it is recorded what the session is sent. While it lingers, nothing is; parked, it is sent nothing. */
static bool may_have_flown(const struct worker *w, session_id sid)
{
	return is_open(w, sid) && !(session(&w->base, sid)->state.flags & (SESSION_LINGER | SESSION_PARKED));
}

/* Records the sends that were under way when the last worker died: `n` of them are listed. */
static void land_flights(struct worker *w, uint32_t n)
{
	for (uint32_t i = 0; i < n && i < FLIGHT_MAX; i++) {
		session_id sid = (session_id)w->base.slot.shm->flight[i];

		if (!may_have_flown(w, sid))
			continue;
		base_on(&w->base, sid);
		if (session_is_tls(&session(&w->base, sid)->state))
			land_tls(w, sid, w->base.tls.shm->flight_taken[i]);
		else
			land(w, sid);
	}
}

/* Whether the kernel has handed out input that is neither dealt with nor in the session's buffer. */
static bool was_received(const struct worker *w, session_id sid, uint64_t taken)
{
	const struct session_state_shm *st = &session(&w->base, sid)->state;
	const struct buffer_shm *head;

	if (st->flags & SESSION_CLOSE)
		return false;		/* its input is thrown away */
	if (session_is_tls(st))
		return taken != tls_entry(&w->base.tls, session_fd(&w->base, sid))->flow.wire_in;
	if (st->in == BUFFER_NONE)
		return taken != st->parsed;
	head = pool_header(&w->base.slot, st->in);
	return taken != head->base + head->len;
}

/*
 * Another program has had these sessions, with shared memory of its own, and has failed at its start. It can hardly have sent or received anything.
 * If the kernel says that it has sent, the session moves along its stream. If it has received, that input is gone with its memory, and the session
 * is aborted.
 */
static void land_all(struct worker *w)
{
	for (session_id sid = 0; sid < sessions_end(w); sid++) {
		uint64_t sent, taken;

		if (!may_have_flown(w, sid) || tcp_accepted(session_fd(&w->base, sid), &sent) < 0 || tcp_taken(session_fd(&w->base, sid), &taken) < 0)
			continue;	/* a Unix socket: the kernel can't tell whether anything happened */
		work_on(w, sid);
		if (was_received(w, sid, taken))
			uncertain(w, sid);
		else if (!session_is_tls(&session(&w->base, sid)->state))	/* (of those, settle_tls() asks) */
			land(w, sid);
	}
}

static void settle_tls(struct worker *w, bool all)
{
	for (session_id sid = 0; sid < sessions_end(w); sid++) {
		if (!may_have_flown(w, sid) || !session_is_tls(&session(&w->base, sid)->state) || session_has(&w->base, sid, MARK_OVER))
			continue;
		work_on(w, sid);
		if (!landed_tls_settle(&w->streams, sid, all))
			uncertain(w, sid);
	}
}

static void land_sends(struct worker *w)
{
	uint32_t n = atomic_load_explicit(&w->base.slot.shm->flights, memory_order_acquire);

	if (n == FLIGHTS_ALL)
		land_all(w);
	else
		land_flights(w, n);
	settle_tls(w, n == FLIGHTS_ALL);
	base_on(&w->base, -1);
	landed_forget(&w->base);
	atomic_store_explicit(&w->base.slot.shm->flights, 0, memory_order_release);
}

/*
 * How much input was taken from a Unix socket. The header of its buffer says it, unless the last worker was just receiving from it. Then the bytes
 * that are still peeked at were not taken. 0, or -1: the kernel can't tell.
 */
static int local_taken(struct worker *w, session_id sid, const struct buffer_shm *head, uint64_t *taken)
{
	uint64_t receiving = atomic_load_explicit(&w->base.slot.shm->receiving, memory_order_acquire);
	int peeked = socket_peeked(session_fd(&w->base, sid));

	*taken = head->base + head->len;
	if (receiving >> 32 != (uint32_t)sid + 1)
		return 0;
	*taken = head->base + (uint32_t)receiving - (uint64_t)peeked;
	return peeked < 0 ? -1 : 0;
}

/* Nobody can tell how much input there is. */
static void uncounted(struct worker *w, session_id sid)
{
	/* Its client knows that a broken connection is over, and may come back to its session. */
	if (tcp_is_reset(session_fd(&w->base, sid)))
		session_over(&w->base, sid);
	else
		uncertain(w, sid);
}

/* The session's input is so long. It is parsed from its beginning. */
static void counted(struct buffer_shm *head, uint64_t len)
{
	head->len = (uint32_t)len;
	memset(head->scan, 0, sizeof(head->scan));
}

/* What was opened is in the buffer; it may not be counted there yet, nor taken from the socket. */
static void count_tls_input(struct worker *w, session_id sid)
{
	const struct session_state_shm *st = &session(&w->base, sid)->state;
	struct buffer_shm *head = st->in == BUFFER_NONE ? NULL : pool_header(&w->base.slot, st->in);
	uint64_t taken, len;

	if (st->flags & SESSION_CLOSE)
		return;		/* its input is thrown away */
	if (tcp_taken(session_fd(&w->base, sid), &taken) < 0 || tls_in_settle(&w->base, sid, taken, head ? head->base : st->parsed, &len) < 0 ||
	    (head ? len > pool_room(&w->base.slot, st->in) || head->base + len < st->parsed : len > 0)) {
		uncounted(w, sid);
		return;
	}
	if (head)
		counted(head, len);
}

/* Asks the kernel how much input was received into the session's buffer, and sets the buffer's `len` to that. */
static void count_input(struct worker *w, session_id sid)
{
	const struct session_state_shm *st = &session(&w->base, sid)->state;
	struct buffer_shm *head;
	uint64_t taken;

	if (session_is_tls(st)) {
		count_tls_input(w, sid);
		return;
	}
	if (st->in == BUFFER_NONE)
		return;
	head = pool_header(&w->base.slot, st->in);
	if ((socket_is_local(session_fd(&w->base, sid)) ? local_taken(w, sid, head, &taken) : tcp_taken(session_fd(&w->base, sid), &taken)) < 0 ||
	    taken < st->parsed || taken - head->base > pool_room(&w->base.slot, st->in)) {
		uncounted(w, sid);
		return;
	}
	counted(head, taken - head->base);
	/* release: `len` is right before the note of it goes, and before peeking starts anew (connection_watch()) */
	if (atomic_load_explicit(&w->base.slot.shm->receiving, memory_order_relaxed) >> 32 == (uint32_t)sid + 1)
		atomic_store_explicit(&w->base.slot.shm->receiving, 0, memory_order_release);
}

static bool bit(const uint8_t *bits, uint32_t i)
{
	return bits[i / 8] & (1u << (i % 8));
}

static bool topic_is_ours(const struct worker *w, uint32_t topic)
{
	return topic != TOPIC_NONE && topic <= w->base.hub.index.shm->high &&
	       atomic_load(&index_topic(&w->base.hub.index, topic)->state) == TOPIC_USED &&
	       atomic_load(&index_topic(&w->base.hub.index, topic)->interest) & (1ull << w->base.number);
}

/* Undoes the marks of the first `marked` subscriptions of a list. */
static void unmark_chain(const struct worker *w, uint32_t first, uint32_t marked, uint8_t *taken)
{
	for (uint32_t i = first; i && marked > 0; marked--, i = atomic_load_explicit(&w->base.slot.subscriptions[i].next, memory_order_relaxed))
		taken[i / 8] &= (uint8_t)~(1u << (i % 8));
}

/*
 * Marks the subscriptions of the session's list as taken. False, and none is marked: the list is damaged, as it has a subscription that can't be,
 * that is taken already, or whose topic this slot has not joined.
 */
static bool mark_chain(const struct worker *w, session_id sid, uint8_t *taken)
{
	uint32_t first = atomic_load_explicit(&session(&w->base, sid)->subscriptions, memory_order_relaxed), i = first, marked = 0;

	while (i && i <= w->base.slot.shm->subscriptions_max && !bit(taken, i) && topic_is_ours(w, w->base.slot.subscriptions[i].topic)) {
		taken[i / 8] |= (uint8_t)(1u << (i % 8));
		marked++;
		i = atomic_load_explicit(&w->base.slot.subscriptions[i].next, memory_order_relaxed);
	}
	if (!i)
		return true;
	unmark_chain(w, first, marked, taken);
	return false;
}

static bool claim_out(struct worker *w, const struct session_state_shm *st)
{
	if (st->out == BUFFER_NONE)
		return st->out_end == 0;
	if (pool_claim(&w->base.pool, st->out) < 0)
		return false;
	if (st->out_end <= pool_room(&w->base.slot, st->out))
		return true;
	pool_unclaim(&w->base.pool, st->out);
	return false;
}

/* Claims the session's buffers, both or none. False: what its state says of them can't be true. */
static bool claim_buffers(struct worker *w, const struct session_state_shm *st)
{
	if (st->out_start > st->out_end || (st->in && pool_claim(&w->base.pool, st->in) < 0))
		return false;
	if (claim_out(w, st))
		return true;
	if (st->in)
		pool_unclaim(&w->base.pool, st->in);
	return false;
}

/*
 * Claims what says what the session may do, if that means anything: a session without a connection has nothing, and one that speaks HTTP only what the certificate of its connection says. False: there
 * is no such buffer, or no whole block in it. Then nobody knows what the session may do.
 */
static bool claim_rights(struct worker *w, session_id sid)
{
	const struct session_state_shm *st = &session(&w->base, sid)->state;
	uint32_t ref = slot_rights_ref(&w->base.slot, sid);
	const struct rights *rights = ref ? slot_rights_read(&w->base.slot, ref) : NULL;

	if (!ref)
		return true;
	if (st->flags & (SESSION_PARKED | SESSION_LINGER) || (st->transport == TRANSPORT_HTTP && !(rights && rights->certified))) {
		slot_rights_put(&w->base.slot, sid, BUFFER_NONE);
		return true;
	}
	return rights && pool_claim(&w->base.pool, ref) == 0;
}

/* Claims all that is the session's of the pool; or nothing. False: it is damaged. */
static bool claim_all(struct worker *w, session_id sid)
{
	const struct session_state_shm *st = &session(&w->base, sid)->state;

	if (!claim_buffers(w, st))
		return false;
	if (!session_is_tls(st) || landed_tls_claim(&w->base, sid, st)) {
		if (claim_rights(w, sid))
			return true;
		if (session_is_tls(st))
			landed_tls_unclaim(&w->base, sid);
	}
	if (st->in)
		pool_unclaim(&w->base.pool, st->in);
	if (st->out)
		pool_unclaim(&w->base.pool, st->out);
	return false;
}

/*
 * Closes a session of which the segment says what can't be true. It is in no list yet, so it can be closed at once. Its buffers and subscriptions
 * are free, as nothing claims them.
 */
static void close_damaged(struct worker *w, session_id sid)
{
	log_error("connection %d: what was kept of it is damaged; closing it", sid);
	base_count(&w->base, COUNTER_closed_damaged, 1);
	base_count(&w->base, COUNTER_closed, 1);
	tell_why(&w->base, sid, EVENT_DISCONNECT, COUNTER_closed_damaged, 0, NULL);
	if (session_is_tls(&session(&w->base, sid)->state))
		tls_end(&w->base.tls, session_fd(&w->base, sid));
	atomic_store_explicit(&session(&w->base, sid)->status, SESSION_FREE, memory_order_release);
	if (session_is_tls(&session(&w->base, sid)->state))
		tls_wipe(&w->base.tls, session_fd(&w->base, sid));
	slot_rights_put(&w->base.slot, sid, BUFFER_NONE);
	watch_end(&w->base.slot, session_fd(&w->base, sid));
	close(session_fd(&w->base, sid));
}

static uint32_t next_subscription(const struct worker *w, uint32_t i)
{
	return atomic_load_explicit(&w->base.slot.subscriptions[i].next, memory_order_relaxed);
}

/* Adds the session to its topics' subscribers. 0, or -1: no memory. */
static int claim_subscriptions(struct worker *w, session_id sid)
{
	struct session_shm *s = session(&w->base, sid);
	uint32_t first = atomic_load_explicit(&s->subscriptions, memory_order_relaxed);
	const struct subscription_shm *sub = &w->base.slot.subscriptions[first];
	bool parked = s->state.flags & SESSION_PARKED;
	bool apart = parked || transport_has(s->state.transport, TRANSPORT_OWN_FRAMES) || (first && next_subscription(w, first));

	s->count = 0;
	for (uint32_t i = first, before = 0; i; before = i, i = next_subscription(w, i)) {
		if (i >= w->topics.fresh_subscription)
			w->topics.fresh_subscription = i + 1;
		if (topics_add(&w->topics, parked ? TOPICS_PARKED : s->state.transport, sid, i, apart) < 0)
			return -1;
		if (apart)
			subscription_list_follow(&w->topics, before, i);
		s->count++;
	}
	if (parked)
		return 0;
	atomic_fetch_add_explicit(&w->base.self->subscriptions, s->count, memory_order_relaxed);
	/* The last worker died after it had linked the session's only subscription, and before it committed the state. */
	if (s->count == 1 && !(s->state.flags & (SESSION_BEHIND | SESSION_CUT)) && s->state.pos < stream_begins(&w->base, sub)) {
		struct session_state_shm st = s->state;

		st.pos = stream_begins(&w->base, sub);
		slot_commit(&w->base.slot, sid, &st);
	}
	return 0;
}

static int take_session(struct worker *w, session_id sid, uint8_t *taken)
{
	struct session_shm *s = session(&w->base, sid);

	replay_undo(&w->base.slot, sid);
	/* The last worker died before it committed that a request makes the session a stream. That request is dealt with again. */
	if (s->state.transport == TRANSPORT_HTTP)
		atomic_store_explicit(&s->subscriptions, 0, memory_order_release);
	if (s->state.transport >= TRANSPORTS || (s->state.transport == TRANSPORT_HTTP && s->state.flags & SESSION_CUT) || !mark_chain(w, sid, taken)) {
		close_damaged(w, sid);
		return 0;
	}
	if (!claim_all(w, sid)) {
		unmark_chain(w, atomic_load_explicit(&s->subscriptions, memory_order_relaxed), UINT32_MAX, taken);
		close_damaged(w, sid);
		return 0;
	}
	if (claim_subscriptions(w, sid) < 0)
		return -1;
	if (attach_recover(&w->base, sid) < 0)
		return -1;
	if (s->state.flags & SESSION_PARKED)
		return 0;
	session_count(&w->base, s->state.transport, 1);
	if (s->state.flags & SESSION_BEHIND)
		atomic_fetch_add_explicit(&w->base.self->behind, 1, memory_order_relaxed);
	if (s->state.flags & SESSION_CUT) {
		partial_join(w->partial, sid, &s->state);
		/* A session in the middle of a frame must be behind: else nobody sends the rest. */
		if (!(s->state.flags & (SESSION_BEHIND | SESSION_LINGER)))
			landed_advance(&w->streams, sid, 0, true);
	}
	return 0;
}

/* Rebuilds what follows from the sessions: lists, topics, buffers and counts. 0, or -1: no memory. */
static int take_sessions(struct worker *w)
{
	uint8_t *taken = calloc(w->base.slot.shm->subscriptions_max / 8 + 1, 1);
	uint32_t connections = 0;

	if (!taken)
		return -1;
	atomic_store(&w->base.self->behind, 0);
	atomic_store(&w->base.self->subscriptions, 0);
	for (unsigned i = 0; i < TRANSPORT_GROUPS; i++)
		atomic_store(&w->base.self->by_transport[i], 0);
	partial_take_over(w->partial);
	for (session_id sid = 0; sid < sessions_end(w); sid++) {
		if (!is_open(w, sid)) {
			if (slot_rights_ref(&w->base.slot, sid))
				slot_rights_put(&w->base.slot, sid, BUFFER_NONE);
			continue;
		}
		work_on(w, sid);
		if (take_session(w, sid, taken) < 0) {
			free(taken);
			return -1;
		}
		if (is_open(w, sid) && !session_parked(&w->base, sid)) {
			connections++;
			quota_found(&w->service, sid);
		}
	}
	base_on(&w->base, -1);
	atomic_store_explicit(&w->base.slot.shm->opening, 0, memory_order_release);
	park_recover(w);
	/* Until here it was the last worker's count, so that other workers did not take more than max_connections meanwhile. */
	atomic_store(&w->base.self->connections, connections);
	for (uint32_t i = 1; i < w->topics.fresh_subscription; i++)
		if (!bit(taken, i))
			topics_give_subscription(&w->topics, i);
	free(taken);
	if (pool_ready(&w->base.pool) < 0)
		return -1;
	partial_settle(w->partial);
	return 0;
}

/* Counts each session's input, and watches its connection. */
static void start_sessions(struct worker *w)
{
	for (session_id sid = 0; sid < sessions_end(w); sid++) {
		if (!is_open(w, sid) || session_parked(&w->base, sid))
			continue;
		work_on(w, sid);
		count_input(w, sid);
		connection_watch(w, sid);
		subscribe_join_everybody(&w->service, sid, 0);
	}
	base_on(&w->base, -1);
	/* release: as in count_input(). The session of that note has been counted, or is gone. */
	atomic_store_explicit(&w->base.slot.shm->receiving, 0, memory_order_release);
}

/* Deals with a request that has published and was not answered. It comes first, as the next publish overwrites the intent. */
static void resume_answer(struct worker *w)
{
	struct intent_shm *intent = &w->base.self->intent;

	if (atomic_load_explicit(&intent->state, memory_order_acquire) != INTENT_DONE)
		return;
	if (is_open(w, intent->fd) && !session_has(&w->base, (int)intent->fd, MARK_OVER) &&
	    session(&w->base, (int)intent->fd)->state.in != BUFFER_NONE)
		input_resume(&w->protocols, (int)intent->fd);
	publish_done(&w->base.hub, w->base.number);
}

/* Whether the peer has said through TLS that it sends no more, of which the socket tells nothing. */
static bool tls_has_ended(const struct worker *w, session_id sid)
{
	const struct session_state_shm *st = &session(&w->base, sid)->state;

	return session_is_tls(st) && !(st->flags & SESSION_CLOSE) && !session_has(&w->base, sid, MARK_OVER | MARK_ENDED | MARK_STALLED | MARK_OUTPUT_BLOCKED) &&
	       tls_entry(&w->base.tls, session_fd(&w->base, sid))->flow.control & TLS_PEER_CLOSED;
}

/* Sends output that is in the buffers and was not sent, and deals with input that was received and not dealt with. */
static void resume_sessions(struct worker *w)
{
	for (session_id sid = 0; sid < sessions_end(w); sid++) {
		if (!is_open(w, sid) || session_has(&w->base, sid, MARK_OVER) || session_parked(&w->base, sid))
			continue;
		work_on(w, sid);
		if (session(&w->base, sid)->state.flags & SESSION_LINGER)
			shutdown(session_fd(&w->base, sid), SHUT_WR);	/* again, if it was marked and not done */
		if (session(&w->base, sid)->state.in != BUFFER_NONE && !(session(&w->base, sid)->state.flags & SESSION_CLOSE))
			input_resume(&w->protocols, sid);
		else if (session(&w->base, sid)->state.out != BUFFER_NONE || session(&w->base, sid)->state.flags & SESSION_CLOSE)
			output_flush(&w->output, sid);
		session_watch(&w->base, sid);
		if (tls_has_ended(w, sid))
			input_ready(&w->protocols, sid);
	}
}

/*
 * Closes the session that the last worker died of (shm/attribution.h), as this one would die of it, too. The lists are rebuilt, so it can be closed.
 * Nothing of it has been encoded, sent or parsed yet.
 */
static void close_blamed(struct worker *w)
{
	uint32_t on = w->base.slot.shm->suspect.blamed;

	if (on && is_open(w, on - 1)) {
		log_warning("connection %u: closed, as a worker died of it", on - 1);
		tell_ends(&w->base, (int)on - 1, COUNTER_closed_blamed, NULL);
		base_on(&w->base, (int)on - 1);
		connection_close(w, (int)on - 1);
		base_on(&w->base, -1);
	}
	w->base.slot.shm->suspect.blamed = 0;
}

/* (A parked session's connection is gone.) */
static bool has_tls_session(const void *of, int fd)
{
	const struct worker *w = of;

	return is_open(w, fd) && session(&w->base, fd)->state.flags & SESSION_TLS;
}

int recover(struct worker *w)
{
	slot_redo(&w->base.slot);
	tls_redo(&w->base.tls, has_tls_session, w);
	finish_publish(w);
	attach_redo(&w->base.slot);
	move_redo(w);
	departed_recover(w);
	CRASH_POINT("recover-published");
	if (take_sessions(w) < 0)
		return -1;
	waiting_recover(&w->service);
	CRASH_POINT("recover-taken");
	close_blamed(w);
#ifndef JANUS_BROKEN_RECOVERY	/* a build for tests: the kill loop must notice */
	land_sends(w);
#endif
	CRASH_POINT("recover-landed");
	if (!w->base.departed)
		topics_leave_unsubscribed(&w->topics);	/* the last worker died after it had joined them, or before it had left them */
	w->topics.scanned = atomic_load_explicit(&w->base.self->delivered, memory_order_acquire);
	multi_topic_start(w->multi_topic, w->topics.scanned);
	start_sessions(w);
	move_settle(w);
	CRASH_POINT("recover-started");
	resume_answer(w);
	resume_sessions(w);
	base_on(&w->base, -1);
	hub_unpin_predecessor(&w->base.hub, w->base.number);
	CRASH_POINT("recover-resumed");
	return 0;
}
