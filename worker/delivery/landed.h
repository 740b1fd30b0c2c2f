/*
 * Recording what the kernel took of a session's stream: the session moves along the stream by that many bytes.
 *
 * Which records these were follows from the stream, as the ring has them: `delivered` keeps them there until that is recorded. History makes no such
 * promise: what a worker has found there may be given up before the worker's death, and a successor would find later records instead. So a piece with
 * records of history is noted in the slot before it is sent (landed_note()). The pages that it names stay as they are, as they are pinned.
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
/*
 * Which bytes of the session's stream they were: those from `from` on behind what is recorded, `len` of them, to dst. As long as nothing is recorded these are the
 * same, whoever asks. 0; -1: they can't be made any more.
 */
int landed_text(struct streams *streams, session_id sid, uint64_t from, uint8_t *dst, size_t len);
/*
 * landed_note() notes a record of the piece that a session is going to be sent, of which `size` bytes are its frame, behind `number` that are noted already;
 * how many are noted then is returned. (A message takes a note for each of the session's topics that has it: LANDED_NOTES at most. There is room for SENT_MAX.)
 * landed_noted() makes the first `count` count, and landed_forget() ends that, when the outcome of the send is committed.
 */
#define LANDED_NOTES (1 + INDEX_SHAPES_MAX)
uint32_t landed_note(const struct stream *s, uint32_t number, const struct stream_topic *t, size_t size, uint64_t skipped);
void landed_noted(struct streams *streams, session_id sid, uint32_t count);
void landed_forget(struct base *base);
/* Puts the session behind: it waits for writability, and is then served along its own stream. */
void landed_defer(struct streams *streams, session_id sid);
/* Records the outcome of a send of a batch (see send_batch.h). `above` is the struct streams. */
batch_landed_fn landed_record;

#endif
