/*
 * Which messages a publisher sends, in what order and when.
 *
 * The messages of a round are numbered message-wise, topics inside: number = index * topics + topic. Publisher p sends those whose
 * index % publishers is p. At a rate, number g is due at start + (g / burst) * burst / rate.
 */
#ifndef BENCH_SCHEDULE_H
#define BENCH_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/options.h"
#include "tests/bench/payload.h"

struct schedule {
	uint32_t publisher;
	uint32_t index, topic;	/* of the next message */
};

static inline void schedule_start(struct schedule *s, uint32_t publisher)
{
	*s = (struct schedule){ .publisher = publisher, .index = publisher };
}

static inline bool schedule_ended(const struct schedule *s, const struct options *opt)
{
	return s->index >= opt->messages;
}

static inline void schedule_next(struct schedule *s, const struct options *opt)
{
	if (++s->topic == opt->topics) {
		s->topic = 0;
		s->index += opt->publishers;
	}
}

/* When the next message is due, in ns after the round's start. */
static inline uint64_t schedule_due(const struct schedule *s, const struct options *opt)
{
	uint64_t g = (uint64_t)s->index * opt->topics + s->topic;

	if (opt->rate <= 0)
		return 0;
	return (uint64_t)((double)(g - g % opt->burst) / opt->rate * 1e9);
}

#endif
