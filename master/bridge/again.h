/*
 * What a peer has missed is sent again, to it alone: all that the ring has of ours from a sequence on, numbered from 1, while live messages go on; and when that has come up with
 * what was sent live, a word that from here on live ones count.
 *
 *   its question  to node.to.OURS.ask    NODE NUMBER EPOCH SEQ            who asks, the question's number; our epoch, and the first sequence that is wanted
 *   each message  to node.to.ITS.again.  as a live one, and the header    Janus-Again: NUMBER ORDINAL
 *   the word      to node.to.ITS.live    NODE EPOCH NUMBER COUNT MARK SEQ LOST
 */
#ifndef MASTER_BRIDGE_AGAIN_H
#define MASTER_BRIDGE_AGAIN_H

#include "master/bridge/marks.h"
#include "master/bridge/sender.h"

struct again_job {
	char node[NATS_NODE_MAX + 1];	/* who has asked; "": nobody */
	uint64_t number;		/* of its question */
	uint64_t next;			/* the first sequence that is not sent yet */
	uint64_t ordinal, lost;		/* messages sent; records that were not there any more */
};

struct again {
	struct bridge *bridge;
	struct sender *sender;
	struct marks *marks;
	unsigned jobs;			/* in use */
	struct again_job job[NODES_MAX];
};

void again_init(struct again *a, struct bridge *b, struct sender *sender, struct marks *marks);

/* The connection is another one: who still misses something asks anew. */
void again_begin(struct again *a);

/* A question that came, terminated. */
void again_asked(struct again *a, const char *text);

/* Sends a piece for each who has asked. Whether something is left to do. */
bool again_turn(struct again *a);

#endif
