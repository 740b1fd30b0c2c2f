/*
 * What a server puts on each message: Janus its time and, but for flash, an id, `ihegr977-7`. Time and the number behind the dash increase strictly,
 * whatever the topic; what is in front of the dash stays.
 */
#ifndef BENCH_STAMP_H
#define BENCH_STAMP_H

#include <stdbool.h>
#include <stdint.h>

struct stamp {
	uint64_t time;		/* us since 1970; 0: the protocol says none */
	uint64_t epoch;		/* of the id; 0: there is none */
	uint64_t id;		/* 0: none */
};

static inline bool stamp_follows(const struct stamp *stamp, const struct stamp *before)
{
	return (!stamp->time || stamp->time > before->time) && (!stamp->id || stamp->id > before->id) &&
	       (!before->epoch || stamp->epoch == before->epoch);
}

#endif
