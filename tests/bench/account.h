/*
 * The books of one subscriber that got something else than its topic's stream, for the rest of the round: which messages it has
 * had and in what order. Made at the first difference only; it costs a bit a message.
 */
#ifndef BENCH_ACCOUNT_H
#define BENCH_ACCOUNT_H

#include <stddef.h>
#include <stdint.h>

#include "tests/bench/stream.h"

struct account {
	struct stamp stamp;	/* of the last frame */
	uint64_t hash;		/* see stream_hash() */
	uint32_t received;	/* different messages */
	uint32_t late;		/* of them, ACCOUNT_LATE */
	uint32_t messages, publishers;
	uint32_t *next;		/* a publisher: one more than the highest seq it had */
	uint8_t *had;		/* a bit a message */
};

enum account_entry {
	ACCOUNT_NEW,		/* in its publisher's order, with or without a gap before it */
	ACCOUNT_LATE,		/* new, but behind a later one of its publisher */
	ACCOUNT_AGAIN,
};

/* A subscriber that has had the stream's first `pos` frames, the last of them with `stamp`. Ends the program if there is no
 * memory. */
struct account *account_create(const struct stream *stream, uint32_t pos, const struct stamp *stamp, uint32_t messages,
			       uint32_t publishers);
void account_destroy(struct account *account);

/* Enters a message. */
enum account_entry account_enter(struct account *account, const struct payload *p);

/* The index of the first message it has not had; `messages` if there is none. */
uint32_t account_missing(const struct account *account);

/* A message's index in its topic: publishers take turns. */
static inline uint32_t account_index(uint32_t publisher, uint32_t seq, uint32_t publishers)
{
	return seq * publishers + publisher;
}

#endif
