/*
 * A topic's frames in one round, as this process's subscribers of one transport get them: kept once, byte for byte, after the
 * first subscriber to receive each has had it verified in full. For every other subscriber it is then enough that its bytes are the
 * same ones: that excludes loss, repeats, reordering and tearing at once, for the price of a memcmp.
 *
 *   bytes   | frame 0 | frame 1 | ... | frame count - 1 |
 *                     ^end[0]   ^end[1]                  ^end[count - 1] == len
 *
 * Only what may come next is appended: each publisher's messages without a gap and in their order. A first subscriber that gets
 * something else does not make it the rule for the rest.
 */
#ifndef BENCH_STREAM_H
#define BENCH_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "tests/bench/payload.h"
#include "tests/bench/stamp.h"

struct stream_frame {
	uint32_t end;		/* offset in bytes[] behind the frame */
	uint32_t publisher, seq;
	uint32_t pad;
	uint64_t sent;		/* ns, CLOCK_MONOTONIC */
	uint64_t last;		/* ns, when a subscriber of this process got it last */
};

struct stream {
	char *bytes;
	struct stream_frame *frame;
	uint32_t *next;		/* a publisher: the seq its next message has */
	struct stamp stamp;	/* of the last frame, whatever round it was in */
	struct stamp before;	/* the same as it was when the round began */
	uint64_t hash;		/* see stream_hash(); set by check_count() */
	uint32_t len, bytes_max;
	uint32_t count, frames_max;
};

/* 0, or -1 if there is no memory. `stream` is zeroed memory. */
int stream_init(struct stream *stream, uint32_t publishers);
void stream_fini(struct stream *stream);

/* Forgets the round's frames; keeps the memory. */
void stream_reset(struct stream *stream, uint32_t publishers);

/* Whether a message may be the next one. */
static inline int stream_expects(const struct stream *stream, const struct payload *p)
{
	return p->seq == stream->next[p->publisher];
}

/* Appends a verified frame that stream_expects(). `sent` is absolute. Ends the program if there is no memory. */
void stream_append(struct stream *stream, const char *bytes, size_t len, const struct payload *p, const struct stamp *stamp,
		   uint64_t sent);

/* Where frame `pos` starts; pos may be count. */
static inline uint32_t stream_start(const struct stream *stream, uint32_t pos)
{
	return pos ? stream->frame[pos - 1].end : 0;
}

/* One step of the hash over (publisher, seq) in the order they came. Starts from STREAM_HASH; never 0. */
#define STREAM_HASH 0x6f72646572ull
static inline uint64_t stream_hash(uint64_t h, uint32_t publisher, uint32_t seq)
{
	h = (h ^ ((uint64_t)publisher << 32 | seq)) * 0x9e3779b97f4a7c15ull;
	return (h ^ h >> 29) | 1;
}

/* The hash over the first `count` frames. */
uint64_t stream_hash_upto(const struct stream *stream, uint32_t count);

#endif
