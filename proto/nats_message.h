/*
 * A message of the ring as one of NATS, and back: its data is the payload, the other members are headers.
 *
 *   "topic":"events","event":"e","data":"hi"}     payload hi                       Janus-Event: e
 *   "topic":"events","data":{"eur": 7.5}}         payload {"eur": 7.5}             Content-Type: application/json
 *   binary                                        payload as it is                 Content-Type: application/octet-stream
 *   "topic":"events","x":1,"data":"hi"}           payload hi                       Janus-Members: {"topic":"events","x":1,"data":null}
 *
 * Whom it is to is said by the subject (subject.h). Where members are not those of a plain message (name, event, message_id, data, in this order), or no header can hold one of them as it
 * is, all stand together in Janus-Members, data as null; without `data` there, the message has none. So the other node has the same record, but for how characters of a text are
 * escaped.
 *
 * From other clients a payload without Content-Type is text if it is UTF-8, else binary data. No header of theirs is needed.
 */
#ifndef PROTO_NATS_MESSAGE_H
#define PROTO_NATS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/json.h"
#include "proto/message_view.h"
#include "proto/sink.h"
#include "proto/subject.h"

#define NATS_HEADER_TYPE "Content-Type"
#define NATS_HEADER_EVENT "Janus-Event"
#define NATS_HEADER_MESSAGE_ID "Janus-Message-Id"
#define NATS_HEADER_MEMBERS "Janus-Members"
#define NATS_HEADER_ORIGIN "Janus"

/* Values of headers are terminated; NULL: there is no such header. Of Janus-Event and Janus-Message-Id, "" (two quotes) is the empty text: libnats reads a value that is empty as what follows it. */
struct nats_message {
	const char *payload;
	size_t len;
	const char *type;
	const char *event, *message_id, *members;
};

/* Bytes of scratch that nats_message_write() wants for a record of `len` bytes. */
static inline size_t nats_message_scratch(size_t len)
{
	return 3 * len + 64;
}

/* Reads whom a record is to, of whom the hub knows what kind it is, from the member that names it. False: there is none. */
bool nats_message_name(const struct message_view *view, enum message_to to, struct subject_name *name);

/*
 * Takes a record of `len` bytes apart, which `name` is to. What `m` points to lies in the record, in scratch[0..nats_message_scratch(len)), or is static. The record may stand in the ring
 * and be overwritten meanwhile (message_view.h). False: then it was.
 */
bool nats_message_write(struct nats_message *m, const struct subject_name *name, const struct message_view *view, size_t len, char *scratch);

/*
 * Puts the record that a message makes. NULL, or why it makes none, a sentence that is good until `json` is used again: what is put then is rubbish. What comes of anybody is checked; the
 * result is at most 6 times as long as payload and headers together, and 4 KiB more.
 */
const char *nats_message_read(struct sink *s, struct json *json, const struct nats_message *m, const struct subject_name *name);

/* ---- the header that nodes put on what they send each other: NODE EPOCH SEQ MARK ---- */

#define NATS_NODE_MAX 63		/* bytes of a node's name: letters, digits, - _ and dots */

struct nats_origin {
	char node[NATS_NODE_MAX + 1];
	uint64_t epoch;			/* of the node's hub */
	uint64_t seq;			/* of the record there */
	uint64_t mark;			/* number of the node's last mark before this message */
};
#define NATS_ORIGIN_MAX (NATS_NODE_MAX + 3 * 21 + 1)

bool nats_node_is_good(const char *name);
void nats_origin_write(char dst[NATS_ORIGIN_MAX], const struct nats_origin *origin);	/* terminated */
bool nats_origin_read(const char *text, struct nats_origin *origin);

/* Takes a word, or a number in decimal, off the front of a text in which one blank stands between two of them. False: there is none, or it is longer than room - 1. */
bool nats_take_word(const char **text, char *dst, size_t room);
bool nats_take_number(const char **text, uint64_t *n);

#endif
