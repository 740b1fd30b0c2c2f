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

struct session_shm *session(const struct worker *w, int fd);

/* What a session is marked with, privately: in its watcher's data. */
enum {
	MARK_STALLED = 1,		/* its publishing is put off: it is in w->stalled */
	MARK_READABLE = 2,		/* its input waits for its turn (ready.c), */
	MARK_WRITABLE = 32,		/* its output does */
	MARK_CHOKED = 4,		/* its input waits for its answers to be read */
	MARK_ENDED = 8,			/* its peer sends no more, and is still owed answers */
	MARK_LOCAL = 16,		/* it is a Unix-domain socket */
	MARK_OVER = 128,		/* its connection is over: it is in w->over, for the loop to close it */
	MARK_HEAVY = 64,		/* with MARK_STALLED: what it publishes takes much of the ring, and waits for more room than others do */
};
static inline bool session_mark(struct worker *w, int fd, uintptr_t mark)
{
	bool was = (uintptr_t)w->io[fd].data & mark;

	w->io[fd].data = (void *)((uintptr_t)w->io[fd].data | mark);
	return was;
}

static inline bool session_unmark(struct worker *w, int fd, uintptr_t mark)
{
	bool was = (uintptr_t)w->io[fd].data & mark;

	w->io[fd].data = (void *)((uintptr_t)w->io[fd].data & ~mark);
	return was;
}
static inline bool session_has(const struct worker *w, int fd, uintptr_t marks)
{
	return (uintptr_t)w->io[fd].data & marks;
}

void session_watch(struct worker *w, int fd);	/* makes the watcher fit the state */
/* Replaces the session's state, and gives back the buffers that the new one no longer names. */
void session_commit(struct worker *w, int fd, const struct session_state_shm *st);
void session_count(struct worker *w, uint32_t transport, int n);	/* one more, one less of them */

/* The connection is over: the peer has closed it, or it is broken. */
void session_over(struct worker *w, int fd);
/* Breaks the connection, and counts why. What was sent may still arrive. */
void session_abort(struct worker *w, int fd, enum counter why);
/* Gives up what the session has of buffers, and is in the middle of, and has it wait for the peer's end: without memory, it costs nothing. */
void session_forfeit(struct worker *w, int fd);
/* The next one that is over, or -1: for the loop, which closes it. */
int session_next_over(struct worker *w);

/*
 * lend_take() for a session, or for none in particular (-1), and lend_grow(), with room made for it (worker.make_room). LENT_NONE, false: it
 * can't be.
 */
uint32_t session_buffer(struct worker *w, int fd, size_t bytes);
bool session_buffer_grow(struct worker *w, int fd, uint32_t ref, size_t bytes);

/* Puts bytes that come before anything of the ring into `st`, uncommitted. -1: no buffer. */
int session_append(struct worker *w, int fd, struct session_state_shm *st, const void *bytes, size_t len);
/* Appends and commits, with input taken up to `parsed`. False: broken. Sending is output_flush()'s. */
bool session_answer(struct worker *w, int fd, uint64_t parsed, const void *bytes, size_t len);

#endif
