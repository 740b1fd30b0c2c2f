/*
 * Attaching: a connection goes on with the session that a token names (proto/token.h).
 *
 *   attach_locate() -> HERE: attach_begin(), attach_next() for each of its names -> the outcome is committed between attach_note() and attach_finish()
 *                      ELSEWHERE: the connection goes to that slot's worker (base.move), where the request is read again
 *
 * The connection's own session subscribes what the other one has, from where its client is (replay.h), and takes over its token. The other one is parked
 * first, if it has a connection (base.park), and ends when that is committed.
 *
 * Crash rules. Until the commit, both are as they were, but that one may be parked (replay.h takes away what was linked), and the request is dealt with
 * again. slot_shm.attaching notes both ahead of the commit: a successor that finds the request taken finishes it (attach_redo()).
 */
#ifndef WORKER_SERVICE_ATTACH_H
#define WORKER_SERVICE_ATTACH_H

#include "proto/resume.h"
#include "worker/service/subscribe.h"

enum attach_where { ATTACH_NOWHERE, ATTACH_HERE, ATTACH_ELSEWHERE, ATTACH_FULL };
#define ATTACH_NO_SESSION "no such session: it has ended, or stayed for longer than session_linger"
#define ATTACH_NO_ROOM "the worker that has the session has no room for another connection: try again"

/*
 * Where the token's session is, for a request; *sid if it is here. ELSEWHERE: the cursor is stopped before it, and it is read again by that worker. FULL: that has no room for the
 * connection.
 */
enum attach_where attach_locate(struct service *service, struct cursor *c, const uint8_t token[TOKEN_BYTES], session_id *sid);

/* What is taken over, name by name. */
struct attach {
	const struct base *base;
	session_id from;
	uint32_t next;			/* its next subscription */
	struct resume asked;		/* since where; RESUME_NOT: from where the server has it */
	struct resume *resume;		/* where the name begins */
};

/* A client that says where it is by an id of the stream that all nodes share: where that is in all that the session has, not in topics of the stream alone, if the session was sent that message and it is still there. Before attach_begin(). */
void attach_settle(struct base *base, session_id from, struct resume *asked);
/* `asked` is what the client has; *resume will say of each name what it has missed. */
void attach_begin(struct attach *a, const struct base *base, session_id from, const struct resume *asked, struct resume *resume);
bool attach_next(void *attach, struct topic_name *name);

void attach_note(const struct base *base, session_id sid, session_id from);
void attach_finish(struct base *base, session_id sid, session_id from);
void attach_forget(struct base *base, session_id sid);		/* the session ends */

/* At a worker's start. */
void attach_redo(const struct slot *slot);			/* before sessions are taken over */
int attach_recover(struct base *base, session_id sid);		/* for each of them. 0, or -1: no memory */

#endif
