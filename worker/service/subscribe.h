/*
 * What a session asks for, whatever the transport: subscribe and unsubscribe, log in and out.
 */
#ifndef WORKER_SERVICE_SUBSCRIBE_H
#define WORKER_SERVICE_SUBSCRIBE_H

#include "shm/index.h"
#include "worker/service/service.h"

/* They change the session's subscriptions at once, and its state in *st, which the caller commits. */
struct topic_name {
	uint8_t len;
	char bytes[TOPIC_NAME_MAX];
};
struct topic_name action_name(bool inbox, const char *name, size_t len);	/* of a topic, or of a user's inbox */
struct topic_name action_everybody(void);					/* of what goes to every connection */
/* NULL, or why not. With st->transport another than the session's, it is as one of that transport. */
const char *action_subscribe(struct service *service, int fd, struct session_state_shm *st, const struct topic_name *name);
void action_unsubscribe(struct service *service, int fd, struct session_state_shm *st, const struct topic_name *name);
void action_join_everybody(struct service *service, int fd);	/* if the server broadcasts; commits */

#endif
