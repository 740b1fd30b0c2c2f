/*
 * What a client asks for, and what became of it, whatever it speaks. Each protocol reads a request from its input, has it served here, and writes
 * the outcome in its own words:
 *
 *   X_next() -> struct request -> request_serve() -> struct outcome -> X_answer() -> outcome_commit()
 *
 * Crash rules. What is done for a request takes effect in one commit with its answer and with its input's being taken: outcome_commit(). What happens
 * before may happen twice, as a successor is given the same input again: to subscribe what is subscribed changes nothing, and messages that are
 * in the ring already are not published again (publish_answered()). A publish that is not answered is gathered in the batch, which is published, and
 * its input taken, before anything else is done for the session.
 */
#ifndef WORKER_SERVICE_REQUEST_H
#define WORKER_SERVICE_REQUEST_H

#include "proto/message.h"
#include "worker/service/subscribe.h"
#include "worker/session/cursor.h"
#include "worker/service/service.h"

/* A message as it will stand in the ring: `size` bytes, which `write` puts there. */
struct request_body {
	size_t size;
	void (*write)(const struct request_body *body, char *dst);
	const void *from;		/* the reader's */
};

/*
 * Names that a request has. The reader has found them to be good ones. `next` gives one after the other, and false when there are no more; NULL:
 * there is `one`.
 */
struct request_names {
	struct topic_name one;
	bool (*next)(void *from, struct topic_name *name);
	void *from;			/* the reader's */
};

struct request {
	enum request_kind kind;		/* REQUEST_UNKNOWN: there is only an error */
	const char *error;		/* why it can't be served, as the reader found; NULL: it can */
	unsigned status;		/* with an error: the one of HTTP that says the same */
	uint64_t after;			/* the place in the input behind it */
	uint32_t flags;			/* of the session, that take effect with it */
	struct request_names names;	/* all but ping */
	struct request_body body;	/* publish, send */
	bool answered;			/* publish, send: the client waits for what became of it */
	bool becomes;			/* subscribe, login: and the session becomes one of `transport`, or it stays what it is and subscribes nothing */
	uint32_t transport;
};

enum outcome_kind {
	OUTCOME_BATCHED,		/* the message is in the batch: nothing is to be answered */
	OUTCOME_ANSWER,			/* the client is to be answered, which outcome_commit() ends */
	OUTCOME_LATER,			/* the cursor is stalled before it: it is read again when others had their turn */
};

struct outcome {
	enum outcome_kind kind;
	const char *error;		/* NULL: done */
	unsigned status;
	const struct publish_item *published;	/* what became of each message, in `seq` and `subscribers`; NULL: this is about none */
	unsigned count;
	struct session_state_shm state;	/* the session's, with what was done */
};

void request_serve(struct service *service, struct cursor *c, const struct request *req, struct outcome *o);

/*
 * Several messages in one request: all of them are published, or none. request_begin(): false when it is put off. request_add(): false when there is
 * no room for one more. Then request_publish(), or request_drop().
 */
bool request_begin(struct service *service, struct cursor *c);
bool request_add(struct service *service, struct cursor *c, const struct request *req);
void request_publish(struct service *service, struct cursor *c, struct outcome *o);
void request_drop(struct service *service);

/* The outcome of something that changes nothing: to answer what is no request. */
struct outcome outcome_nothing(const struct service *service, const struct cursor *c);

/*
 * Ends an OUTCOME_ANSWER: the answer, what was done, and that the input is taken up to `after`, are one commit. With SESSION_CLOSE in `flags` it is
 * the session's last answer. False: there is no room for the answer, and the connection is broken.
 */
bool outcome_commit(struct service *service, struct cursor *c, struct outcome *o, uint64_t after, const void *answer, size_t len, uint32_t flags);

#endif
