/*
 * Sessions. See session.h.
 */
#include "worker/session/session.h"

#include <string.h>
#include <sys/socket.h>

#include "shm/crash.h"

struct session_shm *session(const struct worker *w, int fd)
{
	return slot_session(&w->slot, fd);
}

static int wanted_events(const struct worker *w, int fd)
{
	const struct session_state_shm *st = &session(w, fd)->state;
	int events = 0;

	if (session_has(w, fd, MARK_OVER))
		return 0;
	if (st->flags & SESSION_LINGER)
		return EV_READ;
	if (st->flags & SESSION_BEHIND)
		events |= EV_WRITE;
	if (!(st->flags & SESSION_CLOSE) && !session_has(w, fd, MARK_STALLED | MARK_ENDED) && st->out_end - st->out_start <= SESSION_OUT_MAX)
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
		w->cut_moved(w, fd, &was, st);
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

void session_over(struct worker *w, int fd)
{
	if (session_mark(w, fd, MARK_OVER))
		return;
	w->over[w->over_count++] = fd;		/* (room for all) */
	session_watch(w, fd);
}

void session_abort(struct worker *w, int fd, enum counter why)
{
	worker_count(w, why, 1);
	shutdown(fd, SHUT_RDWR);	/* a successor finds it broken, if the loop does not come to closing it */
	session_over(w, fd);
}

int session_next_over(struct worker *w)
{
	return w->over_count > 0 ? w->over[--w->over_count] : -1;
}

void session_forfeit(struct worker *w, int fd)
{
	struct session_state_shm st = session(w, fd)->state;

	st.flags = SESSION_CLOSE | SESSION_LINGER;
	st.in = st.out = LENT_NONE;
	st.out_start = st.out_end = st.cut = 0;
	st.last_out = w->now;
	session_commit(w, fd, &st);
}

uint32_t session_buffer(struct worker *w, int fd, size_t bytes)
{
	uint32_t ref = lend_take(&w->lend, bytes);

	if (ref == LENT_NONE && bytes <= lend_room_max(&w->slot) && w->make_room(w, fd, bytes + LEND_MORE))
		ref = lend_take(&w->lend, bytes);
	if (ref != LENT_NONE)
		lend_header(&w->slot, ref)->owner = (uint32_t)(fd + 1);
	return ref;
}

bool session_buffer_grow(struct worker *w, int fd, uint32_t ref, size_t bytes)
{
	return lend_grow(&w->lend, ref, bytes) == 0 || (w->make_room(w, fd, bytes) && lend_grow(&w->lend, ref, bytes) == 0);
}

int session_append(struct worker *w, int fd, struct session_state_shm *st, const void *bytes, size_t len)
{
	uint32_t left = st->out_end - st->out_start;

	if (st->out == LENT_NONE || lend_room(&w->slot, st->out) - st->out_end < len) {
		uint32_t bigger = session_buffer(w, fd, left + len);

		if (bigger == LENT_NONE)
			return -1;
		if (left)
			memcpy(lend_bytes(&w->slot, bigger), lend_bytes(&w->slot, st->out) + st->out_start, left);
		if (st->out != session(w, fd)->state.out)
			lend_give(&w->lend, st->out);	/* taken since the last commit */
		st->out = bigger;
		st->out_start = 0;
		st->out_end = left;
	} else if (!session_buffer_grow(w, fd, st->out, st->out_end + len)) {
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
