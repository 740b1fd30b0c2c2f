/*
 * A session's input being parsed: what input.c, which receives it, shares with the files that speak a transport, and with the service that their
 * requests are served by.
 *
 * Crash rules. What is in the buffer beyond `parsed` survives a crash: how much that is, the kernel knows (tcp_taken()). Each unit of the
 * input (a frame, a request) is dealt with at most once if `parsed` moves in the same commit as its effect; a publish has its effect in the
 * ring, and the intent (see publish.h) ties the two together. So a batch is published before anything else is committed.
 */
#ifndef WORKER_SESSION_CURSOR_H
#define WORKER_SESSION_CURSOR_H

#include <string.h>

#include "worker/session/session.h"

/* What is being parsed: a session's input from `at` on. */
struct cursor {
	int fd;
	struct lent_shm *head;
	const char *bytes;
	uint64_t at;			/* place in the stream */
	uint64_t batch_from;		/* where the batch's first message starts */
	bool stop;			/* nothing more for now */
	bool stalled;			/* and to be tried again soon */
	unsigned actions;
	unsigned units;			/* messages and other things dealt with, for the flood check */
};

static inline size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->head->base + c->head->len - c->at);
}

static inline const char *cursor_text(const struct cursor *c)
{
	return c->bytes + (c->at - c->head->base);
}

/* Where the parser of the transport keeps how far it has looked; clear when `at` has moved. */
static inline void *cursor_scan(const struct cursor *c)
{
	return c->head->scan;
}

static inline void cursor_clear_scan(const struct cursor *c)
{
	memset(c->head->scan, 0, sizeof(c->head->scan));
}

/* What means nothing is passed over. */
static inline void cursor_skip(struct cursor *c, size_t bytes)
{
	c->at += bytes;
	cursor_clear_scan(c);
}

/* The unit is dealt with: on to the next. */
static inline void cursor_take(struct cursor *c, size_t bytes)
{
	cursor_skip(c, bytes);
	c->units++;
}

/* Comes to a halt before this unit, which is tried again when others had their turn. */
static inline void cursor_stall(struct cursor *c)
{
	c->stop = c->stalled = true;
}

#define ACTIONS_A_TURN 256		/* of one connection, but for publishing, before others get their turn */

/* Counts a unit that is no publish; true when others come first, and this one is tried again then. */
static inline bool cursor_yields(struct cursor *c)
{
	if (c->actions++ < ACTIONS_A_TURN)
		return false;
	cursor_stall(c);
	return true;
}

#endif
