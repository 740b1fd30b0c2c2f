/*
 * A client's request, and its outcome, in the same form for all protocols. Each protocol reads a request from its input, has it served here, and
 * writes the outcome as an answer of its own:
 *
 *   X_next() -> struct request -> request_serve() -> struct outcome -> X_answer() -> outcome_commit()
 *
 * Crash rules. outcome_commit() is one commit: what was done for the request, its answer, and that its input is taken. What happens before it may
 * happen twice, as a successor is given the same input again. That does no harm: subscribing again changes nothing, and messages that are in the
 * ring already are not published again (publish_answered()). A publish that is not answered and has no key goes into the batch. The batch is published,
 * and its input taken, before anything else is done for the session.
 */
#ifndef WORKER_SERVICE_REQUEST_H
#define WORKER_SERVICE_REQUEST_H

#include "proto/message.h"
#include "proto/position.h"
#include "shm/question.h"
#include "worker/service/attach.h"
#include "worker/service/publish_batch.h"
#include "worker/service/subscribe.h"
#include "worker/session/cursor.h"
#include "worker/service/service.h"

/* A message as it will stand in the ring: `size` bytes, which `write` puts there. */
struct request_body {
	size_t size;
	void (*write)(const struct request_body *body, char *dst);
	const void *from;		/* the protocol's, for `write` */
};

/*
 * The names in a request, which the protocol has checked. `next` gives one after the other, and returns false when there are no more. Without
 * `next` there is one name: `one`.
 */
struct request_names {
	struct topic_name one;
	bool (*next)(void *from, struct topic_name *name);
	void *from;			/* the protocol's, for `next` */
};

struct request {
	enum request_kind kind;		/* REQUEST_UNKNOWN: there is only an error */
	const char *error;		/* why it can't be served, as far as the protocol has found out; NULL: it can */
	unsigned status;		/* with `error`: the HTTP status that says the same */
	uint64_t after;			/* the position in the input behind the request */
	uint32_t flags;			/* flags of the session that take effect with it */
	struct request_names names;	/* of all requests but ping */
	struct request_body body;	/* publish, send */
	bool answered;			/* publish, send: the client is told what became of it, */
	bool everywhere;		/* and how many subscribers it has on all nodes: the answer waits for these (waiting.h) */
	struct resume resume;		/* subscribe, login, attach: what of the past is asked for */
	/*
	 * Attach: the session that the client goes on with. Subscribe: the same, if that session is there; if not, or if `token` is all zeroes, what is named
	 * is subscribed. It is told a token then.
	 */
	bool has_token;
	uint8_t token[TOKEN_BYTES];
	const char *shown;		/* auth: a token or key (access.h), of shown_len bytes */
	size_t shown_len;
	struct publish_key key;		/* publish, send: what is repeated with it is published once */
	/* Subscribe, login: the session also becomes one of `transport`. If it can't, it stays what it is, and subscribes nothing. */
	bool becomes;
	uint32_t transport;
};

enum outcome_kind {
	OUTCOME_BATCHED,		/* the message is in the batch: nothing is to be answered */
	OUTCOME_ANSWER,			/* the client is to be answered, with outcome_commit(); if the request wants an answer, or failed: request_is_answered() */
	OUTCOME_LATER,			/* the cursor is stopped before the request, which is read again: when other sessions have had their turn, or what it waits for is there */
};

struct outcome {
	enum outcome_kind kind;
	const char *error;		/* NULL: the request was served */
	unsigned status;
	const struct publish_item *published;	/* the messages, each with its `seq` and `subscribers`; NULL: there are none */
	unsigned count;
	unsigned nodes, nodes_known;	/* so many nodes are counted in `subscribers`, this one among them, of so many; 0: nobody has asked for others */
	bool repeated;			/* that was before: this is a repeat with the same key, and the answer of that time */
	/*
	 * Subscribe, login: where what was subscribed begins, a sequence. Nothing up to it is sent for these names, and all behind it. (If there
	 * were several, the lowest: of some of them a little of what is behind it is not sent.)
	 */
	bool has_position;
	uint64_t position;
	struct position stream;		/* the same by ids of the stream that all nodes share, if all names are of that; else epoch 0 */
	bool resumed;			/* the client has asked for what it missed; then */
	bool recovered;			/* it gets all of that; or not, */
	uint64_t missing;		/* and so many messages are not sent */
	const uint8_t *token;		/* the session's, if the client is told it now */
	int64_t expires;		/* auth: when what was shown runs out, seconds since 1970; INT64_MAX never, 0 nothing is to be said */
	session_id attached;		/* the session that this one takes over when it is committed, + 1; 0: none */
	struct session_state_shm state;	/* the session's new state, for outcome_commit() */
};

/* Whether there is something to say. A publish that is not answered, but has a key, is published by itself: its key may be one that was used. */
static inline bool request_is_answered(const struct request *req, const struct outcome *o)
{
	return o->error || req->answered || (req->kind != REQUEST_PUBLISH && req->kind != REQUEST_SEND);
}

/* The status that an answer says beside the error, where HTTP is not spoken, as a client can do something about it: show a token, or try later. 0: none. */
static inline unsigned outcome_code(const struct outcome *o)
{
	return o->error && (o->status == 401 || o->status == 403 || o->status == 429) ? o->status : 0;
}

/* Serves the request, and says in *o what became of it. */
void request_serve(struct service *service, struct cursor *c, const struct request *req, struct outcome *o);

/*
 * For several messages in one request, all of which are published, or none. First request_begin(); false: it is put off. Then request_add() for
 * each message; false: there is no room for it. At last request_publish(), or request_drop() if nothing is to be published. Of *req that one takes `answered`, `everywhere` with names.one, and the key. Before all of
 * that request_has_published(): true, it has, and waits, or is to be answered; *o says which.
 */
bool request_has_published(struct service *service, struct cursor *c, const struct request *req, struct outcome *o);
bool request_begin(struct service *service, struct cursor *c);
bool request_add(struct service *service, struct cursor *c, const struct request *req);
void request_publish(struct service *service, struct cursor *c, const struct request *req, struct outcome *o);
void request_drop(struct service *service);

/* An outcome that changes nothing: to answer input that is no request. */
struct outcome outcome_nothing(const struct service *service, const struct cursor *c);

/* Where a stream would start that began now. */
void outcome_starts_now(const struct service *service, struct outcome *o);

/* What a published message's id begins with: the server's, or the stream's, for which *stream is room. */
const struct position_epoch *outcome_epoch(const struct service *service, const struct publish_item *item, struct position_epoch *stream);

/* That this node is counted, and what others have said. */
void outcome_count_nodes(struct outcome *o, const struct question_answer *others);
/* What answers say of the nodes that are counted: nothing, or members behind others. */
void outcome_put_nodes(struct sink *s, const struct outcome *o);

/* What answers say of an outcome's position, in *start. NULL: it has none. */
const struct position_start *outcome_start(const struct service *service, const struct outcome *o, struct position_start *start);

/*
 * Ends an OUTCOME_ANSWER. What was done, the answer, and that the input is taken up to `after`, are one commit. `flags` are added to the session's;
 * with SESSION_CLOSE this is its last answer. False: there is no room for the answer, and the session is aborted.
 */
bool outcome_commit(struct service *service, struct cursor *c, struct outcome *o, uint64_t after, const void *answer, size_t len, uint32_t flags);

#endif
