/*
 * Which of this worker's sessions subscribe to which topic, and which subscription entries are free. All of it is the worker's own; recover() makes
 * it anew.
 */
#ifndef WORKER_DELIVERY_LOCAL_TOPICS_H
#define WORKER_DELIVERY_LOCAL_TOPICS_H

#include "worker/session/session.h"

/* In place of a transport: subscribers that are parked (loop/park.h). They are served nothing, and nobody counts them. */
#define TOPICS_PARKED TRANSPORTS

/* A subscriber that is served apart (multi_topic.h). */
struct apart_subscriber {
	session_id sid;
	uint32_t subscription;
};

/*
 * The subscribers that a topic has in this worker and that get the same frames: they speak one transport. The topic's subscribers of other
 * transports, and those served apart, are siblings of this.
 *
 * Those that are behind stand last, where a pass of the fan-out does not come: so they cost it nothing, however many they are.
 *
 *	0          at            live              count
 *	| served   | to be served | behind          |		in the middle of a pass; `at` is 0 before it
 *
 * Those served apart, and HTTP clients, are passed one by one for each record whether they are behind or not: of them all are `live`.
 */
struct local_topic {
	uint32_t topic;
	uint32_t generation;
	uint32_t transport;
	struct local_topic *sibling;
	union {
		session_id *subscribers;
		struct apart_subscriber *apart;		/* if is_apart */
	};
	struct apart_subscriber one;	/* the only subscriber, while there is room for one */
	uint32_t count, room;
	uint32_t live;			/* how many of them a pass looks at: those before this place */
	uint32_t at;			/* next subscriber to be served in this pass; apart: next one to note the current record for */
	uint64_t first;			/* first record of this pass; those before it are delivered */
	uint64_t end;			/* first record not in this pass, 0 when no pass is under way */
	uint64_t hint;			/* a record of the topic at or before `first`, 0 unknown */
	uint64_t pass;			/* number of the pass, if its frames stay from slice to slice; else 0 */
	struct local_topic *queued_next;
	bool queued;
	bool is_apart;
};

struct topics {
	struct base *base;
	struct local_topic **of;	/* by topic number */
	uint32_t *free_subscriptions;
	uint32_t free_count, free_room, fresh_subscription;	/* entries from fresh_subscription on were never used */
	uint32_t apart_subscriptions;	/* how many subscriptions are apart */
	uint32_t *patterns;		/* by session: how many of its subscriptions are patterns. Takes memory only where there are some */
	struct links *links;		/* subscription_list.c's own */
	uint32_t *stays;		/* topics that have fewer subscribers here, or none: that is told, and they are left, when nobody has departed any more (base.departed) */
	uint32_t stays_count, stays_room;

	uint64_t scanned;		/* the ring is looked through up to here; topics with records before it are queued */
	struct local_topic *queue, **queue_end;
	uint32_t queued;		/* topics in the queue */
};

/* Has the slot leave a topic, of which it has no subscriber: at once, or when nobody has departed any more and topics_leave_stays() is called. */
void topics_leave(struct topics *topics, uint32_t topic);
void topics_leave_stays(struct topics *topics);
void topics_leave_unsubscribed(struct topics *topics);		/* all that the slot has joined without a subscriber here */

int topics_init(struct topics *topics);		/* `base` is set by the caller. 0, or -1: no memory */
/* The first of the topic's siblings, or NULL. */
struct local_topic *topics_find(const struct topics *topics, uint32_t topic);
/*
 * Adds the session's subscription to its topic's subscribers of `transport`, to those apart if `apart`. The subscription's `place` says where it
 * stands among them. 0, or -1: no memory.
 */
int topics_add(struct topics *topics, uint32_t transport, session_id sid, uint32_t subscription, bool apart);
/* Removes the subscription from its topic's subscribers. If it was the topic's last one in this worker, the slot leaves the topic. */
void topics_remove(struct topics *topics, uint32_t transport, uint32_t subscription);
/* Moves the session's only subscription to those apart, unless it is there already. 0; -1: no memory, and it stays where it is. */
int topics_move_apart(struct topics *topics, uint32_t transport, session_id sid);
/*
 * To be called when the session is behind from now on, or is so no more (session_is_behind()); also in the middle of a pass. One that comes back is
 * among those to be served yet: its `pos` says what it has had.
 */
void topics_behind_changed(struct topics *topics, session_id sid);
/* Moves the session's subscriptions to those that are parked. 0; -1: no memory, and some are moved. */
int topics_park(struct topics *topics, uint32_t transport, session_id sid);
bool topics_is_apart(const struct topics *topics, uint32_t subscription);
/* Brings the hub's count of the topic's subscribers in this worker up to date. */
void topics_tell(struct topics *topics, uint32_t topic);
/*
 * For a session with one subscription that is not apart, and with this `pos`: whether the fan-out may still have records of the topic for it.
 */
bool topics_owe(const struct topics *topics, session_id sid, uint64_t pos);
uint32_t topics_take_subscription(struct topics *topics);		/* a free entry; 0: there is none */
void topics_give_subscription(struct topics *topics, uint32_t subscription);

#endif
