/*
 * A small index, ring and lock in shared memory, and judging whatever a death in the middle has left of them. For ring_stress --every-instruction.
 */
#ifndef STRESS_WORLD_H
#define STRESS_WORLD_H

#include "tests/stress/arena.h"

#define TOPICS 6u
#define BYTES 4096u
#define DESCS 8u
#define KEYS 128u
#define SLOT 1u
#define OWNER (SLOT + 1)

struct memory {
	struct lock_shm lock;
	_Alignas(64) uint8_t index[4096];
	_Alignas(64) uint8_t once[sizeof(struct once_shm) + KEYS * (sizeof(uint64_t) + sizeof(union once_cell_shm))];
	_Alignas(64) uint8_t ring[sizeof(struct ring_shm) + DESCS * sizeof(struct ring_desc_shm) + BYTES];
};
#define BOOKS (sizeof(struct memory) - BYTES)	/* all of it but the records' bytes, which come last */

struct world {
	struct memory *m;
	struct index ix;
	struct ring ring;
	struct once once;
};

extern unsigned long world_instructions, world_faults;	/* the first: how many were stepped through; faults are told with it */

/* Counts one, and says the first ten. */
void world_fault(const char *where, const char *what);
/* Shared with the children; ends the program if there is none. */
void *world_memory(size_t size);
void world_attach(struct world *w);
/* A batch of records of `len` bytes, one a topic; world_add() is one of a batch. */
void world_add(struct world *w, struct ring_batch *b, uint32_t topic, uint32_t len);
void world_publish(struct world *w, const uint32_t *topics, unsigned n, uint32_t len);
/* The same with a key, which is that of the batch's first sequence; the last `echoes` records are echoes of the one before them. */
void world_publish_once(struct world *w, const uint32_t *topics, unsigned n, unsigned echoes, uint32_t len);
/* What the keeper does. */
void world_repair(struct world *w);
/* A world with `records` behind it; some topics in use, one given back. What is true then, and that the tail may move by these commits, is
 * what later states are judged by. */
void world_prepare(struct world *w, unsigned records, uint64_t *commits, unsigned ncommits);
/* What ring_seek() must find: by looking at every record. 0: none. */
uint64_t world_seek_plainly(const struct world *w, uint32_t topic, uint32_t generation, uint64_t from);
/* `w` as it is when the child has been reaped. */
void world_judge(struct world *w, const char *where);

#endif
