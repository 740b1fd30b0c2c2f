/*
 * What a status says of other nodes, as it stands in the hub: for the master, and for janusctl when the master does not answer.
 */
#ifndef MASTER_NODES_STATUS_H
#define MASTER_NODES_STATUS_H

#include <stddef.h>

#include "shm/hub.h"
#include "shm/nodes_shm.h"

/* "off", "connecting", "connected", "away"; "free", "here", "behind", "away". */
const char *nodes_state_name(enum nodes_state state);
const char *node_state_name(enum node_state state);
const char *stream_state_name(enum stream_state state);

/* One line for people: our name, how it is with NATS, how many nodes are here, what was lost. "": nobody asked for other nodes. Cut if it is longer than `size`. */
void nodes_status_text(const struct hub *hub, char *dst, size_t size);

#endif
