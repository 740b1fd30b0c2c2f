/*
 * Delivery from the ring to sessions that are served *apart*: sessions with several topics, which get them in ring order, and sessions whose frames
 * are made for them alone (TRANSPORT_OWN_FRAMES).
 */
#ifndef WORKER_DELIVERY_MULTI_TOPIC_H
#define WORKER_DELIVERY_MULTI_TOPIC_H

#include "worker/delivery/landed.h"
#include "worker/delivery/local_topics.h"
#include "worker/io/send_batch.h"

struct multi_topic;

/* NULL without memory. */
struct multi_topic *multi_topic_create(struct base *base, struct batch *batch, struct topics *topics, struct streams *streams);
void multi_topic_start(struct multi_topic *a, uint64_t begin);	/* goes on from `cursor`, with nothing noted */
void multi_topic_gone(struct multi_topic *a, session_id sid);	/* the session has no subscriptions any more */
void multi_topic_changed(struct multi_topic *a, session_id sid);	/* the session has given up a subscription */
bool multi_topic_run(struct multi_topic *a);		/* serves a share; true when something is left to do */
/* The least sequence that a live session apart may still be owed; topics.scanned: none is owed anything. */
uint64_t multi_topic_served(const struct multi_topic *a);

#endif
