/*
 * Delivery from the ring to this worker's subscribers: topic by topic to sessions with one topic, record by record to sessions apart
 * (multi_topic.h).
 */
#ifndef WORKER_DELIVERY_FANOUT_H
#define WORKER_DELIVERY_FANOUT_H

#include "worker/delivery/multi_topic.h"

#define PASSES_ENDED_MAX 256

struct pass_ended {
	uint64_t time;			/* of its oldest record */
	uint32_t subscribers;
};

struct fanout {
	struct base *base;
	struct batch *batch;
	struct topics *topics;
	struct streams *streams;
	struct multi_topic *multi_topic;
	struct frames *once;		/* the frames of passes; fanout.c's own */
	uint64_t passes;		/* passes so far that took more than one slice */
	struct pass_ended ended[PASSES_ENDED_MAX];	/* passes that came to their end in this turn: counted when their last sends are done */
	uint32_t ended_count;
	uint32_t turns_unpublished;	/* turns since `delivered` was last brought up to date */
};

int fanout_init(struct fanout *fanout);		/* the other modules are set by the caller. 0, or -1: no memory */
bool fanout_poll(struct fanout *fanout);		/* looks through the ring's new records; true when some are left */
bool fanout_run(struct fanout *fanout);		/* serves a share of what is queued; true when something is left */
/* Stores in the slot's `delivered` how far all live subscribers are served. */
void fanout_publish_delivered(struct fanout *fanout);

#endif
