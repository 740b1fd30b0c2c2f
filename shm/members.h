/*
 * Who is on which topic: members, for those topics that somebody watches (proto/presence.h). In the hub segment; all of it under the hub lock.
 *
 *   members_shm | uint32_t heads[buckets] | struct member_cell_shm cells[cells + 1], of which cells[0] has but a secret in `hash`
 *
 * A cell is a watched topic, or a member: a user on one of these topics. A member's `slots` has a bit for each slot in which a session subscribes the
 * topic and is logged in as the user: its worker's to set and to clear. So a user with several connections is a member once. `announced` says what
 * was told last; while it differs from slots != 0, the change is *due*, and somebody is going to publish it (publish_change() in publish.h).
 *
 * A topic that begins to be watched has nobody, as workers do not count what nobody asks for. Each worker finds by `version` that there is something new
 * to count, and says when it has (members_counted()). Until all slots have, members are announced as they are found, and nobody is told: who watches
 * gets a list then. A slot that says nothing for MEMBERS_PATIENCE is not waited for; what it counts later is told as changes.
 *
 * Crash rules. `kind`, `slots` and `announced` are the truth, each changed by one store; chains, rings of members, what is due, the free list and
 * numbers follow from them, and are made anew by who finds `dirty` after a death (members_repair()). A change and its message are told together or
 * not at all, as a key and its message are (once.h): whoever publishes it stages it with the ring's tail as it will be, moves the tail, and commits; who
 * finds it staged after a death commits it if the tail is there. So a change is told once, whoever dies. A member whose topic is gone is gone,
 * too: a topic ends with all its members, by one store.
 */
#ifndef SHM_MEMBERS_H
#define SHM_MEMBERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMBER_NAME_MAX 255
#define MEMBERS_PATIENCE 2000		/* milliseconds */

enum { MEMBERS_FREE, MEMBERS_TOPIC, MEMBERS_USER };

struct member_cell_shm {
	_Alignas(64) _Atomic uint32_t kind;
	uint32_t next;			/* in its chain, or in the free list; 0 ends both */
	uint64_t hash;
	uint64_t serial;		/* no cell ever had the same: cells are used again */
	_Atomic uint64_t slots;		/* a topic's: that have not counted it yet */
	uint64_t wanted;		/* a topic's: when somebody last watched it, milliseconds of CLOCK_MONOTONIC */
	uint32_t topic;			/* a member's; 0: that is gone, and so is the member, as soon as it leaves the list of those that are due.
					   A topic's: the one before it in the list */
	uint32_t before, after;		/* the ring of a topic's members, which the topic is in */
	uint32_t link;			/* the next topic; the next member that is due */
	_Atomic uint32_t announced;	/* a topic's: how many members are */
	union {
		uint32_t made;		/* a topic's: when it was made, the low half of such milliseconds */
		uint32_t due;		/* a member's: it is in that list */
	};
	uint8_t name_len;
	char name[MEMBER_NAME_MAX];
};
_Static_assert(sizeof(struct member_cell_shm) == 320, "layout");

struct members_shm {
	_Alignas(64) uint32_t cells;	/* 0: nothing is watched */
	uint32_t buckets;		/* a power of two */
	_Atomic uint32_t dirty;
	uint32_t free, high;		/* cells 1..high were ever used */
	uint32_t topics;		/* the first of them */
	uint32_t topics_count;
	_Atomic uint32_t due;		/* the first member whose change is due */
	_Atomic uint64_t version;	/* goes up when a topic begins to be watched, or ends */
	uint64_t serial;		/* the last one given */
	_Atomic uint32_t staged;	/* the member whose change is being published, 0 none */
	uint32_t staged_here;
	uint64_t needs;			/* the ring's tail with which it is */
	_Atomic uint32_t used;		/* cells that are not free; derived, put right with the free list */
};
_Static_assert(sizeof(struct members_shm) == 128, "layout");

/* A process's handle. */
struct members {
	struct members_shm *shm;
	uint32_t *heads;
	struct member_cell_shm *cells;
};

/* A change that is due. */
struct member_change {
	uint32_t member;
	uint64_t serial;
	bool here;
	uint8_t topic_len, user_len;
	char topic[MEMBER_NAME_MAX], user[MEMBER_NAME_MAX];
};

/* How far a list was read. All zero: not at all. */
struct member_cursor {
	uint32_t member;
	uint32_t listed;		/* members told so far */
	uint64_t serial;
};

size_t members_size(uint32_t cells);
void members_format(void *mem, uint32_t cells);			/* in zeroed memory of members_size() bytes; cells are not touched */
int members_attach(struct members *m, void *mem, size_t size);	/* 0, or -1 with EINVAL */

static inline bool members_is_on(const struct members *m)
{
	return m->shm->cells > 0;
}

/* Whether a change is due, and the version. Need no lock: an answer that is out of date is put right at the next look. */
static inline bool members_are_due(const struct members *m)
{
	return atomic_load_explicit(&m->shm->due, memory_order_relaxed) != 0;
}
static inline uint64_t members_version(const struct members *m)
{
	return atomic_load_explicit(&m->shm->version, memory_order_acquire);
}

/* ---- the hub lock is held; `now`: milliseconds of CLOCK_MONOTONIC ---- */

/* Finds the topic, or has it watched: `slots` are to count it. *made: it was not. 0: there is no room. */
uint32_t members_watch(struct members *m, uint64_t hash, const char *topic, size_t len, uint64_t slots, uint64_t now, bool *made);
uint32_t members_find(const struct members *m, uint64_t hash, const char *topic, size_t len);		/* the watched topic; 0: it is not */
void members_unwatch(struct members *m, uint32_t topic);
/* All topics: for (t = members_first(m); t; t = members_cell(m, t)->link). */
static inline uint32_t members_first(const struct members *m)
{
	return m->shm->topics;
}
static inline struct member_cell_shm *members_cell(const struct members *m, uint32_t cell)
{
	return &m->cells[cell];
}
/* A topic's members: for (i = cell of the topic ->after; i != topic; i = members_cell(m, i)->after). */

/* The slot has set its bits in the topic's members. */
void members_counted(struct members *m, uint32_t topic, unsigned slot);
/* Whether all have, or are not waited for any more, so that its list is whole. */
bool members_whole(struct members *m, uint32_t topic, uint64_t now);
/* The user is on the topic in this slot, or is not any more. 0, also if the topic is not watched any more (`serial` is another one); -1: no room. */
int members_set(struct members *m, uint32_t topic, uint64_t serial, uint64_t hash, const char *user, size_t len, unsigned slot, bool here);
/* The slot's sessions are gone. */
void members_leave(struct members *m, unsigned slot);

/* A change that is to be told. False: none is due. */
bool members_next_change(struct members *m, struct member_change *change);
bool members_is_due(const struct members *m, const struct member_change *change);	/* it still is */
void members_stage(struct members *m, const struct member_change *change, uint64_t needs);
void members_commit(struct members *m);

/*
 * Writes a piece of the topic's list to dst[0..room), room >= 2 KiB, and moves the cursor. Its length. *more: how many members are behind it, about; 0:
 * none. If the last one that was told has gone meanwhile, the list begins anew.
 */
size_t members_list(const struct members *m, uint32_t topic, struct member_cursor *cursor, char *dst, size_t room, uint32_t *more);

/* After the lock's holder died, with the ring put right. May be cut short, and done again. */
void members_repair(struct members *m, uint64_t tail);
/* Everything stated above: 0, or -1 with `why`. */
int members_check(const struct members *m, const char **why);

#endif
