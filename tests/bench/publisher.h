/*
 * The process that publishes, over all its connections.
 */
#ifndef BENCH_PUBLISHER_H
#define BENCH_PUBLISHER_H

#include "tests/bench/member.h"

/* The process's life. Its `deliveries` count what it has published. Returns its exit status. */
int publisher_run(struct member *m);

#endif
