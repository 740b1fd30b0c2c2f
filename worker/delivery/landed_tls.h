/*
 * What the kernel took of TLS sessions, for a new worker (recover.c has the order of all).
 */
#ifndef WORKER_DELIVERY_LANDED_TLS_H
#define WORKER_DELIVERY_LANDED_TLS_H

#include "worker/delivery/landed.h"

/* Claims what is pending and what is held. False: what the session's entry says can't be true, and nothing is claimed. */
bool landed_tls_claim(struct base *base, session_id sid, const struct session_state_shm *st);
void landed_tls_unclaim(struct base *base, session_id sid);
/*
 * The session's send was under way: `taken` is what its flow's was to be. If records were not recorded, they are sealed again, and what the kernel has not taken of
 * them is pending; then the session moves along its stream. False: that can't be done.
 */
bool landed_tls(struct streams *streams, session_id sid, uint64_t taken);
/*
 * For each, when all flights have landed: accounts for pending bytes that were sent since. With `all`, also asks the kernel about a session that has none. False: more was
 * sent than anybody knows of.
 */
bool landed_tls_settle(struct streams *streams, session_id sid, bool all);

#endif
