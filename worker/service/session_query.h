/*
 * What a session without a connection is owed, for a client that polls (GET /session/TOKEN/messages). Nothing of the session changes but how long it stays.
 */
#ifndef WORKER_SERVICE_SESSION_QUERY_H
#define WORKER_SERVICE_SESSION_QUERY_H

#include "worker/service/history_query.h"

#define SESSION_TOPICS_MAX 1024		/* subscriptions of a session that is polled */

/*
 * Writes messages that came behind `since` (RESUME_NOT: from where the server has the session) to what session `from`, which is parked, has subscribed: in the
 * ring's order, else as history_query() does. -1 with errno: ENOMEM; E2BIG, it has more than SESSION_TOPICS_MAX.
 */
ssize_t session_query(struct service *service, session_id from, const struct resume *since, unsigned limit, char *dst, size_t room, size_t most,
		      struct history_result *result);

/*
 * Has the request of session `sid` dealt with again when a message comes for the session `from`, or after `wait` seconds. False: it has waited long enough, or
 * another one waits since (or there is no memory): it is to be answered.
 */
bool session_query_wait(struct service *service, session_id sid, session_id from, uint32_t wait);

#endif
