/*
 * Subscribers that come and go during rounds (--churn): each connects, subscribes, is acknowledged, stays for a moment and leaves.
 * What they receive is not checked, only that they are let in.
 */
#ifndef BENCH_CHURN_H
#define BENCH_CHURN_H

#include "tests/bench/member.h"

/* The process's life. Its `good` counts those that were acknowledged. Returns its exit status. */
int churn_run(struct member *m);

#endif
