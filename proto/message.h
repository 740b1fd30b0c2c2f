/*
 * A message as the publish ring keeps it: the members of the publisher's JSON object, in its order, each value byte for byte as it
 * was sent, white space between them removed, ready to stand behind a timestamp:
 *
 *   "topic":"events","event":"test_event","message_id":"","data":"test"}
 *
 * Left out are top-level members named `timestamp` (the server's own stands there) and, in an action, `action`; and `ref`, where that is the
 * client's mark for the answer. A message to those who are logged in under a name has that as `to` in place of `topic`.
 *
 * Requests of the flash socket are read here, those of other clients that speak JSON in web_request.h.
 */
#ifndef PROTO_MESSAGE_H
#define PROTO_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "proto/json.h"
#include "proto/resume.h"
#include "proto/token.h"

#define MESSAGE_TOPIC_MAX 255	/* bytes */
#define MESSAGE_USER_MAX 254	/* bytes; the index of topics holds users too, behind one control character */

/* NULL if topic[0..len) may be a topic: 1 to MESSAGE_TOPIC_MAX bytes of UTF-8 without control characters (below U+0020, U+007F to
 * U+009F); or a static sentence fit for the peer. */
const char *message_topic_error(const char *topic, size_t len);

/* What is said of a pattern (wildcard.h) where one topic is wanted. */
#define NAME_IS_PATTERN "the topic is reserved for subscriptions: a part of it between dots is * or >"

/* The same for a name that one logs in under: 1 to MESSAGE_USER_MAX bytes. The flash socket calls it an id. */
const char *message_user_error(const char *user, size_t len);
const char *message_id_error(const char *id, size_t len);

enum request_kind {
	REQUEST_SUBSCRIBE, REQUEST_UNSUBSCRIBE, REQUEST_PUBLISH, REQUEST_LOGIN, REQUEST_LOGOUT, REQUEST_SEND, REQUEST_PING, REQUEST_ATTACH, REQUEST_AUTH,
	REQUEST_UNKNOWN
};

/* The kind whose name is name[0..len), REQUEST_UNKNOWN: none. */
enum request_kind request_kind_find(const char *name, size_t len);

/* Whether it is about a user, by the name that one logs in under; else about a topic. */
static inline bool request_is_of_user(enum request_kind kind)
{
	return kind == REQUEST_LOGIN || kind == REQUEST_LOGOUT || kind == REQUEST_SEND;
}

/* What the text of a request says; its members point into that text. */
struct json_request {
	enum request_kind kind;
	uint8_t name_len;		/* 1 to 255 */
	char name[MESSAGE_TOPIC_MAX];	/* the topic or user, of several the last: escapes resolved; UTF-8, no control characters, not
					 * terminated */
	const char *names;		/* web_request.h: the array of names as it stands; NULL: there is one */
	size_t names_len;
	struct resume resume;		/* web_request.h: REQUEST_SUBSCRIBE, REQUEST_LOGIN, REQUEST_ATTACH */
	uint8_t token[TOKEN_BYTES];	/* REQUEST_ATTACH */
	const char *shown;		/* REQUEST_AUTH: the token or key, as it stands between its quotes */
	size_t shown_len;
	const char *ref;		/* web_request.h: the client's mark for the answer, as it stands; NULL: none */
	size_t ref_len;
	const char *message_id;		/* web_request.h: of REQUEST_PUBLISH and REQUEST_SEND, as it stands; NULL: none */
	size_t message_id_len;
	bool everywhere;		/* web_request.h: of these, all nodes are asked for their subscribers */
	/* REQUEST_PUBLISH, REQUEST_SEND */
	const struct json_member *members;	/* those to be sent, owned by the struct json, until its next use */
	unsigned count;
	size_t size;			/* bytes that json_request_write() writes */
};

/* The token or key of a REQUEST_AUTH, the value of this member (NULL: there is none). NULL, or why it is none. */
struct json_member;
const char *json_request_show(const struct json_member *member, struct json_request *req);

void json_request_clear(struct json_request *req);

/* What json_request_write() is to write: the first `count` of json->members. */
void json_request_select(const struct json *json, unsigned count, struct json_request *req);

/* Takes members of this name out of a REQUEST_PUBLISH or REQUEST_SEND that was parsed with *json. */
void json_request_leave_out(struct json *json, const char *name, struct json_request *req);

/* Parses `text` as a JSON object with an `action`. Subscribe and unsubscribe want `data` to be the topic, publish wants `topic`, login and
 * logout want `data` to be the id, attach wants it to be the token, auth a token or key (which may be called `token` too), send wants `to`.
 * 0; or -1 and *error is a static sentence fit for the peer (bad JSON, no action, missing or bad topic). req->kind then is what was found
 * before the error. An action that is not one of these is REQUEST_UNKNOWN and no error. A member that is asked for here may stand only
 * once. */
int json_request_parse(struct json *json, const char *text, size_t len, struct json_request *req, const char **error);

/* Parses `text` as the object that follows PUBLISH: a `topic` and any other members; `action` is a member like any other here. */
int json_request_parse_publish(struct json *json, const char *text, size_t len, struct json_request *req, const char **error);

/* Writes the message of a REQUEST_PUBLISH or REQUEST_SEND: req->size bytes. */
void json_request_write(const struct json_request *req, char *dst);

#endif
