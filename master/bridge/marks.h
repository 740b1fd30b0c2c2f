/*
 * Our own marks, and those of others: signs of life, by which everybody knows what it has missed, and everybody's word of what it has had.
 *
 *   NODE EPOCH MARK SEQ          whose it is; its number; all before this sequence was sent
 *   NODE EPOCH SEQ               a line a peer: before this sequence of it, all is here that was wanted
 */
#ifndef MASTER_BRIDGE_MARKS_H
#define MASTER_BRIDGE_MARKS_H

#include "master/bridge/peers.h"

struct marks {
	struct bridge *bridge;
	struct peers *peers;
	uint64_t number;		/* of our last one */
	uint64_t at;			/* when it was sent, milliseconds */
	bool due;			/* something was sent since */
};

void marks_init(struct marks *m, struct bridge *b, struct peers *peers);

/* A connection is new. The first mark's number leaves one out. */
void marks_begin(struct marks *m);

/* Something was sent: a mark follows within some milliseconds. */
static inline void marks_owe(struct marks *m)
{
	m->due = true;
}

/* Sends one if it is time. */
void marks_turn(struct marks *m);
/* Milliseconds until then. */
unsigned marks_wait(const struct marks *m);

/* A mark that came, terminated. All that came before it must be in the ring. */
void marks_came(struct marks *m, const char *text);

#endif
