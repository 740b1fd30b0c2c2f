/*
 * The spare: a slot's third process. It shares the descriptor table with keeper and worker, and does nothing but wait for the keeper's death. Then it is the keeper: it has the worker hand over, as in a
 * reload, so that the next one is its own child, and makes the next spare. So whichever one of the three dies, the table stays, also while there is no worker.
 *
 * It is a copy of the keeper as that was when it made it. So the keeper makes another one whenever what it knows has changed: at the latest before there is a worker that closes what the
 * last one had. An order that the keeper had taken the spare does not know: the master gives it again. A program that is executed has a table of its own, and the spare keeps the one before; the
 * program makes its own spare before its first worker, and kills that one.
 *
 * Which spare counts is hub_slot_shm.spare, where the kernel writes a spare's number before it runs. One that is another finds that when the keeper has died, and ends. So does one whose keeper has executed another program, of which somebody is left
 * (runtime_dir_followed()).
 */
#ifndef MASTER_SPARE_H
#define MASTER_SPARE_H

#include <stdbool.h>

#include "master/keeper_start.h"

#define SPARE_NAME "janus-spare"
#define SPARE_LAYOUT 17		/* programs with an earlier HUB_LAYOUT know of none */

/*
 * Makes a spare, and kills the one before, without waiting for its end (one that is there already when it fails, too: what that one knows is no longer true). Returns twice, as fork() does: false in the keeper, at once; true in the spare, when the
 * keeper has died and this process is the keeper in its place: then there is no worker, and if the slot is quiesced (k->quiesced) none is to be made.
 */
bool spare_make(struct keeper *k);

/* Whether it is time to make one: there is none, or what it knows is old (k->spare_old). */
bool spare_due(struct keeper *k);

/* Until the one that was ended has gone, with its table and what it had mapped. */
void spare_wait(struct keeper *k);

/* The keeper ends, and its slot with it. Nobody goes on. */
void spare_end(struct keeper *k);

/* A keeper has died: milliseconds until the next one does anything that could have been the reason. 0, but for keepers that die one behind the other, each within a second. */
unsigned spare_pause(struct keeper *k);

#endif
