/*
 * What the processes of janusbench share: an anonymous mapping made before they are forked, so that pointers in it hold in all
 * of them. It ends with them.
 *
 *   struct bench_shm | struct member_shm [members] | sent[] | last[] | order_hash[] | exact[]
 *
 * The coordinator (janusbench itself) gives orders through `order`; a member writes the order it has finished to its
 * `done`. What a member counts is written by it alone and read by the coordinator after `done` (or after its death), except
 * for what is _Atomic, which the coordinator may read at any time to show progress.
 */
#ifndef BENCH_BENCH_SHM_H
#define BENCH_BENCH_SHM_H

#include <stdatomic.h>
#include <stdint.h>

#include "tests/bench/faults.h"
#include "tests/bench/transport.h"

enum order {
	ORDER_NONE,
	ORDER_SETUP,		/* connect, subscribe */
	ORDER_ARM,		/* get ready for the next round */
	ORDER_RUN,		/* publish; receive until there is all */
	ORDER_COUNT,		/* say what is missing */
	ORDER_QUIT,
};
/* An order word is a serial number << 8 | enum order, so that the same order can be given again. */
#define ORDER_OF(word) ((enum order)((word) & 0xff))

/*
 * Log-linear: values below 2 * HISTOGRAM_FINE have a cell each; above, each power of two is cut into HISTOGRAM_FINE cells, so
 * that a value is known to 0.2 %. Nanoseconds up to 2^41 (36 minutes) fit; larger ones count as that. One goes on adding to it
 * for as long as one likes, at 2 ns each: hundreds of millions of deliveries take no more room than one.
 */
#define HISTOGRAM_BITS 9
#define HISTOGRAM_FINE (1u << HISTOGRAM_BITS)
#define HISTOGRAM_CELLS (33u << HISTOGRAM_BITS)

struct histogram_shm {
	uint64_t count, min, max;	/* min is UINT64_MAX when empty */
	uint64_t cell[HISTOGRAM_CELLS];
};

/* Pauses: stretches without any delivery. `from` and `to` are CLOCK_MONOTONIC ns. */
#define GAPS_MAX 256u
struct gap_shm {
	uint64_t from, to;
};
struct gaps_shm {
	_Atomic uint64_t heard;		/* the last delivery, 0 none yet */
	_Atomic uint64_t longest;	/* ns, whether or not it counts as a pause */
	_Atomic uint32_t count;		/* pauses; the first GAPS_MAX of them are listed */
	struct gap_shm list[GAPS_MAX];
};

/* Subscribers who break off and come back (--reconnect): how, and what became of it. */
enum drop { DROP_FIN, DROP_RST, DROP_SILENT, DROPS };
struct reconnects_shm {
	uint64_t dropped[DROPS];	/* connections, by the client */
	uint64_t resumed;		/* that were answered, with a position */
	uint64_t recovered, not_recovered;	/* of them: what the answer said */
	uint64_t said;			/* messages that the server said are missing: some more than once, to those who broke off again */
	uint64_t told;			/* messages that are missing, where the subscriber was told so */
	uint64_t attached;		/* of those resumed: that went on with their session; */
	uint64_t standing;		/* of these: while the session's last connection stood */
	uint64_t gone;			/* that were to go on with their session, and it was not there */
	uint64_t taken;			/* connections whose session an earlier connection of the same subscriber took, late */
	struct histogram_shm answered;	/* ns from connect() to the answer, of those that were resumed */
};

#define NOTES_MAX 6u
#define NOTE_SIZE 240u

/* One process of subscribers, the publisher or the churner. */
struct member_shm {
	_Alignas(64) _Atomic uint32_t done;	/* the order word last finished */
	_Atomic uint64_t good, deliveries, pings, bytes;
	_Atomic uint64_t faults[FAULT_COUNT];
	_Atomic uint32_t notes;			/* the first faults in words */
	char note[NOTES_MAX][NOTE_SIZE];

	struct histogram_shm latency;		/* ns from publish to delivery */
	uint64_t *exact;			/* the same, one by one, when a round is one message */
	uint64_t exact_count, exact_max;
	struct gaps_shm gaps;			/* with --while-running: this process's */
	struct histogram_shm waits;		/* pauses as single subscribers saw them */
	struct { uint64_t good, deliveries; } by[TRANSPORTS_MAX];	/* subscribers, and what they had at the rounds' ends */
	struct reconnects_shm reconnects;
	_Atomic uint64_t slow_lost, slow_gone, slow_caught_up;	/* of --slow subscribers; messages, connections, subscribers */
};

struct bench_shm {
	_Alignas(64) _Atomic uint32_t order;
	uint32_t round;				/* from 1; written before ORDER_ARM */
	uint32_t run;				/* a random number that this run's messages carry */
	uint64_t base;				/* ns: the messages' send times count from here */
	uint32_t members;			/* subscriber processes, then one publisher, then perhaps a churner */
	struct member_shm *member;

	/* A message is known by topic * messages + its index in the topic; last[] has all of them once a transport. */
	_Atomic uint64_t *sent;			/* ns, 0 not yet: by the publisher */
	_Atomic uint64_t *last;			/* ns, its last delivery so far: by subscribers when they count */
	_Atomic uint64_t *order_hash;		/* a topic of a node: the order in which the first to say so saw its messages; 0 none yet */
	_Alignas(64) struct gaps_shm gaps;	/* of all processes together */
};

#endif
