/*
 * Other nodes: whether what comes of them is in order, and complete. What is asked for when it is not.
 *
 * A node's *mark* k says that it had sent all before a sequence. What it sends behind that names k. Who has had marks k and k + 1, and nothing else between them, has had all that it had
 * asked NATS for. All other states, and what follows, are in ARCHITECTURE.md ("Nodes").
 *
 * What a peer has sent, up to which sequence, stands in the hub (node_shm.seq); the rest here is forgotten with the process, which then begins out of order with all.
 */
#ifndef MASTER_BRIDGE_PEERS_H
#define MASTER_BRIDGE_PEERS_H

#include <stdbool.h>

#include "master/bridge/bridge.h"

enum order { OUT_OF_ORDER, IN_ORDER, ASKING };

struct peer {
	enum order order;
	bool met;			/* it was in order since the connection is there */
	uint64_t mark;			/* IN_ORDER: its last one */
	uint64_t taken;			/* its messages up to this one were taken: also those that are not in the ring yet */
	uint64_t number;		/* ASKING: of the question */
	uint64_t ordinal;		/* and of the last message that came of it */
	uint64_t heard;			/* when anything came, milliseconds; of the question when ASKING */
	uint64_t seen;			/* the last mark, milliseconds */
};

struct peers {
	struct bridge *bridge;
	uint64_t questions;		/* number of the last one: of no other process of this node, as it begins with a time */
	struct peer peer[NODES_MAX];
};

void peers_init(struct peers *p, struct bridge *b);

/* The connection is another one: something may have been missed of everybody. */
void peers_begin(struct peers *p);

/* Who is silent for long is away. */
void peers_look(struct peers *p);

/* The peer that has this name and epoch, NODE_NONE: it has given no sign of life yet. */
unsigned peers_named(const struct peers *p, const char *name, uint64_t epoch);

/* The same of the sender of a live message. A node that was never heard of is in order from this message on. */
unsigned peers_sender(struct peers *p, const struct nats_origin *origin);

/*
 * A mark. All that came before it must be in the ring (incoming.c). Returns the peer, NODE_NONE: it is refused. *news: it did not follow its last one, so it may know as little of us.
 */
unsigned peers_mark(struct peers *p, const char *name, uint64_t epoch, uint64_t mark, uint64_t seq, bool *news);

/* Whether this message is to come yet, as the peer is asked for all behind what was here when the connection began. */
static inline bool peers_owe(const struct peers *p, unsigned peer, uint64_t seq)
{
	return !p->peer[peer].met && seq > p->peer[peer].taken;
}

/* Whether a live message counts; then it is taken. */
bool peers_take(struct peers *p, unsigned peer, uint64_t seq, uint64_t mark);

/* The same of one that was sent again, in answer to a question. */
bool peers_take_again(struct peers *p, unsigned peer, uint64_t seq, uint64_t number, uint64_t ordinal);

/* An answer's end: `count` messages were sent, live ones count from this mark on, all before `seq` was sent, and `lost` records were not there any more. Before it, all must be in the ring. */
void peers_live(struct peers *p, unsigned peer, uint64_t number, uint64_t count, uint64_t mark, uint64_t seq, uint64_t lost);

#endif
