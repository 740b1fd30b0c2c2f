/*
 * Notes of requests that wait: what they ask for is not known yet. Each stays in its session's input, not taken, and is dealt with again when it is, or its time is over (worker/service/waiting.h).
 *
 * A table a slot, written by its worker, and by the one that follows, which goes on from these notes. The bridge (shm/nodes.h) reads those that ask other nodes, and writes `told` (question.h).
 */
#ifndef SHM_WAITING_SHM_H
#define SHM_WAITING_SHM_H

#include <stdatomic.h>
#include <stdint.h>

#include "proto/token.h"

#define WAITING_MAX 64			/* requests of a slot; what is more is put off. A bit of a word for each */

struct waiting_shm {
	/* Of all that the slot ever had. 0: it is free. Stored when the rest is there, but for `published` and `told`, which begin as 0. */
	_Alignas(64) _Atomic uint64_t number;
	uint64_t at;			/* the request: its session's state.parsed, */
	uint32_t fd;			/* the session, */
	_Atomic uint32_t published;	/* 1: the message is published, and what follows is known of it. It is not published again */
	uint64_t seq, subscribers;	/* as publish_item's, of the first message */
	uint32_t repeated;		/* it was published before, with the same key */
	uint8_t pad[2];
	uint8_t held;			/* the question is of the name itself, not of a message to it (question.h) */
	uint8_t name_len;		/* 0: nobody is asked */
	uint64_t until;			/* when it waits for other nodes no longer, milliseconds of CLOCK_MONOTONIC */
	uint64_t stream_until;		/* the same of the stream; 0: it does not wait for that, but for a message whose id is `seq`. Else */
	uint64_t first;			/* they are `count` messages, `written` records of the ring from here on, which say what is known of them */
	uint32_t written, count;
	uint8_t token[TOKEN_BYTES];	/* the session's: descriptors are used again */
	_Atomic uint64_t told;		/* the bridge's (question.h) */
	char name[256];			/* whose subscribers all nodes are asked for: as in the index */
};
_Static_assert(sizeof(struct waiting_shm) == 384, "layout");

#endif
