/*
 * Positions: a message's id as clients see it, and where a stream stands. `EPOCH-SEQ`: when the hub's life began, in milliseconds since 1970 and
 * base 36, and the sequence of the record in the ring, e.g. `ihegr977-7`. To clients it is one word that means nothing else.
 *
 * Sequence 0 is what stands before the first record: a position that a stream can begin at, and no message has.
 */
#ifndef PROTO_POSITION_H
#define PROTO_POSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/sink.h"

#define POSITION_EPOCH_MAX 14		/* 13 digits of base 36, and the dash */
#define POSITION_MAX (POSITION_EPOCH_MAX + 20)

struct position {
	uint64_t epoch;			/* milliseconds since 1970 */
	uint64_t seq;
};

/* What all positions of one hub begin with, so that it is written once: "ihegr977-". */
struct position_epoch {
	uint8_t len;
	char text[POSITION_EPOCH_MAX];
};
struct position_epoch position_epoch(uint64_t milliseconds);

/* One behind the other, without any quotes. position_write() writes to dst[POSITION_MAX] and returns the length. */
void position_put(struct sink *s, const struct position_epoch *epoch, uint64_t seq);
size_t position_write(char *dst, const struct position_epoch *epoch, uint64_t seq);

/* The same of a position that names its epoch itself, as those of the stream that all nodes share (message_view.h). */
void position_put_at(struct sink *s, struct position at);

/* False: it is none that position_write() could have written of a record, or of what stands before the first one. */
bool position_read(const char *text, size_t len, struct position *position);

/* Where what was subscribed begins: nothing that the ring has up to there is sent for it, and all that comes behind. */
struct position_start {
	const struct position_epoch *epoch;
	uint64_t seq;
	struct position stream;		/* the same by ids of the stream that all nodes share: told in its place, if its epoch is not 0 */
	bool resumed;			/* it was asked for from a position on; then */
	bool recovered;			/* all from there on is sent; or not, */
	uint64_t missing;		/* and so many messages are not */
	const uint8_t *token;		/* by which the client finds its session again (token.h), if it is told here; NULL: it is not */
};

/* A message's id as JSON: a string; null of 0, which is no message. */
void position_put_id(struct sink *s, const struct position_epoch *epoch, uint64_t seq);

void position_put_start(struct sink *s, const struct position_start *start);	/* the position alone */
/* As members of a JSON object: "position":"ihegr977-7","recovered":false,"missing":3,"token":"..." */
void position_put_members(struct sink *s, const struct position_start *start);
/* As an event of server-sent events, if there is a token. */
void position_put_token(struct sink *s, const struct position_start *start);
/* As header fields, a line each. */
#define POSITION_FIELDS "Janus-Position, Janus-Recovered, Janus-Token"
void position_put_fields(struct sink *s, const struct position_start *start);

#endif
