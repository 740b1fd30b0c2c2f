/*
 * Which sessions go to other slots, and when. A slot gives sessions away
 *   - while it is to end (`reload` with fewer `workers`): all of them, those without a connection too;
 *   - for some seconds behind a reload that has added slots (hub_shm.even_until): what it has beyond its share;
 *   - with the setting `balance`: the same, once it has so many percent more than its share.
 * How many, and to whom, is worker/io/shares.h's; how a session goes, move.h's. Each turn has some milliseconds for it, so nobody else is held up. A session that is in the middle of something is
 * passed over, and looked at again.
 */
#ifndef WORKER_LOOP_BALANCE_H
#define WORKER_LOOP_BALANCE_H

#include "worker/loop/worker.h"

/* Once a tick: whether there is something to give, and to whom. */
void balance_look(struct worker *w);
/* Once a turn: gives some. True: there are more for the next turn. */
bool balance_run(struct worker *w);

#endif
