/*
 * Messages of libnats that are done with. It frees each in a thread of its own, which is woken for it, and takes the memory allocator's lock from us: so they are gathered, and freed
 * together, when they are many or nobody waits for the loop.
 */
#ifndef MASTER_BRIDGE_SPENT_H
#define MASTER_BRIDGE_SPENT_H

#include <stddef.h>

#include <nats/nats.h>

#define SPENT_MAX 64			/* few enough to be in the processor's cache still */

struct spent {
	natsMsg *msg[SPENT_MAX];
	unsigned count;
	size_t bytes;			/* of their payloads */
};

/* Takes a message over; NULL: there is none. */
void spent_add(struct spent *s, natsMsg *msg);
void spent_free(struct spent *s);

#endif
