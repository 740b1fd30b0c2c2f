/*
 * What clients speak, from the table in transport.def: what differs from transport to transport, as far as it is bytes only. How their input is
 * cut is in worker/protocol.
 */
#ifndef PROTO_TRANSPORT_H
#define PROTO_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/message_view.h"
#include "proto/version.h"

/* By number. They are kept in shared memory. */
enum protocol {
#define PROTOCOL(name, ...) PROTO_##name,
#include "proto/transport.def"
	PROTOCOLS
};
enum transport_group {
#define GROUP(name, key, text) GROUP_##name,
#include "proto/transport.def"
	TRANSPORT_GROUPS
};
enum transport {
#define TRANSPORT(name, ...) TRANSPORT_##name,
#include "proto/transport.def"
	TRANSPORTS
};

/* Traits: what a transport has in common with some others. */
enum {
	TRANSPORT_TALKS = 1,		/* its client may say something at any time, so one that is silent for long may be gone (idle_limit) */
	TRANSPORT_FRAMED = 2,		/* input is frames: one that is not whole in time ends the connection (frame_timeout) */
	TRANSPORT_PONGS = 4,		/* a client must answer heartbeats by itself (peer_timeout) */
	TRANSPORT_OWN_FRAMES = 8,	/* frames differ from session to session: each is served by itself */
};

/* What a request of HTTP for a stream asks for. The greater ones say more of what it is to be. */
enum {
	NOT_ASKED = 0,
	ASKED_STREAM = 1,
	ASKED_CHUNKS = 2,		/* HTTP/1.1 */
	ASKED_EVENTS = 4,		/* server-sent events, */
	ASKED_ENVELOPE = 8,		/* with the whole object as data */
	ASKED_WEBSOCKET = 16,
	ASKED_PAGE = 32,		/* of HTML, that grows */
};

struct web_record;	/* web_message.h */
struct position_start;	/* position.h */

/* What greetings depend on. */
struct transport_hello {
	uint64_t now;			/* microseconds since 1970 */
	const uint8_t *token;		/* the session's: proto/token.h */
	uint32_t retry;			/* after so many milliseconds a stream's client is to connect again */
	struct version_now has;		/* with `sessions`, a client can come back with the token, and is told it */
	const struct position_start *start;	/* where a stream starts; needed by streams alone */
};

/* What a subscriber is told it has lost. `name`: of the topic or user; of broadcasts there is none. */
struct transport_missed {
	enum message_to to;
	const char *name;
	size_t len;
	uint64_t messages;
};

/* A record of the ring as a transport sends it. What it reads may be overwritten meanwhile: see web_message.h. */
struct transport_encoder {
	size_t (*size)(const struct web_record *rec);					/* 0: the record is broken */
	size_t (*encode)(const struct web_record *rec, char *dst, size_t room);		/* 0: it is, or has changed, or does not fit */
};

/*
 * Functions write to dst[TRANSPORT_NOTICE_MAX] and return the length; NULL where there is nothing to say. `now`: microseconds since 1970. They do
 * no I/O and know no session.
 */
#define TRANSPORT_NOTICE_MAX 2560
struct transport_ops {
	const char *word;
	enum transport_group group;
	unsigned traits;
	struct transport_encoder encoder;	/* NULLs: it has no messages */
	size_t (*greeting)(char *dst, const struct transport_hello *hello);
	size_t (*heartbeat)(char *dst, uint64_t now);
	size_t (*error)(char *dst, uint64_t now, unsigned status, const char *text);	/* `status`: as in HTTP; text: at most 256 bytes */
	size_t (*goodbye)(char *dst);
	size_t (*missed)(char *dst, const struct transport_missed *missed);
	unsigned asked;			/* ASKED_ */
	const char *type;		/* Content-Type */
};
extern const struct transport_ops transport_table[TRANSPORTS];

/* The same as functions: 0 where there is nothing to say. */
size_t transport_greeting(uint32_t transport, const struct transport_hello *hello, char *dst);
size_t transport_heartbeat(uint32_t transport, uint64_t now, char *dst);
size_t transport_error(uint32_t transport, uint64_t now, unsigned status, const char *text, char *dst);
size_t transport_goodbye(uint32_t transport, char *dst);
size_t transport_missed(uint32_t transport, const struct transport_missed *missed, char *dst);

static inline bool transport_has(uint32_t transport, unsigned trait)
{
	return transport_table[transport].traits & trait;
}

static inline enum transport_group transport_group(uint32_t transport)
{
	return transport_table[transport].group;
}

/* What becomes of a connection with a request for a stream that asks for this: bits of ASKED_, STREAM among them. */
enum transport transport_asked(unsigned asked);

/* What a connection to a listener of the protocol speaks at first, and the scheme of such a listener's address, plain or with TLS. */
enum transport protocol_transport(int protocol);
const char *protocol_scheme(int protocol, bool tls);

const char *transport_group_key(enum transport_group group);	/* in the status */
const char *transport_group_text(enum transport_group group);	/* for people */
void transport_put_counts(struct sink *s, const uint64_t by_group[TRANSPORT_GROUPS]);	/* {"websocket":3,"sse":1}: those of which there are some */

#endif
