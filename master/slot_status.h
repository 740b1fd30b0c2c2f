/*
 * What a status says of a slot, as it stands in the hub: for the master, and for janusctl when the master does not answer.
 */
#ifndef MASTER_SLOT_STATUS_H
#define MASTER_SLOT_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/control.h"
#include "shm/hub.h"

/* Adds the slot: its worker, and to the sums what it has of each. `keeper` is its keeper's process; `draining` says that the slot is to end, whether its worker knows or
 * not. There must be room for it. */
void slot_status_add(struct control_status *status, const struct hub *hub, unsigned slot, uint32_t keeper, bool draining);

#endif
