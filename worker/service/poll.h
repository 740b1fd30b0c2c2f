/*
 * Long polling: a request that waits until its topic has a message.
 *
 * Its request stays in the session's input, not taken (session_polls()), and the session subscribes the topic. A message on the topic has the
 * request dealt with again (base.go_on), and so does the end of its time; then it finds messages or not, is answered, and the subscription goes. If the
 * worker dies meanwhile, its successor takes an HTTP session's subscriptions away, and is given the request again. That goes on from where it began: the
 * session's `pos` says from which sequence on it waits, `until` how long; both count for the request at `parsed`, whose low half is in `page_base`.
 */
#ifndef WORKER_SERVICE_POLL_H
#define WORKER_SERVICE_POLL_H

#include "worker/service/subscribe.h"
#include "worker/session/cursor.h"

#define POLL_WAIT 30			/* seconds, where nothing is said */
#define POLL_WAIT_MAX 300

/* Whether it has waited for as long as it is to. */
static inline bool poll_is_over(const struct base *base, session_id sid)
{
	return (int32_t)(base->now - session(base, sid)->until) >= 0;
}

/* Notes that the request at `parsed` waits, `wait` seconds at most. */
void poll_note(struct service *service, session_id sid, uint32_t wait);
/* Begins to wait for the topic's messages, `wait` seconds at most. NULL, or why not. */
const char *poll_begin(struct service *service, session_id sid, const struct topic_name *topic, uint32_t wait);
/* The sequence from which on it waits for messages. */
uint64_t poll_from(const struct service *service, session_id sid);
/* Nothing has come yet: the request is dealt with again when something has. */
void poll_wait(struct cursor *c);
/* It is to be answered: ends the subscription. */
void poll_end(struct service *service, session_id sid);

#endif
