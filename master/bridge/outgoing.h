/*
 * From the ring to NATS: what clients here publish.
 */
#ifndef MASTER_BRIDGE_OUTGOING_H
#define MASTER_BRIDGE_OUTGOING_H

#include "master/bridge/acks.h"
#include "master/bridge/marks.h"
#include "master/bridge/sender.h"

struct outgoing {
	struct bridge *bridge;
	struct sender *sender;
	struct marks *marks;
	struct acks *acks;
	uint64_t moved;			/* when NATS last took something, milliseconds, or there was nothing for it */
};

void outgoing_init(struct outgoing *o, struct bridge *b, struct sender *sender, struct marks *marks, struct acks *acks);

/* Sends a piece of what there is. Whether something is left that could be sent now. */
bool outgoing_turn(struct outgoing *o);

/* Whether NATS has taken nothing for so long that publishers should not wait for it. */
bool outgoing_is_stuck(const struct outgoing *o);

/* Whether all that clients have published was handed over. */
static inline bool outgoing_is_done(const struct outgoing *o)
{
	return nodes_sent(&o->bridge->hub) == ring_tail(&o->bridge->hub.ring);
}

/* While there is no connection: notes what the ring has overtaken. */
void outgoing_look(struct outgoing *o);

#endif
