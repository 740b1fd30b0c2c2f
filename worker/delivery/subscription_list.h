/*
 * A session's subscriptions: the list in shared memory, and how one of them is found in it.
 */
#ifndef WORKER_DELIVERY_SUBSCRIPTION_LIST_H
#define WORKER_DELIVERY_SUBSCRIPTION_LIST_H

#include "worker/delivery/local_topics.h"

int links_init(struct topics *topics);		/* -1 without memory */
uint32_t links_find(const struct topics *topics, int fd, uint32_t topic);		/* the session's subscription of the topic; 0: none */
void links_add(struct topics *topics, int fd, uint32_t subscription);		/* links it into the session's list, with one store */
void links_remove(struct topics *topics, int fd, uint32_t subscription);		/* unlinks it, with one store */
/* Notes that `before` is the predecessor of a subscription apart, in a list that is linked already. 0: it is the head of the list. */
void links_follow(struct topics *topics, uint32_t before, uint32_t subscription);
/* Add a subscription apart to the hash table in which links_find() looks, and remove it. For local_topics.c only. */
void links_put(struct topics *topics, int fd, uint32_t subscription);
void links_take(struct topics *topics, uint32_t subscription);

#endif
