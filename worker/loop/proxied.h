/*
 * Connections of proxies that have not said yet who their client is: they begin with the PROXY protocol's header (proto/proxy_protocol.h). When that is taken, each goes the way
 * that it would have gone without: to a session, or to a TLS handshake. Until then nothing of it is in shared memory: it dies with its worker, and its client tries again.
 */
#ifndef WORKER_LOOP_PROXIED_H
#define WORKER_LOOP_PROXIED_H

#include "worker/loop/connection.h"

int proxied_init(struct worker *w);		/* gets ready, if there are listeners for proxies. 0, or -1: no memory */

/* Takes a connection that came from a listener for proxies. It is closed if it comes from none of trusted_proxies. */
void proxied_take(struct worker *w, int fd, const struct arrival *a, bool tls);

void proxied_sweep(struct worker *w);		/* ends those whose time is up */
bool proxied_fewer(struct worker *w);		/* ends the oldest, for its descriptor; false: there is none */
bool proxied_any(const struct worker *w);	/* whether there are any */
void proxied_end(struct worker *w);		/* ends all of them, and takes no more */

#endif
