/*
 * The flash protocol as a client speaks it. Written apart from proto/ on purpose: what checks the server must not share its
 * mistakes.
 */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/payload.h"

#define WIRE_END '\1'			/* ends each of the server's frames */
#define WIRE_GREETING_MAX 256		/* bytes */
#define WIRE_SUBSCRIBE_MAX 128
#define WIRE_EXTRA 160			/* a message, either way, is at most this much longer than its payload */

/* Each writes a client's frame, or what opens a connection and a frame, and returns its length. */
size_t wire_subscribe(char *dst, uint32_t topic);
size_t wire_publish(char *dst, const struct payload *p, size_t size);	/* an action, on a connection that stays */
size_t wire_classic(char *dst, const struct payload *p, size_t size);	/* PUBLISH, on a fresh one */

/* The server's frames, with the byte that ends them. */
bool wire_is_ping(const char *frame, size_t len);
bool wire_is_ack(const char *frame, size_t len);
bool wire_is_greeting(const char *frame, size_t len);

/* Reads a message that is, byte for byte, one that was published to p->topic with a payload of `size` bytes. 0 with *p
 * and the server's *stamp (us since 1970) filled in; or -1. */
int wire_message(const char *frame, size_t len, size_t size, struct payload *p, uint64_t *stamp);

#endif
