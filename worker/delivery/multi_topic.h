/*
 * Delivery from the ring to sessions that are served *apart*: sessions with several topics, which get them in ring order, and sessions whose frames
 * are made for them alone (TRANSPORT_OWN_FRAMES).
 */
#ifndef WORKER_DELIVERY_MULTI_TOPIC_H
#define WORKER_DELIVERY_MULTI_TOPIC_H

#include "worker/delivery/landed.h"
#include "worker/delivery/local_topics.h"
#include "worker/io/send_batch.h"

struct apart;

struct apart *apart_create(struct base *base, struct batch *batch, struct topics *topics, struct streams *streams);	/* NULL without memory */
void apart_start(struct apart *a, uint64_t cursor);	/* goes on from `cursor`, with nothing noted */
void apart_gone(struct apart *a, int fd);	/* the session has no subscriptions any more */
void apart_changed(struct apart *a, int fd);	/* the session has given up a subscription */
bool apart_run(struct apart *a);		/* serves a share; true when something is left to do */
/* The least sequence that a live session apart may still be owed; topics.cursor: none is owed anything. */
uint64_t apart_cursor(const struct apart *a);

#endif
