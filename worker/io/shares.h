/*
 * The slots' shares of the connections: who takes more, and how many a slot that has more than its share gives to whom. Each worker computes that from what all have (the hub), by the same
 * rule, so nobody need tell anybody: several that give at once fill up what the others lack, and no more.
 */
#ifndef WORKER_IO_SHARES_H
#define WORKER_IO_SHARES_H

#include "worker/session/base.h"

/*
 * Whether the slot's worker takes new connections if this one leaves them to it: it is live, neither full nor draining, and has given a sign of
 * life lately.
 */
bool shares_takes(const struct base *base, unsigned slot);

/*
 * Fills in how many sessions of this slot go to each: of a slot that drains all, of others what they have beyond their share. The share is the mean, over the slots that stay; who has
 * less takes, as far as it has room. The sum.
 */
uint32_t shares_plan(const struct base *base, uint32_t gives[INDEX_SLOTS_MAX]);

/* How many connections this slot has beyond its share, in percent of that; 0: it has no more than it. */
uint32_t shares_beyond(const struct base *base);

#endif
