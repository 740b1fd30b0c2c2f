/*
 * A message as the publish ring keeps it: the members of the publisher's JSON object, in its order, each value byte for byte as it
 * was sent, white space between them removed, ready to stand behind a timestamp:
 *
 *   "topic":"events","event":"test_event","message_id":"","data":"test"}
 *
 * Left out are top-level members named `timestamp` (the server's own stands there) and, in an action, `action`; and `id`, if it is the
 * client's mark for the answer. A message to those who are logged in under an id has `to` in place of `topic`.
 */
#ifndef PROTO_MESSAGE_H
#define PROTO_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "proto/json.h"

#define MESSAGE_TOPIC_MAX 255	/* bytes */
#define MESSAGE_ID_MAX 254	/* bytes; the index of topics holds ids too, behind one control character */
#define REQUEST_ID_MAX 255	/* bytes, as it stands */

/* NULL if topic[0..len) may be a topic: 1 to MESSAGE_TOPIC_MAX bytes of UTF-8 without control characters (below U+0020, U+007F to
 * U+009F); or a static sentence fit for the peer. */
const char *message_topic_error(const char *topic, size_t len);

/* The same for an id that one logs in under: 1 to MESSAGE_ID_MAX bytes. */
const char *message_id_error(const char *id, size_t len);

enum request_kind {
	REQUEST_SUBSCRIBE, REQUEST_UNSUBSCRIBE, REQUEST_PUBLISH, REQUEST_LOGIN, REQUEST_LOGOUT, REQUEST_SEND, REQUEST_PING, REQUEST_UNKNOWN
};

/* Whether it is about a user, by the id that one logs in under; else about a topic. */
static inline bool request_is_of_user(enum request_kind kind)
{
	return kind == REQUEST_LOGIN || kind == REQUEST_LOGOUT || kind == REQUEST_SEND;
}

/* What the text of a request says; its members point into that text. */
struct json_request {
	enum request_kind kind;
	uint8_t name_len;		/* 1 to 255 */
	char name[MESSAGE_TOPIC_MAX];	/* the topic, or the id of login, logout and send: escapes resolved; UTF-8, no control
					 * characters, not terminated */
	const char *id;			/* the client's mark for the answer: a JSON string or number as it stands; NULL: none */
	size_t id_len;			/* 1 to REQUEST_ID_MAX */
	/* REQUEST_PUBLISH, REQUEST_SEND */
	const struct json_member *members;	/* those to be sent, owned by the struct json, until its next use */
	unsigned count;
	size_t size;			/* bytes that json_request_write() writes */
};

/* Parses `text` as a JSON object with an `action`. Subscribe and unsubscribe want `data` to be the topic, publish wants `topic`, login and
 * logout want `data` to be the id, send wants `to`. With `with_id` any of them may carry `id`, a string or a number, which is not sent on,
 * and there is ping, which wants nothing; without, `id` is a member like any other.
 * 0; or -1 and *error is a static sentence fit for the peer (bad JSON, no action, missing or bad topic). req->kind and req->id then are
 * what was found before the error; the id is looked at first, so whatever follows can be answered with it. An action that is not one of
 * these is REQUEST_UNKNOWN and no error. A member that is asked for here may stand only once. */
int json_request_parse(struct json *json, const char *text, size_t len, bool with_id, struct json_request *req, const char **error);

/* Parses `text` as the object that follows PUBLISH: a `topic` and any other members; `action` is a member like any other here. */
int json_request_parse_publish(struct json *json, const char *text, size_t len, struct json_request *req, const char **error);

/* Writes the message of a REQUEST_PUBLISH or REQUEST_SEND: req->size bytes. */
void json_request_write(const struct json_request *req, char *dst);

#endif
