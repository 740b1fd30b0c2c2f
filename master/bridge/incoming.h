/*
 * From NATS to the ring: what has come, in the order in which it came. Messages of one origin that follow one another are published as one batch; what nodes say to each other comes in
 * between, so that a mark finds all before it in the ring.
 */
#ifndef MASTER_BRIDGE_INCOMING_H
#define MASTER_BRIDGE_INCOMING_H

#include "master/bridge/acks.h"
#include "master/bridge/again.h"
#include "master/bridge/counts.h"
#include "master/bridge/interest.h"
#include "proto/json.h"
#include "shm/publish.h"

/*
 * Of a peer without the rules that we have: what it publishes it does not give to the stream, which takes it all the same from when it has its subjects. What was sent to all before that, and while we asked for nothing,
 * comes as it is sent again to us; what is newer, of the stream. So each of its messages is taken once, and in its order.
 */
struct beside {
	uint64_t epoch;			/* whose sequence this is */
	uint64_t seq;			/* of the last one that was taken, either way */
};
/* What it was before a message of the batch, which may be forgotten (incoming_drop()). */
struct beside_before {
	unsigned peer;			/* NODE_NONE: that message has to do with none */
	struct beside was;
};

struct incoming {
	struct bridge *bridge;
	struct peers *peers;
	struct marks *marks;
	struct again *again;
	struct counts *counts;
	const struct interest *interest;
	struct stream *stream;
	struct acks *acks;
	struct beside beside[NODES_MAX];
	struct json json;
	struct arrival held;		/* what could not be dealt with yet, as the batch must go first; msg NULL: nothing */
	/* the batch */
	unsigned peer;			/* whose messages these are; NODE_NONE: other clients'; NODE_OF_STREAM: the stream's */
	unsigned count;
	struct publish_item item[PUBLISH_BATCH_MAX];
	struct beside_before before[PUBLISH_BATCH_MAX];
	char *text;			/* names and records, of `room` bytes */
	size_t used, room;
};

/* 0, or -1: there is no memory. */
int incoming_init(struct incoming *i, struct bridge *b, struct peers *peers, struct marks *marks, struct again *again, struct counts *counts, const struct interest *interest,
		  struct stream *stream, struct acks *acks);

enum came { CAME_NOTHING, CAME_MORE, CAME_BLOCKED };	/* all is done; there is more, for another turn; workers are behind: try in a millisecond */
enum came incoming_turn(struct incoming *i);

/* The connection is over: what was not published is forgotten. Its peers were not told that it is here. */
void incoming_drop(struct incoming *i);

#endif
