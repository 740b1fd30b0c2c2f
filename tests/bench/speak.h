/*
 * The protocols that janusbench speaks: Janus' own, and those of other servers, so that they can be put under the same load
 * with the same checks. A protocol is a table of functions that write what a client says and read what the server says; they do no
 * I/O and keep nothing.
 *
 * What a server is given to pass on is the same object in every protocol (wire.h): flash, ws, actions, sse, json-lines, packet and http are Janus'
 * (PROTOCOL.md), which frames it anew in each; other servers pass its bytes on as they are.
 */
#ifndef BENCH_SPEAK_H
#define BENCH_SPEAK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/payload.h"
#include "tests/bench/stamp.h"
#include "tests/bench/told.h"

#define SPEAK_OPEN_MAX 256u		/* bytes of what opens a connection */
#define SPEAK_SUBSCRIBE_MAX 256u
#define SPEAK_EXTRA 320u		/* a message, either way, is at most this much longer than its payload */
#define SPEAK_ANSWER_MAX 2048u		/* a frame that is no message */
#define SPEAK_COME_TOPICS_MAX 32u	/* topics of one who comes back */
#define SPEAK_COME_MAX 4096u		/* bytes of what it says */

enum speak_frame {
	SPEAK_MESSAGE,
	SPEAK_GREETING,		/* the server is ready for the client */
	SPEAK_ACK,		/* of a subscription */
	SPEAK_PING,
	SPEAK_OTHER,		/* means nothing */
	SPEAK_BAD,
};

struct speak {
	const char *name;
	const char *scheme;	/* of its addresses */
	bool greets;		/* a GREETING comes first */
	bool greets_publisher;	/* with a GREETING or an ACK, */
	bool greets_after_ack;	/* or both */
	bool one_ack;		/* one ACK for all of a connection's subscriptions */
	bool answers;		/* a publisher gets answers, which mean nothing here */
	bool no_message_id;	/* what it publishes has no member message_id */
	uint32_t topics_max;	/* on one connection, a publisher's or a subscriber's; 0 any number */

	/* Each writes a client's frame and returns its length. `topic` is a name; of what is subscribed, perhaps a pattern. */
	size_t (*open)(char *dst);				/* a subscriber's first words; NULL none */
	size_t (*open_publisher)(char *dst, const char *topic);	/* a publisher's; NULL none */
	size_t (*subscribe)(char *dst, const char *topic, uint32_t number);	/* number: 0 the connection's first, ...; NULL can't */
	size_t (*subscribed)(char *dst);			/* behind the last subscribe; NULL nothing */
	size_t (*publish)(char *dst, const struct payload *p, size_t size);	/* NULL can't */
	size_t (*pong)(char *dst);				/* the answer to a PING; NULL none */

	/* The length of the server's frame at `bytes`, 0 if it is not all there. Of what can't be a frame it is all n bytes. */
	size_t (*cut)(const char *bytes, size_t n);
	enum speak_frame (*kind)(const char *frame, size_t len);
	/* A message that is, byte for byte, one that was published to the stream p->topic, with a payload of `size` bytes; of any size if
	 * that is 0. 0, with *p and what there is of *stamp filled in; or -1. */
	int (*message)(const char *frame, size_t len, size_t size, struct payload *p, struct stamp *stamp);

	/* For those who break off and come back (--reconnect); NULL: this protocol has no way to. */
	/* Writes all that a subscriber of the stream says on its new connection, to go on behind this position; NULL: it comes for the first time. `token`: of
	 * the session that it goes on with, instead of subscribing anew; "": it subscribes, and wants to be told one; NULL: it subscribes. */
	size_t (*come)(char *dst, uint32_t stream, const char *position, const char *token);
	/* Adds to *told what a frame that is no message says of positions and of what is missing. -1: that is not as it must be. */
	int (*told)(const char *frame, size_t len, struct told *told);
};

extern const struct speak speak_flash, speak_ws, speak_actions, speak_sse, speak_json_lines, speak_packet, speak_http;
extern const struct speak speak_redis, speak_nats, speak_mqtt, speak_nchan;
extern const struct speak speak_nchan_sse, speak_jetstream;	/* who comes back to a server that has them kept: for bench-resume alone */

/* By name; NULL if there is none. */
const struct speak *speak_find(const char *name);
bool speak_knows_scheme(const char *scheme, size_t len);

/* Writes what a subscriber of the stream says at first, or the next of it: as much as asks for some more of its topics, of which *asked were
 * asked for. Returns its length, at most SPEAK_SOME_MAX. */
size_t speak_subscribe_some(const struct speak *speak, char *dst, uint32_t stream, uint32_t *asked);
#define SPEAK_SUBSCRIBE_SOME 64u
#define SPEAK_SOME_MAX (2 * SPEAK_OPEN_MAX + SPEAK_SUBSCRIBE_SOME * SPEAK_SUBSCRIBE_MAX)

/* The ACKs that follow. */
uint32_t speak_acks(const struct speak *speak);

#endif
