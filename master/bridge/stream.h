/*
 * One history for all nodes: the stream of NATS' JetStream that the setting nats_stream names. What of it comes here, in its order, and how it is made and asked for.
 *
 *   STREAM_NOT ---> LOOKS ---> [MAKES] ---> [EXTENDS] ---> ASKS ---> FOLLOWS
 *        ^             a question that is not answered, a gap, silence: from LOOKS on once more, behind what was taken
 *
 * It is JetStream's own interface of requests (docs.nats.io/reference/reference-protocols/nats_api_reference), and what answers comes as any message does. libnats' js_* functions wait for
 * the answer in the thread that calls, which here is the one that reads the socket (uplink.h), and renew their subscriptions in threads of their own: where a connection begins and ends would not be ours to say.
 */
#ifndef MASTER_BRIDGE_STREAM_H
#define MASTER_BRIDGE_STREAM_H

#include "master/bridge/interest.h"

enum stream_step { STREAM_NOT, STREAM_WAITS, STREAM_LOOKS, STREAM_MAKES, STREAM_EXTENDS, STREAM_ASKS, STREAM_FOLLOWS };

struct stream {
	struct bridge *bridge;
	const struct interest *interest;
	const char *name;		/* "": there is none, and nothing of this is done */
	enum stream_step step;
	uint64_t at;			/* when the step began, milliseconds */
	uint64_t pause;			/* STREAM_WAITS: how long */
	uint64_t began;			/* when the connection was new */
	uint64_t questions;		/* number of the last one: of no other process of this node, as it begins with a time */
	unsigned replicas, tries;	/* that it is made with, if it is; and how often it was tried */
	unsigned extends;		/* how often it was asked to have more subjects, and has not said whether it does */
	uint64_t refused_until;		/* it does not take them, and is not asked for so long, milliseconds */
	char refusal[NODES_TEXT];	/* why; "": it was not asked */
	bool told;			/* the log says what it lacks */
	uint64_t check_at;		/* STREAM_FOLLOWS: when it is to be looked at once more, whether it has all; 0: it has */
	natsSubscription *subscription;	/* of what comes */
	uint64_t mark;			/* its, of no other one */
	uint64_t taken;			/* messages up to this one were taken, also those that are not in the ring yet */
	uint64_t ordinal;		/* of the last one that came by this subscription, from 1 */
	uint64_t heard;			/* when anything came, milliseconds */
	bool level;			/* all that there was has come */
	uint64_t reach;			/* its last message when it was found */
	char *subjects;			/* its, when it was found: a JSON array. NULL: not known */
	bool open;			/* all that it had has come, and what is published to it is answered */
	uint64_t opened;		/* times that it was found */
	uint64_t less_since;		/* it has said to reach less far than it did, milliseconds; 0: it does not */
};

void stream_init(struct stream *s, struct bridge *b, const struct interest *interest);

static inline bool stream_is_on(const struct stream *s)
{
	return s->name[0] != '\0';
}

/* Whether it has what rules keep, as far as it takes that: what is published to it from now on comes by it. Who hears nothing of it in time does not wait for longer, as all else waits for that. */
bool stream_is_settled(const struct stream *s);

/* Whether it is about to be open, as it mostly is within milliseconds: then what goes out waits, as what is for the stream would come behind what is newer. */
bool stream_opens(const struct stream *s);

/* A connection is new; NATS is asked for what is to this node alone, so that answers come; it is over. */
void stream_connected(struct stream *s);
void stream_begin(struct stream *s);
void stream_end(struct stream *s);

/* Once a turn: asks anew where nothing was heard. Milliseconds until that is due. */
void stream_turn(struct stream *s);
unsigned stream_wait(const struct stream *s);

/* Whether what comes by a subscription of this mark is the stream's. */
bool stream_has_mark(uint64_t mark);
/* Whether messages before this one have gone from the stream that did not come. What was taken is to be in the ring, then, before this is taken. */
bool stream_jumps(const struct stream *s, const struct arrival *a);
/* Takes such a message: its sequence, 0: it is none, or does not count. */
uint64_t stream_take(struct stream *s, const struct arrival *a);
/* All that was taken is in the ring, or for nobody. */
void stream_settled(struct stream *s);
/* What was taken and is not in the ring is forgotten, and comes again. */
void stream_drop(struct stream *s);

/* An answer came, to the question of this number. */
void stream_said(struct stream *s, const char *number, natsMsg *msg);
/* Nobody takes what was published to it, by this subject (NULL: not known any more). False: as it does not have that one; what it has is to be sent again. */
bool stream_is_silent(struct stream *s, const char *subject);

#endif
