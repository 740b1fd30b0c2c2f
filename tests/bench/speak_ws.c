/*
 * WebSocket (RFC 6455) as nchan has it: the topic stands in the URL, /sub/TOPIC and /pub/TOPIC, so that a connection has one. The 101
 * is greeting and ACK in one. What clients send is masked, here with zeros. A publisher is answered in text.
 */
#include <stdio.h>
#include <string.h>

#include "tests/bench/speak.h"
#include "tests/bench/wire.h"

#define STARTS(frame, len, literal) ((len) >= sizeof(literal) - 1 && !memcmp((frame), (literal), sizeof(literal) - 1))

static size_t upgrade(char *dst, const char *what, const char *topic)
{
	return (size_t)sprintf(dst, "GET /%s/%s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
			       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", what, topic);
}

static size_t open_publisher(char *dst, const char *topic)
{
	return upgrade(dst, "pub", topic);
}

static size_t subscribe(char *dst, const char *topic, uint32_t number)
{
	(void)number;
	return upgrade(dst, "sub", topic);
}

static size_t publish(char *dst, const struct payload *p, size_t size)
{
	size_t len = wire_object_size(p, size), n = 0, bytes = len < 126 ? 0 : len < 65536 ? 2 : 8;

	dst[n++] = (char)0x81;
	dst[n++] = (char)(0x80 | (bytes == 0 ? len : bytes == 2 ? 126 : 127));
	while (bytes--)
		dst[n++] = (char)(len >> 8 * bytes);
	memset(dst + n, 0, 4);
	n += 4;
	return n + wire_object(dst + n, p, size);
}

static size_t pong(char *dst)
{
	static const char frame[] = { (char)0x8a, (char)0x80, 0, 0, 0, 0 };

	memcpy(dst, frame, sizeof(frame));
	return sizeof(frame);
}

/* The length of a frame's head, and what it says of the rest; 0 if it is not all there. */
static size_t head(const char *bytes, size_t n, size_t *rest)
{
	size_t more;

	if (n < 2)
		return 0;
	*rest = bytes[1] & 0x7f;
	more = *rest == 126 ? 2 : *rest == 127 ? 8 : 0;
	if (n < 2 + more)
		return 0;
	if (more)
		*rest = 0;
	for (size_t i = 0; i < more; i++)
		*rest = *rest << 8 | (unsigned char)bytes[2 + i];
	return 2 + more;
}

static size_t cut(const char *bytes, size_t n)
{
	size_t len, rest;
	const char *end;

	if (*bytes == 'H') {
		end = memmem(bytes, n, "\r\n\r\n", 4);
		return end ? (size_t)(end - bytes) + 4 : 0;
	}
	len = head(bytes, n, &rest);
	return len && len + rest <= n ? len + rest : 0;
}

static enum speak_frame kind(const char *frame, size_t len)
{
	switch ((unsigned char)*frame) {
	case 'H':
		return STARTS(frame, len, "HTTP/1.1 101") ? SPEAK_ACK : SPEAK_BAD;
	case 0x81:
	case 0x82:
		return SPEAK_MESSAGE;
	case 0x89:
		return SPEAK_PING;
	case 0x8a:
		return SPEAK_OTHER;
	default:
		return SPEAK_BAD;
	}
}

static int message(const char *frame, size_t len, size_t size, struct payload *p, uint64_t *stamp)
{
	size_t rest, at = head(frame, len, &rest);

	*stamp = 0;
	return wire_object_read(frame + at, rest, size, p);
}

const struct speak speak_ws = {
	.name = "ws", .greets_publisher = true, .answers = true, .topics_max = 1,
	.open_publisher = open_publisher, .subscribe = subscribe, .publish = publish, .pong = pong,
	.cut = cut, .kind = kind, .message = message,
};
