/*
 * The program that follows: what a keeper does from the order to have its worker replaced on, until a worker of the next program, or of this one with the next settings, is made. Called by keeper.c, where orders and workers' ends are waited
 * for. What can't be done is logged and counted (hub_slot_shm.refused), and the slot goes on as it was.
 */
#ifndef MASTER_KEEPER_FOLLOW_H
#define MASTER_KEEPER_FOLLOW_H

#include "master/keeper_start.h"
#include "master/orders.h"

/* The worker is to leave; what came along is the keeper's now. NULL, or why the order is refused; then that is closed. */
const char *keeper_order_replace(struct keeper *k, struct order_received *r);

/* No snapshot is wanted any more: all goes on from where it was. */
void keeper_order_resume(struct keeper *k);

/* No worker is there: what was ordered is done, if anything was. Does not return when a program is executed. */
void keeper_follow(struct keeper *k);

/* The same for an order that came when there was no worker (k->replacing). With other segments it is tried again until it works. */
void keeper_replace_now(struct keeper *k);

/* Keys of the program before are let go, as there is no way back any more. */
void keeper_close_tls_before(struct keeper *k);

#endif
