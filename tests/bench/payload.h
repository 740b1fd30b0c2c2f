/*
 * The `data` string of a message: who sent it when, a check sum, and padding that follows from them, so that any
 * byte that is not as it was sent shows.
 *
 *   0        8      11         14        20        32        40            size
 *   | run    | round | publisher | seq     | sent    | sum     | padding ... |
 *     8 hex    3 hex   3 hex       6 hex     12 hex    8 hex     a to p
 *
 * The sum covers the fields before it, the topic's number and the size.
 */
#ifndef BENCH_PAYLOAD_H
#define BENCH_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

#define PAYLOAD_HEAD 40			/* bytes: no payload is shorter */
#define PAYLOAD_ROUND_MAX 0xfffu
#define PAYLOAD_PUBLISHER_MAX 0xfffu
#define PAYLOAD_SEQ_MAX 0xffffffu

struct payload {
	uint32_t run;			/* which run of janusbench */
	uint32_t topic, round;
	uint32_t publisher;
	uint32_t seq;			/* counts this publisher's messages to the topic in this round, from 0 */
	uint64_t sent;			/* ns since the run began, 48 bits */
};

/* Writes exactly `size` bytes. */
void payload_write(char *dst, size_t size, const struct payload *p);

/* The size of this message where they lie between two: as often from 100 to 1,000 as from 10,000 to 100,000. And their mean. */
size_t payload_size(const struct payload *p, size_t least, size_t most);
double payload_size_mean(size_t least, size_t most);

/* Reads what payload_write() wrote; p->topic is the caller's. 0, or -1 if any byte is not as it must be. */
int payload_read(const char *src, size_t size, struct payload *p);

#endif
