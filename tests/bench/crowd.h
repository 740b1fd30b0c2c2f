/*
 * A crowd of subscribers who come at one moment, each to one topic, in any protocol that knows how to come back (speak.h: come), and are to get a run of
 * its messages: from `from` to `until` - 1, each once and in order, byte for byte. It is all in one process, which waits in crowd_until() alone.
 */
#ifndef BENCH_CROWD_H
#define BENCH_CROWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/stamp.h"
#include "tests/bench/transport.h"

struct crowd_plan {
	const struct transport *transport;
	uint32_t count, topics;		/* who is number i comes to topic i % topics */
	const struct stamp *position;	/* a topic: behind what it comes; NULL: for the first time */
	uint32_t run;			/* of the payloads; and what they are numbered, seq: */
	uint32_t from, until;
	size_t size;			/* of each `data` */
	uint32_t at_once;		/* so many connections are not answered yet, at most */
};

struct crowd;

/* Nobody has come yet. NULL with errno. */
struct crowd *crowd_create(const struct crowd_plan *plan);
void crowd_destroy(struct crowd *crowd);	/* with RSTs */

/* Lets them come, and reads, until all of them were answered, or have had their last message; or, CROWD_MORE, until the deadline: nothing more may come.
 * `deadline` is one of clock_now(). 0; or -1: too late or something is wrong, see crowd_fault(). */
enum crowd_state { CROWD_ANSWERED, CROWD_COMPLETE, CROWD_MORE };
int crowd_until(struct crowd *crowd, enum crowd_state state, uint64_t deadline);

/* What was wrong first; "" nothing. */
const char *crowd_fault(const struct crowd *crowd);

/* The stamp of the first message that came of this topic. */
struct stamp crowd_first(const struct crowd *crowd, uint32_t topic);

/* When the first one began to connect, and the last one had its last message; nanoseconds of clock_now(). */
uint64_t crowd_began(const struct crowd *crowd);
uint64_t crowd_ended(const struct crowd *crowd);
uint64_t crowd_bytes(const struct crowd *crowd);	/* received */

#endif
