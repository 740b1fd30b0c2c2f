/*
 * A slot: the handle of a slot segment, and the changes to sessions that a crash must not leave half done.
 */
#ifndef SHM_SLOT_H
#define SHM_SLOT_H

#include <stdbool.h>
#include <stddef.h>

#include "shm/crash.h"
#include "shm/session_shm.h"

struct slot {
	struct slot_shm *shm;
	size_t size;
	struct session_shm *sessions;		/* by descriptor */
	struct subscription_shm *subscriptions;	/* from 1 */
	_Atomic uint32_t *rights;		/* by descriptor (slot_rights.h) */
	struct peer_shm *peers;			/* the same (slot_peers.h) */
	_Atomic uint8_t *watch;			/* the same (worker/session/watch.h) */
};

/* Subscriptions that each connection has room for, whatever others have. */
#define SLOT_SHARE 32

/* What a slot segment has room for. */
struct slot_size {
	uint32_t sessions;		/* descriptors below that */
	uint32_t frame;			/* bytes of the largest frame of input */
	uint64_t buffered;		/* bytes that pool buffers take at most */
	uint64_t subscriptions;		/* beside SLOT_SHARE of each session */
};

#define SLOT_SEGMENT "janus-slot-"	/* what its name in /proc begins with; then the slot's number */

/* Makes a slot segment. Its descriptor, or -1 with errno. */
int slot_create(const char *name, const struct slot_size *size);

/* Maps it, for reading or writing. 0, or -1 with errno: EPROTO when it is no slot segment or has another layout. */
int slot_attach(struct slot *slot, int fd, bool write);
void slot_detach(struct slot *slot);

/* Makes the segment (fd) as new. Nobody else uses it; its worker is dead. *count is how many sessions it had. `close_sessions`: closes
 * their descriptors, which are the caller's. -1 with errno. */
int slot_empty(const struct slot *slot, int fd, bool close_sessions, uint32_t *count);

static inline struct session_shm *slot_session(const struct slot *slot, int fd)
{
	return &slot->sessions[fd];
}

/* Replaces the session's state: all of it or, after a crash at any point, nothing or (by slot_redo()) all of it. */
static inline void slot_commit(const struct slot *slot, int fd, const struct session_state_shm *state)
{
	struct slot_shm *s = slot->shm;

	s->redo = *state;
	/* release, here and below: keeps the order of stores, which is all that a successor needs */
	atomic_store_explicit(&s->redo_fd, (uint32_t)fd + 1, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
	CRASH_POINT("commit-staged");
#ifdef JANUS_CRASH_POINTS
	slot_session(slot, fd)->state.sent = state->sent;
	CRASH_POINT("commit-half");	/* copied in part */
#endif
	slot_session(slot, fd)->state = *state;
	CRASH_POINT("commit-copied");
	atomic_store_explicit(&s->redo_fd, 0, memory_order_release);
}

/* The same, and a subscription of the session with it. */
static inline void slot_commit_passed(const struct slot *slot, int fd, const struct session_state_shm *state, const struct passed_shm *passed)
{
	struct slot_shm *s = slot->shm;
	struct subscription_shm *sub = &slot->subscriptions[passed->subscription];

	s->redo_passed = *passed;
	s->redo = *state;
	/* release: as in slot_commit() */
	atomic_store_explicit(&s->redo_fd, (uint32_t)fd + 1, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
	CRASH_POINT("pass-staged");
	slot_session(slot, fd)->state = *state;
	CRASH_POINT("pass-half");
	sub->number = passed->number;
	sub->from = passed->from;
	CRASH_POINT("pass-copied");
	atomic_store_explicit(&s->redo_fd, 0, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
	s->redo_passed.subscription = 0;
}

/* Finishes a slot_commit() or slot_commit_passed() that a crash has cut short. */
void slot_redo(const struct slot *slot);

#endif
