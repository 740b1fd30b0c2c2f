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
 * The text was checked when it was published, but may be read in the ring, where a publisher may be overwriting it: whatever the bytes
 * are, or become while they are read, these functions stay within them; what they find then is thrown away when ring_holds() says no.
 */
#ifndef PROTO_MESSAGE_VIEW_H
#define PROTO_MESSAGE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/json_walk.h"

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

struct message_view {
	struct message_range text;	/* the members; all of the record, if it is not binary */
	struct message_range topic, event, data, id;	/* values of these members; of several the last, as JSON parsers have it */
	struct message_range bytes;	/* a binary record's data */
};

/* False: broken, which a record that was published never is. */
bool message_view_parse(const char *record, size_t len, struct message_view *view);

/* Takes a member off the front of a text (view->text). False: there is none left, and text->p is NULL, or the text is broken. */
bool message_member_next(struct message_range *text, struct message_member *member);

/* Whether the name (with quotes) stands for `want`: less than 32 letters and digits. */
static inline bool message_name_is(struct message_range name, const char *want)
{
	return json_string_is(name.p, name.len, want);
}

static inline bool message_is_string(struct message_range value)
{
	return value.p != NULL && value.len >= 2 && value.p[0] == '"';
}

/* The first MESSAGE_BINARY_EXTRA bytes of a binary record, with a text of len <= MESSAGE_BINARY_TEXT_MAX. */
void message_binary_head(char dst[MESSAGE_BINARY_EXTRA], size_t len);

#endif
