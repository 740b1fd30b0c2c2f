/*
 * What operators have done to this worker's clients: orders to send some of them away (worker/service/order.h), and draining, in which all are sent
 * away at a steady pace, with a hint to connect again.
 *
 * Draining is a word in the hub (hub_slot_shm.drain), so it goes on over workers' deaths and reloads. While it is not 0, the worker takes no new
 * connections (listener.c) but those of admin listeners, which are not sent away either.
 */
#ifndef WORKER_LOOP_ORDERS_H
#define WORKER_LOOP_ORDERS_H

#include "worker/loop/worker.h"

/* Deals with the order at the head of the slot's queue, for some milliseconds; it stays there until it is done. False: what is there is no order. */
bool orders_run(struct worker *w);

/*
 * A session has come from another slot, whose worker had done all orders up to number `done`: what this one has done since, in the last seconds, is done to it too. (An order is put into one queue after the other, so a session may
 * leave a slot ahead of the order, and come to another one behind it.)
 */
void orders_arrived(struct worker *w, session_id sid, uint64_t done);

/* Once a tick: sends away those whose turn it is. */
void orders_drain(struct worker *w);

#endif
