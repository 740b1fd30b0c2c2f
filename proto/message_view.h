/*
 * A message of the publish ring, looked at by those who pass it on. Its text is that of message.h:
 *
 *   "topic":"events","event":"test_event","message_id":"","data":"test"}
 *
 * Data that is not text (a packet's bin, or a str that is not UTF-8) has no place in JSON. A binary record carries it beside a text of
 * the same kind, which has no data member. No text begins with a byte 0, so a record says itself which of the two it is:
 *
 *   +----+----------+---------------------------------------+--- -  -
 *   | 00 | n, 3, BE | n bytes: "topic":"events","event":"e"} | data to the end
 *   +----+----------+---------------------------------------+--- -  -
 *
 * Transports that speak JSON show it as that text with `"data":"<base64>","encoding":"base64"` behind it.
 *
 * A message that came of the stream that all nodes share (shm/nodes.h) has its id there in front of it, a position (position.h). It is shown in place of the id that the ring gives, and so is the same on all nodes, and as long as the record
 * is there, whatever becomes of the stream:
 *
 *   +----+--------------+-----------------+--- -  -
 *   | 01 | epoch, 8, BE | sequence, 8, BE | the record, text or binary
 *   +----+--------------+-----------------+--- -  -
 *
 * The text was checked when it was published, but may be read in the ring, where a publisher may be overwriting it: whatever the bytes
 * are, or become while they are read, these functions stay within them; what they find then is thrown away when ring_holds() says no.
 */
#ifndef PROTO_MESSAGE_VIEW_H
#define PROTO_MESSAGE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/json_walk.h"
#include "proto/position.h"

#define MESSAGE_STREAM_EXTRA 17		/* what stands in front of a record of the stream */
#define MESSAGE_BINARY_EXTRA 4		/* what a binary record has beside text and data */
#define MESSAGE_BINARY_TEXT_MAX 0xffffffu

/* A range of the record; p NULL: there is none. A JSON value as it stands: strings with their quotes. */
struct message_range {
	const char *p;
	size_t len;
};

struct message_member {
	struct message_range name, value;
};

/* Whom a message goes to. */
enum message_to { MESSAGE_TO_UNKNOWN, MESSAGE_TO_TOPIC, MESSAGE_TO_USER, MESSAGE_TO_ALL };

struct message_view {
	struct position stream;		/* its id in the stream; epoch 0: it is not of the stream */
	struct message_range text;	/* the members; all of the record, if it is not binary and not of the stream */
	struct message_range topic, event, data;	/* values of these members; of several the last, as JSON parsers have it */
	struct message_range to;	/* the name of the member `to` */
	struct message_range bytes;	/* a binary record's data */
	/* That which the members say if there is nothing among them that the server alone may say there: one of topic, to and broadcast, once,
	 * and no other such member. UNKNOWN: there is, as a publisher of the flash socket has put it there. The hub knows, then. */
	enum message_to goes_to;
};

/*
 * What a member's name means to those who pass the message on. RESERVED: the server's own stand there (id, timestamp, user), or it tells
 * answers and the greeting from messages (ok, ref, janus).
 */
enum message_name {
	MESSAGE_NAME_OTHER, MESSAGE_NAME_DATA, MESSAGE_NAME_EVENT, MESSAGE_NAME_TOPIC, MESSAGE_NAME_TO, MESSAGE_NAME_BROADCAST, MESSAGE_NAME_RESERVED
};
enum message_name message_name_of(struct message_range name);	/* with its quotes; escapes are resolved */

/* Whether such a member is passed on in a message that goes there. */
static inline bool message_name_goes(enum message_name name, enum message_to to)
{
	switch (name) {
	case MESSAGE_NAME_TOPIC: return to == MESSAGE_TO_TOPIC;
	case MESSAGE_NAME_TO: return to == MESSAGE_TO_USER;
	case MESSAGE_NAME_BROADCAST: return to == MESSAGE_TO_ALL;
	case MESSAGE_NAME_RESERVED: return false;
	default: return true;
	}
}

/* False: broken, which a record that was published never is. */
bool message_view_parse(const char *record, size_t len, struct message_view *view);

/* Takes a member off the front of a text (view->text). False: there is none left, and text->p is NULL, or the text is broken. */
bool message_member_next(struct message_range *text, struct message_member *member);

static inline bool message_is_string(struct message_range value)
{
	return value.p != NULL && value.len >= 2 && value.p[0] == '"';
}

/* The first MESSAGE_BINARY_EXTRA bytes of a binary record, with a text of len <= MESSAGE_BINARY_TEXT_MAX. */
void message_binary_head(char dst[MESSAGE_BINARY_EXTRA], size_t len);

/* The first MESSAGE_STREAM_EXTRA bytes of a record of the stream. Neither number is 0. */
void message_stream_head(char dst[MESSAGE_STREAM_EXTRA], uint64_t epoch, uint64_t seq);
/* The id of a record of the stream, of which so many bytes are there; epoch 0: it is none, or they are too few. */
struct position message_stream_id(const char *record, size_t len);

/* Whether the record is text and nothing else, as nearly all are. */
static inline bool message_is_plain(const char *record)
{
	return (uint8_t)*record > 1;
}

#endif
