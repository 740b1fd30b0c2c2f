/*
 * A message of our ring on its way to NATS: what is live, to all; what is sent again, to one node.
 */
#ifndef MASTER_BRIDGE_SENDER_H
#define MASTER_BRIDGE_SENDER_H

#include "master/bridge/bridge.h"

struct sender {
	struct bridge *bridge;
	char *scratch;			/* of nats_message_scratch(room) bytes */
	size_t room;
};

/* 0, or -1: there is no memory. */
int sender_init(struct sender *s, struct bridge *b);

/* Whom the message names, and its whole subject; `head`: what stands in front of its own, with a dot. False: it has none. (Both mean something only if the ring holds the message behind this.) */
bool sender_subject(const struct nodes_message *m, const char *head, struct subject_name *name, char subject[BRIDGE_SUBJECT]);

enum sent { SENT, SENT_NOT, SENT_LOST, SENT_OVERTAKEN };	/* NOT: it can't be sent, and is counted as refused; LOST: the connection is; OVERTAKEN: the ring has it no more */

/*
 * `head`: as above. `mark`: the number of our last mark. `again`: the header that numbers what is sent again; NULL: it is live.
 */
enum sent sender_send(struct sender *s, const struct nodes_message *m, const char *head, uint64_t mark, const char *again);

#endif
