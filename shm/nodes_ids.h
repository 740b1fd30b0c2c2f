/*
 * Messages by their ids in the stream that all nodes share. Those of its topics have these ids in their records (proto/message_view.h), and within a topic the stream's sequence and ours rise together: so an id of the stream says
 * where one is in each of its topics, on every node.
 *
 * There is no table of them: what is looked for lies as far back as the messages that will be sent because of it.
 */
#ifndef SHM_NODES_IDS_H
#define SHM_NODES_IDS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/position.h"
#include "shm/hub.h"

/* The id of the record's message in the stream. epoch 0: it has none, or the ring has overwritten it. Pinned, if it is in history. */
struct position nodes_id_of(const struct hub *hub, const struct ring_record *rec);

/* Whether an id says that its message is `at` or came before it. */
static inline bool nodes_id_is_had(struct position id, struct position at)
{
	return id.epoch == at.epoch ? id.seq <= at.seq : id.epoch != 0 && id.epoch < at.epoch;
}

/* A topic (or pattern), and a place in it. */
struct nodes_place {
	bool is_had, is_next;		/* whether there are these: */
	struct ring_record had;		/* its newest record at or before the place */
	struct position had_id;
	struct ring_record next;	/* the record behind that, in the ring or in history; without that one, the topic's oldest of the stream */
};

/* Finds the place behind the stream's message `at`. `last`: the topic's newest record. Pinned, and without the hub lock; `owner`: the number to take it with. */
void nodes_find_id(const struct hub *hub, uint32_t owner, uint32_t topic, uint32_t generation, uint64_t last, struct position at, struct nodes_place *place);

#endif
