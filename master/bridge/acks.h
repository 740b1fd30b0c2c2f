/*
 * What clients here publish to the stream: whether it has it. What it has not said so of is sent again, in order, and it drops what it has already, by the message's id.
 *
 *   each message  to its topic's subject, with Nats-Msg-Id, and an answer wanted at
 *   its answer    to node.to.OURS.ack.EPOCH.SEQ        {"stream":"NAME","seq":17}, {"error":{"code":...}}, or nobody's (no responders)
 */
#ifndef MASTER_BRIDGE_ACKS_H
#define MASTER_BRIDGE_ACKS_H

#include "master/bridge/marks.h"
#include "master/bridge/sender.h"
#include "master/bridge/stream.h"

#define ACKS 256

struct acks {
	struct bridge *bridge;
	struct stream *stream;
	struct sender *sender;
	const struct marks *marks;
	uint64_t opened;		/* stream.opened when it was last looked at */
	uint64_t again, end;		/* what is sent again: [again, end) of the ring */
	uint64_t moved;			/* when the first one without an answer last was another one, or there was none, milliseconds */
	uint64_t patience;		/* milliseconds from then on, until it is sent again */
	unsigned count;			/* answers that are not in the hub yet */
	struct node_ack came[ACKS];
};

void acks_init(struct acks *a, struct bridge *b, struct stream *stream, struct sender *sender, const struct marks *marks);

/* An answer: what stands behind `ack.`, and the message. */
void acks_came(struct acks *a, const char *of, natsMsg *msg);
/* A message of ours came of the stream: that is an answer, too. */
void acks_stored(struct acks *a, uint64_t seq, uint64_t sseq);
/* NATS does not take it: as if the stream had said so. */
void acks_refused(struct acks *a, uint64_t seq);
/* What has come goes into the hub, and who waits for it is woken. */
void acks_flush(struct acks *a);

/* Once a turn. Whether there is more to send again: until then nothing newer is sent, as it would come before. */
bool acks_turn(struct acks *a);

/* Whether nothing is left that it could still say something of. */
bool acks_are_done(const struct acks *a);

#endif
