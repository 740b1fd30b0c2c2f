/*
 * Subscribing with a past: `since` a position, or the `last` messages. The session goes back in its stream (worker/delivery/stream.h): it becomes
 * behind, with a `pos` before what it is owed, and catches up along the ring and history as any other that is behind.
 *
 *   replay_begin() -> replay_start() for each new subscription -> replay_end() -> the outcome is committed -> replay_done()
 *
 * Crash rules. The state's `pos` moves back in the commit of the outcome, so until then what is linked would begin too late. slot_shm.opening notes
 * the session and its first subscription as it was; a successor that finds the request's input not taken unlinks what was linked (replay_undo()), and
 * is given the request again. Subscriptions that the session had before are marked with `from` at its `pos` first, which changes nothing
 * as long as `pos` is what it is, and keeps from coming twice what they have had.
 */
#ifndef WORKER_SERVICE_REPLAY_H
#define WORKER_SERVICE_REPLAY_H

#include "proto/resume.h"
#include "shm/history_rules.h"
#include "worker/service/service.h"
#include "worker/session/cursor.h"

struct replay {
	const struct resume *resume;
	uint64_t begin;			/* the least sequence that a subscription begins at; UINT64_MAX: there was none */
	struct position stream;		/* the same in the stream that all nodes share: its last message that none of them is sent; epoch 0: there was none */
	bool apart;			/* not all that they are sent is of the stream: then that says nothing */
	bool recovered;			/* RESUME_SINCE: nothing is known to be missing */
	uint64_t missing;		/* messages known to be missing: at least so many are */
};

/* The topic as it was when it was joined, under the hub lock. */
struct joined {
	uint32_t topic, generation;
	int refused;			/* TOPIC_NONE: why index_join() refused it */
	bool ruled;			/* history keeps it (history_rules.h) */
	bool everybody;			/* it is what goes to everybody, which nobody asks for */
	enum history_reach shared;	/* how many of its messages are of the stream that all nodes share (nodes.h) */
	struct position stream;		/* the last one of the stream before `tail` */
	uint64_t tail;			/* the ring's: the sequence of whatever is published next */
	uint64_t next;			/* number of the topic's next record */
	uint64_t last;			/* sequence of its newest record, 0 none */
	uint64_t since;			/* topic_shm.since: from there on all its records are counted */
};

void joined_fill(const struct hub *hub, struct joined *joined);	/* topic and tail are set; under the hub lock */
void joined_find_stream(const struct hub *hub, const char *name, size_t len, struct joined *joined);	/* `shared` and `stream` alone; the same */

/*
 * False: the session is in the middle of a frame, and can't go back until the frame is sent. The cursor is stopped before the request, which is
 * read again then.
 */
bool replay_begin(struct service *service, struct cursor *c, const struct resume *resume, struct replay *replay);
/* Where a new subscription of the topic begins, for its `from` and `number`. */
void replay_start(struct service *service, struct replay *replay, const struct joined *joined, uint64_t *from, uint32_t *number);
/* The same for one that the session has had before: it gets nothing of the past for it, and all that it has not been sent. */
void replay_had(struct service *service, session_id sid, struct replay *replay, const struct session_state_shm *st, uint32_t subscription);
/* Whether the position is one of the stream that all nodes share, as far as that is known here. */
bool replay_is_of_stream(const struct base *base, const struct position *position);
/*
 * The first record to be sent: behind replay->resume->since, with recovered and missing set; and the one with this number, or the next that is
 * there. False: there is none. Pinned.
 */
bool replay_since(struct service *service, struct replay *replay, const struct joined *joined, struct ring_record *rec);
bool replay_last(struct service *service, const struct joined *joined, uint64_t number, struct ring_record *rec);
/* Whether a topic that is not there (`topic` TOPIC_NONE; `tail`, `since` and what is of the stream are set) is known to have had no message behind the position. */
bool replay_had_nothing(struct service *service, const struct position *since, const struct joined *joined);
/* Where they begin in the stream, those of both; epoch 0: not all of them are of the stream alone. */
struct position replay_in_stream(const struct replay *a, const struct replay *b);
void replay_end(const struct replay *replay, struct session_state_shm *st);	/* the session's state, for the commit */
void replay_done(struct service *service, session_id sid);	/* it is committed, or the session is closed */

/* At a worker's start, before the session's subscriptions are taken over. */
void replay_undo(const struct slot *slot, session_id sid);

#endif
