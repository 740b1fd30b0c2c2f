/*
 * What NATS is asked for: the topics, patterns and users that somebody here subscribes, and what rules of history keep. The topic index says what has changed (shm/nodes.h).
 * Not what the stream brings, if there is one for all nodes (stream.h).
 */
#ifndef MASTER_BRIDGE_INTEREST_H
#define MASTER_BRIDGE_INTEREST_H

#include "master/bridge/bridge.h"
#include "shm/history_rules.h"

/* What NATS was asked for of an entry of the index, by its number. */
struct interest_entry {
	natsSubscription *subscription;	/* NULL: nothing */
	uint32_t generation;
	uint32_t age;			/* of two, the older one has the lesser */
};

/* The same of a rule of history: all that begins with `start`, whole tokens; or that is it. */
struct interest_rule {
	natsSubscription *subscription;
	uint32_t age;
	enum message_to to;
	bool prefix;
	uint8_t len;
	char start[255];
};

struct interest {
	struct bridge *bridge;
	struct interest_entry *entry;	/* [topics_max + 1], memory only where it was used */
	struct interest_rule rule[HISTORY_RULES_MAX];
	unsigned rules;
	natsSubscription *fixed[4];	/* broadcasts, what is for this node, questions to all, marks */
	uint32_t high;			/* entries were looked at up to here */
	uint32_t next;			/* the next entry to be looked at; 0: all were */
	uint32_t ages;
};

/* 0, or -1: there is no memory. */
int interest_init(struct interest *i, struct bridge *b);

/* The subject, with the prefix, of what the rule of this place asks for, whole tokens. False: there are no more. */
bool interest_subject(const struct interest *i, unsigned n, char subject[BRIDGE_SUBJECT]);

/* A connection is new: all is asked for, a piece a turn. */
void interest_begin(struct interest *i);
/* It is over. */
void interest_end(struct interest *i);

/* Asks for a piece of what has changed. Whether there was something. */
bool interest_turn(struct interest *i);

/* Whether all is asked for but marks: so answers come. */
static inline bool interest_has_answers(const struct interest *i)
{
	return i->fixed[2] != NULL;
}

/* Asks for marks, too, which come last: whoever sees one has asked for all the rest. */
void interest_ask_marks(struct interest *i);

/* Whether all is asked for, marks too. */
static inline bool interest_is_whole(const struct interest *i)
{
	return i->fixed[3] != NULL;
}

/*
 * Whether a message to this name, of another client of NATS, that came by the subscription of this mark counts: the same one may come by several. It is the oldest one's.
 */
bool interest_counts(const struct interest *i, const struct subject_name *name, uint64_t mark);

#endif
