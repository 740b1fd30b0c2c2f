/*
 * A stream of JSON lines from the server, for janusctl subscribe and rtt.
 */
#ifndef MASTER_CTL_STREAM_H
#define MASTER_CTL_STREAM_H

#include "master/ctl/http.h"
#include "proto/json.h"

struct stream_line {
	enum { STREAM_START, STREAM_MESSAGE, STREAM_MISSED, STREAM_KICKED } kind;
	const char *text;		/* the object; all of this is there until the next line is taken */
	size_t len;
	const struct json_member *id, *topic, *data;	/* NULL: it has none */
	const struct json_member *told;	/* START: `recovered`; MISSED: how many; KICKED: why */
};

struct line_stream {
	struct http http;
	struct json json;
	char *bytes;			/* of the body, from `at` to `end`; grows up to the largest line */
	size_t at, end, room;
};

/* Asks for the stream. 0; an HTTP status if it is refused, and `error` is the answer's body; -1 with errno. */
int line_stream_open(struct line_stream *s, const struct http_place *place, const char *target, char *error, size_t room);
void line_stream_close(struct line_stream *s);

/* The next line. 0; -1 with errno: ENODATA, the stream has ended; others as http_take(). `wait_ms`: without a byte. */
int line_stream_next(struct line_stream *s, struct stream_line *line, unsigned wait_ms);

#endif
