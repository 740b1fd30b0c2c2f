/*
 * A session's subscriptions: the list in shared memory, and how one of them is found in it.
 */
#ifndef WORKER_DELIVERY_SUBSCRIPTION_LIST_H
#define WORKER_DELIVERY_SUBSCRIPTION_LIST_H

#include "worker/delivery/local_topics.h"

int subscription_list_init(struct topics *topics);		/* -1 without memory */
uint32_t subscription_list_find(const struct topics *topics, session_id sid, uint32_t topic);		/* the session's subscription of the topic; 0: none */
void subscription_list_add(struct topics *topics, session_id sid, uint32_t subscription);		/* links it into the session's list, with one store */
void subscription_list_remove(struct topics *topics, session_id sid, uint32_t subscription);		/* unlinks it, with one store */
/* Notes that `before` is the predecessor of a subscription apart, in a list that is linked already. 0: it is the head of the list. */
void subscription_list_follow(struct topics *topics, uint32_t before, uint32_t subscription);
/* Add a subscription apart to the hash table in which subscription_list_find() looks, and remove it. For local_topics.c only. */
void subscription_list_put(struct topics *topics, session_id sid, uint32_t subscription);
void subscription_list_take(struct topics *topics, uint32_t subscription);

#endif
