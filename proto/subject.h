/*
 * Topics as subjects of NATS, between nodes and for NATS' own clients.
 *
 *   janus.topic.NAME       a topic, or a pattern of topics: its parts between dots are tokens, so that `a.*.c` and `a.>` ask NATS for what they ask Janus for
 *   janus.inbox.USER       what is sent to a user; one token
 *   janus.broadcast        what is sent to everybody
 *   janus.node. ...        nodes among themselves
 *
 * A byte that a token can't have is written %XX, in capital hex: those up to 0x20, 0x7f, `*`, `>`, `%`; in a user a dot, too. A part that is empty, as in
 * a..b, is the token `%` alone (not a dot that is written %2E: a..b has three parts to patterns, and so it has three tokens). Each name has one subject only.
 */
#ifndef PROTO_SUBJECT_H
#define PROTO_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/message_view.h"

#define SUBJECT_PREFIX_MAX 64			/* bytes of the prefix, `janus` */
#define SUBJECT_MAX (SUBJECT_PREFIX_MAX + 3 * 255 + 128)	/* bytes of a subject with its terminator, and room for what nodes put in front of a name */

/* NULL if it may be the prefix: tokens of letters, digits, - and _, and dots between them; or why not, a static sentence. */
const char *subject_prefix_error(const char *prefix);

/*
 * Writes what stands behind the prefix and its dot, `topic.NAME` and so on, to dst, terminated. `name` is a topic, a pattern or a user, of 1 to 255 bytes; to everybody it
 * means nothing. Returns the length.
 */
size_t subject_write(char dst[SUBJECT_MAX], enum message_to to, const char *name, size_t len);

/* Writes a word, as a node's name, as one token, terminated. Returns the length. */
size_t subject_write_token(char dst[SUBJECT_MAX], const char *word, size_t len);

/* Whom a message is to that came by a subject. */
struct subject_name {
	enum message_to to;
	uint8_t len;			/* 0: to everybody */
	char name[255];			/* a topic or user that messages may be published to; not terminated */
};

/* Reads what subject_write_token() has written of a topic or pattern. NULL, or why it is none, a static sentence. */
const char *subject_read_token(const char *token, struct subject_name *name);

/* Reads what stands behind the prefix and its dot. NULL, or why it is nobody's, a static sentence. */
const char *subject_read(const char *subject, struct subject_name *name);

#endif
