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

/* The features' names, one after the other; NULL: no more. `broadcast`, `once`: whether the settings broadcast and once_keys are on. */
const char *version_feature(unsigned number, bool broadcast, bool once);

/* Puts {"janus":"0.1.0","features":["...",...]}: what is said first on /ws. */
void version_greeting(struct sink *s, bool broadcast, bool once);

/* Puts {"name":"janus","version":"0.1.0","features":["...",...]}. */
void version_object(struct sink *s, bool broadcast, bool once);

#endif
