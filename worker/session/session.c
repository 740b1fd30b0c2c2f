/*
 * Sessions: their watchers, what they are answered, and their end.
 *
 * The end, in an order that a successor can tell apart at each point: out of the session table first (one store), then out of the
 * topics, then the descriptor. A descriptor without a session is closed by recover(), unless nothing was ever sent or received on it.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shm/crash.h"
#include "worker/protocol/http.h"
#include "worker/service/subscribe.h"

struct session_shm *session(const struct worker *w, int fd)
{
	return slot_session(&w->slot, fd);
}

static int wanted_events(const struct worker *w, int fd)
{
	const struct session_state_shm *st = &session(w, fd)->state;
	int events = 0;

	if (st->flags & SESSION_LINGER)
		return EV_READ;
	if (st->flags & SESSION_BEHIND)
		events |= EV_WRITE;
	if (!(st->flags & SESSION_CLOSE) && !((uintptr_t)w->io[fd].data & (MARK_STALLED | MARK_ENDED)) && st->out_end - st->out_start <= SESSION_OUT_MAX)
		events |= EV_READ;
	return events;
}

void session_watch(struct worker *w, int fd)
{
	struct ev_io *io = &w->io[fd];
	int events = wanted_events(w, fd);

	if (ev_is_active(io)) {
		if ((io->events & (EV_READ | EV_WRITE)) == events)
			return;
		ev_io_stop(w->loop, io);
	}
	ev_io_set(io, fd, events);
	if (events)
		ev_io_start(w->loop, io);
}

static void count_behind(struct worker *w, bool more)
{
	if (!more) {
		atomic_fetch_sub_explicit(&w->self->behind, 1, memory_order_relaxed);
		return;
	}
	atomic_fetch_add_explicit(&w->self->behind, 1, memory_order_relaxed);
	worker_count(w, COUNTER_behind, 1);
}

void session_commit(struct worker *w, int fd, const struct session_state_shm *st)
{
	const struct session_state_shm was = session(w, fd)->state;

	if ((was.flags | st->flags) & SESSION_CUT)
		partial_moved(w, fd, &was, st);
	slot_commit(&w->slot, fd, st);
	if (was.in != st->in)
		lend_give(&w->lend, was.in);
	if (was.out != st->out)
		lend_give(&w->lend, was.out);
	if ((was.flags ^ st->flags) & SESSION_BEHIND)
		count_behind(w, st->flags & SESSION_BEHIND);
	if (was.transport != st->transport) {
		session_count(w, was.transport, -1);
		session_count(w, st->transport, 1);
	}
}

void session_count(struct worker *w, uint32_t transport, int n)
{
	atomic_fetch_add_explicit(&w->self->by_transport[transport_group(transport)], (uint32_t)n, memory_order_relaxed);
}

void session_close(struct worker *w, int fd)
{
	struct session_shm *s = session(w, fd);

	/* release: a successor sees the session whole or not at all */
	atomic_store_explicit(&s->status, SESSION_FREE, memory_order_release);
	CRASH_POINT("close-freed");
	if (s->state.flags & SESSION_BEHIND)
		count_behind(w, false);
	if (s->state.flags & SESSION_CUT)
		partial_leave(w, fd, &s->state);
	lend_give(&w->lend, s->state.in);
	lend_give(&w->lend, s->state.out);
	action_leave_all(w, fd, s->state.transport);
	session_count(w, s->state.transport, -1);
	ev_io_stop(w->loop, &w->io[fd]);
	w->io[fd].data = NULL;
	CRASH_POINT("close-left");
	close(fd);
	CRASH_POINT("close-closed");
	worker_count(w, COUNTER_closed, 1);
	atomic_fetch_sub_explicit(&w->self->connections, 1, memory_order_relaxed);
}

void session_abort(struct worker *w, int fd, enum counter why)
{
	worker_count(w, why, 1);
	shutdown(fd, SHUT_RDWR);
}

int session_append(struct worker *w, int fd, struct session_state_shm *st, const void *bytes, size_t len)
{
	uint32_t left = st->out_end - st->out_start;

	if (st->out == LENT_NONE || lend_room(&w->slot, st->out) - st->out_end < len) {
		uint32_t bigger = buffers_take(w, fd, left + len);

		if (bigger == LENT_NONE)
			return -1;
		if (left)
			memcpy(lend_bytes(&w->slot, bigger), lend_bytes(&w->slot, st->out) + st->out_start, left);
		if (st->out != session(w, fd)->state.out)
			lend_give(&w->lend, st->out);	/* taken since the last commit */
		st->out = bigger;
		st->out_start = 0;
		st->out_end = left;
	} else if (!buffers_grow(w, fd, st->out, st->out_end + len)) {
		return -1;
	}
	memcpy(lend_bytes(&w->slot, st->out) + st->out_end, bytes, len);
	st->out_end += (uint32_t)len;
	return 0;
}

bool session_answer(struct worker *w, int fd, uint64_t parsed, const void *bytes, size_t len)
{
	struct session_state_shm st = session(w, fd)->state;

	if (session_append(w, fd, &st, bytes, len) < 0) {
		session_abort(w, fd, COUNTER_no_buffer);
		return false;
	}
	st.parsed = parsed;
	session_commit(w, fd, &st);
	return true;
}

/* To the request that the session's input begins with. */
static size_t answer_last(struct worker *w, const struct session_state_shm *st, unsigned status, const char *text, char *dst)
{
	const struct lent_shm *head = st->in != LENT_NONE ? lend_header(&w->slot, st->in) : NULL;
	const char *input = head ? (const char *)lend_bytes(&w->slot, st->in) + (st->parsed - head->base) : "";

	return http_last_words(w, input, head ? (size_t)(head->base + head->len - st->parsed) : 0, status, text, dst);
}

static void put_error(struct worker *w, int fd, uint64_t parsed, unsigned status, const char *text, uint32_t flags)
{
	struct session_state_shm st = session(w, fd)->state;
	char bytes[SPEAK_MAX];
	size_t len = st.transport == TRANSPORT_HTTP ? answer_last(w, &st, status, text, bytes) : speak_error(st.transport, hub_now(), status, text, bytes);

	if (len && session_append(w, fd, &st, bytes, len) < 0) {
		session_abort(w, fd, COUNTER_no_buffer);
		return;
	}
	st.parsed = parsed;
	st.flags |= flags;
	session_commit(w, fd, &st);
}

void session_error(struct worker *w, int fd, uint64_t parsed, const char *text, bool end)
{
	put_error(w, fd, parsed, 400, text, end ? SESSION_CLOSE : 0);
	if (end)
		worker_count(w, COUNTER_bad_input, 1);
}

void session_end(struct worker *w, int fd, uint64_t parsed, unsigned status, const char *text)
{
	put_error(w, fd, parsed, status, text, SESSION_CLOSE);
	if (status == 400)
		worker_count(w, COUNTER_bad_input, 1);
}

void session_goodbye(struct worker *w, int fd)
{
	struct session_state_shm st = session(w, fd)->state;
	char bytes[SPEAK_MAX];
	size_t len = speak_goodbye(st.transport, bytes);

	if (len && !st.flags && session_append(w, fd, &st, bytes, len) == 0) {
		session_commit(w, fd, &st);
		session_flush(w, fd);
	}
}

/* The out buffer is empty and nothing more will come: shuts our side, so that the peer can read all before the end. */
static void session_shut(struct worker *w, int fd)
{
	struct session_state_shm st = session(w, fd)->state;

	action_leave_all(w, fd, st.transport);		/* it is nobody's subscriber any more */
	st.flags = SESSION_CLOSE | SESSION_LINGER;
	st.cut = 0;
	st.in = LENT_NONE;
	st.last_out = w->now;
	session_commit(w, fd, &st);
	CRASH_POINT("shut-marked");
	shutdown(fd, SHUT_WR);
	session_watch(w, fd);
}

/* 1 all sent, 0 it would block, -1 the connection is broken. */
static int send_out(struct worker *w, int fd, struct session_state_shm *st)
{
	while (st->out_start < st->out_end) {
		long n = batch_send(w, fd, lend_bytes(&w->slot, st->out) + st->out_start, st->out_end - st->out_start);

		if (n > 0) {
			st->sent += (uint64_t)n;
			st->out_start += (uint32_t)n;
			st->last_out = w->now;
			if (st->out_start == st->out_end) {
				st->out = LENT_NONE;
				st->out_start = st->out_end = 0;
			}
			session_commit(w, fd, st);
		}
		batch_landed(w);
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
	}
	return 1;
}

int session_send_out(struct worker *w, int fd, struct session_state_shm *st)
{
	int r;

	if (st->flags & SESSION_LINGER)
		return 1;
	r = partial_send(w, fd, st);
	if (r > 0)
		r = send_out(w, fd, st);
	if (r > 0 && st->flags & SESSION_CLOSE)
		session_shut(w, fd);
	return r;
}

/* Whether nobody reads from it until its answers are sent. */
static bool is_unread(const struct worker *w, int fd, const struct session_state_shm *st)
{
	return (uintptr_t)w->io[fd].data & (MARK_CHOKED | MARK_ENDED) || st->out_end - st->out_start > SESSION_OUT_MAX;
}

void session_flush(struct worker *w, int fd)
{
	struct session_state_shm st = session(w, fd)->state;
	int r;

	if (st.flags & SESSION_BEHIND)
		return;
	r = session_send_out(w, fd, &st);
	if (r < 0 && st.flags & SESSION_CLOSE)
		session_shut(w, fd);	/* broken, and nobody reads from it: it is watched again, and found so */
	else if (r == 0 || (r < 0 && is_unread(w, fd, &st)))
		catchup_defer(w, fd);	/* (What is broken is writable. One that is read from is found broken there, behind its last input.) */
}
