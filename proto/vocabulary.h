/*
 * The words of requests: one vocabulary for /ws, packets and HTTP, so that a thing has one name everywhere. (The flash socket has words of
 * its own, message.h.) Each reader looks its members up here, and refuses with the sentences from here those that it does not know.
 */
#ifndef PROTO_VOCABULARY_H
#define PROTO_VOCABULARY_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/message.h"

/* Members of a JSON object, keys of a packet, parameters of a query. */
enum member {
	MEMBER_ACTION,		/* in packets it is `op` */
	MEMBER_REF,
	MEMBER_TOPIC,
	MEMBER_USER,
	MEMBER_DATA,
	MEMBER_EVENT,
	MEMBER_MESSAGE_ID,
	MEMBER_RECEIPT,		/* packets */
	MEMBER_NODES,
	MEMBER_ENVELOPE,	/* queries */
	MEMBER_SINCE,
	MEMBER_LAST,
	MEMBER_LAST_EVENT_ID,	/* queries, and those that follow */
	MEMBER_BEFORE,
	MEMBER_LIMIT,
	MEMBER_WAIT,
	MEMBER_PREFIX,
	MEMBER_CURSOR,
	MEMBER_TOKEN,
	MEMBER_ID,		/* queries on admin listeners, as those that follow */
	MEMBER_REASON,
	MEMBER_SUB,
	MEMBERS
};
#define MEMBER_BIT(member) (1u << MEMBER_##member)
#define MEMBERS_OF_RESUME (MEMBER_BIT(SINCE) | MEMBER_BIT(LAST))
#define MEMBERS_OF_MESSAGE (MEMBER_BIT(DATA) | MEMBER_BIT(EVENT) | MEMBER_BIT(MESSAGE_ID))

extern const char *const member_names[MEMBERS];

/* The member called name[0..len), MEMBERS: there is none. */
enum member member_find(const char *name, size_t len);

/* What a request of this kind may have beside `action` and `ref`, in bits. */
unsigned member_bits(enum request_kind kind);

/* The member that names whom a request is about. */
static inline enum member member_of_name(enum request_kind kind)
{
	return request_is_of_user(kind) ? MEMBER_USER : MEMBER_TOPIC;
}

/* What a name stands for: one topic; a user; or what is subscribed, a topic or a pattern (wildcard.h). */
enum name_use { NAME_OF_TOPIC, NAME_OF_USER, NAME_OF_TOPICS };

static inline enum name_use name_use_of(enum request_kind kind)
{
	if (request_is_of_user(kind))
		return NAME_OF_USER;
	return kind == REQUEST_SUBSCRIBE || kind == REQUEST_UNSUBSCRIBE ? NAME_OF_TOPICS : NAME_OF_TOPIC;
}

/*
 * NULL if name[0..len) may be used so; or a static sentence fit for the peer. Topics follow the rules of message_topic_error(), and some are reserved.
 */
const char *web_name_error(enum name_use use, const char *name, size_t len);

#define NODES_ALL "all"
#define NODES_WRONG "nodes is none that is known: all"
#define LAST_OF_PATTERN "last is for topics: a pattern, with a part that is * or >, has no messages of its own that are kept"
#define NAMES_MAX 1024		/* that one request may have */
#define MESSAGE_ID_TOO_LONG "the message_id is longer than 255 bytes"
#define NAMES_TOO_MANY "more than 1024 names in one request"

/* A sentence with a peer's word in it: escaped, and no longer than this. */
#define ERROR_WORD_MAX 48	/* bytes of the word that are shown */
struct error_text {
	char text[6 * ERROR_WORD_MAX + 64];
};

/* Writes: unknown member "word". `what` is "member" or "parameter". Returns the text. */
const char *error_unknown(struct error_text *dst, const char *what, const char *word, size_t len);

/* The same: the sentence, and "word". `sentence` has less than 60 bytes. */
const char *error_of(struct error_text *dst, const char *sentence, const char *word, size_t len);

/* The same: the member "word" stands twice. */
const char *error_twice(struct error_text *dst, const char *what, const char *word);

#endif
