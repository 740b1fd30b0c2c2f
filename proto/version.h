/*
 * What this server is and can do, by name: for GET /version, and the greetings of /ws and packets. A client that wants one of these features
 * asks for it here, and for no version.
 */
#ifndef PROTO_VERSION_H
#define PROTO_VERSION_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/sink.h"

#ifndef JANUS_VERSION
#define JANUS_VERSION "unknown"
#endif

/* Whether the settings broadcast, once_keys, session_linger and max_presence are on. */
struct version_now {
	bool broadcast, once, sessions, presence;
};

/* The features' names, one after the other; NULL: no more. */
const char *version_feature(unsigned number, const struct version_now *now);

/* Puts {"janus":"0.1.0","features":["...",...],"token":"..."}: what is said first on /ws. `token` (proto/token.h) may be NULL. */
void version_greeting(struct sink *s, const struct version_now *now, const uint8_t *token);

/* Puts {"name":"janus","version":"0.1.0","features":["...",...]}. */
void version_object(struct sink *s, const struct version_now *now);

#endif
