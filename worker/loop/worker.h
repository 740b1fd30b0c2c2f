/*
 * A worker: the modules that it is made of, and what its process is given and returns. struct worker ends with the process; what must survive is in
 * the slot segment and in the hub.
 *
 * The modules stand in storeys, each a folder. A module calls modules of its own storey and of lower ones. What it needs of a higher storey, it is
 * given as a function.
 *
 *   session/    base (slot, hub, loop, clock, counting), sessions' state and end, the cursor along a session's input
 *   io/         what the kernel is asked for: receiving, batches of sends, listeners, counts of bytes
 *   delivery/   from the ring to subscribers
 *   service/    what can be asked for, whatever is spoken: subscribe, publish, limits
 *   protocol/   what is spoken: from input to requests, and from outcomes to answers
 *   loop/       the process: a turn of the loop, connections' beginning and end, time limits, recovery
 */
#ifndef WORKER_LOOP_WORKER_H
#define WORKER_LOOP_WORKER_H

#include "worker/delivery/fanout.h"
#include "worker/io/entrance.h"
#include "worker/io/listener.h"
#include "worker/protocol/protocols.h"
#include "worker/service/presence.h"

/* What a worker is given by its keeper: this and the next struct. */
struct worker_listener {
	int fd;
	int proto;			/* PROTO_ */
	bool tls;			/* it is spoken within TLS */
	enum slow_policy slow;		/* what it says of its connections that read slowly */
	bool proxy;			/* its connections begin with the PROXY protocol's header */
};

struct worker_start {
	const struct settings *settings;
	unsigned slot;
	int hub_fd, slot_fd, tls_fd;
	int secrets_fd;			/* what the master has read for it (shm/secrets.h); -1: nothing */
	int fetched_fd;			/* keys of tokens that were fetched (shm/fetched_keys.h); -1: no program so far knew them */
	int tickets_fd;			/* keys of TLS tickets (shm/tickets.h); -1: there are none */
	const int *wake;		/* eventfds, by slot */
	const int *queue;		/* of connections that are moved, by slot (move.h); -1: there is none */
	const struct worker_listener *listeners;
	unsigned listeners_count;
	const int *kept;		/* further descriptors that are the keeper's and stay open */
	unsigned kept_count;
	int snapshot_fd;		/* an empty file, for the snapshot that SIGUSR1 asks for */
	bool drain;			/* take no new connections; leave with WORKER_DRAINED when the last one has ended */
	uint64_t died;			/* when the last worker died or left, microseconds since 1970; 0: there was none */
};

/* A session that was parked, in the list of those (park.c). */
struct parked {
	session_id sid;
	uint32_t since;			/* its last_out */
	uint8_t token[TOKEN_BYTES];	/* numbers are used again */
};

/* A session whose connection is to be moved (move.c). */
struct asked_move {
	session_id sid;
	unsigned slot;
	uint64_t parsed;		/* the request's place in its input (move.c) */
	uint8_t token[TOKEN_BYTES];	/* numbers are used again */
};

/* Sessions that are to go to other slots (balance.c). */
struct balance {
	uint32_t gives[INDEX_SLOTS_MAX];	/* so many to each */
	uint32_t left;			/* their sum */
	uint64_t given;			/* slots, in bits, to which some have gone by this plan */
	uint64_t planned_at, looked_at, told_at;	/* milliseconds as base.now_ms; 0: never */
	unsigned slot;			/* that is next */
	uint32_t at, passed;		/* the session that is looked at next; how many were passed over since one went */
};

#define WORKER_DUE_MAX 256	/* heartbeats that are sent together */

struct worker {
	const struct worker_start *start;
	struct base base;
	struct batch *batch;
	uint32_t memory_seen;		/* when the segments were last looked at (base.now) */
	uint32_t shown, shown_at;	/* connections that the process' title says, and since when (base.now) */
	struct listeners listeners;

	struct topics topics;
	struct partial_frames *partial;
	struct streams streams;
	struct multi_topic *multi_topic;
	struct output output;
	struct fanout fanout;

	struct service service;
	struct presence presence;
	struct protocols protocols;

	/* turn.c */
	session_id *ready;			/* sessions that wait for their turn; those before `ready_at` have had it */
	uint32_t ready_at, ready_count, ready_room;
	uint64_t turn_began;		/* base_clock() */
	struct ev_io sessions_io;	/* the sessions' set */
	int stray;			/* what it has reported the last time and nobody has, + 1; 0: nothing */

	struct refused *refused;	/* refuse.c's own */
	struct proxied *proxied;	/* proxied.c's own; NULL: no listener is for proxies */
	struct entrance entrance;	/* of the next two */
	struct handshakes *handshakes;	/* handshakes.c's own; NULL: there is no TLS */
	session_id due[WORKER_DUE_MAX];	/* who is to be sent a heartbeat (heartbeat.c) */
	unsigned due_count;
	uint32_t sweep_at;		/* next session to be looked at */

	/* park.c: those from parked_at to parked_listed, the oldest first */
	struct parked *parked;
	uint32_t parked_at, parked_listed, parked_room;
	bool parked_unsorted;			/* some of them have come from other slots */

	/* move.c */
	struct asked_move *moves;
	uint32_t moves_count, moves_room;
	struct ev_io queue_io;

	struct balance balance;

	/* departed.c */
	struct {
		uint64_t to;			/* slots to which sessions are under way */
		uint32_t count, parked;		/* of this batch; those without a connection */
		bool closed;			/* the batch, until all of it have arrived */
		bool leaves_all;		/* then all topics are looked at */
	} departed;
	uint64_t arrived;			/* slots from which sessions have come that are not settled */
	bool arrived_unknown;			/* what the last worker has taken is not known */
	/* move_session.c */
	struct passed_shm *owed;		/* where the subscriptions are of a session that leaves */
	uint32_t owed_room;
	uint64_t arriving;			/* number of the session that was tried last, and how often */
	uint32_t arriving_times;
	bool queue_waits;			/* what is next in the queue waits for room */

	/* orders.c */
	uint64_t order;			/* number of the one that is being dealt with */
	uint32_t order_at;		/* next session to be looked at */
	struct done_order *done_orders;	/* the last ones, for those who come */
	uint32_t drain_at;		/* the same of draining */
	uint64_t drained_at;		/* when some were last sent away, milliseconds; 0: it has not begun */
	uint64_t drain_owed;		/* of the pace, thousandths of a client */

	/* orphans.c */
	int *orphans;			/* connections that the last worker accepted, and did not make sessions of */
	uint32_t orphans_count, orphans_room;

	/* worker.c */
	struct ev_io wake_io;
	struct ev_prepare prepare;
	struct ev_check check;
	struct ev_idle idle;
	struct ev_timer tick;
	struct ev_signal on_term, on_hup, on_snapshot;
	bool drained, snapshot_wanted;
	bool stopping;
	uint64_t stop_by;		/* when the worker must be gone, milliseconds of CLOCK_MONOTONIC */
	uint64_t taken;			/* bytes that the peers of sessions behind have taken so far */
	uint64_t taken_at;		/* when that last changed */
};

/* Exit status of a worker that was to drain and has no connection left. */
#define WORKER_DRAINED 3
/* Exit status of a worker that was told to leave a snapshot behind (SIGUSR1), and has. */
#define WORKER_SNAPSHOT 5
/* Exit status of a worker that was told to leave a snapshot, and could not. The next worker goes on from where it was. */
#define WORKER_NO_SNAPSHOT 6
/* Exit status of a worker that could not start for want of descriptors, memory or the like. */
#define WORKER_SHORTAGE BASE_SHORTAGE

/* Exit status of a worker that was told to stop (SIGTERM), and has delivered what it could. */
#define WORKER_STOPPED 8

/* The worker process, from its first to its last instruction. Returns its exit status: 0 when it was told to hand over. */
int worker_run(const struct worker_start *start);

#endif
