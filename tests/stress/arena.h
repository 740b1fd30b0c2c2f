/*
 * What the two halves of ring_stress share: a hub in small, lock, index and ring in one piece of memory, and records that can
 * tell whether they are whole.
 */
#ifndef STRESS_ARENA_H
#define STRESS_ARENA_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "shm/index.h"
#include "shm/lock.h"
#include "shm/once.h"
#include "shm/ring.h"

#define RECORD_MIN 32u

/* The start of a record; bytes that follow from `seq` fill the rest. */
struct record_head {
	uint64_t seq, number;
	uint32_t topic, generation, len, pad;
};
_Static_assert(sizeof(struct record_head) == RECORD_MIN, "layout");

static inline uint8_t record_byte(uint64_t seq, uint32_t i)
{
	return (uint8_t)((seq * 0x9e3779b97f4a7c15u) >> 32) ^ (uint8_t)(i * 7);
}

/* Right after ring_add() of `len` bytes (RECORD_MIN at least) for `topic`. */
static inline void record_fill(uint8_t *p, uint64_t seq, uint32_t len, const struct topic_shm *t, uint32_t topic)
{
	struct record_head head = { seq, t->published, topic, t->generation, len, 0 };
	uint32_t i;

	memcpy(p, &head, sizeof head);
	for (i = RECORD_MIN; i < len; i++)
		p[i] = record_byte(seq, i);
}

/* Does what was copied fit its descriptor? */
static inline bool record_whole(const uint8_t *p, const struct ring_record *rec)
{
	struct record_head head;
	uint32_t i;

	memcpy(&head, p, sizeof head);
	if (head.seq != rec->id || head.len != rec->len)
		return false;
	/* An echo has the bytes of another topic's record. */
	if (rec->id == rec->seq && (head.number != rec->number || head.topic != rec->topic || head.generation != rec->generation))
		return false;
	for (i = RECORD_MIN; i < rec->len; i++)
		if (p[i] != record_byte(rec->id, i))
			return false;
	return true;
}

/* From 20 on some are patterns, of two shapes. */
static inline uint32_t join_name(struct index *ix, unsigned slot, unsigned n)
{
	char name[3] = { n >= 20 && n % 4 == 0 ? '*' : 't', n >= 20 && n % 4 == 0 ? '.' : (char)('A' + n / 26), n % 20 == 16 ? '>' : (char)('a' + n % 26) };

	return index_join(ix, slot, index_hash(name, sizeof name), name, sizeof name, 1);
}

static inline bool in_use(const struct index *ix, uint32_t topic)
{
	return atomic_load_explicit(&index_topic(ix, topic)->state, memory_order_relaxed) == TOPIC_USED;
}

/* every_instruction.c, where `each` (1 or more) and `first` (less) are explained: 0 without faults, 1 with, 77 where ptrace is not permitted. */
int every_instruction(unsigned each, unsigned first);

#endif
