/*
 * The hub segment's layout. One a server; every process maps it, janusctl read-only.
 *
 *   hub_shm | index | counts | ring | once | members | history | limits | events
 *
 * Counts are subscribers, by slot and topic number: uint32_t[INDEX_SLOTS_MAX][topics_max + 1], each row written by its slot's worker. They
 * are valid only for topics whose `interest` has the slot's bit. While a slot has no worker they stay as they are; its next worker corrects them.
 * Behind them, in the same way, is what these subscribers speak: uint8_t[][], 1 + the group of transports if it is one, COUNTS_MIXED if there are several;
 * then struct counts_mixed_shm[][], which is used (and takes memory) only for topics that are mixed in that slot.
 */
#ifndef SHM_HUB_SHM_H
#define SHM_HUB_SHM_H

#include <stdatomic.h>
#include <stdint.h>

#include "proto/transport.h"
#include "shm/index.h"
#include "shm/latency.h"
#include "shm/lock.h"
#include "shm/masters_shm.h"
#include "shm/nodes_shm.h"
#include "shm/waiting_shm.h"

#define HUB_MAGIC 0x31425548534e414aull	/* "JANSHUB1" */
#ifndef HUB_LAYOUT
#define HUB_LAYOUT 18			/* goes up with every change of a layout that lives in the hub or a slot segment */
#endif

#define COUNTERS_MAX 256			/* room for more without another layout */
enum counter {
#define COUNTER(number, name, ...) COUNTER_##name = number,
#include "shm/counters.def"
#undef COUNTER
};
#define COUNTER(number, name, ...) + 1
enum { COUNTERS =
#include "shm/counters.def"
};
#undef COUNTER
#define COUNTER(number, name, ...) _Static_assert((number) < COUNTERS_MAX, "raise COUNTERS_MAX and HUB_LAYOUT");
#include "shm/counters.def"
#undef COUNTER

/* A case label that is there twice is an error: a counter's number is its own. */
static inline void counter_numbers_differ(unsigned number)
{
	switch (number) {
#define COUNTER(number, name, ...) case number:
#include "shm/counters.def"
#undef COUNTER
		break;
	}
}

#define COUNTS_MIXED 255
struct counts_mixed_shm {
	_Alignas(32) _Atomic uint32_t by_group[8];
};
_Static_assert(TRANSPORT_GROUPS <= 8, "each has a count");

enum slot_state { SLOT_UNUSED, SLOT_STARTING, SLOT_LIVE, SLOT_QUIESCED };	/* QUIESCED: the worker has left a snapshot, and none follows yet */

/*
 * What a worker is publishing, so that after its death its input is marked as taken exactly if its records were published.
 * Written by the worker while it holds the hub lock, before the ring's tail is stored; cleared by it when the session has been
 * marked. After a death the keeper decides which of both it is (hub_repair()).
 */
enum { INTENT_NONE, INTENT_WRITTEN, INTENT_DONE };
struct intent_shm {
	_Alignas(64) _Atomic uint32_t state;
	uint32_t fd;			/* the session */
	uint64_t first;			/* sequence of the batch's first record */
	uint64_t parsed;		/* session_state_shm.parsed after it */
	uint32_t flags;			/* session_state_shm.flags to add */
	uint32_t written;		/* records of the batch */
	uint32_t answered;		/* the client is to be told their sequences: who finds this DONE deals with the input again, and
					   takes the sequences from here instead of publishing */
	uint64_t keyed;			/* where in once.h the batch's key ends, 0: it has none */
	uint8_t pad[16];
};
_Static_assert(sizeof(struct intent_shm) == 64, "a cache line to itself");

/* What a slot's worker has done of orders (worker/service/order.h): the notes of number n are at n % ORDERS_NOTED,
 * where they stay until as many more orders were given. */
#define ORDERS_NOTED 64
struct order_shm {
	_Atomic uint64_t begun, done;	/* numbers */
	_Atomic uint64_t count;		/* of the one begun: clients sent away */
};

/* hub_slot_shm.drain */
#define DRAIN_RATE_MAX 0xfffffu		/* clients a second */
#define DRAIN_STAYS 0x80000000u		/* nobody is taken when all have gone, either */

#define KEEPER_SAID 0x100

struct hub_slot_shm {
	/* the keeper's; state LIVE is stored by the worker when it has recovered, UNUSED by the master */
	_Alignas(64) _Atomic uint32_t state;
	_Atomic uint32_t keeper;	/* process ids, 0 none */
	_Atomic uint32_t worker;
	_Atomic uint32_t generation;	/* workers this slot has had */
	_Atomic uint32_t restarts;	/* among them, those that replaced a dead one */
	_Atomic uint32_t emptied;	/* times it started empty */
	_Atomic uint64_t started;	/* when the worker was made, microseconds since 1970 */
	_Atomic uint64_t paused;	/* microseconds from the last death seen to the worker's being live again */
	_Atomic uint32_t taken_over;	/* connections that the worker found at its start */
	_Atomic uint32_t keeper_end;	/* KEEPER_SAID and its exit status, stored by a keeper that ends by itself; 0: it runs, or was killed */
	_Atomic uint32_t door;		/* 1: the keeper has one (master/door.h) */
	_Atomic uint32_t spare;		/* a process id, as those above (master/spare.h) */
	_Atomic uint32_t emptying;	/* 1: what the slot had is being taken away: done again if who does it dies */
	uint8_t pad0[4];

	/* 1 while the worker sleeps in its loop or is about to. Set by it; whoever takes it to 0 with an exchange owes it a wake-up. */
	_Alignas(64) _Atomic uint32_t sleeping;
	uint8_t pad1[60];

	/* The worker's: nothing below this sequence is left for its live subscribers. */
	_Alignas(64) _Atomic uint64_t delivered;
	_Atomic uint64_t pinned;	/* pages of history that were freed at this sequence or later stay as they are; 0: all may change */
	_Atomic uint64_t rules;		/* a hash of the setting `history` that its last worker had */
	uint8_t pad2[40];

	/* the worker's */
	_Alignas(64) _Atomic uint32_t connections;
	_Atomic uint32_t behind;	/* subscribers that are behind */
	_Atomic uint32_t subscriptions;
	uint32_t connections_max;	/* sessions the slot can hold; the master's */
	_Atomic uint32_t accepting;	/* it takes its share of new connections, or will when it is live: is neither full nor draining */
	_Atomic uint32_t draining;	/* it takes none any more, and ends with its last one, or soon */
	_Atomic uint64_t buffered;	/* bytes that pool buffers take (buffer_pool.h) */
	_Atomic uint32_t by_transport[TRANSPORT_GROUPS];	/* of the connections */
	_Atomic uint32_t parked;	/* sessions whose connection broke, beside `connections` */

	/* Signs of life, by which a process that makes no progress is known. Times are milliseconds of CLOCK_MONOTONIC. */
	_Alignas(64) _Atomic uint64_t worker_beat;	/* the worker's: when it last turned its loop or did a piece of a longer work */
	_Atomic uint64_t keeper_beat;	/* the keeper's */
	_Atomic uint32_t turns;		/* the worker's: of its loop since it was live; 0 when it is made */
	_Atomic uint32_t reload_number;	/* the keeper's: number of the reload whose settings the worker has (handover.h) */
	_Atomic uint32_t refused;	/* the keeper's: times that it could not do what it was ordered, and went on as it was */
	_Atomic uint32_t watched;	/* the worker's: 1 since it has had watched what its sessions want to be told of (members.h), in this hub */
	_Atomic uint32_t drain;		/* by the master: clients are sent away, so many a second, and none are taken; 0: they are not. To 0 also by the worker */
	_Atomic uint64_t segment_used;	/* the worker's: bytes of its slot segment that take memory (a look a second) */
	_Atomic uint32_t handshakes;	/* the worker's: TLS handshakes that are under way */
	_Atomic uint32_t gate;		/* the worker's: 1: nothing more is put into the slot's queue (worker/io/gate.h) */
	_Atomic uint64_t giving;	/* the worker's: slots, in bits, into whose queue it may be putting something */

	struct order_shm order[ORDERS_NOTED];	/* the worker's */

	/*
	 * Sessions on their way to other slots, as numbers of moves (worker/loop/departed.h), by slot: of the last one that this slot's worker has sent there; and of the last one from there whose session
	 * is this slot's in all that others see. Both go up only. While the first is more than what that slot has settled, this slot does not leave topics, nor let go of the ring.
	 */
	_Atomic uint64_t moves_sent[INDEX_SLOTS_MAX], moves_settled[INDEX_SLOTS_MAX];

	/* the worker's: requests that wait, and the number of the last one */
	struct waiting_shm waiting[WAITING_MAX];
	_Alignas(64) uint64_t waited;

	struct intent_shm intent;
	_Alignas(64) _Atomic uint64_t counters[COUNTERS_MAX];
	struct latency_shm latency;	/* the worker's */
};
_Static_assert(sizeof(struct hub_slot_shm) == 31 * 64 + 2 * 8 * INDEX_SLOTS_MAX + WAITING_MAX * sizeof(struct waiting_shm) + 8 * COUNTERS_MAX + sizeof(struct latency_shm), "layout");

/*
 * How far the journal is (journal.h). Written by the process that writes it, but for `state`, which the master sets before it starts one, and when one hangs. A successor goes on
 * from here: `end` is stored before `next` and `keys`, so what it may do again is write a message a second time.
 */
enum journal_state { JOURNAL_OFF, JOURNAL_READING, JOURNAL_GOOD, JOURNAL_FAILING };
struct journal_shm {
	_Alignas(64) _Atomic uint32_t state;
	_Atomic uint32_t error;		/* FAILING: errno */
	_Atomic uint64_t since;		/* when the state began, microseconds since 1970 */
	_Atomic uint64_t id;		/* of the file that the following is about; 0: what is there is not whole, all is to be written anew */
	_Atomic uint64_t base, end;	/* bytes of it: as it was begun; that are whole */
	_Atomic uint64_t next;		/* the ring's records before this are in it, as far as history keeps them */
	_Atomic uint64_t keys;		/* the same of keys (once.h) */
	_Atomic uint64_t synced;	/* records before this are on the disk */
	_Alignas(64) _Atomic uint64_t pinned;	/* as a slot's */
	_Atomic uint64_t beat;		/* the writer's sign of life, milliseconds of CLOCK_MONOTONIC: none comes while the disk hangs */
	_Atomic uint32_t pid;		/* the writer's process id: another master knows by it whom to end. 0: none that it need know of */
	uint8_t pad[44];
};
_Static_assert(sizeof(struct journal_shm) == 128, "layout");

struct hub_shm {
	_Alignas(64) _Atomic uint64_t magic;	/* stored last */
	uint32_t layout;
	uint32_t slots;			/* INDEX_SLOTS_MAX */
	uint64_t size;			/* of the segment */
	uint64_t epoch;			/* what message ids begin with, and are unique within: when this server's life began, microseconds since 1970; or with a journal, when the first one's did */
	uint64_t started;		/* when this server began, the same */
	uint64_t events_at, events_size;	/* as those below. Up to here nothing ever moves: janusctl of any version finds events by it (events.h) */
	uint64_t index_at, index_size;	/* offsets from the start, and sizes */
	uint64_t counts_at, counts_size;
	uint64_t ring_at, ring_size;
	uint64_t once_at, once_size;
	uint64_t members_at, members_size;
	uint64_t history_at, history_size;
	uint64_t limits_at, limits_size;
	uint64_t moved_at, moved_size;	/* struct moved_tokens_shm */
	/* limits of all slots together: stored by the master before any of them starts */
	uint64_t buffered_max;		/* bytes that pool buffers may take */
	uint64_t subscriptions_max;	/* subscriptions, but for the few that each connection may have in any case */
	_Atomic uint64_t used;		/* bytes of this segment that take memory (each worker's look, one a second) */
	_Atomic uint64_t orders;	/* number of the last order; whoever gives one */
	struct lock_shm lock;		/* the hub lock: topic index, the ring's producer side, history */
	_Atomic uint32_t log_level;	/* 1 + the level of all processes' logs (log.h), whatever their settings say; 0: as they say. The master's */
	_Atomic uint64_t even_until;	/* until then workers even out their connections (worker/loop/balance.h), milliseconds of CLOCK_MONOTONIC. The master's */
	struct journal_shm journal;
	struct nodes_shm nodes;		/* other nodes; the bridge's */
	struct masters_shm masters;	/* is there one? */
	struct hub_slot_shm slot[INDEX_SLOTS_MAX];
};

#endif
