/*
 * Ending all subscriptions of a session.
 */
#ifndef WORKER_DELIVERY_LEAVE_H
#define WORKER_DELIVERY_LEAVE_H

#include "worker/delivery/multi_topic.h"

/* `transport`: the one for which the subscriptions were made. */
void leave_all(struct topics *topics, struct multi_topic *multi_topic, session_id sid, uint32_t transport);

#endif
