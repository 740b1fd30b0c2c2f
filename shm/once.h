/*
 * Publish once: the keys of what was published lately, and what it was answered. Who got no answer and tries again with the same key gets the
 * answer of the first time, and nothing is published. In the hub segment.
 *
 *   once_shm | uint64_t heads[cells] | union once_cell_shm cells[cells]
 *
 *       oldest                   end          staged
 *   ----[entry|entry|...|entry---)[entry------)----      cells, in the order of their numbers; a number's place is number % cells
 *        remembered               the one that is being published
 *
 * An entry takes a cell, and for each eight messages beyond its first, of a request that has several, one more. The oldest gives way to a new
 * one; numbers only go up, so a link to an entry that is gone is known by its number. Each chain (heads, then `next`) goes from newer entries to older.
 *
 * The key itself is not kept but its 128-bit hash with a secret of this hub, together with where it goes; of the messages, a 64-bit hash, which tells
 * that the same key comes with something else.
 *
 * Crash rules. A message and its key are published together, or neither is. Whoever publishes holds the hub lock; it
 *   1. writes the entry behind `end`: nobody sees it
 *   2. stages it (once_stage()): `needs` is the ring's tail as it will be, then the store of `staged`. From here on it is published if the tail is there
 *   3. moves the ring's tail. A message that has no record, as nobody subscribes its topic and history does not keep it, is published by 2 already;
 *      history takes over what is there
 *   4. links it, and moves `end` (once_commit()). Done twice, that is as done once.
 * So who finds staged != end after a death does 4 if tail >= needs, and else forgets the entry (once_repair()). `oldest` may have moved further than
 * needed: keys are forgotten early, then.
 */
#ifndef SHM_ONCE_H
#define SHM_ONCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ONCE_KEY_MAX 255		/* bytes of a client's key */
#define ONCE_MESSAGES_MAX 512		/* of one request */

struct once_shm {
	_Alignas(64) uint32_t cells;	/* a power of two, or 0: nothing is remembered */
	uint32_t pad;
	uint64_t secret[2];
	_Atomic uint64_t oldest, end;	/* numbers of cells; none is 0 */
	_Atomic uint64_t staged;
	uint64_t needs;
};
_Static_assert(sizeof(struct once_shm) == 64, "layout");

union once_cell_shm {
	struct {
		uint64_t key[2], digest;
		uint64_t time;		/* once_now() when it was published */
		uint64_t next;		/* in its chain: an older entry, or one that is gone */
		uint64_t first;		/* sequence of the first record */
		uint64_t count;		/* messages */
		uint64_t answer;	/* of the first of them */
	} entry;
	uint64_t answer[8];		/* of eight more. Subscribers << 16, and the place of its record in the batch from 1, 0: it has none */
};
_Static_assert(sizeof(union once_cell_shm) == 64, "layout");

/* A process's handle. */
struct once {
	struct once_shm *shm;
	_Atomic uint64_t *heads;
	union once_cell_shm *cells;
	uint64_t keep;			/* milliseconds for which a key counts; the process sets it */
};

/* A key, and what was published with it. */
struct once_id {
	uint64_t key[2], digest;
};

/* Bytes for so many keys: rounded up to a power of two, and 128 at least; 0: none. */
size_t once_size(uint32_t keys);
/* Makes an empty table in zeroed memory of once_size() bytes. (Cells are not touched.) */
void once_format(void *mem, uint32_t keys);
int once_attach(struct once *o, void *mem, size_t size);	/* 0, or -1 with EINVAL */

static inline bool once_is_on(const struct once *o)
{
	return o->shm->cells > 0;
}

/* Milliseconds of CLOCK_MONOTONIC. */
uint64_t once_now(void);

/* The id of key[0..len) for the name that it goes to (of the index); name_len 0: for a request that names several. There is no message in it yet. */
void once_id(const struct once *o, const char *name, size_t name_len, const char *key, size_t len, struct once_id *id);
/* Adds the next message. */
void once_add_message(const struct once *o, struct once_id *id, const void *bytes, size_t len);

/* ---- the hub lock is held ---- */

/* The number of the key's entry, which may have another digest. 0: it was not used within `keep`. */
uint64_t once_find(const struct once *o, const struct once_id *id, uint64_t now);
bool once_is_same(const struct once *o, uint64_t number, const struct once_id *id);
/* What became of message i of its `count`. *seq 0: it had no record. */
uint64_t once_count(const struct once *o, uint64_t number);
void once_answer(const struct once *o, uint64_t number, unsigned i, uint64_t *seq, uint64_t *subscribers);

/*
 * Writes an entry of `count` messages, whose records begin with the sequence `first`; their answers are put next. Returns its number. *evicted:
 * keys that had to give way though they still counted.
 */
uint64_t once_write(struct once *o, const struct once_id *id, uint64_t now, uint64_t first, unsigned count, unsigned *evicted);
void once_put_answer(struct once *o, uint64_t number, unsigned i, uint64_t seq, uint64_t subscribers);
/* The cell behind the entry, which is what `staged` will be. */
uint64_t once_behind(const struct once *o, uint64_t number);
void once_stage(struct once *o, uint64_t number, uint64_t needs);
void once_commit(struct once *o);
/* Whether the entry that ends here was staged last. */
bool once_is_staged(const struct once *o, uint64_t behind);
/* After the lock's holder died. May be cut short, and done again. */
void once_repair(struct once *o, uint64_t tail);

/* For all of them, from the oldest on: for (n = once_first(o); n; n = once_next(o, n)). */
uint64_t once_first(const struct once *o);
uint64_t once_next(const struct once *o, uint64_t number);
static inline const union once_cell_shm *once_cell(const struct once *o, uint64_t number)
{
	return &o->cells[number & (o->shm->cells - 1)];
}

/* Everything stated above: 0, or -1 with `why`. */
int once_check(const struct once *o, const char **why);

#endif
