/*
 * WebSocket (RFC 6455) as a client has it. What clients send is masked, here with zeros. What reads is as in httpc.h.
 */
#ifndef BENCH_WSFRAME_H
#define BENCH_WSFRAME_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/bench/speak.h"

#define WSFRAME_HEAD_MAX 14u

/* The fields of an upgrade; and whether an answer is the one to it. */
#define WSFRAME_UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" \
	"Sec-WebSocket-Version: 13\r\n"
bool wsframe_upgraded(const char *answer, size_t len);

/* A client's frames: the head of a text of `len` bytes, which follow, and a pong. Each returns its length. */
size_t wsframe_text(char *dst, size_t len);
size_t wsframe_pong(char *dst);

/* An answer of HTTP or a server's frame; see speak.h. The 101 is the ACK. */
size_t wsframe_cut(const char *bytes, size_t n);
enum speak_frame wsframe_kind(const char *frame, size_t len);

/* What they tell; see told.h. */
int wsframe_told(const char *frame, size_t len, struct told *told);

/* What is in a whole text or binary frame; NULL if it is neither. */
const char *wsframe_content(const char *frame, size_t len, size_t *content_len);

#endif
