/*
 * Whether a connection sends more in a second than flood_messages and flood_bytes allow.
 */
#ifndef WORKER_SERVICE_FLOOD_H
#define WORKER_SERVICE_FLOOD_H

#include "worker/service/service.h"

#define FLOOD_MESSAGES "too much at a time (flood_messages): this one was not dealt with"
#define FLOOD_BYTES "too much at a time (flood_bytes)"

/* Whether so many messages more would be too many in this second. Asked before one is dealt with: then it is not, and the session ends. */
bool flood_has(struct service *service, int fd, unsigned messages);
/* Counts bytes as they are received. True: they are too many in this second. */
bool flood_bytes(struct service *service, int fd, size_t bytes);
void flood_messages(struct service *service, int fd, unsigned messages);	/* counts messages that were dealt with */
void flood_again(struct service *service, int fd, unsigned messages);		/* these are put off: they come again, and count then */

#endif
