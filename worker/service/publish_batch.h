/*
 * Messages of one session on their way into the ring: gathered while its input is parsed, and published together.
 */
#ifndef WORKER_SERVICE_PUBLISH_BATCH_H
#define WORKER_SERVICE_PUBLISH_BATCH_H

#include "worker/session/cursor.h"
#include "worker/service/service.h"

/* A client's key, which has a repeat published once. len 0: none. */
struct publish_key {
	const char *bytes;
	size_t len;			/* up to ONCE_KEY_MAX */
	bool many;			/* it is one of a request of several messages, whatever their names; else it is of the one message's name */
};

int publish_batch_init(struct service *service);	/* -1 without memory */

/* The most bytes that one record may have. What a client sends in one frame may grow, up to six times, as it becomes JSON. */
size_t publish_batch_record_max(const struct base *base);

/*
 * Adds a message to the batch. Returns where the caller is to write its record of `size` bytes; NULL: there is no room, and the batch must be
 * published first. `parsed` is the position behind the message's unit of input. `flags` are flags of the session that take effect with it.
 */
char *publish_batch_add(struct service *service, struct cursor *c, const char *name, uint8_t len, size_t size, uint64_t parsed, uint32_t flags);

/*
 * Publishes the batch, which is empty afterwards. If a part of it is put off, c->at goes back to the first message that was not published, and the
 * cursor is stalled.
 */
void publish_batch_publish(struct service *service, struct cursor *c);

/* Publishes what is in the batch, so that it is empty for a request that is answered. False: that is put off. */
bool publish_batch_begin(struct service *service, struct cursor *c);

/*
 * Publishes all messages added since publish_batch_begin(), or none. 0: service->items[0..service->item_count) have their `seq` and `subscribers`,
 * and the caller commits its answer and then calls publish_batch_end(). 1: the same, but they were published with this key before, and that is the
 * answer of that time. -1: nothing is published, and the batch is empty. EAGAIN: it is put off, and the cursor is stalled; EMSGSIZE: it is more than the
 * ring takes at once; EEXIST: the key was used with other messages. `key`: NULL is
 * none, too.
 */
int publish_batch_answered(struct service *service, struct cursor *c, const struct publish_key *key);
void publish_batch_end(struct service *service);	/* the answer is committed: clears the intent, and empties the batch */
void publish_batch_drop(struct service *service);	/* empties the batch: what was added is not published */

#endif
