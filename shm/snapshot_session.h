/*
 * A session as a map: in its slot's snapshot (snapshot.h has the form), and on its way to another slot (worker/loop/move_session.h).
 */
#ifndef SHM_SNAPSHOT_SESSION_H
#define SHM_SNAPSHOT_SESSION_H

#include "shm/buffer_pool.h"
#include "shm/snapshot.h"
#include "shm/snapshot_io.h"

/* What is different of a session that leaves its slot, from what the slot says of it. */
struct session_leaves {
	const struct passed_shm *passed;	/* where its subscriptions are, in the order of its list; NULL: where they say */
	bool alone;				/* it leaves them behind */
};

/* Appends its map. `leaves`: NULL, it is of the slot's snapshot. 0, or -1 with EPROTO: it is not in order, and what is written is good for nothing. */
int snapshot_put_session(struct snapshot_writer *w, const struct hub *hub, const struct slot *slot, const struct tls *tls, uint32_t fd, const struct session_leaves *leaves);

/* For reading sessions into a slot. The caller fills in all up to `of`, and opens `r`. */
struct session_reading {
	struct hub *hub;
	const struct slot *slot;
	struct tls *tls;		/* NULL: there is no place for TLS sessions */
	unsigned number;		/* the slot's */
	uint32_t lock_owner;
	uint64_t tail;			/* the ring's */
	struct buffer_pool *pool;
	uint32_t (*take)(void *of);	/* a subscription that is free, 0: there is none */
	void *of;
	struct snapshot_reader r;
	uint32_t fd;			/* the session that was read last */
	bool begun, has_tls;		/* something of it is there; its TLS entry is */
};

/*
 * Reads the next map into the session of that number, or `as` if that is not negative: all of it, but that it is there (`status`, `fd_end`). 0; -1 with errno, as
 * snapshot.h says: what was read until then is in the slot, and snapshot_forget_session() gives it back. (Topics that were joined stay so.)
 */
int snapshot_get_session(struct session_reading *x, int as);
void snapshot_forget_session(struct session_reading *x, void (*give)(void *of, uint32_t subscription));

/* enum transport, of a map that has `proto`. 0, or -1 with EPROTO. */
int snapshot_get_transport(struct session_reading *x, const struct msgpack_value *o, uint32_t *transport);

#endif
