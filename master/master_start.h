/*
 * The master's start, for master_main(): first what it knows and is, then what the server opens. What goes wrong is logged here. What was opened stands in struct master, and is the caller's to close, also after a failure.
 */
#ifndef MASTER_MASTER_START_H
#define MASTER_MASTER_START_H

#include "master/master.h"

/* ---- master_prepare.c ---- */

/*
 * Reads the configuration (m->source), and the handover state if there is one, and makes m->loop; `handover` and `revived` as for master_main(). 0, or -1. With a configuration that has errors it does not return if keepers are there
 * to be adopted (adoption.h).
 */
int master_prepare(struct master *m, int handover, int revived);

/* What a process that follows no other program knows by itself. 0, or -1. */
int master_prepare_alone(struct master *m);

/* ---- master_start.c ---- */

/* A server that follows no other program: everything is opened, and keepers are made. Signals are held from then on. 0, or -1. Does not return if keepers are there to be adopted. */
int master_start_fresh(struct master *m);

/* One that follows another program: everything is there. 0, or -1. */
int master_start_successor(struct master *m);

#endif
