/*
 * Who a session's client is: whom a proxy that is trusted has named, or else who the kernel says is at the connection's other end.
 */
#ifndef WORKER_IO_SESSION_PEER_H
#define WORKER_IO_SESSION_PEER_H

#include "shm/slot_peers.h"
#include "worker/session/base.h"

struct event_peer session_peer(const struct base *base, session_id sid);

/* Whether trusted_proxies has it. */
bool peer_is_proxy(const struct base *base, const struct event_peer *peer);

/* Looks who the client of a request of HTTP is, whose head this is, if trusted_proxies says anything. */
void session_peer_forwarded(struct base *base, session_id sid, const char *head, size_t len);

#endif
