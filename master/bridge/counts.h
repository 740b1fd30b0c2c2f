/*
 * How many subscribers a name has on all nodes: questions of clients here (shm/question.h), and of other nodes.
 *
 *   NODE NUMBER PLACE SUBJECT           on node.count, to all: whose question it is, its number there, and what for; SUBJECT is the name's, without the prefix
 *   NODE NUMBER PLACE held NAME         the same, how many hold a topic or pattern, NAME, written as one token
 *   NODE EPOCH NUMBER PLACE COUNT       to the one who asks: who has so many
 *
 * A question is asked once. Who does not answer has not answered: the worker whose client waits knows how long.
 */
#ifndef MASTER_BRIDGE_COUNTS_H
#define MASTER_BRIDGE_COUNTS_H

#include "master/bridge/peers.h"
#include "shm/question.h"

/* A question that was asked: that of a slot's note. */
struct count {
	uint64_t number;		/* the note's; 0: none was there so far */
	uint64_t asked;			/* our own */
	uint64_t nodes, answered;	/* peers, in bits by their places */
	uint64_t subscribers;
};

struct counts {
	struct bridge *bridge;
	const struct peers *peers;
	uint64_t numbers;		/* of the last question: of no other process of this node, as it begins with a time */
	bool begun;			/* all notes were looked at */
	bool due;			/* something was answered, which is to be sent */
	struct count *of;		/* [INDEX_SLOTS_MAX * WAITING_MAX], memory only where it was used */
};

/* 0, or -1: there is no memory. */
int counts_init(struct counts *c, struct bridge *b, const struct peers *peers);

/* Asks what clients here want to know. */
void counts_turn(struct counts *c);

/* Another node's question, terminated; an answer to one of ours. */
void counts_asked(struct counts *c, const char *text);
void counts_came(struct counts *c, const char *text);

#endif
