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
 *     flash.c   packet.c   http.c (routes.c, routes_post.c: what each path does; names.c)   websocket.c
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
#include "proto/protocol.h"
#include "proto/speak.h"
#include "proto/transport.h"
#include "shm/hub.h"
#include "shm/lend.h"
#include "shm/publish.h"
#include "shm/settings.h"
#include "shm/slot.h"
#include "worker/delivery/partial_frame.h"

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

/* A subscriber that is served apart (apart.c). */
struct apart_subscriber {
	uint32_t fd;
	uint32_t subscription;
};

/*
 * A topic with subscribers here who speak one transport. Those of other transports are its siblings: to each its own frames. So are those
 * who are served apart.
 */
struct local_topic {
	uint32_t topic;
	uint32_t generation;
	uint32_t transport;
	struct local_topic *sibling;
	union {
		uint32_t *subscribers;			/* descriptors */
		struct apart_subscriber *apart;		/* if is_apart */
	};
	struct apart_subscriber one;	/* where they stand while there is room for one */
	uint32_t count, room;
	uint32_t at;			/* next subscriber to be served in this pass; apart: to be noted of the record at hand */
	uint64_t first;			/* first record of this pass; what comes before is served */
	uint64_t end;			/* first record not in this pass, 0 when no pass is under way */
	uint64_t hint;			/* a record of the topic at or before `first`, 0 unknown */
	uint64_t pass;			/* by which its frames are known, while they are kept; 0 none */
	struct local_topic *queued_next;
	bool queued;
	bool is_apart;
};

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

	/* strays.c */
	int *strays;			/* connections accepted and not written down by the last worker */
	uint32_t strays_count, strays_room;

	/* catchup.c */
	struct stream_topic *stream;	/* scratch, one a topic of the session at hand */
	uint32_t stream_room;
	char *scratch;			/* room for one frame, or one answer */
	size_t scratch_room;

	struct batch *batch;
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

/* What a session is marked with, privately: in its watcher's data. */
enum {
	MARK_STALLED = 1,		/* its publishing is put off: it is in w->stalled */
	MARK_READABLE = 2,		/* its input waits for its turn (ready.c), */
	MARK_WRITABLE = 32,		/* its output does */
	MARK_CHOKED = 4,		/* its input waits for its answers to be read */
	MARK_ENDED = 8,			/* its peer sends no more, and is still owed answers */
	MARK_LOCAL = 16,		/* it is a Unix-domain socket */
	MARK_HEAVY = 64,		/* with MARK_STALLED: what it publishes takes much of the ring, and waits for more room than others do */
};
static inline bool session_mark(struct worker *w, int fd, uintptr_t mark)
{
	bool was = (uintptr_t)w->io[fd].data & mark;

	w->io[fd].data = (void *)((uintptr_t)w->io[fd].data | mark);
	return was;
}

static inline bool session_unmark(struct worker *w, int fd, uintptr_t mark)
{
	bool was = (uintptr_t)w->io[fd].data & mark;

	w->io[fd].data = (void *)((uintptr_t)w->io[fd].data & ~mark);
	return was;
}

/* Which session is being dealt with, to blame if the worker dies of it: its input; something else of it, or of none (-1). */
static inline void worker_on_input(struct worker *w, int fd)
{
	/* release: whom to blame is known before anything of it is looked at */
	atomic_store_explicit(&w->slot.shm->working_on, (uint32_t)fd + 1, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void worker_on(struct worker *w, int fd)
{
	atomic_store_explicit(&w->slot.shm->working_on, fd < 0 ? 0 : ((uint32_t)fd + 1) | WORKING_ELSE, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
}

static inline int worker_at(const struct worker *w)		/* -1: none */
{
	return (int)(atomic_load_explicit(&w->slot.shm->working_on, memory_order_relaxed) & ~WORKING_ELSE) - 1;
}

/* worker.c */
void worker_beat(struct worker *w);
uint64_t worker_clock(void);			/* microseconds of CLOCK_MONOTONIC */
static inline void worker_count(struct worker *w, enum counter counter, uint64_t n)
{
	hub_count(&w->hub, w->number, counter, n);
}
int worker_push(int **list, uint32_t *count, uint32_t *room, int fd);	/* appends; -1 without memory */

/* recover.c. 0, or -1 (logged). */
int recover(struct worker *w);

/* strays.c */
int strays_close(struct worker *w);		/* before the worker opens a descriptor of its own. -1 with errno */
void strays_adopt(struct worker *w);		/* when sessions can be made */

/* accept.c */
void accept_start(struct worker *w);
void accept_stop(struct worker *w);
void accept_balance(struct worker *w);		/* listening is paused: should it go on? */
bool accept_counts(struct worker *w, int fd);		/* counts a connected socket as a connection, unless there is no room for it */
void accept_adopt(struct worker *w, int fd, int proto);	/* makes a session of one that is counted, and greets */
void accept_watcher(struct worker *w, int fd);		/* gives a session its watcher */
uint32_t accept_transport(int proto);			/* what a connection to a listener speaks at first */

/* refuse.c: takes a connection that there is no room for, and tells it so */
void refuse_take(struct worker *w, int fd, uint32_t transport);
void refuse_sweep(struct worker *w);
bool refuse_fewer(struct worker *w);	/* gives up the oldest; false: there is none */

/* ready.c */
void ready(struct worker *w, int fd, int events);	/* EV_READ, EV_WRITE: the session is; now or later in turn, it is dealt with */
bool ready_run(struct worker *w);			/* those whose turn it is, for some milliseconds. True: some are left */

/* session.c */
struct session_shm *session(const struct worker *w, int fd);
void session_watch(struct worker *w, int fd);	/* makes the watcher fit the state */
/* Replaces the session's state, and gives back the buffers that the new one no longer names. */
void session_commit(struct worker *w, int fd, const struct session_state_shm *st);
/* Ends it. Not from within a fan-out, which walks lists that this changes: there, session_abort(). */
void session_close(struct worker *w, int fd);
/* Breaks the connection, and counts why; the loop will find it broken and close it. */
void session_abort(struct worker *w, int fd, enum counter why);
/* Puts bytes that come before anything of the ring into `st`, uncommitted. -1: no buffer. */
int session_append(struct worker *w, int fd, struct session_state_shm *st, const void *bytes, size_t len);
/* Appends and commits, with input taken up to `parsed`. False: aborted. Sending is session_flush()'s. */
bool session_answer(struct worker *w, int fd, uint64_t parsed, const void *bytes, size_t len);
/* The same with an error in the session's transport; with `end`, nothing more is read and the session ends when it is sent. */
void session_error(struct worker *w, int fd, uint64_t parsed, const char *text, bool end);
/* Ends it with an error; `status` is the one of HTTP that says why (400, 408, 429, 503), other transports have their own for it. */
void session_end(struct worker *w, int fd, uint64_t parsed, unsigned status, const char *text);
/* The server stops: says so where that is usual, and sends it if there is room. */
void session_goodbye(struct worker *w, int fd);
void session_count(struct worker *w, uint32_t transport, int n);	/* one more, one less of them */
/* Sends the out buffer, unless the session already waits for writability. */
void session_flush(struct worker *w, int fd);
/* The same in any case: 1 all sent, 0 it would block, -1 the connection is broken. Commits. */
int session_send_out(struct worker *w, int fd, struct session_state_shm *st);

/* input.c */
void input_ready(struct worker *w, int fd);
void input_resume(struct worker *w, int fd);	/* deals with what is in the session's buffer already */
void input_stall(struct worker *w, int fd);	/* input_resume() when others had their turn */
bool input_retry_stalled(struct worker *w);	/* true when some are left that could go on */

/* topics.c */
int topics_init(struct worker *w);
/* The first of the topic's siblings, or NULL. */
struct local_topic *topics_find(const struct worker *w, uint32_t topic);
/*
 * Adds the session's subscription, which it has in `transport`, to those of its topic, apart or not. What it stands in is the subscription's
 * `place`. -1 without memory.
 */
int topics_add(struct worker *w, uint32_t transport, int fd, uint32_t subscription, bool apart);
/* Takes it out; when it was the last one of all transports the slot leaves the topic. */
void topics_remove(struct worker *w, uint32_t transport, uint32_t subscription);
/* The session's only subscription, if it is not apart, goes there. -1 without memory: it stays. */
int topics_move_apart(struct worker *w, uint32_t transport, int fd);
bool topics_is_apart(const struct worker *w, uint32_t subscription);
/* Brings the hub's count of the topic's subscribers here up to date. */
void topics_tell(const struct worker *w, uint32_t topic);
uint32_t topics_take_subscription(struct worker *w);		/* 0 when there is none */
void topics_give_subscription(struct worker *w, uint32_t subscription);

/* links.c */
int links_init(struct worker *w);		/* -1 without memory */
uint32_t links_find(const struct worker *w, int fd, uint32_t topic);		/* the session's subscription of the topic, 0 none */
void links_add(struct worker *w, int fd, uint32_t subscription);		/* to its list, */
void links_remove(struct worker *w, int fd, uint32_t subscription);		/* and out: one store each */
void links_follow(struct worker *w, uint32_t before, uint32_t subscription);	/* it does so in the list, which is there; 0: it is the first */
/* Where links_find() looks for those apart; topics.c's to call. */
void links_put(struct worker *w, int fd, uint32_t subscription);
void links_take(struct worker *w, uint32_t subscription);

/* fanout.c */
bool fanout_poll(struct worker *w);		/* looks through the ring's new records; true when some are left */
bool fanout_run(struct worker *w);		/* serves; true when something is left to do */
void fanout_publish_delivered(struct worker *w);
/* Whether the session may not have had all yet that came to the topic of its only subscription, which is not apart. */
bool fanout_owes(const struct worker *w, int fd, uint64_t pos);

/* apart.c */
int apart_init(struct worker *w);		/* -1 without memory */
void apart_count(struct worker *w, int n);	/* subscriptions that are apart: one more, one less */
void apart_start(struct worker *w, uint64_t cursor);	/* from there on, with nothing noted */
void apart_gone(struct worker *w, int fd);	/* the session has no subscriptions any more */
void apart_changed(struct worker *w, int fd);	/* it has one less */
bool apart_run(struct worker *w);		/* serves a share; true when something is left to do */
/* The least sequence that somebody may not have had; w->cursor: nobody is owed anything. */
uint64_t apart_cursor(const struct worker *w);

/* catchup.c */
/* Has the session behind: it waits for writability. */
void catchup_defer(struct worker *w, int fd);
/* Records in one commit that the kernel took `bytes` of the session's stream, and with `behind` that it waits for writability; in the middle of
 * a frame it does so anyway. -1: the ring no longer has what was sent; nothing is recorded. */
int catchup_land(struct worker *w, int fd, uint64_t bytes, bool behind);
/* It is writable: sends along its stream until it would block, its share is used up or it is up to date. */
void catchup_run(struct worker *w, int fd);
/* With slow = disconnect: closes the session if the ring has overtaken it, though it may never be writable again. */
void catchup_check(struct worker *w, int fd);
/* frame.c: a record of the ring as a transport sends it. page_base: the session's, for TRANSPORT_PAGE. 0: the ring has overwritten it. */
size_t frame_size(const struct worker *w, uint32_t transport, uint32_t page_base, const struct ring_record *rec);
/* The same of one that was sent: a death is not blamed on the record (see advance() in catchup.c). */
size_t frame_size_sent(const struct worker *w, uint32_t transport, uint32_t page_base, const struct ring_record *rec);
/* Writes it, the `size` bytes that frame_size() said. -1 when the ring has overwritten the record meanwhile: dst holds rubbish then. */
int frame_write(const struct worker *w, uint32_t transport, uint32_t page_base, const struct ring_record *rec, char *dst, size_t size);
/* Whether no worker is to make this record into a frame of the transport, as some have died of it. Logged. */
bool frame_in_skips(const struct worker *w, uint32_t transport, uint64_t seq);
static inline bool frame_skipped(const struct worker *w, uint32_t transport, uint64_t seq)
{
	return atomic_load_explicit(&w->slot.shm->skips, memory_order_relaxed) > 0 && frame_in_skips(w, transport, seq);
}
/* Whether every session has frames of its own: they are served one at a time. */
bool frame_is_own(uint32_t transport);

/* batch.c */
/* `arena`: bytes of frames that one batch can hold; enough for the largest frame. NULL (logged) when it can't be made. */
struct batch *batch_create(int io, size_t arena);
void batch_destroy(struct batch *b);
const char *batch_kind(const struct batch *b);
/* Room for at least `bytes` of frames that stay valid until the next batch_room(); sends what is pending if it must. */
char *batch_room(struct worker *w, size_t bytes);
void batch_use(struct worker *w, size_t bytes);
uint64_t batch_round(const struct worker *w);	/* changes when a batch_room() has given up what was used until then */
/* One send: afterwards everything below `pos` has been delivered to the session, in `messages` frames, but for `skipped` records. */
void batch_add(struct worker *w, int fd, const char *bytes, size_t len, uint64_t pos, uint32_t messages, uint32_t skipped);
void batch_flush(struct worker *w);
/* send(), recorded as under way; the result of send(). The caller commits, then calls batch_landed(). */
long batch_send(struct worker *w, int fd, const void *bytes, size_t len);
void batch_landed(struct worker *w);

/* buffers.c */
/*
 * Disconnects those whose buffers are the largest and have waited the longest, until so many bytes more may be lent. Not session `fd` (-1: there
 * is none), for whom it is, and nobody whose buffers are clearly smaller than what it has; nor the session that the worker is at. May be called
 * anywhere: their state changes at once (they linger, without buffers), and lists that they stand in do not. False: it can't be.
 */
bool buffers_make_room(struct worker *w, int fd, size_t bytes);
/* Tells a session that there is no memory for more, if it can be told, and ends it: what it holds is free at once. */
void buffers_disconnect(struct worker *w, int fd);
/* lend_take() for a session, or for none in particular (-1), and lend_grow(), with room made for it. LENT_NONE, false: it can't be. */
uint32_t buffers_take(struct worker *w, int fd, size_t bytes);
bool buffers_grow(struct worker *w, int fd, uint32_t ref, size_t bytes);

/* sweep.c */
void sweep(struct worker *w);
int64_t sweep_period(const struct worker *w);	/* milliseconds in which every session is looked at */

/* pulse.c: sends the session a heartbeat if it is time; ends it if its peer is gone. True: it has ended. */
bool pulse(struct worker *w, int fd);

/* kernel.c: bytes since the connection was opened; 0, or -1 when the kernel can't tell. */
int kernel_accepted(int fd, uint64_t *bytes);	/* taken by the kernel for sending */
uint64_t kernel_queued(int fd);			/* of those, what the peer has not got yet; Unix sockets, too */
int kernel_taken(int fd, uint64_t *bytes);	/* handed out by recv() */
bool kernel_unanswered(int fd, int64_t limit, unsigned attempts);	/* it was attempted so often to reach the peer, and nothing has come for so many ms */
void kernel_abandon(int fd);			/* close() will not wait until what was sent has arrived: it resets the connection */
bool kernel_is_local(int fd);			/* a Unix-domain socket */
int kernel_peeked(int fd);			/* bytes peeked at and not taken; -1: nobody has dealt with this connection yet */
void kernel_peek_anew(int fd);			/* from the next byte on */

#endif
