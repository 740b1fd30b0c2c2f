/*
 * What a worker tells of its sessions, as events (shm/events.h), and why they end.
 *
 * Nothing is told of what is delivered. What a slow reader can bring about many times a second is told so often and no more; the rest is counted
 * (events_muted).
 */
#ifndef WORKER_SESSION_TELL_H
#define WORKER_SESSION_TELL_H

#include "proto/rights.h"
#include "worker/session/base.h"

/* Of a session that is there, `kind` with `n` and `text` as that one has them. `peer` may be NULL, which is cheaper: who reads it knows it from the session's beginning. */
void tell_session(struct base *base, session_id sid, enum event_kind kind, uint64_t n, const char *text, size_t len, const struct event_peer *peer);
/* The same, with a reason; enum counter, or enum event_why. */
void tell_why(struct base *base, session_id sid, enum event_kind kind, unsigned why, uint64_t n, const struct event_peer *peer);
/* The same as tell_session(), of what may happen often. */
void tell_often(struct base *base, session_id sid, enum event_kind kind, uint64_t n, const char *text, size_t len);
/* Who it is from here on, by what was shown. */
void tell_who(struct base *base, session_id sid, const struct rights *who);
/* A request was refused, with this status. `who` has shown something, NULL: nobody has; about_len 0: it was about nothing. May happen often. */
void tell_refusal(struct base *base, session_id sid, unsigned status, const char *error, enum event_about about, const char *text, size_t len, const struct rights *who);
/* Of a connection that has no session. */
void tell_refused(struct base *base, enum counter why, uint32_t transport, const struct event_peer *peer);

/*
 * Counts `why`, and notes it as the reason for which the session's connection is going to end, unless there is one already. `text`: what is wrong with what its
 * client has sent, which is told at once; NULL: nothing is. session_abort() does this itself.
 */
void tell_ends(struct base *base, session_id sid, enum counter why, const char *text);
/* Notes a reason that is no counter. */
static inline void tell_ends_as(struct base *base, session_id sid, enum event_why why)
{
	if (base->why[sid] == 0)
		base->why[sid] = (uint8_t)why;
}
/* The reason, which is forgotten. (A worker's death forgets it too: then the session's state alone says whether it was ended, EVENT_WHY_DONE, or its peer left.) */
unsigned tell_reason(struct base *base, session_id sid);

#endif
