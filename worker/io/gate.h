/*
 * Whether something may be put into a slot's queue (move.h). A slot that ends, or whose sessions go into a snapshot, must leave nothing in its queue, as what is there belongs to nobody
 * then: it closes its gate, takes what is still under way, and goes when nobody is about to put more in.
 *
 * Two words of the hub, as in Dekker's algorithm: who gives says so (hub_slot_shm.giving), and then looks whether the gate is open (hub_slot_shm.gate); who closes the gate says so, and then
 * looks whether somebody gives. So at least one of both sees the other.
 *
 * Crash rules. A giver's word outlives it: it is cleared by its successor, when that has dealt with the note of what was under way (move_redo()), or with the slot. A gate is opened by the slot's next worker.
 */
#ifndef WORKER_IO_GATE_H
#define WORKER_IO_GATE_H

#include <stdbool.h>

#include "worker/session/base.h"

/* True: the slot's queue may be put into until gate_leave(). False: its gate is closed. */
bool gate_pass(const struct base *base, unsigned slot);
void gate_leave(const struct base *base, unsigned slot);
void gate_leave_all(const struct base *base);	/* a worker has dealt with what the last one left under way */

/* This slot's gate. A worker opens it when it begins. */
void gate_open(const struct base *base);
void gate_close(const struct base *base);
bool gate_is_closed(const struct base *base, unsigned slot);
bool gate_is_passed(const struct base *base);	/* somebody may be putting something into this slot's queue */
/* Whether nothing is in this slot's queue, and nothing more will come, as its gate is closed. */
bool gate_is_quiet(const struct base *base, int queue);
bool gate_queue_is_empty(int queue);

#endif
