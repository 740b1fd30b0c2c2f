/*
 * Sessions: their state in shared memory, their watchers, their buffers and their end.
 *
 * There are two kinds of end. After what is owed: SESSION_CLOSE is set in the state, nothing more is read, what is in the out buffer is sent,
 * and then our side is shut. And now: session_abort() or session_over(), from wherever it may be, also in the middle of a fan-out; the loop
 * closes the session when the turn's work is done, and until then nobody deals with it.
 */
#ifndef WORKER_SESSION_SESSION_H
#define WORKER_SESSION_SESSION_H

#include "worker/session/base.h"

#define SESSION_SHARE (256 * 1024)	/* bytes sent to one session before others get their turn */
#define SESSION_OUT_MAX 16384		/* bytes of answers waiting before a session's input waits too */

struct session_shm *session(const struct base *base, int fd);

/* What a session is marked with, privately: in its watcher's data. */
enum {
	MARK_STALLED = 1,		/* its publishing is put off: it is in the list of those that are tried again */
	MARK_READABLE = 2,		/* its input waits for its turn (turn.c), */
	MARK_WRITABLE = 32,		/* its output does */
	MARK_OUTPUT_BLOCKED = 4,		/* its input waits for its answers to be read */
	MARK_ENDED = 8,			/* its peer sends no more, and is still owed answers */
	MARK_LOCAL = 16,		/* it is a Unix-domain socket */
	MARK_OVER = 128,		/* its connection is over: it is in base->over, for the loop to close it */
	MARK_HEAVY = 64,		/* with MARK_STALLED: what it publishes takes much of the ring, and waits for more room than others do */
};
static inline bool session_mark(struct base *base, int fd, uintptr_t mark)
{
	bool was = (uintptr_t)base->io[fd].data & mark;

	base->io[fd].data = (void *)((uintptr_t)base->io[fd].data | mark);
	return was;
}

static inline bool session_unmark(struct base *base, int fd, uintptr_t mark)
{
	bool was = (uintptr_t)base->io[fd].data & mark;

	base->io[fd].data = (void *)((uintptr_t)base->io[fd].data & ~mark);
	return was;
}
static inline bool session_has(const struct base *base, int fd, uintptr_t marks)
{
	return (uintptr_t)base->io[fd].data & marks;
}

void session_watch(struct base *base, int fd);	/* makes the watcher fit the state */
/* Replaces the session's state, and gives back the buffers that the new one no longer names. */
void session_commit(struct base *base, int fd, const struct session_state_shm *st);
void session_count(struct base *base, uint32_t transport, int n);	/* one more, one less of them */

/* The connection is over: the peer has closed it, or it is broken. */
void session_over(struct base *base, int fd);
/* Breaks the connection, and counts why. What was sent may still arrive. */
void session_abort(struct base *base, int fd, enum counter why);
/* Gives up what the session has of buffers, and is in the middle of, and has it wait for the peer's end: without memory, it costs nothing. */
void session_forfeit(struct base *base, int fd);
/* The next one that is over, or -1: for the loop, which closes it. */
int session_next_over(struct base *base);

/*
 * lend_take() for a session, or for none in particular (-1), and lend_grow(), with room made for it (base.make_room). LENT_NONE, false: it
 * can't be.
 */
uint32_t session_buffer(struct base *base, int fd, size_t bytes);
bool session_buffer_grow(struct base *base, int fd, uint32_t ref, size_t bytes);

/* What the session's greeting depends on. */
struct transport_hello session_hello(const struct base *base, int fd);

/* Puts bytes that come before anything of the ring into `st`, uncommitted. -1: no buffer. */
int session_append(struct base *base, int fd, struct session_state_shm *st, const void *bytes, size_t len);
/* Appends and commits, with input taken up to `parsed`. False: broken. Sending is output_flush()'s. */
bool session_answer(struct base *base, int fd, uint64_t parsed, const void *bytes, size_t len);

#endif
