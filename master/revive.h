/*
 * The next master, if no service manager starts one: a keeper does. Keepers call this while there is no master (ARCHITECTURE.md, "The master's death").
 *
 * Which of them does it is decided in the hub (masters_shm.next_at): REVIVE_PAUSE_MS after the death, and from then on, while none comes, after pauses that grow. Nobody does while somebody has the
 * master's lock, as that one has only just begun. The new process is an ordinary start, with the arguments of the first master, at the path of its program, or, if nothing can be executed there,
 * in the keeper's own; but it has the keeper's user, and so no privileges. What it could not open by them it has from the keepers: the lock file from this one, at its start,
 * and all else when it adopts them.
 *
 * A crash loop ends as restarts.h says: more than restart_limit masters that keepers have started, one behind the other, of which none has got anywhere, are enough. Then none is started any more, and
 * the server ends when nobody else has started one within master_linger.
 */
#ifndef MASTER_REVIVE_H
#define MASTER_REVIVE_H

#include <stdint.h>

#include "master/keeper_start.h"

#define REVIVE_PAUSE_MS 1000
#define REVIVE_PROGRESS_MS 1000		/* a master that has served so long has got somewhere */

/* Once in a while from its death on, while no worker starts or leaves: starts a master, if it is time. */
void revive_look(struct keeper *k);

/* The server is told to stop: no keeper starts one any more. */
void revive_no_more(struct keeper *k);

/* Milliseconds until revive_look() has something to do, at most `most`. */
int revive_wait_ms(const struct keeper *k, int most);

#endif
