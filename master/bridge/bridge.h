/*
 * janus-bridge: what its parts share. What it is and what is promised is in ARCHITECTURE.md ("Nodes") and shm/nodes.h.
 */
#ifndef MASTER_BRIDGE_BRIDGE_H
#define MASTER_BRIDGE_BRIDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "master/bridge/spent.h"
#include "master/bridge/uplink.h"
#include "proto/nats_message.h"
#include "proto/subject.h"
#include "shm/hub.h"
#include "shm/nodes.h"
#include "shm/settings.h"

#define BRIDGE_NAME "janus-bridge"
#define BRIDGE_SUBJECT (2 * SUBJECT_MAX)	/* bytes of any of our subjects */
#define BRIDGE_REPLY (BRIDGE_SUBJECT + 64)	/* of one to which JetStream answers */

struct bridge {
	struct settings settings;
	struct hub hub;
	uint32_t master;		/* who has made it */
	struct uplink uplink;
	struct spent spent;
	char node[NATS_NODE_MAX + 1];	/* our own name */
	uint64_t epoch;			/* our hub's */
	uint64_t now;			/* milliseconds of CLOCK_MONOTONIC, of this turn of the loop */
	char prefix[SUBJECT_PREFIX_MAX + 2];	/* of all subjects, with its dot */
	size_t prefix_len;
	char own[BRIDGE_SUBJECT];	/* what subjects begin with that are to this node alone, with a dot */
	size_t own_len;
};

/* The subjects that nodes have among themselves, behind the prefix. */
#define SUBJECT_MARK "node.mark"
#define SUBJECT_COUNT "node.count"
#define SUBJECT_TO "node.to."		/* NODE. and one of these: */
#define SUBJECT_ASK "ask"
#define SUBJECT_AGAIN "again."		/* what stands behind the prefix of what is sent again */
#define SUBJECT_LIVE "live"
#define SUBJECT_STREAM "stream."	/* number of a question that JetStream answers (stream.h) */
#define SUBJECT_ACK "ack."		/* EPOCH SEQ of a message that it answers (acks.h), a dot between them */
#define SUBJECT_OF_STREAM "node.stream."	/* NODE and a number: what comes of the stream to one node, which is not among what is to that one */
#define SUBJECT_COUNTED "counted"
#define HEADER_AGAIN "Janus-Again"
#define HEADER_STREAM_ID "Nats-Msg-Id"	/* what the stream is to know a message by */

/* Writes the whole subject to a node, `what` being one of the above. Returns its length. */
size_t bridge_subject_to(const struct bridge *b, char dst[BRIDGE_SUBJECT], const char *node, const char *what);

/* Whether its master is dead. It goes on while there are keepers, which wait for another master. */
bool bridge_is_orphan(const struct bridge *b);

/* Counts what was refused, and logs some of it. */
void bridge_refuse(const struct bridge *b, const char *what, const char *from, const char *why);

static inline void bridge_count(const struct bridge *b, enum counter counter, uint64_t n)
{
	hub_count(&b->hub, SLOT_BRIDGE, counter, n);
}

#endif
