/*
 * Moving sessions. See move_session.h.
 */
#include "worker/loop/move_session.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shm/crash.h"
#include "shm/log.h"
#include "shm/slot_peers.h"
#include "shm/snapshot_session.h"
#include "worker/delivery/local_topics.h"
#include "worker/delivery/output.h"
#include "worker/delivery/stream.h"
#include "worker/delivery/subscription_list.h"
#include "worker/io/gate.h"
#include "worker/io/session_peer.h"
#include "worker/loop/connection.h"
#include "worker/loop/departed.h"
#include "worker/loop/move.h"
#include "worker/loop/orders.h"
#include "worker/loop/park.h"
#include "worker/protocol/input.h"
#include "worker/service/attach.h"
#include "worker/service/order.h"
#include "worker/service/quota.h"
#include "worker/service/strays.h"
#include "worker/session/tell.h"

#define TRIES 20		/* looks at what is next, a tenth of a second apart, before others go for it */
#define DEATHS 2		/* workers that died of it, before it is closed */
#define PATIENCE 10000		/* milliseconds in which a new worker waits for room in a queue */

/* ---- leaving ---- */

unsigned move_room(const struct worker *w, unsigned slot)
{
	const struct hub_slot_shm *s = &w->base.hub.shm->slot[slot], *self = w->base.self;

	if (slot == w->base.number || w->start->queue[slot] < 0 || atomic_load_explicit(&s->state, memory_order_relaxed) != SLOT_LIVE ||
	    atomic_load_explicit(&s->draining, memory_order_relaxed) || atomic_load_explicit(&s->connections, memory_order_relaxed) >= s->connections_max ||
	    atomic_load_explicit(&s->reload_number, memory_order_relaxed) != atomic_load_explicit(&self->reload_number, memory_order_relaxed))
		return 0;
	return departed_room(w);
}

static bool asked_to_move(const struct worker *w, session_id sid)
{
	uint32_t i = 0;

	while (i < w->moves_count && w->moves[i].sid != sid)
		i++;
	return i < w->moves_count;
}

static bool is_at_rest(const struct worker *w, session_id sid)
{
	const struct session_shm *s = session(&w->base, sid);
	const struct intent_shm *intent = &w->base.self->intent;

	if (s->status != SESSION_OPEN)
		return false;
	if (s->state.flags & SESSION_PARKED)
		return sid + 1 != w->base.held && !session_is_polled(&w->base, sid);
	return !(s->state.flags & (SESSION_CLOSE | SESSION_LINGER | SESSION_CUT | SESSION_LISTS)) &&
	       !session_has(&w->base, sid, MARK_OVER | MARK_STALLED | MARK_OUTPUT_BLOCKED | MARK_ENDED) && !move_tls_owes(w, sid) && !session_waits(&w->base, sid) && !asked_to_move(w, sid) &&
	       (atomic_load_explicit(&intent->state, memory_order_relaxed) == INTENT_NONE || intent->fd != (uint32_t)sid);
}

/* Finds out where a session that is not behind is in its topics, w->owed[]. 0, or -1: no memory. */
static int find_owed(struct worker *w, session_id sid)
{
	struct session_shm *s = session(&w->base, sid);
	struct stream stream;

	if (s->count > w->owed_room) {
		struct passed_shm *p = realloc(w->owed, s->count * sizeof(*p));

		if (!p)
			return -1;
		w->owed = p;
		w->owed_room = s->count;
	}
	hub_pin(&w->base.hub, w->base.number);
	stream_owed(&stream, &w->streams, sid, &s->state);
	hub_unpin(&w->base.hub, w->base.number);
	for (uint32_t i = 0; i < stream.count; i++)
		w->owed[i] = (struct passed_shm){ .number = stream.topic[i].number, .from = stream.topic[i].seen };
	return stream.count == s->count ? 0 : -1;
}

/* Writes its map. 0; -1 with errno: EPROTO, it is damaged. */
static int write_map(struct worker *w, session_id sid, struct snapshot_writer *map)
{
	const struct session_shm *s = session(&w->base, sid);
	struct session_leaves leaves = { .alone = s->state.transport == TRANSPORT_HTTP };

	if (!leaves.alone && !(s->state.flags & SESSION_BEHIND)) {
		if (find_owed(w, sid) < 0) {
			errno = ENOMEM;
			return -1;
		}
		leaves.passed = w->owed;
	}
	snapshot_begin(map, -1, "session", 0);
	if (snapshot_put_session(map, &w->base.hub, &w->base.slot, &w->base.tls, (uint32_t)sid, &leaves) < 0) {
		map->error = EPROTO;
		errno = EPROTO;
		return -1;
	}
	return snapshot_end(map);
}

/* 0; -1 with errno: EAGAIN, the queue is full. */
static int send_map(const struct worker *w, session_id sid, unsigned slot, const struct snapshot_writer *map)
{
	struct move_message m = {
		.sender = w->base.number, .number = w->base.slot.shm->move_number, .input = map->fd < 0 ? (uint32_t)map->used : 0, .everybody = w->base.marks[sid] >> MARK_BITS, .parsed = order_last(w->base.self),
	};
	int fd = session_parked(&w->base, sid) ? w->start->wake[w->base.number] : session_fd(&w->base, sid);

	if (w->service.flood)
		m.flood = w->service.flood[sid];
	return move_message_send_map(w->start->queue[slot], fd, &m, map->buffer, map->fd);
}

static void forget_map(struct snapshot_writer *map)
{
	explicit_bzero(map->buffer, map->used);
	if (map->fd >= 0)
		close(map->fd);
	map->fd = -1;
}

/* The session ends here. */
static void leave(struct worker *w, session_id sid, unsigned slot)
{
	bool parked = session_parked(&w->base, sid);

	if (!parked && session_is_tls(&session(&w->base, sid)->state))
		tls_end(&w->base.tls, session_fd(&w->base, sid));
	/* release: a successor sees the session whole or not at all */
	atomic_store_explicit(&session(&w->base, sid)->status, SESSION_FREE, memory_order_release);
	CRASH_POINT("leave-freed");
	if (parked)
		park_let_go(w, sid);
	else
		connection_let_go(w, sid);
	close(session_fd(&w->base, sid));
	departed_counts(w, parked);
	base_count(&w->base, COUNTER_moved_out, 1);
	tell_session(&w->base, sid, EVENT_MOVE, slot, NULL, 0, NULL);
}

static void note(const struct worker *w, uint64_t moving)
{
	/* release: what is noted with it is there; or all that it is about is done */
	atomic_store_explicit(&w->base.slot.shm->moving, moving, memory_order_release);
}

/* Says where the session is from here on, or is about to be: from then on its token leads there, into the queue behind it. 0; -1: there is no room to say so. */
static int place_token(struct worker *w, session_id sid, unsigned slot)
{
	return session(&w->base, sid)->until == 0 || session(&w->base, sid)->state.transport == TRANSPORT_HTTP ? 0 : strays_place(&w->base, sid, slot);
}

enum move_result move_session(struct worker *w, session_id sid, unsigned slot)
{
	static struct snapshot_writer map;
	uint64_t before = atomic_load_explicit(&w->base.self->moves_sent[slot], memory_order_relaxed);
	int error;

	if (move_room(w, slot) == 0)
		return MOVE_FULL;
	if (!is_at_rest(w, sid))
		return MOVE_LATER;
	if (write_map(w, sid, &map) < 0) {
		forget_map(&map);
		return MOVE_LATER;
	}
	if (!gate_pass(&w->base, slot)) {
		forget_map(&map);
		return MOVE_FULL;
	}
	w->base.slot.shm->move_number = move_next_number(w);
	note(w, MOVING(sid, slot | MOVING_WHOLE));
	if (place_token(w, sid, slot) < 0) {
		note(w, 0);
		gate_leave(&w->base, slot);
		forget_map(&map);
		return MOVE_LATER;
	}
	CRASH_POINT("leave-noted");
	departed_note(w, slot, w->base.slot.shm->move_number);
	CRASH_POINT("leave-announced");
	error = send_map(w, sid, slot, &map) < 0 ? errno : 0;
	forget_map(&map);
	if (error) {
		departed_not(w, slot, before);
		note(w, 0);
		place_token(w, sid, w->base.number);
		gate_leave(&w->base, slot);
		if (error != EAGAIN)
			log_warning_limited("connections can't be moved: %s", strerror(error));
		return MOVE_FULL;
	}
	CRASH_POINT("leave-sent");
	leave(w, sid, slot);
	note(w, 0);
	gate_leave(&w->base, slot);
	return MOVE_GONE;
}

/*
 * It may have been sent, and then it is another worker's by now: so it can't stay here. What it says of itself is the same as before, as nothing has happened to it, but that more may have been published;
 * and who has taken the first message drops the second one.
 */
void move_session_redo(struct worker *w, session_id sid, unsigned slot)
{
	static struct snapshot_writer map;

	if (write_map(w, sid, &map) < 0) {
		if (errno != EPROTO)
			_exit(WORKER_SHORTAGE);
		departed_not(w, slot, 0);	/* it is found damaged when sessions are taken over */
		return;
	}
	(void)place_token(w, sid, slot);
	departed_note(w, slot, w->base.slot.shm->move_number);
	for (int waited = 0; send_map(w, sid, slot, &map) < 0; waited += 10) {
		if (waited >= PATIENCE)
			_exit(WORKER_SHORTAGE);
		poll(&(struct pollfd){ .fd = w->start->queue[slot], .events = POLLOUT }, 1, 10);
		base_beat(&w->base);
	}
	forget_map(&map);
	move_free_again(w, sid);
}

/* ---- arriving ---- */

static uint32_t take_subscription(void *of)
{
	struct worker *w = of;

	return topics_take_subscription(&w->topics);
}

static void give_subscription(void *of, uint32_t subscription)
{
	struct worker *w = of;

	uint32_t topic = w->base.slot.subscriptions[subscription].topic;

	topics_give_subscription(&w->topics, subscription);
	if (!topics_find(&w->topics, topic))
		topics_leave(&w->topics, topic);
}

static const struct msgpack_value *open_map(struct snapshot_reader *r, const struct move_looked *l)
{
	return l->m.input > 0 ? snapshot_open_bytes(r, l->input, l->m.input, "session") : snapshot_open(r, l->file, "session");
}

static void close_map(struct snapshot_reader *r, const struct move_looked *l)
{
	if (l->m.input == 0 && r->mem)
		snapshot_close(r);
}

/* Reads it into the session of its descriptor's number, which is not there yet. 0, or -1 with errno. */
static int read_map(struct worker *w, const struct move_looked *l)
{
	struct session_reading x = {
		.hub = &w->base.hub, .slot = &w->base.slot, .tls = &w->base.tls, .number = w->base.number, .lock_owner = w->base.number + 1,
		.tail = ring_tail(&w->base.hub.ring), .pool = &w->base.pool, .take = take_subscription, .of = w,
	};
	int r = open_map(&x.r, l) ? snapshot_get_session(&x, l->fd) : -1, error = errno;

	if (r < 0)
		snapshot_forget_session(&x, give_subscription);
	close_map(&x.r, l);
	errno = error;
	return r;
}

/* Whether the session was live where it came from, and what it is owed lies where this worker has not looked yet: then it is live here. */
static bool is_up_to_date(const struct worker *w, const struct session_shm *s)
{
	for (uint32_t i = atomic_load_explicit(&s->subscriptions, memory_order_relaxed); i; i = atomic_load_explicit(&w->base.slot.subscriptions[i].next, memory_order_relaxed))
		if (stream_begins(&w->base, &w->base.slot.subscriptions[i]) < w->topics.scanned)
			return false;
	return true;
}

/* Where it goes on, in this worker's terms. */
static void settle_state(const struct worker *w, struct session_shm *s)
{
	struct session_state_shm *st = &s->state;
	uint32_t first = atomic_load_explicit(&s->subscriptions, memory_order_relaxed);

	if (st->in != BUFFER_NONE)
		pool_header(&w->base.slot, st->in)->since = w->base.now;
	if (!first || st->flags & SESSION_BEHIND)
		return;
	if (!is_up_to_date(w, s)) {
		st->flags |= SESSION_BEHIND;
		return;
	}
	if (st->pos < w->topics.scanned)
		st->pos = w->topics.scanned;
	if (s->count == 1 && st->pos < stream_begins(&w->base, &w->base.slot.subscriptions[first]))
		st->pos = stream_begins(&w->base, &w->base.slot.subscriptions[first]);
}

/* (Without memory the successor does it, as it finds the session.) */
static void join_lists(struct worker *w, session_id sid)
{
	struct session_shm *s = session(&w->base, sid);
	bool parked = s->state.flags & SESSION_PARKED, apart = parked || s->count > 1 || transport_has(s->state.transport, TRANSPORT_OWN_FRAMES);

	for (uint32_t i = atomic_load_explicit(&s->subscriptions, memory_order_relaxed), before = 0; i;
	     before = i, i = atomic_load_explicit(&w->base.slot.subscriptions[i].next, memory_order_relaxed)) {
		if (topics_add(&w->topics, parked ? TOPICS_PARKED : s->state.transport, sid, i, apart) < 0)
			_exit(WORKER_SHORTAGE);
		if (apart)
			subscription_list_follow(&w->topics, before, i);
	}
	if (attach_recover(&w->base, sid) < 0)
		_exit(WORKER_SHORTAGE);
	if (parked)
		return;
	atomic_fetch_add_explicit(&w->base.self->subscriptions, s->count, memory_order_relaxed);
	session_count(&w->base, s->state.transport, 1);
	if (s->state.flags & SESSION_BEHIND)
		atomic_fetch_add_explicit(&w->base.self->behind, 1, memory_order_relaxed);
}

static void tell_arrival(struct worker *w, session_id sid, unsigned from)
{
	struct event_peer peer = session_peer(&w->base, sid);

	tell_why(&w->base, sid, EVENT_CONNECT, EVENT_WHY_MOVED, from, &peer);
	if (session_rights(&w->base, sid))
		tell_who(&w->base, sid, session_rights(&w->base, sid));
}

/* The session is in the table, but is not there yet. */
static void open_session(struct worker *w, const struct move_looked *l)
{
	session_id sid = l->fd;
	struct session_shm *s = session(&w->base, sid);

	settle_state(w, s);
	w->base.marks[sid] = session_parked(&w->base, sid) ? 0 : l->m.everybody << MARK_BITS;
	w->base.why[sid] = 0;
	if (w->service.flood)
		w->service.flood[sid] = l->m.flood;
	if (atomic_load_explicit(&w->base.slot.shm->fd_end, memory_order_relaxed) <= (uint32_t)sid)
		atomic_store_explicit(&w->base.slot.shm->fd_end, (uint32_t)sid + 1, memory_order_relaxed);
	CRASH_POINT("arrive-filled");
	/* release: the session is whole when it is there */
	atomic_store_explicit(&s->status, SESSION_OPEN, memory_order_release);
	CRASH_POINT("arrive-opened");
	join_lists(w, sid);
	base_count(&w->base, COUNTER_moved_in, 1);
	if (session_parked(&w->base, sid)) {
		park_arrived(w, sid);
		orders_arrived(w, sid, l->m.parsed);
		return;
	}
	atomic_fetch_add_explicit(&w->base.self->connections, 1, memory_order_relaxed);
	quota_found(&w->service, sid);
	if (s->state.flags & SESSION_BEHIND)
		output_run(&w->output, sid);
	else if (s->state.out != BUFFER_NONE)
		output_flush(&w->output, sid);
	connection_watch(w, sid);
	if (s->state.in != BUFFER_NONE && s->status == SESSION_OPEN)
		input_stall(&w->protocols, sid);
	tell_arrival(w, sid, l->m.sender);
	orders_arrived(w, sid, l->m.parsed);
}

bool move_session_is_here(const struct worker *w, const struct move_looked *l)
{
	uint32_t end = atomic_load_explicit(&w->base.slot.shm->fd_end, memory_order_relaxed), len = 0;
	const struct msgpack_value *map;
	struct snapshot_reader r = { 0 };
	const uint8_t *token;
	session_id sid = 0;

	if ((l->m.input == 0 && l->file < 0) || !open_map(&r, l) || !(map = snapshot_next(&r)))
		return false;
	token = snapshot_get_bytes(&r, map, "token", &len);
	if (len == TOKEN_BYTES)
		while (sid < (session_id)end && (session(&w->base, sid)->status != SESSION_OPEN || memcmp(session(&w->base, sid)->token, token, TOKEN_BYTES) != 0))
			sid++;
	close_map(&r, l);
	return len == TOKEN_BYTES && sid < (session_id)end;
}

/* Notes that this worker tries it. False: too many have died of it. */
static bool may_try(struct worker *w, const struct move_message *m)
{
	struct slot_shm *slot = w->base.slot.shm;

	if (w->arriving == m->number)
		return true;
	w->arriving = m->number;
	w->arriving_times = 0;
	if (slot->arriving != m->number || slot->arriving_from != m->sender)
		slot->arriving_tries = 0;
	slot->arriving = m->number;
	slot->arriving_from = m->sender;
	return slot->arriving_tries++ <= DEATHS;
}

/* There is no descriptor, or no buffer for it. False: it is to wait. */
static bool make_room(struct worker *w, bool descriptor)
{
	if (w->arriving_times++ < TRIES)
		return false;
	if (descriptor)
		return w->base.fewer_parked(w->base.above);
	return w->base.make_room(w->base.above, -1, BUFFER_MORE + MOVE_INPUT_MAX);
}

static void give_up(struct worker *w, const struct move_looked *l, const char *why)
{
	log_error("a connection that has come from worker %u is closed: %s", l->m.sender, why);
	base_count(&w->base, COUNTER_closed_damaged, 1);
	close(l->fd);
}

bool move_session_take(struct worker *w, struct move_looked *l)
{
	if (!may_try(w, &l->m)) {
		give_up(w, l, "workers died of it");
		return true;
	}
	if (l->fd < 0 || (l->m.input == 0 && l->file < 0) || (uint32_t)l->fd >= w->base.slot.shm->sessions_max) {
		(void)make_room(w, true);
		if (l->fd >= 0)
			close(l->fd);
		return false;
	}
	if (read_map(w, l) < 0 && (errno == EPROTO || !make_room(w, false) || read_map(w, l) < 0)) {
		if (errno != EPROTO && w->arriving_times <= 2 * TRIES) {
			close(l->fd);
			return false;
		}
		give_up(w, l, strerror(errno));
		return true;
	}
	if (session_parked(&w->base, l->fd))
		park_keep_number(w, l->fd);
	open_session(w, l);
	return true;
}
