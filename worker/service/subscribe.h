/*
 * Subscribing and unsubscribing, logging in and out, whatever the transport.
 */
#ifndef WORKER_SERVICE_SUBSCRIBE_H
#define WORKER_SERVICE_SUBSCRIBE_H

#include "shm/index.h"
#include "worker/service/replay.h"

/* The name of a topic, or of what is subscribed in the same way: an id's inbox, and what goes to everybody. */
struct topic_name {
	uint8_t len;
	char bytes[TOPIC_NAME_MAX];
};
struct topic_name subscribe_topic_name(bool inbox, const char *name, size_t len);	/* the name of a topic, or of a user's inbox */
struct topic_name subscribe_everybody_name(void);					/* the name of what goes to every connection */
/*
 * These change the session's subscriptions at once, and its state in *st, which the caller commits. subscribe_add() returns NULL, or why not. It
 * subscribes for st->transport, which may be what the session is about to become. `replay` says where it begins; NULL: at the tail.
 */
const char *subscribe_add(struct service *service, session_id sid, struct session_state_shm *st, const struct topic_name *name,
			  struct replay *replay);
void subscribe_remove(struct service *service, session_id sid, struct session_state_shm *st, const struct topic_name *name);
/* The name of what a subscription is of. */
struct topic_name subscribe_name_of(const struct base *base, uint32_t subscription);
/* Whether the session has subscribed anything but what goes to everybody, and what its token names (`channels`). */
bool subscribe_has_own(const struct base *base, session_id sid);
/* Subscribes the session to what goes to everybody, if `broadcast` is on, and commits that. `from`: all from this sequence on, 0: what comes now. */
void subscribe_join_everybody(struct service *service, session_id sid, uint64_t from);
/* The same with what its token names. */
void subscribe_join_channels(struct service *service, session_id sid, uint64_t from);

#endif
