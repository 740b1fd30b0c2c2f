/*
 * The position in a session's input while it is parsed. input.c, the parser of each transport and the service share it.
 *
 * Crash rules. The input in the buffer from `parsed` on survives a crash; the kernel tells how long it is (count_input() in recover.c). No unit of
 * the input (a frame, a request) takes effect twice if `parsed` moves past it in the same commit as its effect. A publish takes effect in the ring,
 * and the intent (shm/publish.h) ties that to `parsed`. So a batch is published before anything else is committed.
 */
#ifndef WORKER_SESSION_CURSOR_H
#define WORKER_SESSION_CURSOR_H

#include <string.h>

#include "worker/session/session.h"

/* Positions count the bytes of input since the connection was opened. */
struct cursor {
	session_id sid;
	struct buffer_shm *head;
	const char *bytes;
	uint64_t at;			/* position of the next byte to be parsed */
	uint64_t batch_from;		/* position at which the batch's first message begins */
	bool stop;			/* parse no more for now */
	bool stalled;			/* with `stop`: try again soon */
	bool waits;			/* with `stop`: try again when somebody says so; the unit is not taken */
	unsigned actions;		/* units that are no publishes (ACTIONS_A_TURN) */
	unsigned units;			/* units dealt with and not counted yet by the flood check */
};

static inline size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->head->base + c->head->len - c->at);
}

static inline const char *cursor_text(const struct cursor *c)
{
	return c->bytes + (c->at - c->head->base);
}

/* The parser's own memory of how far it has looked into the unit at `at`. It must be cleared whenever `at` moves. */
static inline void *cursor_scan(const struct cursor *c)
{
	return c->head->scan;
}

static inline void cursor_clear_scan(const struct cursor *c)
{
	memset(c->head->scan, 0, sizeof(c->head->scan));
}

/* Passes over bytes that mean nothing. */
static inline void cursor_skip(struct cursor *c, size_t bytes)
{
	c->at += bytes;
	cursor_clear_scan(c);
}

/* Passes over a unit that has been dealt with, and counts it. */
static inline void cursor_take(struct cursor *c, size_t bytes)
{
	cursor_skip(c, bytes);
	c->units++;
}

/* Stops before the unit at `at`. It is parsed again when other sessions have had their turn. */
static inline void cursor_stall(struct cursor *c)
{
	c->stop = c->stalled = true;
}

#define ACTIONS_A_TURN 256		/* units of one connection that are no publishes, before other connections get their turn */

/* Counts a unit that is no publish, before it is dealt with. True: the connection has had its share, and the cursor is stalled there. */
static inline bool cursor_yields(struct cursor *c)
{
	if (c->actions++ < ACTIONS_A_TURN)
		return false;
	cursor_stall(c);
	return true;
}

#endif
