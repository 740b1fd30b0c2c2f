/*
 * Which of this worker's sessions subscribe which topic, and which subscription entries are free. Private, made anew by recover().
 */
#ifndef WORKER_DELIVERY_LOCAL_TOPICS_H
#define WORKER_DELIVERY_LOCAL_TOPICS_H

#include "worker/session/session.h"

/* A subscriber that is served apart (apart.c). */
struct apart_subscriber {
	uint32_t fd;
	uint32_t subscription;
};

/*
 * A topic with subscribers here who speak one transport. Those of other transports are its siblings: to each its own frames. So are those
 * who are served apart.
 */
struct local_topic {
	uint32_t topic;
	uint32_t generation;
	uint32_t transport;
	struct local_topic *sibling;
	union {
		uint32_t *subscribers;			/* descriptors */
		struct apart_subscriber *apart;		/* if is_apart */
	};
	struct apart_subscriber one;	/* where they stand while there is room for one */
	uint32_t count, room;
	uint32_t at;			/* next subscriber to be served in this pass; apart: to be noted of the record at hand */
	uint64_t first;			/* first record of this pass; what comes before is served */
	uint64_t end;			/* first record not in this pass, 0 when no pass is under way */
	uint64_t hint;			/* a record of the topic at or before `first`, 0 unknown */
	uint64_t pass;			/* by which its frames are known, while they are kept; 0 none */
	struct local_topic *queued_next;
	bool queued;
	bool is_apart;
};

int topics_init(struct worker *w);
/* The first of the topic's siblings, or NULL. */
struct local_topic *topics_find(const struct worker *w, uint32_t topic);
/*
 * Adds the session's subscription, which it has in `transport`, to those of its topic, apart or not. What it stands in is the subscription's
 * `place`. -1 without memory.
 */
int topics_add(struct worker *w, uint32_t transport, int fd, uint32_t subscription, bool apart);
/* Takes it out; when it was the last one of all transports the slot leaves the topic. */
void topics_remove(struct worker *w, uint32_t transport, uint32_t subscription);
/* The session's only subscription, if it is not apart, goes there. -1 without memory: it stays. */
int topics_move_apart(struct worker *w, uint32_t transport, int fd);
bool topics_is_apart(const struct worker *w, uint32_t subscription);
/* Brings the hub's count of the topic's subscribers here up to date. */
void topics_tell(const struct worker *w, uint32_t topic);
uint32_t topics_take_subscription(struct worker *w);		/* 0 when there is none */
void topics_give_subscription(struct worker *w, uint32_t subscription);

#endif
