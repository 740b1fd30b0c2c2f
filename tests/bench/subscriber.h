/*
 * A process of subscribers: connects its share of them, subscribes, and receives through one epoll and one large buffer.
 */
#ifndef BENCH_SUBSCRIBER_H
#define BENCH_SUBSCRIBER_H

#include "tests/bench/member.h"

/* The process's life; member `number` of opt->processes. Returns its exit status. */
int subscriber_run(struct member *m);

#endif
