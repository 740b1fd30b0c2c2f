/*
 * Other nodes: what the hub has for the bridge, the process that joins this server with others by NATS (master/bridge/).
 *
 * In the hub it is a slot, SLOT_BRIDGE, so that it can publish, be woken and be repaired as a worker is. It is none: the slot's `state` stays SLOT_UNUSED, so that nobody gives it
 * clients, orders or snapshots. It may be killed at any time: who has reaped it (the master) calls hub_repair(), and its successor goes on from what stands here.
 *
 *   our ring                              sent                           tail
 *   -----[==================|=============)------------------------------)----
 *      oldest             proven          given to NATS, in this order
 *
 * OUT. While the bridge is on, every message that a client here publishes has a record of its own in the ring; where nobody here subscribes it and history does not keep it, one of
 * TOPIC_NONE. What came of NATS (RING_FOREIGN), and changes of presence, are not for other nodes. `sent` is the slot's `delivered`: publishers wait for it as for a worker's, but only while NATS is
 * connected and the bridge gives signs of life.
 *
 * IN. The bridge publishes what other nodes have sent, one origin a batch. The intent's `fd` is the origin's place in the table of peers, and `parsed` its sequence of the last message: so messages and
 * peer.seq are one commit, whoever dies.
 *
 * STREAM. While there is one for all nodes (struct stream_shm), what clients publish to a topic that history keeps is not for anybody here: it is a record of TOPIC_NONE with RING_TO_STREAM, which the bridge gives to the stream,
 * and in the stream's order it comes back to all nodes: RING_FOREIGN, as a message of its topic, NODE_OF_STREAM being whom it is of.
 *
 *   RING_TO_STREAM:    02 | n | n bytes: a key by which the stream is to know the message again, whoever publishes it | the record as it is otherwise
 *               or     the record as it is otherwise, which the stream then knows by where it is from
 *
 * What the stream answers of a message stands in that record: nodes_acked(). Below `acked_to` all have their answer; what lies between it and `sent` may have to be given to it again.
 *
 * INTEREST. The index lists the entries whose interest has changed (index_feed_begin() and others in index.h), each once; nothing is looked for.
 *
 * | a death of the bridge | leaves | what follows |
 * |---|---|---|
 * | before `sent` is stored | messages that NATS was given, perhaps | they are given to it again: peers drop what they have had, by our sequence |
 * | in nodes_publish(), before the tail moves | a batch that is not published, an intent | undone; peer.seq is what it was, and what was in the batch is asked for again |
 * | behind the tail, before peer.seq is stored | an intent | hub_repair() stores peer.seq |
 * | while it takes changes of interest | the feed in the middle of a change | hub_repair() says LOST: all is looked at |
 * | at any other time | the feed goes on without it | its successor begins with a look at all entries |
 */
#ifndef SHM_NODES_H
#define SHM_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/message_view.h"
#include "proto/presence.h"
#include "shm/hub.h"

#define NODE_NONE NODES_MAX		/* no peer: another client of NATS */
#define NODES_PIECE 128			/* entries looked at while the hub lock is held */

/* ---- anybody ---- */

static inline enum nodes_state nodes_state(const struct hub *hub)
{
	return (enum nodes_state)atomic_load_explicit(&hub->shm->nodes.state, memory_order_relaxed);
}

/* Of the stream that all nodes have. */
static inline enum stream_state nodes_stream(const struct hub *hub)
{
	return (enum stream_state)atomic_load_explicit(&hub->shm->nodes.stream.state, memory_order_relaxed);
}

/* Whether messages to this name of the index come of the stream. */
static inline bool nodes_is_stream(const struct hub *hub, const char *name, size_t len)
{
	return nodes_stream(hub) != STREAM_OFF && history_rules_find(hub->history.rules, name, len) != NULL && !presence_in(name, len);
}

/* The stream's last message that lies before the ring's tail, or that nobody here wants; epoch 0: it was never reached. Hub lock held. */
struct position nodes_stream_last(const struct hub *hub);

/* Whether a record is a message for the stream. Of such `next` is what the stream has said of it, 0: nothing yet. */
static inline bool nodes_is_to_stream(const struct ring_record *rec)
{
	return rec->topic == TOPIC_NONE && rec->flags & RING_TO_STREAM && !(rec->flags & RING_ECHO);
}

/* What the stream has said of the RING_TO_STREAM record: the message's sequence there, perhaps with STREAM_DUPLICATE; STREAM_REFUSED; 0: nothing yet, or the ring has it no more. */
uint64_t nodes_ack_of(const struct hub *hub, uint64_t seq);

/* Our own messages before this sequence were given to NATS. */
static inline uint64_t nodes_sent(const struct hub *hub)
{
	return atomic_load_explicit(&hub->shm->slot[SLOT_BRIDGE].delivered, memory_order_acquire);
}

/* A worker, once a turn of its loop: the interest in topics may have changed. Wakes the bridge, if it sleeps. */
void nodes_tell(const struct hub *hub);
/* There is something else for the bridge, that was stored before: wakes it, if it sleeps. */
void nodes_wake(const struct hub *hub);

/* ---- the master ---- */

/* There is to be a bridge: from now on, what clients publish is for other nodes, too. Nothing, if that is so already. */
void nodes_begin(struct hub *hub, const char *name);
/* There is none any more, and none follows: it was reaped, and hub_repair() called. `owner`: the number to take the hub lock with. */
void nodes_end(struct hub *hub, uint32_t owner);
/* It was reaped, and another one follows: NATS is not connected. */
void nodes_bereave(struct hub *hub);
/* The setting nats_stream, when nodes_begin() was called and there is no bridge. `fresh`: this hub never had a client. Nothing, if it is as it was. */
void nodes_stream_is(struct hub *hub, const char *name, bool fresh);
/* There is none any more, and no bridge. Returns how many messages for it have no answer, and go nowhere; records that the ring has no more among them, of which some may have one. `owner`: the number to take the hub lock with. */
uint64_t nodes_stream_end(struct hub *hub, uint32_t owner);

/* ---- the bridge ---- */

/* Also with server and error (cut if they are too long), either of which may be NULL: as it is. Nothing happens if the state is this one already, but that the texts are stored. */
void nodes_set_state(struct hub *hub, enum nodes_state state, const char *server, const char *error);

/* A sign of life: several times a second. `now`: milliseconds of CLOCK_MONOTONIC. */
static inline void nodes_beat(const struct hub *hub, uint64_t now)
{
	atomic_store_explicit(&hub->shm->nodes.beat, now, memory_order_relaxed);
}

/*
 * Before it waits for its eventfd (hub.wake[SLOT_BRIDGE]). `next`: the sequence up to which it has looked at the ring. True: it may wait, and whoever has something for it will wake it. False: there is
 * something already. When it goes on, for whatever reason, it calls nodes_awake(), which also takes the eventfd's count.
 */
bool nodes_may_sleep(struct hub *hub, uint64_t next);
void nodes_awake(struct hub *hub);

/* What is to be sent. */
struct nodes_message {
	uint64_t seq;			/* its id */
	uint64_t time;			/* microseconds since 1970 */
	enum message_to to;		/* topic, user or all; whatever other members a publisher of the flash socket has given it. Its name is the member of that kind */
	struct message_view view;	/* of its bytes in the ring, which are good only if ring_holds(&hub->ring, seq) says so after they were used */
	const char *bytes;		/* the record itself (message_view.h says what is in it) */
	size_t len;
	bool to_stream;			/* it is for the stream: */
	uint64_t sseq;			/* what that has said of it (nodes_ack_of()) */
	const char *key;		/* what it is to know it by, key_len bytes in the ring; 0: none was given */
	uint8_t key_len;
};

/*
 * The first of our own messages at *seq or behind it, and before `end` (the tail: ring_tail()). 1: there is one, and *seq is behind it. 0: there is none; *seq is at `end`. -1: what was at *seq has
 * been overwritten; *seq is at the oldest record that is left, and *overtaken has grown by the records between. (Among those may be others than our own messages.)
 */
int nodes_next(const struct hub *hub, uint64_t *seq, uint64_t end, struct nodes_message *m, uint64_t *overtaken);

/* All before it was given to NATS. It never goes back: what is sent again lies between `proven` and this. */
void nodes_set_sent(struct hub *hub, uint64_t seq);
void nodes_set_proven(struct hub *hub, uint64_t seq);

/* The peer's place, NODE_NONE: it is not known. */
unsigned nodes_find(const struct hub *hub, const char *name);
/* A peer that is new, or has another epoch: of its messages all up to `seq` are none of ours. Its place; NODE_NONE: there is no room (those that are AWAY may be forgotten). */
unsigned nodes_meet(struct hub *hub, const char *name, uint64_t epoch, uint64_t seq);
void nodes_forget(struct hub *hub, unsigned peer);

/* What this peer's messages up to `seq` had for us is in the ring, or nobody here wants it. Never less than before. */
void nodes_set_seq(struct hub *hub, unsigned peer, uint64_t seq);

/*
 * Publishes what has come of a peer, or of no peer (NODE_NONE). items[i].parsed is the origin's sequence, which must rise and be above peer.seq (0 for NODE_NONE); items[i].flags 0. How many: they are in the
 * ring, where somebody wants them, and peer.seq says so. 0 with EAGAIN or EBUSY: a worker here is behind, try again in some milliseconds. (publish() says more.)
 */
struct publish_item;
unsigned nodes_publish(struct hub *hub, unsigned peer, const struct publish_item *items, unsigned count);

/* ---- the bridge: the stream ---- */

/* error NULL: as it is. */
void nodes_set_stream(struct hub *hub, enum stream_state state, const char *error);

/* What comes of it from now on begins at `from`, behind which nothing has come: it was never read, or was made anew, or has no more what should have come. */
void nodes_stream_begins(struct hub *hub, uint64_t epoch, uint64_t from);

/* The stream has answered. Then who waits for it is woken. */
struct node_ack {
	uint64_t seq;			/* of the record */
	uint64_t sseq;			/* of the message in the stream, perhaps with STREAM_DUPLICATE; or STREAM_REFUSED */
};
void nodes_acked(struct hub *hub, const struct node_ack *acks, unsigned count);

/* Wakes the workers that wait for something of the bridge's. One that waits sets its slot's bit in nodes.waiting, then looks once more, and then sleeps. */
void nodes_wake_waiting(struct hub *hub);

static inline uint64_t nodes_acked_to(const struct hub *hub)
{
	return atomic_load_explicit(&hub->shm->nodes.stream.acked_to, memory_order_relaxed);
}

/* Moves `acked_to` on, up to `sent`, past so many records at most. Returns how many of those had no answer, and are in the ring no more. */
uint64_t nodes_look_at_acks(struct hub *hub, unsigned most);

/* ---- the bridge: what NATS is to be asked for ---- */

/* An entry of the topic index as it is at this moment: a topic, a pattern, a user's inbox (NAME_INBOX stands before it), everybody (NAME_EVERYBODY), or a topic that tells of presence. */
struct nodes_interest {
	uint32_t number;		/* its number: what the bridge knows it by */
	uint32_t generation;		/* another one, and it is another entry */
	bool wanted;			/* somebody here subscribes it. Else there is no name */
	uint8_t name_len;
	char name[TOPIC_NAME_MAX];	/* not terminated */
};

/* At its start, before anything else of this; and whenever changes were lost. From now on changes are listed; those of before are found by nodes_scan(). */
void nodes_feed_begin(struct hub *hub);
/* Entries that have changed since they were last taken, up to NODES_PIECE. How many; 0: none; -1: changes were lost, see nodes_feed_begin(). */
int nodes_take_changes(struct hub *hub, struct nodes_interest changed[NODES_PIECE]);
/* All entries, wanted or not: those with the numbers from *next (1 at first) on, up to NODES_PIECE. How many; 0: that were all. */
unsigned nodes_scan(struct hub *hub, uint32_t *next, struct nodes_interest found[NODES_PIECE]);

#endif
