/*
 * What the kernel took of a session's stream: the session is moved along it by so many bytes.
 */
#ifndef WORKER_DELIVERY_LANDED_H
#define WORKER_DELIVERY_LANDED_H

#include "worker/io/send_batch.h"

/* Records in one commit that the kernel took `bytes` of the session's stream, and with `behind` that it waits for writability; in the middle of
 * a frame it does so anyway. -1: the ring no longer has what was sent; nothing is recorded. */
int landed_advance(struct worker *w, int fd, uint64_t bytes, bool behind);
/* Has the session behind: it waits for writability. */
void landed_defer(struct worker *w, int fd);
/* The outcome of a send of a fan-out (see send_batch.h). */
batch_landed_fn landed_record;

#endif
