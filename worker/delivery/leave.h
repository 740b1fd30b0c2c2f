/*
 * A session is nobody's subscriber any more.
 */
#ifndef WORKER_DELIVERY_LEAVE_H
#define WORKER_DELIVERY_LEAVE_H

#include "worker/delivery/multi_topic.h"

void leave_all(struct topics *topics, struct apart *apart, int fd, uint32_t transport);	/* which its subscriptions were made with */

#endif
