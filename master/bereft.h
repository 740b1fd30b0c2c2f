/*
 * A keeper without a master: it serves on, waits for another one, for a while, and does meanwhile what would stop others if it were left undone.
 */
#ifndef MASTER_BEREFT_H
#define MASTER_BEREFT_H

#include <stdbool.h>

#include "master/keeper_start.h"

/* Its orders have ended. False: it is to stop (master_linger = 0). */
bool bereft_begin(struct keeper *k);

/* A master has come. */
void bereft_end(struct keeper *k);

/* Once a turn. False: it is to stop, as none has come. */
bool bereft_look(struct keeper *k);

/* It ends, as its last connection has ended: nobody waits for its slot from now on. */
void bereft_leave(struct keeper *k);

#endif
