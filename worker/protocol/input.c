/*
 * Input: what was received (io/receive.h) is given to the transport that the session speaks (flash.c, http.c, websocket.c, packet.c). The crash
 * rules are in session/cursor.h.
 */
#include "worker/protocol/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/flash.h"
#include "proto/http.h"
#include "proto/websocket.h"
#include "shm/crash.h"
#include "worker/delivery/output.h"
#include "worker/io/receive.h"
#include "worker/protocol/answer.h"
#include "worker/service/flood.h"
#include "worker/service/publish_batch.h"
#include "worker/session/cursor.h"
#include "worker/session/tell.h"

#define HEAVY_MS 5000			/* for which small messages may go before large ones */
#define RETRY_US 10000			/* of a turn, for those whose publishing was put off */
#define RECEIVES_A_TURN 8		/* of one connection that sends faster than it is read */

_Static_assert(sizeof(struct flash_scan) <= sizeof(((struct buffer_shm *)0)->scan), "a parser's state has room");
_Static_assert(sizeof(struct http_scan) <= sizeof(((struct buffer_shm *)0)->scan), "a parser's state has room");
_Static_assert(sizeof(struct websocket_scan) <= sizeof(((struct buffer_shm *)0)->scan), "a parser's state has room");

/* A stream over HTTP has nothing more to be told. */
static bool ignore_step(struct protocols *protocols, struct cursor *c)
{
	(void)protocols;
	cursor_skip(c, cursor_left(c));
	return false;
}

static bool (*const step_of[TRANSPORTS])(struct protocols *protocols, struct cursor *c) = {
#define TRANSPORT(name, word, group, traits, input, ...) [TRANSPORT_##name] = input,
#include "proto/transport.def"
};

/* The rest of an incomplete frame stays in a buffer no larger than it needs. Its time begins now if anything was dealt with, from `begun` on. */
static void keep_rest(struct protocols *protocols, struct cursor *c, uint64_t begun)
{
	struct session_state_shm st = session(protocols->base, c->sid)->state;
	size_t left = cursor_left(c);

	if (c->at != begun) {
		c->head->since = protocols->base->now;
		if (st.transport == TRANSPORT_HTTP)
			session(protocols->base, c->sid)->last_in = protocols->base->now;
	}
	st.parsed = c->at;
	if (left == 0 || st.flags & SESSION_CLOSE) {
		st.in = BUFFER_NONE;
	} else if (left < c->head->len && left < pool_room(&protocols->base->slot, st.in) / 4) {
		uint32_t smaller = pool_take(&protocols->base->pool, left + left / 2);

		if (smaller != BUFFER_NONE) {
			struct buffer_shm *head = pool_header(&protocols->base->slot, smaller);

			head->owner = (uint32_t)c->sid + 1;
			head->base = c->at;
			head->len = (uint32_t)left;
			head->since = c->head->since;
			memcpy(head->scan, c->head->scan, sizeof(head->scan));
			memcpy(pool_bytes(&protocols->base->slot, smaller), cursor_text(c), left);
			st.in = smaller;
		}
	}
	CRASH_POINT("input-moved");
	session_commit(protocols->base, c->sid, &st);
}

void input_stall(struct protocols *protocols, session_id sid)
{
	if (session_mark(protocols->base, sid, MARK_STALLED))
		return;
	if (base_push(&protocols->stalled, &protocols->stalled_count, &protocols->stalled_room, sid) < 0) {
		session_abort(protocols->base, sid, COUNTER_no_buffer);
		return;
	}
	ev_timer_again(protocols->base->loop, &protocols->retry);
}

/* Whether answers that the client has not read hold up its input. */
static bool output_is_blocked(struct protocols *protocols, session_id sid)
{
	const struct session_state_shm *st = &session(protocols->base, sid)->state;

	return st->out_end - st->out_start > SESSION_OUT_MAX;
}

bool input_end_flood(struct protocols *protocols, struct cursor *c)
{
	publish_batch_publish(protocols->service, c);
	if (!c->stalled) {
		tell_ends(protocols->base, c->sid, COUNTER_closed_flood, FLOOD_MESSAGES);
		session_end(protocols, c->sid, c->at + cursor_left(c), 429, FLOOD_MESSAGES);
		c->stop = true;
	}
	return false;
}

/* Counts what came, whatever it was. True: that is too much in this second, and the session ends. (A TLS record without text is as much as a ping is.) */
static bool is_flooded(struct protocols *protocols, session_id sid, const struct intake *in)
{
	bool bytes = flood_bytes(protocols->service, sid, in->wire), messages = in->bare > 0 && flood_has(protocols->service, sid, in->bare);
	const char *text = bytes ? FLOOD_BYTES : FLOOD_RECORDS;

	flood_messages(protocols->service, sid, in->bare);
	if (!bytes && !messages)
		return false;
	tell_ends(protocols->base, sid, COUNTER_closed_flood, text);
	session_end(protocols, sid, session(protocols->base, sid)->state.parsed, 429, text);
	return true;
}

static void count_units(struct protocols *protocols, struct cursor *c)
{
	flood_messages(protocols->service, c->sid, c->units);
	c->units = 0;
}

/* Deals with all that is whole in the session's buffer. */
static void input_parse(struct protocols *protocols, session_id sid)
{
	const struct session_state_shm *st = &session(protocols->base, sid)->state;
	struct cursor c = {
		.sid = sid,
		.head = pool_header(&protocols->base->slot, st->in),
		.bytes = (const char *)pool_bytes(&protocols->base->slot, st->in),
		.at = st->parsed,
	};
	uint64_t begun = c.at;

	CRASH_ON_INPUT(cursor_text(&c), cursor_left(&c));
	while (cursor_left(&c) > 0 && !output_is_blocked(protocols, sid) && step_of[st->transport](protocols, &c))
		count_units(protocols, &c);
	count_units(protocols, &c);
	publish_batch_publish(protocols->service, &c);
	if (cursor_left(&c) > 0 && output_is_blocked(protocols, sid))
		session_mark(protocols->base, sid, MARK_OUTPUT_BLOCKED);
	keep_rest(protocols, &c, begun);
	if (c.stalled)
		input_stall(protocols, sid);
}

/* After sending: input that was held up by answers goes on, unless they still are in the way. */
static void unblock(struct protocols *protocols, session_id sid)
{
	if (session_has(protocols->base, sid, MARK_OUTPUT_BLOCKED) && !(session(protocols->base, sid)->state.flags & SESSION_BEHIND)) {
		session_unmark(protocols->base, sid, MARK_OUTPUT_BLOCKED);
		input_stall(protocols, sid);
	}
}

static void input_end(struct protocols *protocols, session_id sid);

/* Whether input that is there waits to be dealt with, for whatever reason. */
static bool is_held_up(const struct protocols *protocols, session_id sid)
{
	return session_has(protocols->base, sid, MARK_STALLED | MARK_OUTPUT_BLOCKED) || session_waits(protocols->base, sid);
}

/* All that the peer has sent is dealt with, and it sends no more. True: the session may be gone. */
static bool ended(struct protocols *protocols, session_id sid)
{
	if (!(session_has(protocols->base, sid, MARK_ENDED)) || is_held_up(protocols, sid))
		return false;
	session_unmark(protocols->base, sid, MARK_ENDED);
	input_end(protocols, sid);
	return true;
}

/* The peer has sent its last byte. What is left is no whole frame. */
static void input_end(struct protocols *protocols, session_id sid)
{
	const struct session_state_shm *st = &session(protocols->base, sid)->state;

	if (is_held_up(protocols, sid)) {
		session_mark(protocols->base, sid, MARK_ENDED);	/* it has asked for more, which it is answered first */
		session_watch(protocols->base, sid);
		return;
	}
	if (st->in != BUFFER_NONE && transport_has(st->transport, TRANSPORT_FRAMED) && !session_lingers(protocols->base, sid))
		session_end(protocols, sid, st->parsed, 400, "the connection ended within a frame");
	output_flush(protocols->output, sid);
	/* (One that is not behind and has something left is broken.) */
	if (st->out != BUFFER_NONE && st->flags & SESSION_BEHIND && !(st->flags & SESSION_LINGER)) {
		struct session_state_shm last = *st;

		last.flags |= SESSION_CLOSE;
		session_commit(protocols->base, sid, &last);
		session_watch(protocols->base, sid);
	} else {
		session_over(protocols->base, sid);
	}
}

/* True when there is probably more: the buffer was filled, and all of it was dealt with or is part of a frame. */
static bool take_in(struct protocols *protocols, session_id sid)
{
	struct intake in;
	enum received what = receive(protocols->base, sid, &in);
	bool flooded = what != RECEIVED_END && what != RECEIVED_ERROR && what != RECEIVED_NO_MEMORY && is_flooded(protocols, sid, &in);

	if (what == RECEIVED_NO_MEMORY)
		protocols->base->no_memory(protocols->base->above, sid);
	else if (what == RECEIVED_END)
		input_end(protocols, sid);
	else if (what == RECEIVED_ERROR) {
		tell_ends_as(protocols->base, sid, EVENT_WHY_RESET);
		session_over(protocols->base, sid);
		/* What its socket did not take of TLS's last words is pending: until the turn ends it is behind, as nothing is sealed for it then. */
		if (session_pending(protocols->base, sid))
			output_flush(protocols->output, sid);
	}
	if (what == RECEIVED_OWES && !flooded) {
		output_flush(protocols->output, sid);
		session_watch(protocols->base, sid);
	}
	if (what != RECEIVED && what != RECEIVED_FULL && !flooded)
		return false;
	if (!flooded)
		input_parse(protocols, sid);
	output_flush(protocols->output, sid);
	unblock(protocols, sid);
	session_watch(protocols->base, sid);
	return what == RECEIVED_FULL && protocols->base->io[sid].events & EV_READ && session_plain(&session(protocols->base, sid)->state);
}

void input_ready(struct protocols *protocols, session_id sid)
{
	base_on_input(protocols->base, sid);
	if (session(protocols->base, sid)->state.flags & (SESSION_LINGER | SESSION_CLOSE))
		receive_nothing(protocols->base, sid);
	else
		for (int i = 0; i < RECEIVES_A_TURN && take_in(protocols, sid); i++)
			;
	base_on(protocols->base, -1);
}

void input_resume(struct protocols *protocols, session_id sid)
{
	base_on_input(protocols->base, sid);
	/* We had it wait, and nobody read from it. */
	pool_header(&protocols->base->slot, session(protocols->base, sid)->state.in)->since = protocols->base->now;
	if (session(protocols->base, sid)->state.transport != TRANSPORT_HTTP)
		session(protocols->base, sid)->last_in = protocols->base->now;
	input_parse(protocols, sid);
	output_flush(protocols->output, sid);
	unblock(protocols, sid);
	if (!ended(protocols, sid))
		session_watch(protocols->base, sid);
	base_on(protocols->base, -1);
}

/* In turn, until one is put off again, or time is up. */
bool input_retry_stalled(struct protocols *protocols)
{
	uint64_t since = base_clock();
	uint32_t n = protocols->stalled_count, kept = 0, i;
	bool more;

	for (i = 0; i < n && publish_ready(&protocols->base->hub, false) && base_clock() - since < RETRY_US; i++) {
		session_id sid = protocols->stalled[i];
		bool heavy = session_has(protocols->base, sid, MARK_HEAVY);

		if (heavy && !publish_ready(&protocols->base->hub, true)) {
			if (!protocols->heavy_since)
				protocols->heavy_since = protocols->base->now_ms;
			if (protocols->base->now_ms - protocols->heavy_since < HEAVY_MS) {
				protocols->stalled[kept++] = sid;
				continue;
			}
			protocols->base->hub.patient = true;	/* small ones alone fill the ring: now one of these comes first */
		}
		if (heavy)
			protocols->heavy_since = 0;
		/* (If it has no mark, it was closed meanwhile.) */
		session_unmark(protocols->base, sid, MARK_HEAVY);
		if (session_unmark(protocols->base, sid, MARK_STALLED) && !session_has(protocols->base, sid, MARK_OVER) &&
		    session(protocols->base, sid)->state.in != BUFFER_NONE)
			input_resume(protocols, sid);
		protocols->base->hub.patient = false;
	}
	more = i < protocols->stalled_count && publish_ready(&protocols->base->hub, false);
	memmove(protocols->stalled + kept, protocols->stalled + i, (protocols->stalled_count - i) * sizeof(*protocols->stalled));
	protocols->stalled_count -= i - kept;
	return more;
}
