/*
 * Publishing: a batch of messages of one connection goes into the ring with one store, together with the note by which a
 * successor knows whether it did.
 */
#ifndef SHM_PUBLISH_H
#define SHM_PUBLISH_H

#include "shm/hub.h"
#include "shm/members.h"
#include "shm/once.h"

#define PUBLISH_BATCH_MAX 512		/* messages */
#define PUBLISH_KEY_MAX 250		/* bytes of a key that several messages have; of one, ONCE_KEY_MAX */

struct publish_item {
	uint64_t hash;			/* index_hash() of the topic */
	const char *topic;
	const char *message;		/* see proto/message.h */
	uint32_t len;
	uint32_t flags;			/* session flags that take effect with this message */
	uint64_t parsed;		/* place in the connection's input behind this message */
	uint8_t topic_len;
	/* By what the stream that all nodes have is to know it again (nodes.h): up to PUBLISH_KEY_MAX bytes; 0: by where it is from. `key_number`: which of several messages with this key it is, from 1 on; 0: the one */
	uint8_t key_len;
	uint16_t key_number;
	const char *key;
	/* set by publish_answered() */
	bool to_stream;			/* it is for the stream, and its id is what that says (nodes_ack_of() of its sequence) */
	uint64_t seq;			/* the sequence it got, 0: nobody here subscribes the topic, and no history keeps it */
	uint64_t subscribers;		/* subscriptions of the topic, and of patterns that fit it, at that moment, over all slots */
};

/* The most bytes of messages that a batch should hold: an eighth of the ring. */
static inline uint64_t publish_bytes_max(const struct hub *hub)
{
	return hub->ring.shm->bytes / 8;
}

/*
 * The most messages that go into the ring at a time: a quarter of it, where that is less than PUBLISH_BATCH_MAX. (With their echoes (ring.h) they are no more
 * than a quarter of it either, or are one message.) With what is skipped before the end of the ring and padding, the bytes come to a little more than a quarter at most. That the ring moves by less than 7/8 between two
 * looks at a worker's `delivered` is what partial_frame.c and flow control count on.
 */
static inline unsigned publish_count_max(const struct hub *hub)
{
	uint32_t quarter = hub->ring.shm->descs / 4;

	return quarter < PUBLISH_BATCH_MAX ? quarter : PUBLISH_BATCH_MAX;
}

/*
 * Publishes items[0..count) for session `fd` of `slot`, and wakes the workers that sleep and have subscribers. Messages of topics that
 * nobody subscribes are taken and not stored, unless history keeps them, or other nodes are to have them (nodes.h). Returns how many were published: fewer than count when the ring would not take more at
 * once (call again), 0 with EAGAIN when a worker is half a ring behind, or EBUSY when it is a quarter and they are heavy (try later).
 *
 * When it returns, the slot's intent names the last one's `parsed` and `flags`. The caller records them in the session and then
 * calls publish_done().
 */
unsigned publish(struct hub *hub, unsigned slot, int fd, const struct publish_item *items, unsigned count);

/*
 * The same for a request whose answer tells what became of the messages: all of items[0..count) are published one behind the other, or
 * none. 0; or -1: EAGAIN, EBUSY as above, EMSGSIZE when the ring could not take them at once, or they are
 * more than publish_count_max().
 *
 * After a death between this and publish_done() the successor deals with the same request again, and finds here what was published. The
 * caller records answer and `parsed` in the session, then calls publish_done().
 */
int publish_answered(struct hub *hub, unsigned slot, int fd, struct publish_item *items, unsigned count);

/* What a publish of `count` messages wrote, `written` records from `first` on: sets the items' `seq`, `subscribers` (up to some hundreds of thousands) and `to_stream`, as far as the ring has them; else zeroes. */
void publish_recall(const struct hub *hub, uint64_t first, unsigned written, struct publish_item *items, unsigned count);

/*
 * The same with a key (once_id(), and once_add_message() with each of the messages): 0, they are published and the key is remembered with the
 * answer. 1: that was done before, and the items have the answer of that time; nothing is published, and there is no intent. -1 with EEXIST: the key
 * was used with other messages. NULL: no key. Of messages that are for the stream it is the stream that knows keys; EINVAL: some are, some are not.
 */
int publish_once(struct hub *hub, unsigned slot, int fd, struct publish_item *items, unsigned count, const struct once_id *once);

/*
 * Whether publish() would not be put off at this moment. `heavy`: of messages that take more than a 1024th of the ring's bytes. They are put off
 * when a worker is a quarter of the ring behind, so that who fills the ring leaves room for others' small ones.
 */
bool publish_ready(const struct hub *hub, bool heavy);

/*
 * Publishes a change of who is on a topic (members_next_change()), if it is still due: message and change are committed together. 0; -1: it has to wait
 * (EAGAIN, EBUSY).
 */
int publish_change(struct hub *hub, unsigned slot, const struct member_change *change);

/* What was published stands in the session, too: clears the intent. */
void publish_done(struct hub *hub, unsigned slot);

#endif
