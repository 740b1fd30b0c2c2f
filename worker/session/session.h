/*
 * Sessions: their state in shared memory, what they are watched for, their buffers and their end.
 *
 * A session ends in one of two ways. Orderly: SESSION_CLOSE is set in its state. From then on no input is taken, the out buffer is sent, and then
 * our side of the connection is shut (output.c). At once: session_abort() or session_over(), which may be called anywhere, also in the middle of a
 * fan-out. From then on nothing is waited for; they put the session into a list, and the loop closes it when the work at hand is done.
 */
#ifndef WORKER_SESSION_SESSION_H
#define WORKER_SESSION_SESSION_H

#include "proto/rights.h"
#include "worker/session/base.h"

#define SESSION_SHARE (256 * 1024)	/* bytes sent to one session before others get their turn */
#define SESSION_OUT_MAX 16384		/* bytes of unsent answers, beyond which a session's input waits, too */

#define SESSION_WAITING_MAX 65536	/* bytes of input behind a request that waits, beyond which no more is read */

struct session_shm *session(const struct base *base, session_id sid);

/* Whether its request, the one at `parsed`, waits for a message (service/poll.h). */
static inline bool session_polls(const struct base *base, session_id sid)
{
	const struct session_shm *s = session(base, sid);

	return s->status == SESSION_OPEN && s->state.transport == TRANSPORT_HTTP && s->until != 0 && s->page_base == (uint32_t)s->state.parsed;
}

/*
 * Whether its request, the one at `parsed`, waits for what others say (service/waiting.h). session_waiting(): its note's place in the slot's table, -1: it does not.
 */
int session_waiting(const struct base *base, session_id sid);
static inline bool session_waits(const struct base *base, session_id sid)
{
	return base->waiting && session_waiting(base, sid) >= 0;
}

/* Whether its connection broke, and it waits for another one (loop/park.h). */
static inline bool session_parked(const struct base *base, session_id sid)
{
	return session(base, sid)->state.flags & SESSION_PARKED;
}

/* Whether it is one of those that are served when they are writable, along their own streams. */
static inline bool session_is_behind(const struct base *base, session_id sid)
{
	return (session(base, sid)->state.flags & (SESSION_BEHIND | SESSION_PARKED)) == SESSION_BEHIND;
}

/* What its listener says of slow readers. */
static inline enum slow_policy session_slow(const struct session_state_shm *st)
{
	return (enum slow_policy)((st->flags & SESSION_SLOW) / SESSION_SLOW_IS(1));
}

/* Whether it came by an admin listener (`admin://`), and so may use the paths that are for who runs the server. */
static inline bool session_is_admin(const struct session_state_shm *st)
{
	return st->flags & SESSION_ADMIN;
}

/* Whether its connection is a TLS one. */
static inline bool session_is_tls(const struct session_state_shm *st)
{
	return st->flags & SESSION_TLS;
}

/* The pool buffer with what of TLS records the kernel has not taken yet (io/tls_out.h), and with the beginning of one (io/tls_in.h). BUFFER_NONE: nothing. */
static inline uint32_t session_pending(const struct base *base, session_id sid)
{
	return session_is_tls(&session(base, sid)->state) ? tls_entry(&base->tls, sid)->flow.pending : BUFFER_NONE;
}

static inline uint32_t session_held(const struct base *base, session_id sid)
{
	return session_is_tls(&session(base, sid)->state) ? tls_entry(&base->tls, sid)->flow.held : BUFFER_NONE;
}

/* Whether its flags say that it is neither behind, nor ending, nor anything else: it is served as it comes. */
static inline bool session_plain(const struct session_state_shm *st)
{
	return !(st->flags & ~(uint32_t)SESSION_LISTENER);
}

/*
 * Whether it is to stay when its connection breaks, without a word: its client knows its token, has subscribed something, and neither of both sides
 * has said that it is over.
 */
bool session_lingers(const struct base *base, session_id sid);

/* The descriptor of its connection. */
static inline int session_fd(const struct base *base, session_id sid)
{
	(void)base;
	return sid;
}

/* Marks of a session, in base->marks, where there is room for eight (heartbeat.c keeps times beside them; of a parked one there stands who polls it,
 * session_query.h). They are the worker's own; its successor sets them anew. */
#define MARK_BITS 8
enum {
	MARK_STALLED = 1,		/* its input is put off: it is in the list of stalled sessions, whose input is tried again (input.c) */
	MARK_READABLE = 2,		/* it is readable, and waits for its turn (turn.c) */
	MARK_WRITABLE = 32,		/* it is writable, and waits for its turn (turn.c) */
	MARK_OUTPUT_BLOCKED = 4,		/* its input waits until its answers are sent */
	MARK_ENDED = 8,			/* its peer has sent its last byte, and input before that still waits to be dealt with */
	MARK_LOCAL = 16,		/* it is a Unix-domain socket */
	MARK_OVER = 128,		/* its connection is over: it is in base->over, and the loop will close it */
	MARK_HEAVY = 64,		/* with MARK_STALLED: its messages are large, and put off earlier than small ones (publish_ready()) */
};
/* Set or clear a mark. They return whether it was set before. */
static inline bool session_mark(struct base *base, session_id sid, uint64_t mark)
{
	bool was = base->marks[sid] & mark;

	base->marks[sid] |= mark;
	return was;
}

static inline bool session_unmark(struct base *base, session_id sid, uint64_t mark)
{
	bool was = base->marks[sid] & mark;

	base->marks[sid] &= ~mark;
	return was;
}
static inline bool session_has(const struct base *base, session_id sid, uint64_t marks)
{
	return base->marks[sid] & marks;
}

/* Whether this is a session, and its connection not over. */
static inline bool session_is_served(const struct base *base, session_id sid)
{
	return session(base, sid)->status == SESSION_OPEN && !session_has(base, sid, MARK_OVER);
}

/* What the session's state and marks ask for: EV_READ, EV_WRITE. */
int session_wants(const struct base *base, session_id sid);
/* Has the connection watched for that (watch.h). To be called when either has changed. */
void session_watch(struct base *base, session_id sid);
/* Replaces the session's state in one step (slot_commit()), and gives back the buffers that the new state no longer names. */
void session_commit(struct base *base, session_id sid, const struct session_state_shm *st);
/* The same, and what becomes of one of its subscriptions, in one step. */
void session_commit_passed(struct base *base, session_id sid, const struct session_state_shm *st, const struct passed_shm *passed);
/* Adds `n`, 1 or -1, to the number of connections that speak the transport. */
void session_count(struct base *base, uint32_t transport, int n);

/*
 * Who polls a parked session (service/session_query.h) stands in its marks. session_polled_by(): -1, nobody does. session_wake_polled() has the one
 * who does look again, and takes the session from the list of those that are polled.
 */
session_id session_polled_by(const struct base *base, session_id parked);
bool session_is_polled(const struct base *base, session_id parked);		/* it is in that list */
void session_poll_by(struct base *base, session_id parked, session_id sid);
void session_wake_polled(struct base *base, session_id parked);
/* Takes a session out of those that are over: it has lost its connection in another way. */
void session_not_over(struct base *base, session_id sid);

/* Has the loop close the session: its peer has closed the connection, it is broken, or its time is up. */
void session_over(struct base *base, session_id sid);
/* Shuts the connection both ways, counts `why`, and has the loop close the session. What was sent before may still arrive. */
void session_abort(struct base *base, session_id sid, enum counter why);
/*
 * Takes from the session its buffers and the frame that it is in the middle of. From then on it only waits for its peer to close (SESSION_LINGER),
 * which needs no memory.
 */
void session_forfeit(struct base *base, session_id sid);
/* Takes a session out of the list of those that are over, for the loop to close it. -1: the list is empty. */
int session_next_over(struct base *base);

/*
 * pool_take() and pool_grow() for session `sid` (-1: for no session in particular). If there is no more to be had, other sessions are disconnected
 * for it (base.make_room). BUFFER_NONE or false: there is no room all the same.
 */
uint32_t session_buffer(struct base *base, session_id sid, size_t bytes);
bool session_buffer_grow(struct base *base, session_id sid, uint32_t ref, size_t bytes);

/*
 * What the session itself may do, by the last token that it has shown on a connection that stays what it is (not HTTP, where each request says so for
 * itself), or who it is by the certificate of its connection (`certified`, of HTTP too). NULL: it has shown nothing. The block is the session's until it is given another one, or ends.
 */
const struct rights *session_rights(const struct base *base, session_id sid);
/* Gives it a copy of the block; NULL: takes what it has. -1: no buffer, and it has what it had. */
int session_set_rights(struct base *base, session_id sid, const struct rights *block);
/* The same, and *was is the buffer with what it had, BUFFER_NONE nothing: to be given back to the pool, or to session_restore_rights(), by which it has that again. */
int session_change_rights(struct base *base, session_id sid, const struct rights *block, uint32_t *was);
void session_restore_rights(struct base *base, session_id sid, uint32_t was);

/* What the session's greeting depends on. */
struct transport_hello session_hello(const struct base *base, session_id sid);

/* Appends bytes to the out buffer of `st`, which the caller commits. They are sent before any record of the ring. -1: no buffer. */
int session_append(struct base *base, session_id sid, struct session_state_shm *st, const void *bytes, size_t len);
/* The same, and nobody is disconnected to make room. */
int session_append_if_room(struct base *base, session_id sid, struct session_state_shm *st, const void *bytes, size_t len);
/*
 * Appends bytes to the out buffer and commits, together with `parsed`. It does not send: output_flush() does. False: there is no buffer, and the
 * session is aborted.
 */
bool session_answer(struct base *base, session_id sid, uint64_t parsed, const void *bytes, size_t len);

#endif
