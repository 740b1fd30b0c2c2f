/*
 * Checks every byte that subscribers receive, and measures how long messages took.
 *
 * A subscriber follows the stream (stream.h) of its topic and transport: `pos` frames had, and `at` the byte offset in it, within
 * frame pos if one is in the middle of it. Bytes that equal the stream's are done with at once, however many frames they are. At a
 * difference, or where the stream ends, frames are looked at one by one: PING is answered; a message is verified in full and
 * either extends the stream or is entered in the subscriber's own account (account.h), which it keeps for the rest of the round.
 */
#ifndef BENCH_CHECK_H
#define BENCH_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "tests/bench/account.h"
#include "tests/bench/member.h"
#include "tests/bench/stream.h"

enum sub_state {
	SUB_NONE,		/* not connected yet */
	SUB_CONNECTING,
	SUB_GREETING,		/* has sent its subscribe, expects the greeting */
	SUB_ACK,		/* expects ACK */
	SUB_READY,
	SUB_BAD,		/* could not be set up; closed */
	SUB_GONE,		/* lost; closed */
};

#define SUB_SLOW 1u		/* one of --slow */
#define SUB_PAUSED 2u		/* does not read now */
#define SUB_RESTED 4u		/* has been paused: once is enough */
#define SUB_WHOLE 8u		/* has all of the round's messages */
#define SUB_SKIP 16u		/* in the middle of a frame that is longer than any can be */
#define SUB_COUNTS 32u		/* was there when the round began */

struct spill;
struct sub {
	int fd;
	uint32_t topic;
	uint32_t pos, at;
	struct spill *spill;	/* the frame it is in the middle of, where that is not the stream's; mostly NULL */
	struct account *own;	/* mostly NULL */
	uint32_t heard;		/* us since the run began, of the last delivery; a slow one: ms, when it resumes; until it is set up: topics that
				   it has asked for */
	uint8_t state, flags;
	uint16_t pongs;		/* PINGs to be answered by the caller, who zeroes it */
	uint32_t acks;		/* of its subscriptions, so far */
	uint8_t transport;	/* one of opt->transport[] */
};
_Static_assert(sizeof(struct sub) == 48, "a subscriber is small: there are tens of thousands");

struct checker {
	struct member *m;
	struct stream *stream;		/* [transports][topics] */
	uint32_t streams;
	struct spill *spare;
	size_t spill_max;
	uint64_t pause, sub_pause;	/* ns, see options_pause_ns(); 0 not --while-running */
};

/* 0, or -1 with errno. */
int check_init(struct checker *c, struct member *m);

/* A round begins: `sub` expects its topic's first message. check_arm() is called after that, once for all. */
void check_arm_sub(struct checker *c, struct sub *sub);
void check_arm(struct checker *c);

/* Takes n received bytes, of which the last arrived at `now`. In SUB_GREETING and SUB_ACK the state goes on, up to SUB_READY, or to
 * SUB_BAD at anything unexpected. */
void check_feed(struct checker *c, struct sub *sub, const char *buf, size_t n, uint64_t now);

/* How many of the round's messages it has had. */
static inline uint32_t check_received(const struct sub *sub)
{
	return sub->own ? sub->own->received : sub->pos;
}

/* The connection is gone: frees what the checker keeps for it, but not the account, which is still to be counted. */
void check_gone(struct checker *c, struct sub *sub);

/* A round ends: counts what `sub` has not had, and whether it saw its topic's messages in the order that the others did.
 * check_count() is called before, once for all: it hands the times of the last deliveries to the coordinator. */
void check_count(struct checker *c);
void check_count_sub(struct checker *c, struct sub *sub);

#endif
