/*
 * Values between JSON and msgpack. Numbers stay exact if they are integers of 64 bits; others are doubles.
 */
#ifndef PROTO_MSGPACK_JSON_H
#define PROTO_MSGPACK_JSON_H

#include "proto/message_view.h"
#include "proto/msgpack_walk.h"
#include "proto/sink.h"

/* Puts the JSON value as msgpack. Strings become str, objects map, arrays array (with 32-bit heads: their length is not known when they
 * begin). A number of more than 500 characters becomes a str of them. False: the text is broken or deeper than 128, which happens only
 * if it is being overwritten. */
bool msgpack_from_json(struct sink *s, struct message_range value);

/* Puts the msgpack value as JSON. NULL; or why it has none, a static sentence fit for the peer: bin or ext, a str that is not UTF-8, a key
 * that is not a str, infinity or not a number. `value` is whole (msgpack_walk_take()). */
const char *msgpack_to_json(struct sink *s, const struct msgpack_value *value);

/* Heads that are as short as they can be. */
void msgpack_put_str(struct sink *s, const char *text, size_t len);
void msgpack_put_text(struct sink *s, const char *text);	/* terminated */

#endif
