/*
 * From the ring to this worker's subscribers: topic by topic to those with one topic, record by record to the others (multi_topic.h).
 */
#ifndef WORKER_DELIVERY_FANOUT_H
#define WORKER_DELIVERY_FANOUT_H

#include "worker/delivery/multi_topic.h"

struct fanout {
	struct base *base;
	struct batch *batch;
	struct topics *topics;
	struct streams *streams;
	struct apart *apart;
	struct frames *once;		/* of the passes under way, fanout.c's own */
	uint64_t passes;
	uint32_t turns_unpublished;	/* since `delivered` was last brought up to date */
};

int fanout_init(struct fanout *fanout);		/* the others are set. -1 without memory */
bool fanout_poll(struct fanout *fanout);		/* looks through the ring's new records; true when some are left */
bool fanout_run(struct fanout *fanout);		/* serves; true when something is left to do */
void fanout_publish_delivered(struct fanout *fanout);

#endif
