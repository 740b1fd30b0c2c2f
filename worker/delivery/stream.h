/*
 * A session's stream: the records that the session is owed, of all its topics, in the order of their sequences. They are found along the links of each
 * topic and merged. So the cost depends on how many messages the session gets, and not on how many others went through the ring. Of a topic with
 * history (shm/history.h), records that the ring has overwritten are found there. Who deals with a stream has history pinned (hub_pin()), from before
 * it is opened until what was sent is committed.
 *
 * While a session is behind, each of its subscriptions notes how far the session has come in its topic: everything before was sent or counted as
 * lost (`number`, `from`). So the records that the ring overwrites before the session gets them are counted exactly. There is one open stream at a
 * time: its topics stand in streams->topic.
 *
 * A message may come to a session by several of its subscriptions, as a topic and as patterns that fit it: then each of these has a record of it (ring.h),
 * and they are at it together. It is sent once, and counts as had for all of them. `pos` says which messages a session has had, so it is an id: what
 * belongs to a message before it is not owed, whatever its own sequence is.
 */
#ifndef WORKER_DELIVERY_STREAM_H
#define WORKER_DELIVERY_STREAM_H

#include "worker/delivery/local_topics.h"

/* A topic of the session, and its next record, if it has one. */
struct stream_topic {
	struct subscription_shm *subscription;
	struct ring_record next;
	bool some;
	/* Of a session behind: what stream_commit() will store in the subscription, as `number` and `from`. */
	uint32_t number;
	uint64_t seen;
	uint32_t lost;			/* records that were owed and that neither the ring nor history has any more */
};

struct streams {
	struct base *base;
	struct topics *topics;
	struct partial_frames *partial;
	struct stream_topic *topic;	/* the topics of the open stream */
	uint32_t room;
};

struct stream {
	struct streams *of;
	session_id sid;
	uint64_t from, below;		/* only records in [from, below) are looked at */
	uint32_t count;
	struct stream_topic *topic;	/* streams->topic */
	uint64_t lost;			/* the sum of its topics' */
	uint64_t skipped;		/* records passed over, as they can't be made into frames */
	uint64_t passed;		/* how many of these lie before the last record that was sent */
};

/*
 * The topic's oldest record in [from, below), in the ring or in history. `hint` as for ring_seek(). 0 and *rec; -1: there is none. Pinned, and without
 * the hub lock.
 */
int stream_seek(const struct base *base, uint32_t topic, uint32_t generation, uint64_t from, uint64_t below, uint64_t hint, struct ring_record *rec);

/*
 * Opens the stream of session `sid`, whose state is `st`: finds the next record of each of its topics, below `below`, and counts what was lost. 0,
 * or -1: no memory.
 */
int stream_open(struct stream *s, struct streams *streams, session_id sid, const struct session_state_shm *st, uint64_t below);

/*
 * The same, without looking for records: for a session that is behind and goes on along records that are noted (landed.h). Its topics stand where their
 * subscriptions say.
 */
int stream_as_noted(struct stream *s, struct streams *streams, session_id sid, const struct session_state_shm *st);

/* The least id of messages that the subscription may be owed, as far as it says that. */
uint64_t stream_begins(const struct base *base, const struct subscription_shm *sub);

/* The topic whose record comes next, or NULL. Records that can't be made into frames are passed over, and counted. */
struct stream_topic *stream_next(struct stream *s);
void stream_begun(struct stream *s, struct stream_topic *t);	/* the message of the topic's record is sent, or a part of it */
void stream_step(struct stream *s, struct stream_topic *t);	/* goes on behind it: as all do, in each of the session's topics that has it */
/* The session's next topic behind the place *i that has a record of the same message; *i is 0 at first. NULL: there are no more. */
struct stream_topic *stream_other(const struct stream *s, const struct stream_topic *t, uint32_t *i);

/*
 * Commits the session's state, and notes in its subscriptions how far the stream has come. `number` is stored before the state: with the old state,
 * a number that is ahead never has a record counted as lost twice (skip_lost()). `from` is stored after the state, as records before it are not
 * looked at any more.
 */
void stream_commit(const struct stream *s, const struct session_state_shm *st);

/*
 * Commits the session's state, and with it, in one step, that what is lost of this topic is passed over: so what a state says of a loss, it says once,
 * whoever dies. The session is not in the middle of a frame.
 */
void stream_pass(struct stream *s, struct stream_topic *t, const struct session_state_shm *st);

/* For a topic with a loss: goes on with the newest of its records that are there. Those before it are lost, too. */
void stream_jump(const struct stream *s, struct stream_topic *t);

/*
 * For a session that was live until now and falls behind: finds what it is owed of each topic, for stream_commit() to note it, so that losses can
 * be counted exactly. (Nothing is lost yet: the ring has all that a live session is owed.)
 */
void stream_owed(struct stream *s, struct streams *streams, session_id sid, const struct session_state_shm *st);

#endif
