/*
 * What a slot keeps up for sessions that have departed to other slots (move_session.h), until they are at home there. A session that is in a queue belongs to nobody who could hold anything
 * for it, so the slot that it comes from goes on as if it still had it:
 *
 *   - its `delivered` does not move, so publishers leave in the ring what the session is owed
 *   - topics that it has left are not left (topics_leave()), so that what is published to them is written, and their numbers go on
 *   - users who are not on a topic here any more are not taken out of its members, so nobody is told that they left
 *   - its connection is counted here
 *
 * A session is at home when its worker has joined its topics, has said who is on them, and has sent it what it is owed: at the end of the turn in which it was taken. The worker notes that in the hub
 * (moves_settled), as the number of the last move from that slot, and wakes that slot's worker, which has noted there what it has sent (moves_sent). Both rows are all that there is to know, so a
 * successor of either worker goes on from them. Sessions depart in batches: the next one begins when all have arrived, so none of this lasts.
 */
#ifndef WORKER_LOOP_DEPARTED_H
#define WORKER_LOOP_DEPARTED_H

#include "worker/loop/worker.h"

/* Notes that a session is about to be sent, under this number; departed_not(): it was not. departed_counts(): it was, and is counted here until it has arrived. */
void departed_note(struct worker *w, unsigned slot, uint64_t number);
void departed_not(struct worker *w, unsigned slot, uint64_t before);
void departed_counts(struct worker *w, bool parked);
/* How many may depart now. */
unsigned departed_room(const struct worker *w);

/* A session from that slot was taken in, and its number noted (slot_shm.moves_taken). */
void arrived_note(struct worker *w, unsigned from);

void departed_run(struct worker *w);	/* at the beginning of each turn's end: whether they have arrived */
void arrived_settle(struct worker *w);	/* at its end: those that came are at home */

/* At a worker's start: before sessions are taken over. */
void departed_recover(struct worker *w);

#endif
