/*
 * What every module of a worker needs: the hub and the worker's slot, the event loop, the clock, the counters, and the note of the session that is
 * to blame if the worker dies. This struct ends with its worker; what must survive is in the slot segment and in the hub.
 */
#ifndef WORKER_SESSION_BASE_H
#define WORKER_SESSION_BASE_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/address_list.h"
#include "proto/position.h"
#include "proto/version.h"
#include "shm/hub.h"
#include "shm/buffer_pool.h"
#include "shm/settings.h"
#include "shm/slow_rules.h"
#include "shm/slot.h"
#include "shm/tls.h"

/*
 * The number of a session in the slot's table. Its connection's descriptor is asked for where the kernel is: today a connection has one session, and
 * both are the same number; of several sessions on one connection, each will have a number of its own.
 */
typedef int session_id;

#define BASE_RESTED_MAX 64

/* Exit status of a worker that could not go on for want of descriptors, memory or the like: its successor takes over. */
#define BASE_SHORTAGE 7

/* A message of history in one piece. */
struct record_copy {
	uint64_t seq;			/* 0: there is none */
	char *text;
	size_t room;
};

struct base {
	const struct settings *settings;
	struct slow_rules slow;		/* the setting, read */
	struct address_list proxies;	/* the same of trusted_proxies */
	unsigned number;		/* the slot's number */
	struct hub hub;
	struct position_epoch epoch;	/* the hub's: what ids begin with */
	struct hub_slot_shm *self;	/* the slot's part of the hub */
	struct slot slot;
	struct tls tls;
	struct tls_crypto *crypto;	/* io/tls.c's; NULL until it is needed */
	struct buffer_pool pool;

	struct ev_loop *loop;
	uint64_t *marks;		/* by session: MARK_ and what else is the worker's own (session.h) */
	session_id *over;			/* sessions whose connection is over; the loop closes them */
	uint32_t over_count;
	uint8_t *why;			/* by session: why its connection ends (tell.h), 0: nothing is known of it */
	uint32_t often_since, often;	/* tell_often()'s: in this second, so many */
	uint32_t now;			/* CLOCK_MONOTONIC in seconds, as of the last base_beat() */
	uint64_t now_ms;		/* the same in milliseconds */
	struct record_copy *copy;	/* of the message of history that is being made into a frame */
	char *scratch;			/* memory for one frame or one answer */
	size_t scratch_room;

	bool departed;			/* sessions that were here are on their way to other slots (loop/departed.h): what they subscribe is not left yet */

	/* Sessions are to go to another slot (loop/balance.h): those that are behind stop where no frame is cut, and stand in this list. The loop puts both right each turn. */
	bool leaves;
	session_id rested[BASE_RESTED_MAX];
	uint32_t rested_count;

	uint64_t waiting;		/* notes of requests that wait (service/waiting.h), in bits: those that are in use */

	/* Sessions whose subscriptions have changed in this turn, while somebody watches who is on which topic (service/presence.h). */
	bool watched;
	bool changed_lost;		/* they are not all in the list, for want of memory: any may have */
	uint64_t watched_sieve[64];	/* a bit for each topic that is watched, by its hash; others may have the same */
	session_id *changed;
	uint32_t changed_count, changed_room;

	/* ---- functions of higher storeys, for lower ones to call; `above` is their first argument ---- */
	void *above;
	/* Disconnects other sessions until `bytes` more may be had by session `sid` (-1: to none in particular). False: that is not possible. */
	bool (*make_room)(void *above, session_id sid, size_t bytes);
	void (*no_memory)(void *above, session_id sid);			/* ends a session for which there is no memory */
	void (*go_on)(void *above, session_id sid);			/* has the session's input dealt with again, which waits for a message (service/poll.h) */
	/* Takes the session's connection from it, whose client is told that another one has it: the session is parked (loop/park.h). */
	void (*park)(void *above, session_id sid);
	void (*touch)(void *above, session_id sid);			/* a parked session was polled: it stays for longer */
	void (*unpark)(void *above, session_id sid);			/* another one has taken over what it had: ends a parked session */
	/* Ends a parked session (loop/park.h), which has less right to what is scarce than who is there; not `held`. False: there is none. */
	bool (*fewer_parked)(void *above);
	/*
	 * Has the session's connection given to another slot's worker, with the input that is not taken, soon after this turn of its input
	 * (loop/move.h). False: it can't be.
	 */
	bool (*move)(void *above, session_id sid, unsigned slot);
	session_id held;		/* a parked session that is just being taken over, + 1; 0: none */
	session_id *polled;		/* parked sessions that somebody polls (service/session_query.h) */
	uint32_t polled_count, polled_room;
	struct stray_tree *strays;	/* service/strays.c's */
	/* Called before a session's state changes from one to the other, if it is in the middle of a frame in at least one of them. */
	void (*cut_moved)(void *above, session_id sid, const struct session_state_shm *from, const struct session_state_shm *to);
	void (*behind_changed)(void *above, session_id sid);		/* called when what session_is_behind() says of the session has changed */
};

/* Gives a sign of life and reads the clock. To be called once a turn of the loop, and now and then during longer work. */
void base_beat(struct base *base);
uint64_t base_clock(void);			/* CLOCK_MONOTONIC in microseconds, read now */
static inline void base_count(struct base *base, enum counter counter, uint64_t n)
{
	hub_count(&base->hub, base->number, counter, n);
}
struct version_now base_has(const struct base *base);	/* what this server can do, by its settings */
void *base_reserve(size_t bytes);		/* zeroes, of which only those that are used take memory; NULL: there are none to be had */
int base_push(int **list, uint32_t *count, uint32_t *room, session_id sid);	/* appends; -1: no memory */

/* Notes that the session's subscription of this topic or user comes or goes. */
static inline void base_changed(struct base *base, session_id sid, const struct topic_shm *topic)
{
	if (!base->watched || base->changed_lost || (base->changed_count > 0 && base->changed[base->changed_count - 1] == sid))
		return;
	if (*topic->name != NAME_INBOX && !(base->watched_sieve[topic->hash >> 6 & 63] >> (topic->hash & 63) & 1))
		return;
	base->changed_lost = base_push(&base->changed, &base->changed_count, &base->changed_room, sid) < 0;
}

/*
 * Notes which session the worker is dealing with, so that a death in between can be blamed on it (shm/attribution.h). base_on_input(): it handles the
 * session's input. base_on(): it does something else for the session; with -1, it deals with no session.
 */
static inline void base_on_input(struct base *base, session_id sid)
{
	/* The fence keeps the compiler from touching the session before it is noted. */
	atomic_store_explicit(&base->slot.shm->working_on, (uint32_t)sid + 1, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void base_on(struct base *base, session_id sid)
{
	atomic_store_explicit(&base->slot.shm->working_on, sid < 0 ? 0 : ((uint32_t)sid + 1) | WORKING_ELSE, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
}

static inline int base_at(const struct base *base)		/* the session that is noted; -1: none */
{
	return (int)(atomic_load_explicit(&base->slot.shm->working_on, memory_order_relaxed) & ~WORKING_ELSE) - 1;
}

#endif
