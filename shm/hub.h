/*
 * The hub: a process's handle of the hub segment, and what is done to it as a whole.
 */
#ifndef SHM_HUB_H
#define SHM_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#include "shm/client_limits.h"
#include "shm/events.h"
#include "shm/history.h"
#include "shm/hub_shm.h"
#include "shm/members.h"
#include "shm/moved_tokens.h"
#include "shm/once.h"
#include "shm/ring.h"
#include "shm/settings.h"

struct hub {
	struct hub_shm *shm;
	size_t size;
	struct index index;
	_Atomic uint32_t *counts;	/* see hub_count_of() */
	_Atomic uint8_t *groups;	/* and hub_tell_subscribers() */
	struct counts_mixed_shm *mixed;
	struct ring ring;		/* ring.index points to `index`: a struct hub must not be moved once attached */
	struct history history;
	struct history_rules rules;	/* what history.rules points to, if hub_keep() was called */
	uint64_t rules_hash;		/* of the setting that they were read from, in a worker */
	unsigned pins;			/* hub_pin() without hub_unpin() yet */
	bool pin_is_ours;		/* not a predecessor's */
	struct once once;		/* keys of what was published */
	struct client_limits limits;	/* how much clients use of what they may (client_limits.h) */
	struct moved_tokens_shm *moved;	/* where sessions are that have moved (moved_tokens.h) */
	struct members members;		/* who is on topics that are watched */
	struct events events;		/* what happens, for operators to see */
	uint32_t pid;			/* the process id that goes with its number when it takes the lock (lock.h), of a process that has no keeper; else 0 */
	const int *wake;		/* the slots' eventfds, by slot; NULL in a process that never publishes */
	bool patient;			/* the publisher at hand has waited long: large messages are treated as small ones are (publish.h) */
};

#define HUB_SEGMENT "janus-hub"	/* its name in /proc */

/* As whom the hub lock is taken: by a slot's worker or the bridge; by a keeper for its slot; by the master. */
#define HUB_NUMBER_MASTER (INDEX_SLOTS_MAX + 1)
static inline uint32_t hub_owner(const struct hub *hub, unsigned slot)
{
	return lock_as(slot + 1, (pid_t)hub->pid);
}
static inline uint32_t hub_owner_keeper(unsigned slot)
{
	return lock_as(slot + 1, getpid());
}
static inline uint32_t hub_owner_master(void)
{
	return lock_as(HUB_NUMBER_MASTER, getpid());
}

/* Makes the segment from the settings (ring_bytes, ring_messages, max_topics, once_keys, max_presence, history_bytes). Its descriptor, or -1 with errno. Master only. */
int hub_create(const struct settings *settings);

/* Maps it. 0, or -1 with errno: EPROTO when it is no hub or another layout. */
int hub_attach(struct hub *hub, int fd, bool writable);
void hub_detach(struct hub *hub);

/* What this process keeps of what it publishes, and of what one publishes in whose stead it repairs: the setting `history`. */
void hub_keep(struct hub *hub, const struct settings *settings);
/* For a slot's new worker: if its setting is another one than its predecessor's, what the topics had until now may not have been kept. */
void hub_keep_from_now(struct hub *hub, unsigned slot, const struct settings *settings);

/* Whether all workers keep the same topics as this process: not while a reload goes round, or has not come to all. */
bool hub_rules_agree(const struct hub *hub);

/*
 * From which sequence on all messages to a topic are known that is made now (topic_shm.since). If history keeps such a topic, it is not there because it
 * has had no message, or because history had no more of it. Lock held.
 */
uint64_t hub_counted_since(const struct hub *hub, const char *name, size_t len);

/*
 * After slot's worker has died and has been reaped; by its keeper (by the master, when both are gone). If it held the hub lock,
 * decides whether its publish was done, puts ring, index, keys and history right and lets the lock go. Then wakes all workers, as the dead one
 * may have owed a wake-up. If the process that does this dies in the middle of it, another one may do it again.
 *
 * Of those who have no keeper (the master; the bridge, or janus-data, while there is no master) it is whoever waits for the lock that does it, in a process that has attached the hub to write to it. So a dead bridge's lock may have had two owners
 * since: this function waits until it is known what has become of its publish.
 */
void hub_repair(struct hub *hub, unsigned slot);

/* For a slot whose sessions are gone: takes its bit out of every topic and resets its part of the hub but for counters. The
 * slot's worker is dead, and hub_repair() was called for it. `owner`: as whom the hub lock is taken. It may be done again, if who does it dies. */
void hub_clear_slot(struct hub *hub, unsigned slot, uint32_t owner);

/*
 * While a slot's worker has history pinned, what it finds there stays as it is. May be nested. A pin that the worker's predecessor has left holds until
 * hub_unpin_predecessor(): when nothing depends any more on what the dead one read.
 */
void hub_pin(struct hub *hub, unsigned slot);
void hub_unpin(struct hub *hub, unsigned slot);
void hub_unpin_predecessor(struct hub *hub, unsigned slot);

/* The oldest pin of all slots, UINT64_MAX: there is none. Lock held. */
uint64_t hub_pinned(const struct hub *hub);

/* History takes over what was published. Lock held, by who has published or repairs. */
void hub_follow(struct hub *hub);

/* Adds what this process's history has counted to the slot's counters. */
void hub_count_history(struct hub *hub, unsigned slot);

/* Wakes a slot's worker, whether it sleeps or not; all slots' workers. */
void hub_wake(const struct hub *hub, unsigned slot);
void hub_wake_all(const struct hub *hub);

/* How far the slowest slot's `delivered` is behind the tail, as ring_lag() tells it. *asleep: the slots that sleep and are more than
 * `nudge` behind. */
unsigned hub_lag(const struct hub *hub, unsigned nudge, uint64_t *asleep);

/* A slot's subscribers of a topic: its worker's to write. */
static inline _Atomic uint32_t *hub_count_of(const struct hub *hub, unsigned slot, uint32_t topic)
{
	return &hub->counts[(size_t)slot * (hub->index.shm->topics_max + 1) + topic];
}

/* Notes them, and what they speak. */
void hub_tell_subscribers(const struct hub *hub, unsigned slot, uint32_t topic, const uint32_t by_group[TRANSPORT_GROUPS]);

/* Subscribers of a topic over all slots, at this moment; and what they speak. While a slot has no worker the second may be less. */
uint64_t hub_subscribers(const struct hub *hub, uint32_t topic);
void hub_subscribers_by_group(const struct hub *hub, uint32_t topic, uint64_t by_group[TRANSPORT_GROUPS]);

/* Connections, sessions that have none, subscriptions of connections, and bytes of pool buffers over all slots. */
uint64_t hub_connections(const struct hub *hub);
uint64_t hub_parked(const struct hub *hub);
uint64_t hub_subscriptions(const struct hub *hub);
uint64_t hub_buffered(const struct hub *hub);

/* All there are, in the order of counters.def. */
extern const struct counter_info {
	enum counter number;
	const char *name, *text;
	const char *family, *labels, *unit;	/* NULL: its name; none; none */
} counters[COUNTERS];

/* What the counters of a family have in common; NULL: it is one counter's own. */
const char *hub_family(const char *family);

/* Whether there is anything to say about the slot: it has a worker, or had one. */
static inline bool hub_slot_used(const struct hub *hub, unsigned slot)
{
	const struct hub_slot_shm *s = &hub->shm->slot[slot];

	return atomic_load_explicit(&s->state, memory_order_relaxed) != SLOT_UNUSED || atomic_load_explicit(&s->generation, memory_order_relaxed) != 0;
}

/* Of the ring's messages, how many its worker has not handed on yet. */
static inline uint64_t hub_slot_lag(const struct hub *hub, unsigned slot)
{
	uint64_t delivered = atomic_load_explicit(&hub->shm->slot[slot].delivered, memory_order_relaxed), tail = ring_tail(&hub->ring);

	return tail > delivered ? tail - delivered : 0;
}

/* What a slot has counted, and all of them. */
static inline uint64_t hub_counter(const struct hub *hub, unsigned slot, enum counter counter)
{
	return atomic_load_explicit(&hub->shm->slot[slot].counters[counter], memory_order_relaxed);
}
uint64_t hub_counter_total(const struct hub *hub, enum counter counter);

/* Adds to one of the caller's slot's counters (a single writer: no atomic add needed). */
static inline void hub_count(const struct hub *hub, unsigned slot, enum counter counter, uint64_t n)
{
	_Atomic uint64_t *c = &hub->shm->slot[slot].counters[counter];

	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

/* Microseconds since 1970. */
uint64_t hub_now(void);

#endif
