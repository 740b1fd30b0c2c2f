/*
 * A worker: its private state, and what its files offer each other. Nothing here outlives it; what does is in the slot segment and
 * the hub.
 *
 *   worker.c    the loop: order of work in a turn, signals, sleeping and waking
 *   recover.c   rebuilds all of this from shared memory and the kernel at start
 *   strays.c    descriptors that the last worker left without a session
 *   accept.c    new connections        refuse.c    those there is no room for        ready.c   whose turn it is
 *   session.c   their end, watchers, output
 *   input.c     receives, and has it dealt with by transport:
 *     flash.c   packet.c   http.c (http_routes.c, http_publish.c: what each path does; http_names.c)   websocket.c
 *   action.c    subscribe and unsubscribe, log in and out
 *   stage.c     publish
 *   speak.c     greetings, heartbeats, errors, by transport
 *   topics.c    which of this worker's sessions subscribe which topic    links.c   a session's list of subscriptions
 *   fanout.c    from the ring to live subscribers, topic by topic    apart.c   to those with several topics, record by record
 *   catchup.c   to those behind, along their own stream.c
 *   partial_frame.c    frames that were cut in two by a full socket
 *   frame.c     a record as a transport sends it
 *   batch.c     sends under way: io_uring or send()
 *   buffers.c   buffers lent to sessions, and who is disconnected for want of them
 *   sweep.c     time limits    pulse.c   heartbeats, peers that are gone
 *   kernel.c    what the kernel knows of a connection's bytes
 *   page.c      the page at `/`, page.html
 */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/json.h"
#include "proto/transport.h"
#include "shm/hub.h"
#include "shm/lend.h"
#include "shm/publish.h"
#include "shm/settings.h"
#include "shm/slot.h"

/* What a worker is given by its keeper. */
struct worker_listener {
	int fd;
	int proto;			/* PROTO_ */
};

struct worker_start {
	const struct settings *settings;
	unsigned slot;
	int hub_fd, slot_fd;
	const int *wake;		/* eventfds, by slot */
	const struct worker_listener *listeners;
	unsigned listeners_count;
	const int *kept;		/* further descriptors that are the keeper's and stay open */
	unsigned kept_count;
	int snapshot_fd;		/* an empty file, for the snapshot that SIGUSR1 asks for */
	bool drain;			/* take no new connections; leave with WORKER_DRAINED when the last one has ended */
	uint64_t died;			/* when it did, microseconds since 1970; 0 if none did */
};

struct worker;

struct local_topic;

struct listener {
	struct ev_io io;
	struct worker *worker;
	int proto;
};

struct batch;

/* What a connection has sent in this second. */
struct flood {
	uint32_t second;
	uint32_t messages;
	uint64_t bytes;
};

#define SESSION_SHARE (256 * 1024)	/* bytes sent to one session before others get their turn */
#define SESSION_OUT_MAX 16384		/* bytes of answers waiting before a session's input waits too */

struct worker {
	const struct worker_start *start;
	const struct settings *settings;
	unsigned number;		/* of the slot */
	struct hub hub;
	struct hub_slot_shm *self;	/* in the hub */
	struct slot slot;
	struct lend lend;

	struct ev_loop *loop;
	struct ev_io *io;		/* the sessions' watchers, by descriptor */
	int *over;			/* sessions whose connection is over, to be closed */
	uint32_t over_count;
	struct ev_io wake_io;
	struct ev_prepare prepare;
	struct ev_check check;
	struct ev_idle idle;
	struct ev_timer tick, retry;
	struct ev_signal on_term, on_hup, on_freeze;
	struct listener *listeners;
	bool listening;
	uint32_t sweep_at;		/* next descriptor to be looked at */
	uint32_t now;			/* seconds of CLOCK_MONOTONIC, as of this turn */
	bool drained, freeze;
	bool stopping;
	uint64_t stop_by;		/* when to be gone, milliseconds of CLOCK_MONOTONIC */
	uint64_t taken;			/* bytes that peers of those behind have taken so far, */
	uint64_t taken_at;		/* and when that last changed */
	uint64_t now_ms;		/* as `now` */
	struct ev_timer balance;	/* runs while listening is paused for balance's sake */
	uint32_t paused_at;		/* since when */
	bool overdue;			/* paused long enough: accept whatever the balance */

	/* topics.c */
	struct local_topic **topics;	/* by number */
	uint32_t *free_subscriptions;
	uint32_t free_count, free_room, fresh_subscription;
	uint32_t apart_subscriptions;	/* that are served apart */
	uint32_t subscriptions_spare;	/* how many more may be made before all are counted (action.c) */

	struct links *links;		/* links.c's own */

	/* fanout.c */
	uint64_t cursor;		/* the ring is looked through up to here */
	struct local_topic *queue, **queue_end;
	uint32_t queued;		/* topics in it */
	uint32_t turns_unpublished;	/* since `delivered` was last brought up to date */

	struct apart *apart;		/* apart.c's own */

	/* stage.c */
	struct json json;
	struct publish_item *items;	/* parsed and not yet published */
	unsigned item_count;
	char *item_text;		/* their topics and messages */
	size_t item_used, item_room;

	/* ready.c */
	int *ready;			/* sessions that wait for their turn; those ahead of ready_at had it */
	uint32_t ready_at, ready_count, ready_room;
	uint64_t turn_began;		/* worker_clock() */

	/* input.c */
	struct flood *flood;		/* by descriptor; NULL: nobody counts */
	int *stalled;			/* sessions whose publishing is put off */
	uint32_t stalled_count, stalled_room;
	uint64_t heavy_since;		/* since when large ones among them are passed over, milliseconds; 0: none is */

	struct partial_frames *partial;	/* partial_frame.c's own */
	struct refused *refused;	/* refuse.c's own */

	/* orphans.c */
	int *orphans;			/* connections accepted and not written down by the last worker */
	uint32_t orphans_count, orphans_room;

	/* catchup.c */
	struct stream_topic *stream;	/* scratch, one a topic of the session at hand */
	uint32_t stream_room;
	char *scratch;			/* room for one frame, or one answer */
	size_t scratch_room;

	struct batch *batch;

	/* ---- given by higher storeys to lower ones ---- */
	bool (*make_room)(struct worker *w, int fd, size_t bytes);	/* of buffers, for session `fd` (-1: for all); false: there is none */
	void (*no_memory)(struct worker *w, int fd);			/* ends a session for which there was no room */
	void (*cut_moved)(struct worker *w, int fd, const struct session_state_shm *from, const struct session_state_shm *to);
	void (*accepted)(struct worker *w, int fd, int proto);
	bool (*refuse_fewer)(struct worker *w);				/* gives up a descriptor; false: there is none */
};

/* Exit status of a worker that was to drain and has no connection left. */
#define WORKER_DRAINED 3
/* Exit status of a worker that was told to leave a snapshot behind (SIGUSR1), and has. */
#define WORKER_FROZEN 5
/* Exit status of one that was told to, and could not: it goes on from where it was. */
#define WORKER_UNFROZEN 6
/* Exit status of a worker that could not start for want of descriptors, memory or the like. */
#define WORKER_LACKING 7

/* Exit status of one that was told to stop, and has delivered what could be. (0: it has handed over.) */
#define WORKER_STOPPED 8

/* The worker process, from its first to its last instruction. Returns its exit status: 0 when it was told to hand over. */
int worker_run(const struct worker_start *start);

#endif
