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

#include "proto/flash.h"
#include "shm/crash.h"
#include "worker/worker.h"

#define OUT_MAX 16384		/* bytes of answers waiting before a session's input waits too */

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
	if (!(st->flags & SESSION_CLOSE) && !((uintptr_t)w->io[fd].data & MARK_STALLED) && st->out_end - st->out_start <= OUT_MAX)
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

void session_commit(struct worker *w, int fd, const struct session_state_shm *st)
{
	uint32_t in = session(w, fd)->state.in, out = session(w, fd)->state.out;

	slot_commit(&w->slot, fd, st);
	if (in != st->in)
		lend_give(&w->lend, in);
	if (out != st->out)
		lend_give(&w->lend, out);
}

static void session_leave_topics(struct worker *w, uint32_t subscription)
{
	while (subscription) {
		const struct subscription_shm *s = &w->slot.subscriptions[subscription];
		uint32_t next = atomic_load_explicit(&s->next, memory_order_relaxed);

		topics_remove(w, s->topic, s->place);
		topics_give_subscription(w, subscription);
		atomic_fetch_sub_explicit(&w->self->subscriptions, 1, memory_order_relaxed);
		subscription = next;
	}
}

void session_close(struct worker *w, int fd)
{
	struct session_shm *s = session(w, fd);

	/* release: a successor sees the session whole or not at all */
	atomic_store_explicit(&s->status, SESSION_FREE, memory_order_release);
	CRASH_POINT("close-freed");
	if (s->state.flags & SESSION_BEHIND)
		atomic_fetch_sub_explicit(&w->self->behind, 1, memory_order_relaxed);
	lend_give(&w->lend, s->state.in);
	lend_give(&w->lend, s->state.out);
	session_leave_topics(w, atomic_load_explicit(&s->subscriptions, memory_order_relaxed));
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
		uint32_t bigger = lend_take(&w->lend, left + len);

		if (bigger == LENT_NONE)
			return -1;
		if (left)
			memcpy(lend_bytes(&w->slot, bigger), lend_bytes(&w->slot, st->out) + st->out_start, left);
		if (st->out != session(w, fd)->state.out)
			lend_give(&w->lend, st->out);	/* taken since the last commit */
		st->out = bigger;
		st->out_start = 0;
		st->out_end = left;
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

void session_error(struct worker *w, int fd, uint64_t parsed, const char *text, bool end)
{
	struct session_state_shm st = session(w, fd)->state;
	char frame[FLASH_ERROR_MAX];

	if (session_append(w, fd, &st, frame, flash_error(frame, hub_now(), text)) < 0) {
		session_abort(w, fd, COUNTER_no_buffer);
		return;
	}
	st.parsed = parsed;
	if (end) {
		st.flags |= SESSION_CLOSE;
		worker_count(w, COUNTER_bad_input, 1);
	}
	session_commit(w, fd, &st);
}

/* The out buffer is empty and nothing more will come: shuts our side, so that the peer can read all before the end. */
static void session_shut(struct worker *w, int fd)
{
	struct session_state_shm st = session(w, fd)->state;

	if (st.flags & SESSION_BEHIND)
		atomic_fetch_sub_explicit(&w->self->behind, 1, memory_order_relaxed);
	st.flags = SESSION_CLOSE | SESSION_LINGER;
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
	r = rescue_send(w, fd, st);
	if (r > 0)
		r = send_out(w, fd, st);
	if (r > 0 && st->flags & SESSION_CLOSE)
		session_shut(w, fd);
	return r;
}

void session_flush(struct worker *w, int fd)
{
	struct session_state_shm st = session(w, fd)->state;
	int r;

	if (st.flags & SESSION_BEHIND)
		return;
	r = session_send_out(w, fd, &st);
	if (r == 0)
		catchup_defer(w, fd);
	else if (r < 0 && st.flags & SESSION_CLOSE)
		session_shut(w, fd);	/* broken, and nobody reads from it: it is watched again, and found so */
}
