/*
 * From the ring to sessions with several topics, in ring order, and to those whose frames are their own.
 */
#ifndef WORKER_DELIVERY_MULTI_TOPIC_H
#define WORKER_DELIVERY_MULTI_TOPIC_H

#include "worker/delivery/landed.h"
#include "worker/delivery/local_topics.h"
#include "worker/io/send_batch.h"

struct apart;

struct apart *apart_create(struct base *base, struct batch *batch, struct topics *topics, struct streams *streams);	/* NULL without memory */
void apart_start(struct apart *a, uint64_t cursor);	/* from there on, with nothing noted */
void apart_gone(struct apart *a, int fd);	/* the session has no subscriptions any more */
void apart_changed(struct apart *a, int fd);	/* it has one less */
bool apart_run(struct apart *a);		/* serves a share; true when something is left to do */
/* The least sequence that somebody may not have had; topics.cursor: nobody is owed anything. */
uint64_t apart_cursor(const struct apart *a);

#endif
