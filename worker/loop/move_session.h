/*
 * Moving a session to another slot, with all that it has: subscriptions and where it is in each, rights, TLS, input that is not taken, what it is owed. Its client hears nothing of it.
 *
 * Which sessions can move. Those at rest: nothing of theirs is under way, so that the map of a slot's snapshot (shm/snapshot_session.h) says all of them. What waits, and for what:
 *
 *   in the middle of a frame (SESSION_CUT)				for the rest to be sent: the frame is kept by its slot
 *   bytes or words of TLS that the kernel has not taken			the same
 *   owed lists of who is on topics					until they are in its out buffer (which goes along)
 *   its request waits for what others say, or for a move of its own	for the answer
 *   its publishes are put off, its answers not read, or its peer has ended	until its input goes on
 *   parked, and just being taken over, or polled				until that is done
 *   ends (SESSION_CLOSE, SESSION_LINGER, over)				never: it ends here
 *
 * So a session that is behind moves, as its cursor says all; so do parked ones, and connections that speak HTTP: one that polls is dealt with again there, from where it began.
 *
 * Where it goes on. A session that is behind has, of each topic, the number and sequence of the first record that it is owed. For one that is not the same is found out as it leaves (stream_owed()):
 * what is published from then on comes behind it. The receiver joins the topics, and is in them from a sequence at or behind these; so what lies between is in the ring, by the slot that it came
 * from (departed.h), and it is sent along its stream before it is at home. Before the receiver has looked so far, it passes by what lies before.
 *
 * Crash rules are move.h's. Both sides hold nothing but what is in shared memory, and each session is in exactly one slot: in the sender's until its status is SESSION_FREE, then in the queue, and
 * in the receiver's when its number is noted as taken. A token's place (shm/moved_tokens.h) is noted before.
 *
 * The receiver takes in what comes whatever its limits are: its client has its connection. Where there is no descriptor or buffer for it, it waits in the queue, and only in the end others go for it. One that
 * two workers have died of is closed.
 */
#ifndef WORKER_LOOP_MOVE_SESSION_H
#define WORKER_LOOP_MOVE_SESSION_H

#include "worker/loop/move_message.h"
#include "worker/loop/worker.h"

enum move_result {
	MOVE_GONE,		/* the session is not here any more */
	MOVE_LATER,		/* it is not at rest: in another turn */
	MOVE_FULL,		/* no session can go there in this turn */
};

/* Gives the session to that slot. To be called at the end of a turn, when nothing is under way. */
enum move_result move_session(struct worker *w, session_id sid, unsigned slot);
/* How many may go there now; 0: none. As a batch is under way, as the slot's worker has other settings, or ends. */
unsigned move_room(const struct worker *w, unsigned slot);

/* For move.c. Sends again what slot_shm.moving names; how many milliseconds it may wait for room in a queue. The session ends here. */
void move_session_redo(struct worker *w, session_id sid, unsigned slot);
/* Takes it in. False: it is to stay in the queue for now. */
bool move_session_take(struct worker *w, struct move_looked *l);
/* Whether a session here is the one in the message. */
bool move_session_is_here(const struct worker *w, const struct move_looked *l);

#endif
