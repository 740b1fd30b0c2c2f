/*
 * A session's stream: the records of the ring that it is owed, of all its topics, in ring order. Records are found along each topic's links
 * and merged, so this costs as much as there are messages for the session, however many others went through the ring.
 *
 * For a session behind, its subscriptions say up to where that was sent or counted as lost (`number`, `from`), so that what the ring
 * overtakes is told to the message. There is one stream at a time: its topics stand in streams->topic.
 */
#ifndef WORKER_DELIVERY_STREAM_H
#define WORKER_DELIVERY_STREAM_H

#include "worker/delivery/local_topics.h"

/* A topic of the session: its next record, if it has one. */
struct stream_topic {
	struct subscription_shm *subscription;
	struct ring_record next;
	bool some;
	uint32_t number;		/* of a session behind: what its subscription will say when it is noted that it has come to here */
	uint64_t seen;
};

struct streams {
	struct base *base;
	struct topics *topics;
	struct partial_frames *partial;
	struct stream_topic *topic;	/* room for those of the session at hand */
	uint32_t room;
};

struct stream {
	struct streams *of;
	int fd;
	uint64_t from, below;		/* records before and from here on are not looked at */
	uint32_t count;
	struct stream_topic *topic;	/* streams->topic */
	uint64_t lost;			/* records owed that the ring no longer has */
	uint64_t skipped;		/* records passed over, as they can't be made into frames; */
	uint64_t passed;		/* of these, those before what was sent */
};

/* Finds the first record of each topic, from the state `st` on and before `below`. -1 without memory. */
int stream_open(struct stream *s, struct streams *streams, int fd, const struct session_state_shm *st, uint64_t below);

/* The topic whose record comes next, or NULL; what can't be made into a frame is passed over. */
struct stream_topic *stream_next(struct stream *s);
void stream_step(struct stream *s, struct stream_topic *t);	/* behind that record */

/*
 * Commits the session's state with what its subscriptions say of it: all up to here was sent or counted as lost. The numbers come first:
 * found with the old state they do no harm, as who goes along the stream again finds the same. Where the records are is told afterwards, as
 * nothing before that is looked at any more.
 */
void stream_commit(const struct stream *s, const struct session_state_shm *st);

/* What a session is owed that was live until now, so that losses can be told exactly. (The ring has all of it.) */
void stream_owed(struct stream *s, struct streams *streams, int fd, const struct session_state_shm *st);

#endif
