/*
 * Parked sessions: those whose connection broke, and whose client may come back with its token (worker/service/attach.h).
 *
 * A parked session is a session like any other that is behind: its topics have it as a subscriber, so what is published to them is stored, and its
 * place in its stream stays where it was. It has no buffers, is never sent anything, and its descriptor, which keeps its number taken, is the slot's
 * eventfd once more. So it survives what sessions survive, and costs its place in the session table, its subscriptions and a descriptor.
 *
 * Crash rules. One commit parks it. Then its connection is closed, by putting the other descriptor in its place: a successor does that again.
 */
#ifndef WORKER_LOOP_PARK_H
#define WORKER_LOOP_PARK_H

#include "worker/loop/worker.h"

/* Parks a session whose connection is over. */
void park_session(struct worker *w, session_id sid);
/* Takes the connection from a session, telling its client that another one has the session: see base.park. */
void park_take_connection(struct worker *w, session_id sid);
void park_touch(struct worker *w, session_id sid);		/* see base.touch */
/* Ends a parked session. */
void park_end(struct worker *w, session_id sid, enum counter why);
bool park_fewer(struct worker *w);		/* ends the oldest of who has most; see base.fewer_parked */
/* Ends as many, until all sessions of the slot have descriptors (connections_max). */
void park_make_room(struct worker *w);
void park_sweep(struct worker *w);		/* ends those whose time is up */
/* For sessions that move (move_session.h). It is out of the table: gives back what it had. It has come: lists it. Its number, a copy of what it was sent with, becomes what parked ones have. */
void park_let_go(struct worker *w, session_id sid);
void park_arrived(struct worker *w, session_id sid);
void park_keep_number(struct worker *w, int fd);
/* A worker's start, when sessions are taken over: closes what their descriptors still are, and lists them. */
void park_recover(struct worker *w);

#endif
