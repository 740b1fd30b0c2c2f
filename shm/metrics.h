/*
 * The hub as Prometheus reads it: text format 0.0.4, of counters.def, gauges.def and latency.h. Read without a lock, in bounded time: numbers are not of one
 * instant. While a slot has no worker, what is said of it is what its last one left.
 */
#ifndef SHM_METRICS_H
#define SHM_METRICS_H

#include "proto/sink.h"
#include "shm/hub.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_MAX (256 * 1024)	/* bytes that it takes at most */

/* A number of the table's unit in the base unit: bytes, seconds, a ratio. */
void metrics_put_value(struct sink *s, uint64_t n, const char *unit);

void metrics_put(struct sink *s, const struct hub *hub);

#endif
