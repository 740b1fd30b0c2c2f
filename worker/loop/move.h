/*
 * Moving a connection to another slot's worker: a request that is about a session there (worker/service/attach.h) is dealt with by that worker.
 *
 * Each slot has a queue: a Unix datagram socket that is connected to itself, at the same number in every process. A message is the connection's
 * descriptor, what its session's state says of it, and the input that is not taken. A session that is moved so has nothing to be sent, and no subscriptions
 * but to what goes to everybody. (Sessions that move for the slots' sake take all with them, by the same queue and the same rules: move_session.h.)
 *
 * Crash rules. Moves are numbered. The sender notes session, slot and number (slot_shm.moving), sends, frees its session, and clears the note. A successor that
 * finds the note and the session does not know whether the message was sent: it sends it, with the same number. The receiver peeks at a message, makes a
 * session of it, notes the number as taken from that slot, and takes the message out of the queue; one whose number is not above that was taken already. If it dies before
 * it has noted that, its successor finds message and session: it knows that it is the same socket by its cookie, before anything is done for a session (move_settle()).
 */
#ifndef WORKER_LOOP_MOVE_H
#define WORKER_LOOP_MOVE_H

#include "worker/loop/worker.h"

/* See base.move. */
bool move_ask(struct worker *w, session_id sid, unsigned slot);
/* Sends those that were asked for and are ready. */
void move_run(struct worker *w);
void move_redo(struct worker *w);		/* at a worker's start, before sessions are taken over */
void move_settle(struct worker *w);		/* behind that, before they go on */
void move_start(struct worker *w);		/* has the loop look at this slot's queue */

/* Makes a queue. Its descriptor, which programs inherit that are executed; -1 with errno. */
int move_queue(void);

void move_tick(struct worker *w);			/* tries again what waits in it for room */
/* Whether sessions are on their way to other slots: this slot is to go on until they are there. */
uint32_t move_under_way(const struct worker *w);

/* For move_session.c. */
bool move_tls_owes(const struct worker *w, session_id sid);	/* TLS has something to send first */
uint64_t move_next_number(const struct worker *w);
void move_free_again(struct worker *w, session_id sid);	/* takes a session out of the table that has been sent, before sessions are taken over */

#endif
