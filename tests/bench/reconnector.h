/*
 * A process of subscribers who break off and come back (--reconnect): each drops its connection every few seconds, in one of three ways, and goes on with
 * a new one where it was, as its protocol has it (speak.h: come). Each knows from the publishers' numbers what it must get (ledger.h).
 */
#ifndef BENCH_RECONNECTOR_H
#define BENCH_RECONNECTOR_H

#include "tests/bench/member.h"

/* The process's life; member `number` of opt->processes, in place of subscriber_run(). Returns its exit status. */
int reconnector_run(struct member *m);

#endif
