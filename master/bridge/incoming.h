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

struct incoming {
	struct bridge *bridge;
	struct peers *peers;
	struct marks *marks;
	struct again *again;
	struct counts *counts;
	const struct interest *interest;
	struct stream *stream;
	struct acks *acks;
	struct json json;
	struct arrival held;		/* what could not be dealt with yet, as the batch must go first; msg NULL: nothing */
	/* the batch */
	unsigned peer;			/* whose messages these are; NODE_NONE: other clients'; NODE_OF_STREAM: the stream's */
	unsigned count;
	struct publish_item item[PUBLISH_BATCH_MAX];
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
