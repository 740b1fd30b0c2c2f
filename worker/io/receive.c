/*
 * Receiving. See receive.h.
 */
#include "worker/io/receive.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "shm/crash.h"
#include "worker/io/tcp_counts.h"
#include "worker/io/tls_in.h"

#define RECEIVE 65000			/* bytes of room taken for one recv() */
#define RECEIVE_MOST (256 * 1024)	/* the most bytes of one recv(), even if there is more room */
#define ROOM_LEAST 4096			/* a buffer with less than this left is replaced by a larger one */

/*
 * The session's input buffer, with room for `least` bytes more. What is in it begins at `parsed` or before. If its room was too small, the input is moved into a
 * larger one. BUFFER_NONE: there is no buffer.
 */
static uint32_t receive_buffer(struct base *base, session_id sid, size_t least)
{
	struct session_state_shm st = session(base, sid)->state;
	uint32_t ref, left = 0;
	struct buffer_shm *head;
	size_t room = RECEIVE;

	if (st.in != BUFFER_NONE) {
		head = pool_header(&base->slot, st.in);
		if (pool_room(&base->slot, st.in) - head->len >= least)
			return st.in;
		left = (uint32_t)(head->base + head->len - st.parsed);
	}
	if (left > RECEIVE / 2)
		room = 2 * (size_t)left + RECEIVE < pool_room_max(&base->slot) ? 2 * (size_t)left + RECEIVE : pool_room_max(&base->slot);
	ref = session_buffer(base, sid, room);
	if (ref == BUFFER_NONE)
		return ref;
	head = pool_header(&base->slot, ref);
	head->base = st.parsed;
	if (left) {
		const struct buffer_shm *old = pool_header(&base->slot, st.in);

		memcpy(pool_bytes(&base->slot, ref), pool_bytes(&base->slot, st.in) + (st.parsed - old->base), left);
		memcpy(head->scan, old->scan, sizeof(head->scan));
		head->len = left;
		head->since = old->since;
	}
	st.in = ref;
	session_commit(base, sid, &st);
	return ref;
}

static void drop_input(struct base *base, session_id sid)
{
	struct session_state_shm st = session(base, sid)->state;

	st.in = BUFFER_NONE;
	session_commit(base, sid, &st);
}

/*
 * Notes when something was received (`last_in`), and when the frame or request that is not whole yet began (`since`). Of HTTP, `last_in` is when
 * the request began, so that a request that arrives in drops is late all the same.
 */
static void note_time(struct base *base, session_id sid, struct buffer_shm *head)
{
	const struct session_state_shm *st = &session(base, sid)->state;

	if (head->base + head->len == st->parsed)
		head->since = base->now;
	if (st->transport != TRANSPORT_HTTP || head->base + head->len == st->parsed)
		session(base, sid)->last_in = base->now;
}

/*
 * Receives from a Unix socket, which does not count what was taken from it. So the bytes are peeked at, then noted in the slot segment as being
 * received, and only then taken. After a death, count_input() in recover.c asks the socket how many of them were not taken.
 */
static ssize_t receive_local(struct base *base, session_id sid, const struct buffer_shm *head, uint8_t *dst, size_t room)
{
	ssize_t n = recv(session_fd(base, sid), dst, room, MSG_PEEK | MSG_DONTWAIT), taken = 0, more = 1;

	if (n <= 0)
		return n;
	CRASH_POINT("input-peeked");
	/* release: the bytes are in the buffer before they are noted, and are taken after that */
	atomic_store_explicit(&base->slot.shm->receiving, RECEIVING(sid, head->len + (uint32_t)n), memory_order_release);
	CRASH_POINT("input-receiving");
	while (taken < n && (more = recv(session_fd(base, sid), dst + taken, (size_t)(n - taken), MSG_DONTWAIT)) > 0)
		taken += more;
	if (taken < n)
		socket_peek_anew(session_fd(base, sid));	/* can't happen: nobody else reads from the socket */
	if (!taken)
		atomic_store_explicit(&base->slot.shm->receiving, 0, memory_order_relaxed);
	return taken ? taken : more;
}

/* What TLS opens. A buffer is taken only when there is a whole record. */
static enum received receive_tls(struct base *base, session_id sid, struct intake *intake)
{
	enum received what;
	struct buffer_shm *head;
	struct tls_in in = { 0 };
	size_t room;
	uint32_t ref;

	what = tls_in_look(base, sid, &in);
	intake->wire = in.taken;
	if (what != RECEIVED)
		return what;
	ref = receive_buffer(base, sid, TLS_RECORD_MAX);
	if (ref == BUFFER_NONE)
		return RECEIVED_NO_MEMORY;
	head = pool_header(&base->slot, ref);
	room = pool_room(&base->slot, ref) - head->len;
	if (room > in.whole)
		room = in.whole;
	else if (room < TLS_RECORD_MAX)
		return RECEIVED_NOTHING;	/* what is there waits for something, and nothing of it is taken */
	if (!session_buffer_grow(base, sid, ref, head->len + room))
		return RECEIVED_NO_MEMORY;
	what = tls_in_open(base, sid, &in, pool_bytes(&base->slot, ref) + head->len, room, &intake->bytes);
	intake->wire = in.taken;
	intake->bare = in.bare;
	if (intake->bytes > 0)
		note_time(base, sid, head);
	head->len += (uint32_t)intake->bytes;
	pool_shrink(&base->pool, ref, head->len);
	CRASH_POINT("tls-input-counted");
	tls_in_take(base, sid, &in);
	if (head->base + head->len == session(base, sid)->state.parsed)
		drop_input(base, sid);
	return what == RECEIVED && in.opened < in.whole ? RECEIVED_FULL : what;
}

enum received receive(struct base *base, session_id sid, struct intake *in)
{
	struct buffer_shm *head;
	uint32_t ref;
	size_t room;
	ssize_t n;

	*in = (struct intake){ 0 };
	if (session_is_tls(&session(base, sid)->state))
		return receive_tls(base, sid, in);
	ref = receive_buffer(base, sid, ROOM_LEAST);
	if (ref == BUFFER_NONE)
		return RECEIVED_NO_MEMORY;
	head = pool_header(&base->slot, ref);
	room = pool_room(&base->slot, ref) - head->len;
	if (room > RECEIVE_MOST)
		room = RECEIVE_MOST;
	if (room == 0)
		return RECEIVED_NOTHING;	/* what is there waits for something, and nothing of it is taken */
	if (!session_buffer_grow(base, sid, ref, head->len + room))
		return RECEIVED_NO_MEMORY;
	if (session_has(base, sid, MARK_LOCAL))
		n = receive_local(base, sid, head, pool_bytes(&base->slot, ref) + head->len, room);
	else
		n = recv(session_fd(base, sid), pool_bytes(&base->slot, ref) + head->len, room, MSG_DONTWAIT);
	if (n <= 0) {
		enum received what = n == 0 ? RECEIVED_END : errno == EAGAIN || errno == EINTR ? RECEIVED_NOTHING : RECEIVED_ERROR;

		pool_shrink(&base->pool, ref, head->len);
		if (head->base + head->len == session(base, sid)->state.parsed)
			drop_input(base, sid);
		return what;
	}
	CRASH_POINT("input-received");
	note_time(base, sid, head);
	head->len += (uint32_t)n;
	pool_shrink(&base->pool, ref, head->len);
	CRASH_POINT("input-counted");
	/* release: `len` counts the bytes before they are no longer noted as being received */
	atomic_store_explicit(&base->slot.shm->receiving, 0, memory_order_release);
	base_count(base, COUNTER_bytes_in, (uint64_t)n);
	in->bytes = in->wire = (size_t)n;
	return in->bytes == room ? RECEIVED_FULL : RECEIVED;
}

void receive_nothing(struct base *base, session_id sid)
{
	char rubbish[16384];
	ssize_t n = recv(session_fd(base, sid), rubbish, sizeof(rubbish), MSG_DONTWAIT);

	if (n > 0)
		session(base, sid)->last_in = base->now;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		session_over(base, sid);
}
