/*
 * How many subscribers a name has on all nodes: how a worker and the bridge (shm/nodes.h) speak about it.
 *
 *   worker  question_put(): the note of a request that waits (waiting_shm.h) asks, and the bridge is woken
 *   bridge  question_slots(), question_read(): asks the other nodes; question_tell(): what they have said so far
 *   worker  question_answer()
 *
 * No step waits for the other side, and nothing is to be repaired: a new worker finds its slot's notes; a new bridge asks anew what stands there. What is told of a note that was given to another
 * request meanwhile does not count, as it has its number.
 */
#ifndef SHM_QUESTION_H
#define SHM_QUESTION_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/hub.h"

/* How many other nodes there are, how many of these have answered, and how many subscribers they have together. */
struct question_answer {
	bool done;			/* no more is to come */
	unsigned nodes, answered;
	uint64_t subscribers;		/* up to QUESTION_MOST */
};
#define QUESTION_MOST UINT32_MAX

/* Other nodes that have given a sign of life lately. */
unsigned question_nodes(const struct hub *hub);

/*
 * Subscriptions that would have a message to this name here, at this moment: its own, and those of patterns that fit. `held`: its own alone; it may be a pattern, then. Takes the hub
 * lock, as `owner`.
 */
uint64_t question_count(struct hub *hub, uint32_t owner, const char *name, size_t len, bool held);

/* ---- a worker ---- */

/* The note at this place of its slot's is whole: the bridge is to ask. */
void question_put(const struct hub *hub, unsigned slot);
/* What is known: `done` false and zeroes, if it is nothing. */
struct question_answer question_answer(const struct hub *hub, unsigned slot, unsigned place);

/* ---- the bridge ---- */

/* The slots, in bits, of which notes have come since this was last called. */
uint64_t question_slots(struct hub *hub);
/* Whether there are some. */
bool question_has(const struct hub *hub);

struct question {
	uint64_t number;		/* of the note */
	bool held;			/* (question_count()) */
	uint8_t len;
	char name[256];			/* not terminated */
};
/* Reads the note at this place. False: there is none, or it asks nothing. */
bool question_read(const struct hub *hub, unsigned slot, unsigned place, struct question *q);

/* Tells the note with this number, if it is still there, and wakes its worker when it is done. */
void question_tell(const struct hub *hub, unsigned slot, unsigned place, uint64_t number, const struct question_answer *a);

#endif
