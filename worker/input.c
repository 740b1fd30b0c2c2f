/*
 * Input: received straight into a buffer lent to the session in shared memory, and given to the transport that the session speaks (flash.c,
 * http.c, websocket.c, packet.c). The crash rules are in input.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/flash.h"
#include "proto/http.h"
#include "proto/websocket.h"
#include "shm/crash.h"
#include "worker/input.h"

#define RECEIVE 65000			/* bytes of room lent for one recv() */
#define RECEIVE_MOST (256 * 1024)	/* received at a time, where there is more room */
#define ACTIONS_A_TURN 256		/* of one connection, but for publishing, before others get their turn */
#define HEAVY_MS 5000			/* for which small messages may go before large ones */
#define RETRY_US 10000			/* of a turn, for those whose publishing was put off */
#define RECEIVES_A_TURN 8		/* of one connection that sends faster than it is read */
#define ROOM_LEAST 4096			/* a buffer with less than this left is replaced by a larger one */

_Static_assert(sizeof(struct flash_scan) <= sizeof(((struct lent_shm *)0)->scan), "a parser's state has room");
_Static_assert(sizeof(struct http_scan) <= sizeof(((struct lent_shm *)0)->scan), "a parser's state has room");
_Static_assert(sizeof(struct websocket_scan) <= sizeof(((struct lent_shm *)0)->scan), "a parser's state has room");

bool cursor_yields(struct cursor *c)
{
	if (c->actions++ < ACTIONS_A_TURN)
		return false;
	cursor_stall(c);
	return true;
}

/* A stream over HTTP has nothing more to be told. */
static bool ignore_step(struct worker *w, struct cursor *c)
{
	(void)w;
	cursor_skip(c, cursor_left(c));
	return false;
}

static bool (*const step_of[TRANSPORTS])(struct worker *w, struct cursor *c) = {
	[TRANSPORT_FLASH] = flash_step,
	[TRANSPORT_PACKET] = packet_step,
	[TRANSPORT_HTTP] = http_step,
	[TRANSPORT_WEBSOCKET] = websocket_step,
	[TRANSPORT_WEBSOCKET_STREAM] = websocket_step,
	[TRANSPORT_SSE] = ignore_step,
	[TRANSPORT_SSE_10] = ignore_step,
	[TRANSPORT_COMET] = ignore_step,
	[TRANSPORT_COMET_10] = ignore_step,
	[TRANSPORT_PAGE] = ignore_step,
	[TRANSPORT_PAGE_10] = ignore_step,
};

/* The rest of an incomplete frame stays in a buffer no larger than it needs. Its time begins now if anything was dealt with, from `begun` on. */
static void keep_rest(struct worker *w, struct cursor *c, uint64_t begun)
{
	struct session_state_shm st = session(w, c->fd)->state;
	size_t left = cursor_left(c);

	if (c->at != begun) {
		c->head->since = w->now;
		if (st.transport == TRANSPORT_HTTP)
			session(w, c->fd)->last_in = w->now;
	}
	st.parsed = c->at;
	if (left == 0 || st.flags & SESSION_CLOSE) {
		st.in = LENT_NONE;
	} else if (left < c->head->len && left < lend_room(&w->slot, st.in) / 4) {
		uint32_t smaller = lend_take(&w->lend, left + left / 2);

		if (smaller != LENT_NONE) {
			struct lent_shm *head = lend_header(&w->slot, smaller);

			head->owner = (uint32_t)c->fd + 1;
			head->base = c->at;
			head->len = (uint32_t)left;
			head->since = c->head->since;
			memcpy(head->scan, c->head->scan, sizeof(head->scan));
			memcpy(lend_bytes(&w->slot, smaller), cursor_text(c), left);
			st.in = smaller;
		}
	}
	CRASH_POINT("input-moved");
	session_commit(w, c->fd, &st);
}

void input_stall(struct worker *w, int fd)
{
	if (session_mark(w, fd, MARK_STALLED))
		return;
	if (worker_push(&w->stalled, &w->stalled_count, &w->stalled_room, fd) < 0) {
		session_abort(w, fd, COUNTER_no_buffer);
		return;
	}
	ev_timer_again(w->loop, &w->retry);
}

/* Whether answers that the client has not read hold up its input. */
static bool choked(struct worker *w, int fd)
{
	const struct session_state_shm *st = &session(w, fd)->state;

	return st->out_end - st->out_start > SESSION_OUT_MAX;
}

/* What a connection has sent in this second; NULL: nobody counts. */
static struct flood *flood_of(struct worker *w, int fd)
{
	struct flood *f = w->flood ? &w->flood[fd] : NULL;

	if (f && f->second != w->now)
		*f = (struct flood){ .second = w->now };
	return f;
}

bool cursor_floods(struct worker *w, const struct cursor *c, unsigned messages)
{
	const struct flood *f = flood_of(w, c->fd);

	return f && w->settings->flood_messages && f->messages + (uint64_t)messages > (uint64_t)w->settings->flood_messages;
}

bool cursor_end_flood(struct worker *w, struct cursor *c)
{
	stage_publish(w, c);
	if (!c->stalled) {
		worker_count(w, COUNTER_closed_flood, 1);
		session_end(w, c->fd, c->at + cursor_left(c), 429, FLOOD_MESSAGES);
		c->stop = true;
	}
	return false;
}

/* Counts what was received. True: it is too much in this second. */
static bool floods(struct worker *w, int fd, size_t bytes)
{
	struct flood *f = flood_of(w, fd);

	if (!f)
		return false;
	f->bytes += bytes;
	return w->settings->flood_bytes && f->bytes > (uint64_t)w->settings->flood_bytes;
}

static void end_flood(struct worker *w, int fd)
{
	worker_count(w, COUNTER_closed_flood, 1);
	session_end(w, fd, session(w, fd)->state.parsed, 429, "too much at a time (flood_bytes)");
}

static void count_units(struct worker *w, struct cursor *c)
{
	struct flood *f = flood_of(w, c->fd);

	if (f)
		f->messages += c->units;
	c->units = 0;
}

/* Deals with all that is whole in the session's buffer. */
static void input_parse(struct worker *w, int fd)
{
	const struct session_state_shm *st = &session(w, fd)->state;
	struct cursor c = {
		.fd = fd,
		.head = lend_header(&w->slot, st->in),
		.bytes = (const char *)lend_bytes(&w->slot, st->in),
		.at = st->parsed,
	};
	uint64_t begun = c.at;

	CRASH_ON_INPUT(cursor_text(&c), cursor_left(&c));
	while (cursor_left(&c) > 0 && !choked(w, fd) && step_of[st->transport](w, &c))
		count_units(w, &c);
	count_units(w, &c);
	stage_publish(w, &c);
	if (cursor_left(&c) > 0 && choked(w, fd))
		session_mark(w, fd, MARK_CHOKED);
	keep_rest(w, &c, begun);
	if (c.stalled)
		input_stall(w, fd);
}

/* After sending: input that was held up by answers goes on, unless they still are in the way. */
static void unchoke(struct worker *w, int fd)
{
	if ((uintptr_t)w->io[fd].data & MARK_CHOKED && !(session(w, fd)->state.flags & SESSION_BEHIND)) {
		session_unmark(w, fd, MARK_CHOKED);
		input_stall(w, fd);
	}
}

static void input_end(struct worker *w, int fd);

/* All that the peer has sent is dealt with, and it sends no more. True: the session may be gone. */
static bool ended(struct worker *w, int fd)
{
	if (!((uintptr_t)w->io[fd].data & MARK_ENDED) || (uintptr_t)w->io[fd].data & (MARK_STALLED | MARK_CHOKED))
		return false;
	session_unmark(w, fd, MARK_ENDED);
	input_end(w, fd);
	return true;
}

/* A buffer with room for more input, or LENT_NONE. What is in it begins at `parsed` or before. */
static uint32_t input_buffer(struct worker *w, int fd)
{
	struct session_state_shm st = session(w, fd)->state;
	uint32_t ref, left = 0;
	struct lent_shm *head;
	size_t room = RECEIVE;

	if (st.in != LENT_NONE) {
		head = lend_header(&w->slot, st.in);
		if (lend_room(&w->slot, st.in) - head->len >= ROOM_LEAST)
			return st.in;
		left = (uint32_t)(head->base + head->len - st.parsed);
	}
	if (left > RECEIVE / 2)
		room = 2 * (size_t)left + RECEIVE < lend_room_max(&w->slot) ? 2 * (size_t)left + RECEIVE : lend_room_max(&w->slot);
	ref = buffers_take(w, fd, room);
	if (ref == LENT_NONE)
		return ref;
	head = lend_header(&w->slot, ref);
	head->base = st.parsed;
	if (left) {
		const struct lent_shm *old = lend_header(&w->slot, st.in);

		memcpy(lend_bytes(&w->slot, ref), lend_bytes(&w->slot, st.in) + (st.parsed - old->base), left);
		memcpy(head->scan, old->scan, sizeof(head->scan));
		head->len = left;
		head->since = old->since;
	}
	st.in = ref;
	session_commit(w, fd, &st);
	return ref;
}

static void drop_input(struct worker *w, int fd)
{
	struct session_state_shm st = session(w, fd)->state;

	st.in = LENT_NONE;
	session_commit(w, fd, &st);
}

/* Our side is shut: what still comes is thrown away. */
static void discard(struct worker *w, int fd)
{
	char rubbish[16384];
	ssize_t n = recv(fd, rubbish, sizeof(rubbish), MSG_DONTWAIT);

	if (n > 0)
		session(w, fd)->last_in = w->now;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		session_close(w, fd);
}

/* The peer has sent its last byte. What is left is no whole frame. */
static void input_end(struct worker *w, int fd)
{
	const struct session_state_shm *st = &session(w, fd)->state;

	if ((uintptr_t)w->io[fd].data & (MARK_STALLED | MARK_CHOKED)) {
		session_mark(w, fd, MARK_ENDED);	/* it has asked for more, which it is answered first */
		session_watch(w, fd);
		return;
	}
	if (st->in != LENT_NONE && (st->transport == TRANSPORT_FLASH || st->transport == TRANSPORT_PACKET))
		session_end(w, fd, st->parsed, 400, "the connection ended within a frame");
	session_flush(w, fd);
	/* (One that is not behind and has something left is broken.) */
	if (st->out != LENT_NONE && st->flags & SESSION_BEHIND && !(st->flags & SESSION_LINGER)) {
		struct session_state_shm last = *st;

		last.flags |= SESSION_CLOSE;
		session_commit(w, fd, &last);
		session_watch(w, fd);
	} else {
		session_close(w, fd);
	}
}

/* Nothing to receive, the end, or an error. */
static void received_nothing(struct worker *w, int fd, const struct lent_shm *head, ssize_t n)
{
	int error = errno;

	if (head->base + head->len == session(w, fd)->state.parsed)
		drop_input(w, fd);
	if (n == 0)
		input_end(w, fd);
	else if (error != EAGAIN && error != EINTR)
		session_close(w, fd);
}

/* When something was last received; and when the frame began, or the request, that is not whole yet. */
static void note_time(struct worker *w, int fd, struct lent_shm *head)
{
	const struct session_state_shm *st = &session(w, fd)->state;

	if (head->base + head->len == st->parsed)
		head->since = w->now;
	if (st->transport != TRANSPORT_HTTP || head->base + head->len == st->parsed)
		session(w, fd)->last_in = w->now;
}

/*
 * From a Unix socket, which does not tell what was taken from it: what is there is peeked at, then it is written down that it is going to be
 * taken, and only then it is. A successor asks how much of it was (count_input()).
 */
static ssize_t receive_local(struct worker *w, int fd, const struct lent_shm *head, uint8_t *dst, size_t room)
{
	ssize_t n = recv(fd, dst, room, MSG_PEEK | MSG_DONTWAIT), taken = 0, more = 1;

	if (n <= 0)
		return n;
	CRASH_POINT("input-peeked");
	/* release: after the bytes, before they are taken */
	atomic_store_explicit(&w->slot.shm->receiving, RECEIVING(fd, head->len + (uint32_t)n), memory_order_release);
	CRASH_POINT("input-receiving");
	while (taken < n && (more = recv(fd, dst + taken, (size_t)(n - taken), MSG_DONTWAIT)) > 0)
		taken += more;
	if (taken < n)
		kernel_peek_anew(fd);	/* can't be: nobody else reads from it */
	if (!taken)
		atomic_store_explicit(&w->slot.shm->receiving, 0, memory_order_relaxed);
	return taken ? taken : more;
}

/* True when there is probably more: the buffer was filled, and all of it was dealt with or is part of a frame. */
static bool receive(struct worker *w, int fd)
{
	uint32_t ref = input_buffer(w, fd);
	struct lent_shm *head;
	size_t room;
	ssize_t n;

	if (ref == LENT_NONE) {
		buffers_disconnect(w, fd);
		return false;
	}
	head = lend_header(&w->slot, ref);
	room = lend_room(&w->slot, ref) - head->len;
	if (room > RECEIVE_MOST)
		room = RECEIVE_MOST;
	if (!buffers_grow(w, fd, ref, head->len + room)) {
		buffers_disconnect(w, fd);
		return false;
	}
	if ((uintptr_t)w->io[fd].data & MARK_LOCAL)
		n = receive_local(w, fd, head, lend_bytes(&w->slot, ref) + head->len, room);
	else
		n = recv(fd, lend_bytes(&w->slot, ref) + head->len, room, MSG_DONTWAIT);
	if (n <= 0) {
		lend_settle(&w->lend, ref, head->len);
		received_nothing(w, fd, head, n);
		return false;
	}
	CRASH_POINT("input-received");
	note_time(w, fd, head);
	head->len += (uint32_t)n;
	lend_settle(&w->lend, ref, head->len);
	CRASH_POINT("input-counted");
	/* release: `len` is right when this says nothing */
	atomic_store_explicit(&w->slot.shm->receiving, 0, memory_order_release);
	worker_count(w, COUNTER_bytes_in, (uint64_t)n);
	if (floods(w, fd, (size_t)n))
		end_flood(w, fd);
	else
		input_parse(w, fd);
	session_flush(w, fd);
	unchoke(w, fd);
	session_watch(w, fd);
	return (size_t)n == room && (w->io[fd].events & EV_READ) && !session(w, fd)->state.flags;
}

void input_ready(struct worker *w, int fd)
{
	worker_on_input(w, fd);
	if (session(w, fd)->state.flags & (SESSION_LINGER | SESSION_CLOSE))
		discard(w, fd);
	else
		for (int i = 0; i < RECEIVES_A_TURN && receive(w, fd); i++)
			;
	worker_on(w, -1);
}

void input_resume(struct worker *w, int fd)
{
	worker_on_input(w, fd);
	/* We had it wait, and nobody read from it. */
	lend_header(&w->slot, session(w, fd)->state.in)->since = w->now;
	if (session(w, fd)->state.transport != TRANSPORT_HTTP)
		session(w, fd)->last_in = w->now;
	input_parse(w, fd);
	session_flush(w, fd);
	unchoke(w, fd);
	if (!ended(w, fd))
		session_watch(w, fd);
	worker_on(w, -1);
}

/* In turn, until one is put off again, or time is up. */
bool input_retry_stalled(struct worker *w)
{
	uint64_t since = worker_clock();
	uint32_t n = w->stalled_count, kept = 0, i;
	bool more;

	for (i = 0; i < n && publish_ready(&w->hub, false) && worker_clock() - since < RETRY_US; i++) {
		int fd = w->stalled[i];
		bool heavy = (uintptr_t)w->io[fd].data & MARK_HEAVY;

		if (heavy && !publish_ready(&w->hub, true)) {
			if (!w->heavy_since)
				w->heavy_since = w->now_ms;
			if (w->now_ms - w->heavy_since < HEAVY_MS) {
				w->stalled[kept++] = fd;
				continue;
			}
			w->hub.patient = true;	/* small ones alone fill the ring: now one of these comes first */
		}
		if (heavy)
			w->heavy_since = 0;
		/* (If it has no mark, it was closed meanwhile.) */
		session_unmark(w, fd, MARK_HEAVY);
		if (session_unmark(w, fd, MARK_STALLED) && session(w, fd)->state.in != LENT_NONE)
			input_resume(w, fd);
		w->hub.patient = false;
	}
	more = i < w->stalled_count && publish_ready(&w->hub, false);
	memmove(w->stalled + kept, w->stalled + i, (w->stalled_count - i) * sizeof(*w->stalled));
	w->stalled_count -= i - kept;
	return more;
}
