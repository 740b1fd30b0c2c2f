/*
 * What one client may have: connections an address and a user (the `sub` of a token or key), new connections a second, and subscriptions and publishes a second, of a connection and a user.
 * Addresses and users are counted over all workers (shm/client_limits.h), what a connection has used in a second here.
 *
 * Who runs the server (admin listeners) is not limited, and of Unix sockets there is no address. A proxy that is trusted stands for many: its connections count for those whom it names; over HTTP once they have become
 * streams or WebSockets, as before that each request may be another one's.
 */
#ifndef WORKER_SERVICE_QUOTA_H
#define WORKER_SERVICE_QUOTA_H

#include "proto/rights.h"
#include "shm/client_limits.h"
#include "shm/events.h"
#include "worker/service/service.h"

/* Why a connection is not taken. */
struct refusal {
	enum counter why;
	unsigned status;
	const char *text;
};

int quota_init(struct service *service);	/* service->quota, NULL if nothing is limited. 0, or -1: no memory */

/* Counts a connection of this client, which is to have session `sid`. False: it is one too many, which is counted and told, and *refusal says why. */
bool quota_connect(struct service *service, session_id sid, uint32_t transport, const struct event_peer *peer, struct refusal *refusal);
/* The same for whom the connection's certificate says that he is. */
bool quota_connect_user(struct service *service, session_id sid, uint32_t transport, const struct event_peer *peer, const struct rights *who, struct refusal *refusal);
/* The session is there, and whatever it has counts: it came from another worker, or from a worker that died. */
void quota_found(struct service *service, session_id sid);
void quota_leave(struct service *service, session_id sid);	/* its connection does not count any more */

/* Counts the session for its user, instead of whom it counted for, and for whom its proxy has named in the request by which it becomes a stream. NULL; or why not, and nothing has changed. */
const char *quota_become(struct service *service, session_id sid, const struct rights *shown);

/* Whether `n` are more than a second ever has, so that there is no use in trying again: *error says so. */
bool quota_too_many(struct service *service, session_id sid, enum client_rate rate, unsigned n, const char **error);
/* Takes `n` subscriptions or publishes. 0, or a status of HTTP (413 if quota_too_many(), else 429) and *error. quota_give(): they have not come to pass, and are asked for again. */
unsigned quota_take(struct service *service, session_id sid, enum client_rate rate, unsigned n, const char **error);
void quota_give(struct service *service, session_id sid, enum client_rate rate, unsigned n);

#endif
