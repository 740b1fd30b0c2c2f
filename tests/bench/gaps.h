/*
 * Pauses in a steady stream of deliveries, as --while-running looks for them.
 */
#ifndef BENCH_GAPS_H
#define BENCH_GAPS_H

#include <stdint.h>

#include "tests/bench/bench_shm.h"

/* There was a delivery at `now`; a stretch of `pause` ns or more since the one before is a pause. Any process may call it on the
 * same gaps at the same time. */
void gaps_heard(struct gaps_shm *gaps, uint64_t now, uint64_t pause);

/* Between rounds: the time until the next delivery is no pause. */
void gaps_forget(struct gaps_shm *gaps);

#endif
