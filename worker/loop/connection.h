/*
 * Connections: what becomes of an accepted connection, and the closing of one that is over.
 */
#ifndef WORKER_LOOP_CONNECTION_H
#define WORKER_LOOP_CONNECTION_H

#include "worker/loop/worker.h"
#include "worker/service/quota.h"

/* A connection that was accepted. */
struct arrival {
	int proto;			/* of its listener, PROTO_; that one says `slow` of those that read slowly */
	enum slow_policy slow;
	enum counter as;		/* what it is counted under if it is taken */
	struct event_peer peer;		/* who is at its other end; behind a proxy: whom that has named */
	uint32_t header;		/* bytes that were taken of it, the PROXY protocol's header */
	bool named;			/* `peer` is from there */
};

/*
 * Whether there is room for it, and whether its client may have one more: then it is counted, with the server and with the client (quota_leave()). Else that is counted and told,
 * and *why says why.
 */
bool connection_has_room(struct worker *w, int fd, const struct arrival *a, struct refusal *why);
bool connection_client_may(struct worker *w, int fd, const struct arrival *a, struct refusal *why);
void connection_not(struct worker *w, int fd);	/* one that is counted is not taken after all */

/* Takes it: if there is room, makes a session of it, counts it and greets it. Else refuses it (refuse.h). */
void connection_take(struct worker *w, int fd, const struct arrival *a);
/*
 * The same for a connection whose TLS handshake is done, and that is counted (both of the above). `entry` is what is known of it: kind, keys, and the flow's `out_seq` and `in_seq`; unsent[0..unsent_len) is
 * what of the handshake the kernel has not accepted. Its session goes on behind that, with these rights (NULL: none of its own). 0; -1: it is not taken, and the descriptor is the caller's. The caller wipes
 * `entry`.
 */
int connection_open_tls(struct worker *w, int fd, const struct arrival *a, const struct tls_entry_shm *entry, const void *unsent, size_t unsent_len,
			const struct rights *rights);
/*
 * Makes a session of a connection that is counted, with this state. (Its client was not told its token.) `everybody`: from which sequence on it is owed what goes to
 * everybody, 0: from now on. 0, or -1 with errno.
 */
int connection_open(struct worker *w, int fd, const struct session_state_shm *st, uint64_t everybody);
bool connection_is_open(const struct worker *w, int fd);	/* whether the descriptor is a session's */
void connection_watch(struct worker *w, session_id sid);	/* gives a session its watcher */
void connection_close(struct worker *w, session_id sid);	/* closes the session, and its descriptor */
void connection_let_go(struct worker *w, session_id sid);	/* gives back all that a session had which is out of the table; not its descriptor */
/* Closes sessions that are over (session_over()), for some milliseconds. True: some are left. */
bool connection_close_over(struct worker *w);

#endif
