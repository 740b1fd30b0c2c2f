/*
 * Recording what the kernel took of a session's stream: the session moves along the stream by that many bytes.
 */
#ifndef WORKER_DELIVERY_LANDED_H
#define WORKER_DELIVERY_LANDED_H

#include "worker/delivery/stream.h"
#include "worker/io/send_batch.h"

/*
 * Records, in one commit, that the kernel took `bytes` of the session's stream. With `behind`, or if that ends in the middle of a frame, the commit
 * also says that the session is behind. 0; -1: what was sent is not there any more, or there is no memory; nothing is recorded.
 */
int landed_advance(struct streams *streams, session_id sid, uint64_t bytes, bool behind);
/* Puts the session behind: it waits for writability, and is then served along its own stream. */
void landed_defer(struct streams *streams, session_id sid);
/* Records the outcome of a send of a batch (see send_batch.h). `above` is the struct streams. */
batch_landed_fn landed_record;

#endif
