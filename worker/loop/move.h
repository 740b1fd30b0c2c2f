/*
 * Moving a connection to another slot's worker: a request that is about a session there (worker/service/attach.h) is dealt with by that worker.
 *
 * Each slot has a queue: a Unix datagram socket that is connected to itself, at the same number in every process. A message is the connection's
 * descriptor, what its session's state says of it, and the input that is not taken. A session that is moved has nothing to be sent, and no subscriptions
 * but to what goes to everybody.
 *
 * Crash rules. The sender notes session and slot (slot_shm.moving), sends, frees its session, and clears the note. A successor that finds the note and the
 * session does not know whether the message was sent: it sends it, marked as perhaps the second one (`again`). The receiver peeks at a message, makes a
 * session of it, and then takes it out of the queue. A successor of its finds the message still there: so the first one that a worker sees may be the second
 * time as well. Then the receiver looks whether a session here has the same socket (SO_COOKIE). Who dies with the slot's queue full of messages
 * leaves them to the next worker.
 */
#ifndef WORKER_LOOP_MOVE_H
#define WORKER_LOOP_MOVE_H

#include "worker/loop/worker.h"

/* See base.move. */
bool move_ask(struct worker *w, session_id sid, unsigned slot);
/* Sends those that were asked for and are ready. */
void move_run(struct worker *w);
void move_redo(struct worker *w);		/* at a worker's start, before sessions are taken over */
void move_start(struct worker *w);		/* has the loop look at this slot's queue */

/* Makes a queue. Its descriptor, which programs inherit that are executed; -1 with errno. */
int move_queue(void);

#endif
