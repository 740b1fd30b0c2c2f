/*
 * From the ring to this worker's subscribers: topic by topic to those with one topic, record by record to the others (multi_topic.h).
 */
#ifndef WORKER_DELIVERY_FANOUT_H
#define WORKER_DELIVERY_FANOUT_H

#include "worker/session/session.h"

bool fanout_poll(struct worker *w);		/* looks through the ring's new records; true when some are left */
bool fanout_run(struct worker *w);		/* serves; true when something is left to do */
void fanout_publish_delivered(struct worker *w);
/* Whether the session may not have had all yet that came to the topic of its only subscription, which is not apart. */
bool fanout_owes(const struct worker *w, int fd, uint64_t pos);

#endif
