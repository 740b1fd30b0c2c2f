/*
 * The handle of a TLS segment (tls_shm.h), and the changes to a connection's entry that a crash must not leave half done. The keeper makes the segment
 * and keeps its descriptor; nobody else is given it but its worker.
 */
#ifndef SHM_TLS_H
#define SHM_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "shm/crash.h"
#include "shm/tls_shm.h"

struct tls {
	struct tls_shm *shm;		/* NULL: there is none */
	struct tls_entry_shm *entries;	/* by descriptor */
	size_t size, locked;		/* bytes; how many of them, from the first on, are locked in memory */
};

/* Makes a TLS segment for descriptors below `entries`. Its descriptor, or -1 with errno. */
int tls_create(const char *name, uint32_t entries);
/* Maps it. 0, or -1 with errno: EPROTO when it is no TLS segment, has another layout or not so many entries. */
int tls_attach(struct tls *tls, int fd, uint32_t entries);
void tls_detach(struct tls *tls);
/* Makes the segment (fd) as new: no key is left. Nobody else uses it. -1 with errno. */
int tls_empty(const struct tls *tls, int fd);

static inline struct tls_entry_shm *tls_entry(const struct tls *tls, int fd)
{
	return &tls->entries[fd];
}

/* Whether the kernel makes the connection's records. */
static inline bool tls_by_kernel(const struct tls_flow_shm *flow)
{
	return flow->control & TLS_BY_KERNEL;
}

/*
 * A connection's entry begins: what stood there is wiped, and it is noted that the entry is being changed until tls_settled(). A death in between has a
 * successor wipe it, unless the descriptor is a TLS session's by then (tls_redo()). The entry is locked in memory, if that is allowed.
 */
void tls_begin(struct tls *tls, int fd);
/* The connection is about to be none of TLS any more; its entry is noted, as above, and stays. Then the session changes, and tls_wipe() follows. */
void tls_end(const struct tls *tls, int fd);
void tls_wipe(const struct tls *tls, int fd);	/* and settled */
void tls_settled(const struct tls *tls);

/* Replaces what the entry's flow is: all of it or, after a crash at any point, nothing or (by tls_redo()) all of it. */
static inline void tls_commit(const struct tls *tls, int fd, const struct tls_flow_shm *flow)
{
	struct tls_shm *s = tls->shm;

	s->redo.flow = *flow;
	/* release, here and below: as in slot_commit(). (redo.kind says that the keys are not in it: tls_commit_keys() has cleared it.) */
	atomic_store_explicit(&s->redo_fd, (uint32_t)fd + 1, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
	CRASH_POINT("tls-staged");
#ifdef JANUS_CRASH_POINTS
	tls_entry(tls, fd)->flow.taken = flow->taken;
	CRASH_POINT("tls-half");	/* copied in part */
#endif
	tls_entry(tls, fd)->flow = *flow;
	CRASH_POINT("tls-copied");
	atomic_store_explicit(&s->redo_fd, 0, memory_order_release);
}

/* The same for all of the entry: a generation of keys has changed. */
void tls_commit_keys(const struct tls *tls, int fd, const struct tls_entry_shm *entry);
/*
 * Finishes a commit that a crash has cut short, and wipes the entry that was being changed, unless `is_tls` says that its descriptor has a TLS session.
 * After slot_redo().
 */
void tls_redo(const struct tls *tls, bool (*is_tls)(const void *of, int fd), const void *of);

#endif
