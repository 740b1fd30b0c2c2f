/*
 * TLS handshakes: how many at a time, for how long, and how much of a turn they take. One that is done becomes a session (connection_open_tls()). Until then nothing of it
 * is in shared memory but that it counts for its address (quota.h): it dies with its worker, and its client tries again.
 */
#ifndef WORKER_LOOP_HANDSHAKES_H
#define WORKER_LOOP_HANDSHAKES_H

#include "worker/loop/worker.h"

/* Gets ready, if there are listeners with TLS. 0, or -1: no memory. */
int handshakes_init(struct worker *w);
/* Reads certificates, which takes some milliseconds. To be called when the worker is live, before its loop. 0, or -1 (logged): they can't be used, or no memory. */
int handshakes_start(struct worker *w);

/* Takes a connection that came from a listener with TLS, unless its client has too many: the handshake begins when the client has said what it takes. */
struct arrival;
void handshakes_take(struct worker *w, int fd, const struct arrival *a);

bool handshakes_run(struct worker *w);		/* deals with those that have something to do, for some milliseconds. True: some are left */
void handshakes_sweep(struct worker *w);	/* ends those whose time is up */
void handshakes_yield(struct worker *w);	/* somebody comes: where there is no descriptor but for connections, the oldest who has said nothing goes */
bool handshakes_fewer(struct worker *w);	/* ends the oldest, for its descriptor: one who has said nothing, if there is one; false: there is none */
bool handshakes_any(const struct worker *w);	/* whether there are any, begun or not */
void handshakes_end(struct worker *w);		/* ends all of them, and takes no more */

#endif
