/*
 * A session's input being parsed: what input.c, which receives it, shares with the files that speak a transport, and with stage.c.
 *
 * Crash rules. What is in the buffer beyond `parsed` survives a crash: how much that is, the kernel knows (kernel_taken()). Each unit of the
 * input (a frame, a request) is dealt with at most once if `parsed` moves in the same commit as its effect; a publish has its effect in the
 * ring, and the intent (see publish.h) ties the two together. So what is staged is published before anything else is committed.
 */
#ifndef WORKER_SESSION_CURSOR_H
#define WORKER_SESSION_CURSOR_H

#include <string.h>

#include "worker/protocol/answer.h"
#include "worker/service/subscribe.h"
#include "worker/worker.h"

/* What is being parsed: a session's input from `at` on. */
struct cursor {
	int fd;
	struct lent_shm *head;
	const char *bytes;
	uint64_t at;			/* place in the stream */
	uint64_t staged_from;		/* where the first staged message starts */
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

/* Counts a unit that is no publish; true when others come first. */
bool cursor_yields(struct cursor *c);

/*
 * Whether so many messages more would be too many in this second (flood_messages). Asked before one is dealt with: then it is not, it is answered
 * with 429, and the session ends. cursor_end_flood() does so in the transports whose answers do not say to what; it returns false.
 */
#define FLOOD_MESSAGES "too much at a time (flood_messages): this one was not dealt with"
bool cursor_floods(struct worker *w, const struct cursor *c, unsigned messages);
bool cursor_end_flood(struct worker *w, struct cursor *c);

/* One a transport: deals with one unit at `at`, if it is there whole. False when there is nothing more to do. */
bool flash_step(struct worker *w, struct cursor *c);
bool packet_step(struct worker *w, struct cursor *c);
bool http_step(struct worker *w, struct cursor *c);
bool websocket_step(struct worker *w, struct cursor *c);

/* ---- stage.c ---- */

int stage_init(struct worker *w);	/* -1 without memory */

/* Takes a publish into the batch: where its record of `size` bytes is to be written, or NULL: publish first what is staged. `parsed`: the
 * place behind its unit; `flags`: the session's, that come with it. */
char *stage_add(struct worker *w, struct cursor *c, const char *name, uint8_t len, size_t size, uint64_t parsed, uint32_t flags);

/* Publishes what is staged. On being put off, c->at goes back to the first message that was not published, and c->stop is set. */
void stage_publish(struct worker *w, struct cursor *c);

/* The most bytes that one record may have. What a client sends in one frame may grow, up to six times, as it becomes JSON. */
size_t stage_record_max(const struct worker *w);

/* For a request that is answered with what became of its messages: starts an empty batch (what is staged is published). False: put off. */
bool stage_begin(struct worker *w, struct cursor *c);
/* Publishes all that was added since, or nothing. 0; or -1: put off (EAGAIN; c->stop is set), or more than the ring takes (EMSGSIZE). Then
 * w->items[0..w->item_count) have their `seq` and `subscribers`. The caller commits its answer and calls stage_end(). */
int stage_answered(struct worker *w, struct cursor *c);
void stage_end(struct worker *w);
void stage_drop(struct worker *w);	/* what was added is not published after all */

#endif
