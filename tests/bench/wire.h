/*
 * The flash protocol as a client speaks it. Written apart from proto/ on purpose, as are the other protocols: what checks the server
 * must not share its mistakes. Also the names of topics and the object that is published, which are the same in every protocol (speak.h).
 *
 * The messages of stream s go to its topics, numbers s * K to s * K + K - 1 (--topics-per-subscriber; a stream is what janusbench
 * otherwise calls a topic, and with K of 1 is one). Which of them a message goes to follows from its publisher and seq.
 */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/payload.h"
#include "tests/bench/stamp.h"

#define WIRE_END '\1'			/* ends each of the server's frames */
#define WIRE_GREETING_MAX 256		/* bytes */
#define WIRE_SUBSCRIBE_MAX 192
#define WIRE_TOPIC_MAX 64		/* a topic's name, with its NUL */
#define WIRE_PREFIX_MAX 48
#define WIRE_EVENT "bench"		/* every message's member `event` */

/* Topics' names start with `prefix`; each stream has so many. Messages have a member message_id (empty) or none. To be called before
 * anything else here. */
void wire_init(const char *prefix, uint32_t topics, bool message_id);
/* Topics' names get a part more, `bench-7.any`, and are subscribed by a pattern each that fits no other, `bench-7.*`. */
void wire_use_patterns(bool use);
bool wire_message_id(void);
uint32_t wire_topics(void);
uint32_t wire_topic_number(uint32_t stream, uint32_t i);
uint32_t wire_topic_of(const struct payload *p);	/* its number */
size_t wire_topic(char dst[WIRE_TOPIC_MAX], uint32_t number);	/* its name; returns the length */
size_t wire_subscription(char dst[WIRE_TOPIC_MAX], uint32_t number);	/* what who wants it subscribes: its name, or a pattern */

/* The object that is published: {"topic":...,"event":"bench","message_id":"","data":PAYLOAD}. */
size_t wire_object_size(const struct payload *p, size_t size);
size_t wire_object(char *dst, const struct payload *p, size_t size);
/* Reads one that belongs to the stream p->topic; `size` is 0 for any. 0 and *p, or -1 if any byte is not as it must be. */
int wire_object_read(const char *object, size_t len, size_t size, struct payload *p);

/* The action that publishes it. */
size_t wire_action_size(const struct payload *p, size_t size);
size_t wire_action(char *dst, const struct payload *p, size_t size);

/* Each writes a client's frame, or what opens a connection and a frame, and returns its length. */
size_t wire_subscribe(char *dst, const char *topic);
size_t wire_publish(char *dst, const struct payload *p, size_t size);	/* an action, on a connection that stays */
size_t wire_classic(char *dst, const struct payload *p, size_t size);	/* PUBLISH, on a fresh one */

/* The server's frames, with the byte that ends them. */
bool wire_is_ping(const char *frame, size_t len);
bool wire_is_ack(const char *frame, size_t len);
bool wire_is_greeting(const char *frame, size_t len);

/* Reads a message that is, byte for byte, one that was published to stream p->topic with a payload of `size` bytes (0: any). 0 with *p
 * and the server's stamp->time filled in; or -1. */
int wire_message(const char *frame, size_t len, size_t size, struct payload *p, struct stamp *stamp);

/* The same for the object that ws and json-lines have, which starts with the message's id. Fills in all of the stamp. */
int wire_web_message(const char *object, size_t len, size_t size, struct payload *p, struct stamp *stamp);

/* A number as servers write it in decimal: no sign, no leading zero, at most `max`. 0 and *p behind it; or -1. */
int wire_number(const char **p, const char *end, uint64_t max, uint64_t *v);
#define WIRE_ID_MAX 999999999999999999u

/* An id, `ihegr977-7`: its two numbers, the first in base 36, neither of them 0. 0 and *p behind it; or -1. */
int wire_id(const char **p, const char *end, struct stamp *stamp);

/* What a stream of ws or json-lines begins with: {"ok":true,"position":"ihegr977-6"} */
bool wire_is_start(const char *object, size_t len);

/* What it says of messages that it has lost: {"missed":{"topic":"a","messages":3}} */
bool wire_is_missed(const char *object, size_t len);

#endif
