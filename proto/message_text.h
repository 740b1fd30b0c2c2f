/*
 * The record of a message whose members do not come from the publisher's own JSON object, but from a path, a query and a body, or from a
 * packet. See message.h for texts and message_view.h for binary records.
 *
 *   topic, text        "topic":"events","data":"hi"}
 *   user, JSON, event  "to":"bob","event":"e","data":[1, 2]}
 *   broadcast          "broadcast":true,"data":"hi"}
 */
#ifndef PROTO_MESSAGE_TEXT_H
#define PROTO_MESSAGE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/sink.h"

/* What stands in front of the data. Texts are UTF-8 and not terminated; quotes and the like are escaped when they are written. */
struct message_names {
	const char *key;	/* "topic" or "to"; means nothing for a broadcast */
	const char *name;	/* the topic or user; NULL: a broadcast */
	size_t name_len;
	const char *event;	/* NULL: none */
	size_t event_len;
	const char *message_id;	/* NULL: none */
	size_t message_id_len;
};

enum message_kind {
	MESSAGE_TEXT,		/* UTF-8: a JSON string */
	MESSAGE_JSON,		/* passed json_value(): as it stands, without the white space around it */
	MESSAGE_BINARY,		/* any bytes: a binary record */
};

/* Puts the names, up to the comma or } behind them. */
void message_put_names(struct sink *s, const struct message_names *names);

/* Puts the whole record: at most 6 x (name, event, message_id and data) + 80 bytes. False, and nothing is put: data is binary, and event and
 * message_id are longer than the head of a binary record can tell (above 2 MiB). */
bool message_text(struct sink *s, const struct message_names *names, enum message_kind kind, const void *data, size_t len);

/* Puts a JSON value that passed json_value(), without the white space around it. */
void message_put_json(struct sink *s, const char *json, size_t len);

/*
 * Puts members, which end in a comma, ahead of those of a record, text or binary, that was written behind as much room as they take: to record + len. The
 * record then begins at `record`.
 */
void message_put_ahead(char *record, const char *members, size_t len);

#endif
