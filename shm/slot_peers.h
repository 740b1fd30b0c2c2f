/*
 * Who the clients behind proxies are: a table by session, beside the sessions. Of a session that has no entry the kernel says who is at the other end.
 *
 * No session grows for it, and as long as no proxy says anything the table is not touched, and takes no memory. Written by the slot's worker alone, read by janusctl too.
 *
 * Crash rules. An entry is there when its family is, which is stored last, and taken away first when the entry changes. It is the session's that is open under that number: whoever
 * opens one takes away what an earlier one has left. What was being said when a worker died is said again, as the request with it is dealt with again.
 */
#ifndef SHM_SLOT_PEERS_H
#define SHM_SLOT_PEERS_H

#include "shm/events.h"
#include "shm/slot.h"

/* Who has said it: the header ahead of a connection (proto/proxy_protocol.h), or a request's head. */
enum peer_by { PEER_BY_NOBODY, PEER_BY_HEADER, PEER_BY_REQUEST };

/* The session is this client's. EVENT_NOWHERE: nothing is said of it any more. */
void slot_peers_put(const struct slot *slot, int sid, const struct event_peer *peer, enum peer_by by);

/* PEER_BY_NOBODY: nothing is said of it. */
enum peer_by slot_peers_get(const struct slot *slot, int sid, struct event_peer *peer);

#endif
