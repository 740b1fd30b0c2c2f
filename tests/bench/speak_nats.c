/*
 * The NATS client protocol. A PING behind the subscriptions: its PONG says that they are made.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/speak.h"
#include "tests/bench/wire.h"

#define CONNECT "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false}\r\n"
#define STARTS(frame, len, literal) ((len) >= sizeof(literal) - 1 && !memcmp((frame), (literal), sizeof(literal) - 1))

static size_t put(char *dst, const char *text)
{
	size_t n = strlen(text);

	memcpy(dst, text, n);
	return n;
}

static size_t hello(char *dst)
{
	return put(dst, CONNECT);
}

static size_t hello_publisher(char *dst, const char *topic)
{
	(void)topic;
	return put(dst, CONNECT);
}

static size_t subscribe(char *dst, const char *topic, uint32_t number)
{
	return (size_t)sprintf(dst, "SUB %s %u\r\n", topic, number + 1);
}

static size_t subscribed(char *dst)
{
	return put(dst, "PING\r\n");
}

static size_t publish(char *dst, const struct payload *p, size_t size)
{
	char topic[WIRE_TOPIC_MAX];
	size_t n;

	wire_topic(topic, wire_topic_of(p));
	n = (size_t)sprintf(dst, "PUB %s %zu\r\n", topic, wire_object_size(p, size));
	n += wire_object(dst + n, p, size);
	return n + put(dst + n, "\r\n");
}

static size_t pong(char *dst)
{
	return put(dst, "PONG\r\n");
}

/* The number that ends the line of `len` bytes. */
static size_t last_number(const char *line, size_t len)
{
	size_t at = len - 2, value = 0, unit = 1;

	for (; at > 0 && line[at - 1] >= '0' && line[at - 1] <= '9'; unit *= 10)
		value += (size_t)(line[--at] - '0') * unit;
	return value;
}

static size_t cut(const char *bytes, size_t n)
{
	const char *end = memchr(bytes, '\n', n);
	size_t len = end ? (size_t)(end - bytes) + 1 : 0;

	if (len > 4 && STARTS(bytes, len, "MSG "))
		len += last_number(bytes, len) + 2;
	return len <= n ? len : 0;
}

static enum speak_frame kind(const char *frame, size_t len)
{
	if (STARTS(frame, len, "MSG "))
		return SPEAK_MESSAGE;
	if (STARTS(frame, len, "PING"))
		return SPEAK_PING;
	if (STARTS(frame, len, "PONG"))
		return SPEAK_ACK;
	if (STARTS(frame, len, "INFO"))
		return SPEAK_GREETING;
	return STARTS(frame, len, "+OK") ? SPEAK_OTHER : SPEAK_BAD;
}

static int message(const char *frame, size_t len, size_t size, struct payload *p, struct stamp *stamp)
{
	size_t line = (size_t)((const char *)memchr(frame, '\n', len) - frame) + 1, n;
	char topic[WIRE_TOPIC_MAX];

	(void)stamp;
	if (len < line + 2 || wire_object_read(frame + line, len - line - 2, size, p))
		return -1;
	n = wire_topic(topic, wire_topic_of(p));
	return line > 4 + n && !memcmp(frame + 4, topic, n) && frame[4 + n] == ' ' ? 0 : -1;
}

const struct speak speak_nats = {
	.name = "nats", .scheme = "nats", .greets = true, .greets_publisher = true, .one_ack = true,
	.open = hello, .open_publisher = hello_publisher, .subscribe = subscribe, .subscribed = subscribed, .publish = publish, .pong = pong,
	.cut = cut, .kind = kind, .message = message,
};
