/*
 * Requests that wait until something is known that their answer says: what all nodes are asked for subscribers of (shm/question.h), and publishes for the stream, which says their ids (shm/nodes.h).
 *
 * Such a request stays in its session's input, not taken, and has a note in the hub (waiting_shm.h). It is dealt with again when that is known, or its time is over, and so it is by a successor: the note says whether
 * its message was published, if it has one, and what is known of that.
 *
 * | a death | leaves | what follows |
 * |---|---|---|
 * | when the note is there (`waiting-noted`) | a note that says nothing of a message | all is asked once more, and published |
 * | when it is published, and not noted | an intent that is done | publish_answered() finds the message, which is noted then |
 * | when that is noted (`waiting-published`) | an intent that is done | the note says it; the intent is cleared |
 * | when the answer is committed | a note of a request that is taken | it is none, and goes |
 */
#ifndef WORKER_SERVICE_WAITING_H
#define WORKER_SERVICE_WAITING_H

#include "shm/question.h"
#include "worker/service/service.h"
#include "worker/service/subscribe.h"
#include "worker/session/cursor.h"

#ifdef __SANITIZE_ADDRESS__
#define WAITING_FOR_NODES 1500		/* milliseconds; there a worker's death alone may take a quarter of a second */
#else
#define WAITING_FOR_NODES 250
#endif

/* A new worker: takes over the notes of the last one. */
void waiting_recover(struct service *service);

/* Once a turn: has those requests dealt with again whose time it is, and forgets notes that are of no request any more. */
void waiting_run(struct service *service);

/* The note of the request at the cursor; NULL: there is none. */
struct waiting_shm *waiting_of(const struct service *service, const struct cursor *c);

/*
 * Before it publishes, what is perhaps for the stream (`stream`): a note. With `asked`, other nodes are asked for the subscribers of this name. If there are none to be asked, and it is not for the stream, nothing is noted. False: there is no room for a note. Then the
 * cursor is stalled; or, as the stream is away and many wait for it already, *error says so, and nothing is to be published.
 */
bool waiting_begin(struct service *service, struct cursor *c, const struct topic_name *asked, bool stream, const char **error);

/*
 * For a request that publishes nothing: how many on other nodes hold this topic or pattern, in *others. False: that is not known yet, and the cursor has stopped before the request.
 */
bool waiting_held(struct service *service, struct cursor *c, const struct topic_name *name, struct question_answer *others);

/* What was published is noted, its intent being there if it was not before; or nothing was, or nothing is to be waited for, and there is no note any more. */
void waiting_published(struct service *service, struct waiting_shm *w, const struct publish_item *items, unsigned count, bool repeated);
void waiting_end(struct service *service, struct waiting_shm *w);

/* Whether the request is still to wait: then the cursor stops before it. */
bool waiting_goes_on(struct service *service, struct cursor *c, const struct waiting_shm *w);

/* Else: what the nodes have said, if they were asked. */
struct question_answer waiting_nodes(const struct service *service, const struct waiting_shm *w);

/*
 * And the messages, in items[0..w->count): where the stream has said something, `seq` is their sequence there. *before: it had them all before. NULL, or why there is none to be told: the stream has not said all, or does not take one.
 */
const char *waiting_items(const struct service *service, const struct waiting_shm *w, struct publish_item *items, bool *before);

/* The worker leaves, and notes are not known to who follows it (another layout): what waits is to be answered now, and nothing is to wait. */
void waiting_hurry(struct service *service);

#endif
