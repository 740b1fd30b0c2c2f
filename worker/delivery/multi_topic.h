/*
 * From the ring to sessions with several topics, in ring order, and to those whose frames are their own.
 */
#ifndef WORKER_DELIVERY_MULTI_TOPIC_H
#define WORKER_DELIVERY_MULTI_TOPIC_H

#include "worker/session/session.h"

int apart_init(struct worker *w);		/* -1 without memory */
void apart_start(struct worker *w, uint64_t cursor);	/* from there on, with nothing noted */
void apart_gone(struct worker *w, int fd);	/* the session has no subscriptions any more */
void apart_changed(struct worker *w, int fd);	/* it has one less */
bool apart_run(struct worker *w);		/* serves a share; true when something is left to do */
/* The least sequence that somebody may not have had; w->cursor: nobody is owed anything. */
uint64_t apart_cursor(const struct worker *w);

#endif
