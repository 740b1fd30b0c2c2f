/*
 * A keeper's worker, for the files of the keeper: how it is made and made again is supervisor.h's, which is told here by what and with what. Nothing fails here.
 */
#ifndef MASTER_KEEPER_WORKER_H
#define MASTER_KEEPER_WORKER_H

#include "master/keeper_start.h"

/* With a handover state that is new, as the program that was executed or the one that goes on. */
void keeper_begin(struct keeper *k);

/* What the supervisor is to know of a handover state that has come. */
void keeper_tell_supervisor(struct keeper *k);

/* A worker, unless none is to be until an order comes (k->quiesced). */
void keeper_start_worker(struct keeper *k);

#endif
