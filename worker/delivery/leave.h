/*
 * A session is nobody's subscriber any more.
 */
#ifndef WORKER_DELIVERY_LEAVE_H
#define WORKER_DELIVERY_LEAVE_H

#include "worker/session/session.h"

void leave_all(struct worker *w, int fd, uint32_t transport);	/* which its subscriptions were made with */

#endif
