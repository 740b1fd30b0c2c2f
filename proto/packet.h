/*
 * Packets: 4 bytes of length, big-endian, not counted in it; then a msgpack map of that length, keyed by name.
 *
 * client to server: {"op": "subscribe" | "unsubscribe" | "publish" | "login" | "logout" | "send" | "attach" | "auth" | "ping", ...}
 *   subscribe, unsubscribe   "topic": a str, or an array of str
 *   subscribe, login         and "since" (str, a position) or "last" (unsigned) if one likes: what of the past is wanted
 *   publish                  "topic", "data", and "event" (str), "message_id" (str), "receipt" (bool) and "nodes" ("all", of receipts) if one likes
 *   login, logout            "user" (str, or an array of str): the name under which others send to this connection
 *   send                     "user", "data", and the same
 *   attach                   "token" (str), and "since" if one likes
 *   auth                     "token" (str): what says who the client is (proto/jwt.h, proto/api_keys.h)
 *   ping                     nothing
 * Each may carry "ref" (unsigned), which the reply repeats. Each key may stand once, and no others.
 *
 * server to client: first a greeting, {"janus": "0.1.0", "features": ["...", ...], "token": "..."}. Replies have "ok", messages have not.
 *   reply      {"ok": true, "ref": 5, ...} or {"ok": false, "ref": 5, "error": "text"}; a receipt has "id" and "subscribers", and "nodes" and "nodes_known" where that was asked for; a reply to subscribe
 *              or login "position" (str), and "recovered" (bool) and "missing" (unsigned) where that was asked for; to attach as well, and "token" (str)
 *   message    {"id" (str, a position: position.h), "timestamp" (microseconds since 1970, unsigned), "topic", "data", ...}; in place of "topic" there
 *              is "user" in what was sent to one, and "broadcast" (true) in what goes to everybody
 * A publish or send without "receipt" is answered only if it fails.
 *
 * Data: str and bin arrive as what they were. A str (UTF-8) is a JSON string to those who read JSON, and any other value that JSON has is
 * that value; from JSON publishers come str, numbers, maps and so on alike, and other members of the flash socket's publishers stand in the message
 * too, but for those that the server alone may say (message_view.h). A bin, and a str that is not UTF-8, is kept as a binary record
 * (message_view.h): it arrives as bin here, and as base64 where only JSON is spoken.
 */
#ifndef PROTO_PACKET_H
#define PROTO_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/message.h"
#include "proto/msgpack_walk.h"
#include "proto/resume.h"
#include "proto/vocabulary.h"
#include "proto/web_message.h"

#define PACKET_HEADER 4			/* bytes of the length */
#define PACKET_MAX_DEFAULT (256u * 1024)
#define PACKET_MAX (1u << 30)		/* the largest `max` */
#define PACKET_REPLY_MAX 512		/* bytes of a reply; its error text is cut */

enum packet_kind {
	PACKET_MORE,		/* no whole packet yet */
	PACKET_REQUEST,
	PACKET_REFUSED,		/* whole, but nothing that can be done: reply with `error` (and ref, if it has one), and go on */
	PACKET_BAD,		/* too long, or no map: reply with `error`, then close */
};

/* Ranges of the buffer. */
struct packet_request {
	enum packet_kind kind;
	size_t taken;			/* bytes from the start of the buffer; 0 for PACKET_BAD */
	const char *error;		/* static or in *why, fit for the peer */
	enum request_kind op;
	bool has_ref, receipt;
	bool everywhere;		/* REQUEST_PUBLISH, REQUEST_SEND: all nodes are asked for their subscribers */
	uint64_t ref;
	struct resume resume;		/* REQUEST_SUBSCRIBE, REQUEST_LOGIN, REQUEST_ATTACH */
	uint8_t token[TOKEN_BYTES];	/* REQUEST_ATTACH */
	const char *shown;		/* REQUEST_AUTH: a token or key */
	size_t shown_len;
	const char *name;		/* the topic or user, of several the first, as web_name_error() wants it; not terminated */
	size_t name_len;
	const char *event, *message_id;	/* NULL: none */
	size_t event_len, message_id_len;
	struct msgpack_value data;	/* REQUEST_PUBLISH, REQUEST_SEND */
	const uint8_t *names, *names_end;	/* private: what is left of an array of names */
};

/* Looks for the first packet in in[0..len). `max` is the most bytes a map may have; more is PACKET_BAD as soon as the length is there. Needs no
 * memory of what it saw: until a packet is whole it looks at its length alone. */
void packet_next(const char *in, size_t len, size_t max, struct error_text *why, struct packet_request *req);

/* req->name becomes the next of the request's names, all of which have been looked at. False: there is none. */
bool packet_next_name(struct packet_request *req);

/* The record of a REQUEST_PUBLISH or REQUEST_SEND for the ring: text, or a binary record. Returns its length; 0 with *error NULL: it does
 * not fit into dst[0..room); 0 with *error: the data is none that can be sent (a sentence for the peer). At most 6 x (data, event and
 * message_id) + 6 x name_len + 80 bytes. dst may be NULL with room 0 to learn the length. */
size_t packet_record(char *dst, size_t room, const struct packet_request *req, const char **error);

/* A message of the ring, as a packet; see web_message.h for the rules of both. rec->number is not used. */
size_t packet_message_size(const struct web_record *rec);
size_t packet_message(const struct web_record *rec, char *dst, size_t room);

struct packet_reply {
	const char *error;		/* NULL: ok */
	bool has_ref, has_subscribers;
	uint64_t ref, subscribers;
	unsigned nodes, nodes_known;	/* of these, so many were counted; 0: nobody has asked for others */
	const struct position_epoch *epoch;	/* of the id */
	uint64_t seq;			/* of the message, 0: no id */
	const struct position_start *start;	/* where what was subscribed begins; NULL: not said */
	const uint8_t *token;		/* the session's from here on; NULL: not said */
	unsigned code;			/* of an error: the HTTP status that says the same; 0: not said */
	int64_t expires;		/* when what was shown runs out, seconds since 1970; 0: not said */
};

/* Writes a packet to dst[PACKET_REPLY_MAX] and returns its length. */
size_t packet_reply(char *dst, const struct packet_reply *reply);

struct transport_hello;
/* What the server says first: PACKET_REPLY_MAX as well. */
size_t packet_greeting(char *dst, const struct transport_hello *hello);

/* How many messages a subscriber has lost: {"missed": {"topic": "news", "messages": 4243}}, as in web_message.h. PACKET_REPLY_MAX. */
struct transport_missed;
size_t packet_missed(char *dst, const struct transport_missed *missed);

/* That the client's token runs out in so many seconds: {"expires": {"in": 90}}. PACKET_REPLY_MAX. */
size_t packet_expires(char *dst, uint64_t seconds);

/* The server's heartbeat, {"ok": true, "ping": time}: PACKET_REPLY_MAX as well. */
size_t packet_ping(char *dst, uint64_t time);

#endif
