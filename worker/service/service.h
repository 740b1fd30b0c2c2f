/*
 * What the services have in common: what they stand on, and the state of each.
 */
#ifndef WORKER_SERVICE_SERVICE_H
#define WORKER_SERVICE_SERVICE_H

#include "shm/publish.h"
#include "worker/delivery/multi_topic.h"

/* What a connection has sent in this second. */
struct flood {
	uint32_t second;
	uint32_t messages;
	uint64_t bytes;
};

struct service {
	struct base *base;
	struct topics *topics;
	struct streams *streams;
	struct multi_topic *multi_topic;
	struct presence *presence;
	struct access *access;		/* access.h; NULL: everything may be done */
	struct quota *quota;		/* quota.h; NULL: nothing is limited */
	const int *queue;		/* by slot: of what other workers are to deal with (order.h) */

	/* subscribe.c */
	uint32_t subscriptions_spare;	/* how many subscriptions may be made before those of all slots are counted again */

	/* waiting.c */
	bool waits;			/* a request waits for what others say, and its time is not over */
	bool hurried;			/* nothing is to wait any more */

	/* publish_batch.c */
	struct publish_item *items;	/* messages that are parsed and not yet published */
	unsigned item_count;
	char *item_text;		/* their topics and messages */
	size_t item_used, item_room;

	/* flood.c */
	struct flood *flood;		/* by session; NULL: nobody counts, as no limit is set */
};

#endif
