/*
 * Sessions. See session.h.
 */
#include "worker/session/session.h"

#include <string.h>
#include <sys/socket.h>

#include "shm/crash.h"

struct session_shm *session(const struct base *base, int fd)
{
	return slot_session(&base->slot, fd);
}

static int wanted_events(const struct base *base, int fd)
{
	const struct session_state_shm *st = &session(base, fd)->state;
	int events = 0;

	if (session_has(base, fd, MARK_OVER))
		return 0;
	if (st->flags & SESSION_LINGER)
		return EV_READ;
	if (st->flags & SESSION_BEHIND)
		events |= EV_WRITE;
	if (!(st->flags & SESSION_CLOSE) && !session_has(base, fd, MARK_STALLED | MARK_ENDED) && st->out_end - st->out_start <= SESSION_OUT_MAX)
		events |= EV_READ;
	return events;
}

void session_watch(struct base *base, int fd)
{
	struct ev_io *io = &base->io[fd];
	int events = wanted_events(base, fd);

	if (ev_is_active(io)) {
		if ((io->events & (EV_READ | EV_WRITE)) == events)
			return;
		ev_io_stop(base->loop, io);
	}
	ev_io_set(io, fd, events);
	if (events)
		ev_io_start(base->loop, io);
}

static void count_behind(struct base *base, bool more)
{
	if (!more) {
		atomic_fetch_sub_explicit(&base->self->behind, 1, memory_order_relaxed);
		return;
	}
	atomic_fetch_add_explicit(&base->self->behind, 1, memory_order_relaxed);
	base_count(base, COUNTER_behind, 1);
}

void session_commit(struct base *base, int fd, const struct session_state_shm *st)
{
	const struct session_state_shm was = session(base, fd)->state;

	if ((was.flags | st->flags) & SESSION_CUT)
		base->cut_moved(base->above, fd, &was, st);
	slot_commit(&base->slot, fd, st);
	if (was.in != st->in)
		lend_give(&base->lend, was.in);
	if (was.out != st->out)
		lend_give(&base->lend, was.out);
	if ((was.flags ^ st->flags) & SESSION_BEHIND)
		count_behind(base, st->flags & SESSION_BEHIND);
	if (was.transport != st->transport) {
		session_count(base, was.transport, -1);
		session_count(base, st->transport, 1);
	}
}

void session_count(struct base *base, uint32_t transport, int n)
{
	atomic_fetch_add_explicit(&base->self->by_transport[transport_group(transport)], (uint32_t)n, memory_order_relaxed);
}

void session_over(struct base *base, int fd)
{
	if (session_mark(base, fd, MARK_OVER))
		return;
	base->over[base->over_count++] = fd;		/* the list has room for all sessions */
	session_watch(base, fd);
}

void session_abort(struct base *base, int fd, enum counter why)
{
	base_count(base, why, 1);
	/* If the worker dies before the loop closes the session, its successor finds the connection broken. */
	shutdown(fd, SHUT_RDWR);
	session_over(base, fd);
}

int session_next_over(struct base *base)
{
	return base->over_count > 0 ? base->over[--base->over_count] : -1;
}

void session_forfeit(struct base *base, int fd)
{
	struct session_state_shm st = session(base, fd)->state;

	st.flags = SESSION_CLOSE | SESSION_LINGER;
	st.in = st.out = LENT_NONE;
	st.out_start = st.out_end = st.cut = 0;
	st.last_out = base->now;
	session_commit(base, fd, &st);
}

uint32_t session_buffer(struct base *base, int fd, size_t bytes)
{
	uint32_t ref = lend_take(&base->lend, bytes);

	if (ref == LENT_NONE && bytes <= lend_room_max(&base->slot) && base->make_room(base->above, fd, bytes + LEND_MORE))
		ref = lend_take(&base->lend, bytes);
	if (ref != LENT_NONE)
		lend_header(&base->slot, ref)->owner = (uint32_t)(fd + 1);
	return ref;
}

bool session_buffer_grow(struct base *base, int fd, uint32_t ref, size_t bytes)
{
	return lend_grow(&base->lend, ref, bytes) == 0 || (base->make_room(base->above, fd, bytes) && lend_grow(&base->lend, ref, bytes) == 0);
}

int session_append(struct base *base, int fd, struct session_state_shm *st, const void *bytes, size_t len)
{
	uint32_t left = st->out_end - st->out_start;

	if (st->out == LENT_NONE || lend_room(&base->slot, st->out) - st->out_end < len) {
		uint32_t bigger = session_buffer(base, fd, left + len);

		if (bigger == LENT_NONE)
			return -1;
		if (left)
			memcpy(lend_bytes(&base->slot, bigger), lend_bytes(&base->slot, st->out) + st->out_start, left);
		if (st->out != session(base, fd)->state.out)
			lend_give(&base->lend, st->out);	/* no committed state names it */
		st->out = bigger;
		st->out_start = 0;
		st->out_end = left;
	} else if (!session_buffer_grow(base, fd, st->out, st->out_end + len)) {
		return -1;
	}
	memcpy(lend_bytes(&base->slot, st->out) + st->out_end, bytes, len);
	st->out_end += (uint32_t)len;
	return 0;
}

bool session_answer(struct base *base, int fd, uint64_t parsed, const void *bytes, size_t len)
{
	struct session_state_shm st = session(base, fd)->state;

	if (session_append(base, fd, &st, bytes, len) < 0) {
		session_abort(base, fd, COUNTER_no_buffer);
		return false;
	}
	st.parsed = parsed;
	session_commit(base, fd, &st);
	return true;
}

/* Clients of streams are to connect again after the setting's time, more or less, lest all come in the same moment: by the token, so that a
 * successor that deals with a request again says the same. */
static uint32_t retry_of(const struct base *base, const uint8_t *token)
{
	uint32_t retry = (uint32_t)base->settings->retry, random;

	memcpy(&random, token, sizeof(random));
	return retry / 2 + random % (retry + 1);
}

struct transport_hello session_hello(const struct base *base, int fd)
{
	const uint8_t *token = session(base, fd)->token;

	return (struct transport_hello){
		.now = hub_now(), .token = token, .retry = retry_of(base, token), .broadcast = base->settings->broadcast,
	};
}
