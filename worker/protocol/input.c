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

#define HEAVY_MS 5000			/* for which small messages may go before large ones */
#define RETRY_US 10000			/* of a turn, for those whose publishing was put off */
#define RECEIVES_A_TURN 8		/* of one connection that sends faster than it is read */

_Static_assert(sizeof(struct flash_scan) <= sizeof(((struct lent_shm *)0)->scan), "a parser's state has room");
_Static_assert(sizeof(struct http_scan) <= sizeof(((struct lent_shm *)0)->scan), "a parser's state has room");
_Static_assert(sizeof(struct websocket_scan) <= sizeof(((struct lent_shm *)0)->scan), "a parser's state has room");

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
	struct session_state_shm st = session(protocols->base, c->fd)->state;
	size_t left = cursor_left(c);

	if (c->at != begun) {
		c->head->since = protocols->base->now;
		if (st.transport == TRANSPORT_HTTP)
			session(protocols->base, c->fd)->last_in = protocols->base->now;
	}
	st.parsed = c->at;
	if (left == 0 || st.flags & SESSION_CLOSE) {
		st.in = LENT_NONE;
	} else if (left < c->head->len && left < lend_room(&protocols->base->slot, st.in) / 4) {
		uint32_t smaller = lend_take(&protocols->base->lend, left + left / 2);

		if (smaller != LENT_NONE) {
			struct lent_shm *head = lend_header(&protocols->base->slot, smaller);

			head->owner = (uint32_t)c->fd + 1;
			head->base = c->at;
			head->len = (uint32_t)left;
			head->since = c->head->since;
			memcpy(head->scan, c->head->scan, sizeof(head->scan));
			memcpy(lend_bytes(&protocols->base->slot, smaller), cursor_text(c), left);
			st.in = smaller;
		}
	}
	CRASH_POINT("input-moved");
	session_commit(protocols->base, c->fd, &st);
}

void input_stall(struct protocols *protocols, int fd)
{
	if (session_mark(protocols->base, fd, MARK_STALLED))
		return;
	if (base_push(&protocols->stalled, &protocols->stalled_count, &protocols->stalled_room, fd) < 0) {
		session_abort(protocols->base, fd, COUNTER_no_buffer);
		return;
	}
	ev_timer_again(protocols->base->loop, &protocols->retry);
}

/* Whether answers that the client has not read hold up its input. */
static bool output_is_blocked(struct protocols *protocols, int fd)
{
	const struct session_state_shm *st = &session(protocols->base, fd)->state;

	return st->out_end - st->out_start > SESSION_OUT_MAX;
}

bool input_end_flood(struct protocols *protocols, struct cursor *c)
{
	publish_batch_publish(protocols->service, c);
	if (!c->stalled) {
		base_count(protocols->base, COUNTER_closed_flood, 1);
		session_end(protocols, c->fd, c->at + cursor_left(c), 429, FLOOD_MESSAGES);
		c->stop = true;
	}
	return false;
}

static void end_flood(struct protocols *protocols, int fd)
{
	base_count(protocols->base, COUNTER_closed_flood, 1);
	session_end(protocols, fd, session(protocols->base, fd)->state.parsed, 429, FLOOD_BYTES);
}

static void count_units(struct protocols *protocols, struct cursor *c)
{
	flood_messages(protocols->service, c->fd, c->units);
	c->units = 0;
}

/* Deals with all that is whole in the session's buffer. */
static void input_parse(struct protocols *protocols, int fd)
{
	const struct session_state_shm *st = &session(protocols->base, fd)->state;
	struct cursor c = {
		.fd = fd,
		.head = lend_header(&protocols->base->slot, st->in),
		.bytes = (const char *)lend_bytes(&protocols->base->slot, st->in),
		.at = st->parsed,
	};
	uint64_t begun = c.at;

	CRASH_ON_INPUT(cursor_text(&c), cursor_left(&c));
	while (cursor_left(&c) > 0 && !output_is_blocked(protocols, fd) && step_of[st->transport](protocols, &c))
		count_units(protocols, &c);
	count_units(protocols, &c);
	publish_batch_publish(protocols->service, &c);
	if (cursor_left(&c) > 0 && output_is_blocked(protocols, fd))
		session_mark(protocols->base, fd, MARK_OUTPUT_BLOCKED);
	keep_rest(protocols, &c, begun);
	if (c.stalled)
		input_stall(protocols, fd);
}

/* After sending: input that was held up by answers goes on, unless they still are in the way. */
static void unblock(struct protocols *protocols, int fd)
{
	if (session_has(protocols->base, fd, MARK_OUTPUT_BLOCKED) && !(session(protocols->base, fd)->state.flags & SESSION_BEHIND)) {
		session_unmark(protocols->base, fd, MARK_OUTPUT_BLOCKED);
		input_stall(protocols, fd);
	}
}

static void input_end(struct protocols *protocols, int fd);

/* All that the peer has sent is dealt with, and it sends no more. True: the session may be gone. */
static bool ended(struct protocols *protocols, int fd)
{
	if (!(session_has(protocols->base, fd, MARK_ENDED)) || session_has(protocols->base, fd, MARK_STALLED | MARK_OUTPUT_BLOCKED))
		return false;
	session_unmark(protocols->base, fd, MARK_ENDED);
	input_end(protocols, fd);
	return true;
}

/* The peer has sent its last byte. What is left is no whole frame. */
static void input_end(struct protocols *protocols, int fd)
{
	const struct session_state_shm *st = &session(protocols->base, fd)->state;

	if (session_has(protocols->base, fd, MARK_STALLED | MARK_OUTPUT_BLOCKED)) {
		session_mark(protocols->base, fd, MARK_ENDED);	/* it has asked for more, which it is answered first */
		session_watch(protocols->base, fd);
		return;
	}
	if (st->in != LENT_NONE && transport_has(st->transport, TRANSPORT_FRAMED))
		session_end(protocols, fd, st->parsed, 400, "the connection ended within a frame");
	output_flush(protocols->output, fd);
	/* (One that is not behind and has something left is broken.) */
	if (st->out != LENT_NONE && st->flags & SESSION_BEHIND && !(st->flags & SESSION_LINGER)) {
		struct session_state_shm last = *st;

		last.flags |= SESSION_CLOSE;
		session_commit(protocols->base, fd, &last);
		session_watch(protocols->base, fd);
	} else {
		session_over(protocols->base, fd);
	}
}

/* True when there is probably more: the buffer was filled, and all of it was dealt with or is part of a frame. */
static bool take_in(struct protocols *protocols, int fd)
{
	size_t n;
	enum received what = receive(protocols->base, fd, &n);

	if (what == RECEIVED_NO_MEMORY)
		protocols->base->no_memory(protocols->base->above, fd);
	else if (what == RECEIVED_END)
		input_end(protocols, fd);
	else if (what == RECEIVED_ERROR)
		session_over(protocols->base, fd);
	if (what != RECEIVED && what != RECEIVED_FULL)
		return false;
	if (flood_bytes(protocols->service, fd, n))
		end_flood(protocols, fd);
	else
		input_parse(protocols, fd);
	output_flush(protocols->output, fd);
	unblock(protocols, fd);
	session_watch(protocols->base, fd);
	return what == RECEIVED_FULL && protocols->base->io[fd].events & EV_READ && !session(protocols->base, fd)->state.flags;
}

void input_ready(struct protocols *protocols, int fd)
{
	base_on_input(protocols->base, fd);
	if (session(protocols->base, fd)->state.flags & (SESSION_LINGER | SESSION_CLOSE))
		receive_nothing(protocols->base, fd);
	else
		for (int i = 0; i < RECEIVES_A_TURN && take_in(protocols, fd); i++)
			;
	base_on(protocols->base, -1);
}

void input_resume(struct protocols *protocols, int fd)
{
	base_on_input(protocols->base, fd);
	/* We had it wait, and nobody read from it. */
	lend_header(&protocols->base->slot, session(protocols->base, fd)->state.in)->since = protocols->base->now;
	if (session(protocols->base, fd)->state.transport != TRANSPORT_HTTP)
		session(protocols->base, fd)->last_in = protocols->base->now;
	input_parse(protocols, fd);
	output_flush(protocols->output, fd);
	unblock(protocols, fd);
	if (!ended(protocols, fd))
		session_watch(protocols->base, fd);
	base_on(protocols->base, -1);
}

/* In turn, until one is put off again, or time is up. */
bool input_retry_stalled(struct protocols *protocols)
{
	uint64_t since = base_clock();
	uint32_t n = protocols->stalled_count, kept = 0, i;
	bool more;

	for (i = 0; i < n && publish_ready(&protocols->base->hub, false) && base_clock() - since < RETRY_US; i++) {
		int fd = protocols->stalled[i];
		bool heavy = session_has(protocols->base, fd, MARK_HEAVY);

		if (heavy && !publish_ready(&protocols->base->hub, true)) {
			if (!protocols->heavy_since)
				protocols->heavy_since = protocols->base->now_ms;
			if (protocols->base->now_ms - protocols->heavy_since < HEAVY_MS) {
				protocols->stalled[kept++] = fd;
				continue;
			}
			protocols->base->hub.patient = true;	/* small ones alone fill the ring: now one of these comes first */
		}
		if (heavy)
			protocols->heavy_since = 0;
		/* (If it has no mark, it was closed meanwhile.) */
		session_unmark(protocols->base, fd, MARK_HEAVY);
		if (session_unmark(protocols->base, fd, MARK_STALLED) && !session_has(protocols->base, fd, MARK_OVER) &&
		    session(protocols->base, fd)->state.in != LENT_NONE)
			input_resume(protocols, fd);
		protocols->base->hub.patient = false;
	}
	more = i < protocols->stalled_count && publish_ready(&protocols->base->hub, false);
	memmove(protocols->stalled + kept, protocols->stalled + i, (protocols->stalled_count - i) * sizeof(*protocols->stalled));
	protocols->stalled_count -= i - kept;
	return more;
}
