/*
 * The coordinator: one order after the other, and measuring the server in between.
 */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include "tests/bench/crew.h"
#include "tests/bench/results.h"

/* Runs everything with a crew that has been started, and stops it; fills in *r, also when it is cut short. */
void run_all(struct crew *crew, struct results *r);

#endif
