/*
 * Who is at the other end of a connection, as the kernel tells it.
 */
#ifndef WORKER_IO_PEER_H
#define WORKER_IO_PEER_H

#include <sys/socket.h>

#include "shm/events.h"

struct event_peer peer_of(const struct sockaddr *address, socklen_t len);	/* what accept() said */
struct event_peer peer_ask(int fd);						/* EVENT_NOWHERE: it can't be told, as of a connection that is broken */

#endif
