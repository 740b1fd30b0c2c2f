/*
 * Whether a connection sends more in a second than flood_messages and flood_bytes allow.
 */
#ifndef WORKER_SERVICE_FLOOD_H
#define WORKER_SERVICE_FLOOD_H

#include "worker/service/service.h"

#define FLOOD_MESSAGES "too much at a time (flood_messages): this one was not dealt with"
#define FLOOD_BYTES "too much at a time (flood_bytes)"
#define FLOOD_RECORDS "too many records of TLS at a time that say nothing (flood_messages)"

/*
 * Whether `messages` more would be too many in this second. It is asked before a message is dealt with: if so, the message is not, and the session
 * ends.
 */
bool flood_has(struct service *service, session_id sid, unsigned messages);
/* Counts bytes as they are received. True: there are too many in this second. */
bool flood_bytes(struct service *service, session_id sid, size_t bytes);
void flood_messages(struct service *service, session_id sid, unsigned messages);	/* counts messages that were dealt with */
/* Takes back the count of messages that are put off: they count when they come again. */
void flood_again(struct service *service, session_id sid, unsigned messages);

#endif
