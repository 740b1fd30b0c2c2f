/*
 * Which messages a publisher sends, in what order and when.
 *
 * The messages of a round are numbered message-wise, topics inside: number = index * topics + topic. Publisher p sends those whose
 * index % publishers is p. With --random the topics come in a scattered order, which is another one for each index. At a rate, number g is due at start + (g / burst) * burst / rate.
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
	uint32_t turn;		/* topics of this index that are done */
	uint64_t stride;	/* between two in a scattered order */
};

/* With a stride that has no divisor in common with the number of topics, each of them is met once. */
static inline uint64_t schedule_stride(uint32_t topics)
{
	for (uint64_t stride = topics * 618ull / 1000 + 1;; stride++) {
		uint64_t a = stride, b = topics;

		while (b) {
			uint64_t rest = a % b;

			a = b;
			b = rest;
		}
		if (a == 1)
			return stride;
	}
}

static inline uint32_t schedule_topic(const struct schedule *s, const struct options *opt)
{
	return opt->random ? (uint32_t)((s->turn * s->stride + s->index * 7919ull) % opt->topics) : s->turn;
}

static inline void schedule_start(struct schedule *s, uint32_t publisher, const struct options *opt)
{
	*s = (struct schedule){ .publisher = publisher, .index = publisher, .stride = schedule_stride(opt->topics) };
	s->topic = schedule_topic(s, opt);
}

static inline bool schedule_ended(const struct schedule *s, const struct options *opt)
{
	return s->index >= opt->messages;
}

static inline void schedule_next(struct schedule *s, const struct options *opt)
{
	if (++s->turn == opt->topics) {
		s->turn = 0;
		s->index += opt->publishers;
	}
	s->topic = schedule_topic(s, opt);
}

/* When the next message is due, in ns after the round's start. */
static inline uint64_t schedule_due(const struct schedule *s, const struct options *opt)
{
	uint64_t g = (uint64_t)s->index * opt->topics + s->turn;

	if (opt->rate <= 0)
		return 0;
	return (uint64_t)((double)(g - g % opt->burst) / opt->rate * 1e9);
}

#endif
