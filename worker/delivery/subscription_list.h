/*
 * A session's subscriptions: the list in shared memory, and how one of them is found in it.
 */
#ifndef WORKER_DELIVERY_SUBSCRIPTION_LIST_H
#define WORKER_DELIVERY_SUBSCRIPTION_LIST_H

#include "worker/session/session.h"

int links_init(struct worker *w);		/* -1 without memory */
uint32_t links_find(const struct worker *w, int fd, uint32_t topic);		/* the session's subscription of the topic, 0 none */
void links_add(struct worker *w, int fd, uint32_t subscription);		/* to its list, */
void links_remove(struct worker *w, int fd, uint32_t subscription);		/* and out: one store each */
void links_follow(struct worker *w, uint32_t before, uint32_t subscription);	/* it does so in the list, which is there; 0: it is the first */
/* Where links_find() looks for those apart; topics.c's to call. */
void links_put(struct worker *w, int fd, uint32_t subscription);
void links_take(struct worker *w, uint32_t subscription);

#endif
