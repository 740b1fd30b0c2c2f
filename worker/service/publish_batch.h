/*
 * Messages of one session on their way into the ring: gathered while its input is parsed, and published together.
 */
#ifndef WORKER_SERVICE_PUBLISH_BATCH_H
#define WORKER_SERVICE_PUBLISH_BATCH_H

#include "worker/session/cursor.h"
#include "worker/service/service.h"

int publish_batch_init(struct service *service);	/* -1 without memory */

/* The most bytes that one record may have. What a client sends in one frame may grow, up to six times, as it becomes JSON. */
size_t publish_batch_record_max(const struct base *base);

/* Takes a message into the batch: where its record of `size` bytes is to be written, or NULL: publish first what is in it. `parsed`: the place
 * behind its unit of input; `flags`: the session's, that come with it. */
char *publish_batch_add(struct service *service, struct cursor *c, const char *name, uint8_t len, size_t size, uint64_t parsed, uint32_t flags);

/* Publishes the batch. On being put off, c->at goes back to the first message that was not published, and the cursor is stalled. */
void publish_batch_publish(struct service *service, struct cursor *c);

/* For a request that is answered with what became of its messages: starts an empty batch (what is in it is published). False: put off. */
bool publish_batch_begin(struct service *service, struct cursor *c);
/* Publishes all that was added since, or nothing. 0; or -1: put off (EAGAIN; the cursor is stalled), or more than the ring takes (EMSGSIZE). Then
 * service->items[0..service->item_count) have their `seq` and `subscribers`. The caller commits its answer and calls publish_batch_end(). */
int publish_batch_answered(struct service *service, struct cursor *c);
void publish_batch_end(struct service *service);
void publish_batch_drop(struct service *service);	/* what was added is not published after all */

#endif
