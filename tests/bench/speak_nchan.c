/*
 * nginx with nchan over WebSocket: the topic stands in the URL, /sub/TOPIC and /pub/TOPIC, so that a connection has one. The 101 is
 * greeting and ACK in one. Subscribers get the bytes that were published. A publisher is answered in text.
 */
#include <stdio.h>

#include "tests/bench/speak.h"
#include "tests/bench/wire.h"
#include "tests/bench/wsframe.h"

static size_t upgrade(char *dst, const char *what, const char *topic)
{
	return (size_t)sprintf(dst, "GET /%s/%s HTTP/1.1\r\nHost: localhost\r\n" WSFRAME_UPGRADE "\r\n", what, topic);
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
	size_t n = wsframe_text(dst, wire_object_size(p, size));

	return n + wire_object(dst + n, p, size);
}

static int message(const char *frame, size_t len, size_t size, struct payload *p, struct stamp *stamp)
{
	size_t n;
	const char *content = wsframe_content(frame, len, &n);

	(void)stamp;
	return content ? wire_object_read(content, n, size, p) : -1;
}

const struct speak speak_nchan = {
	.name = "nchan", .scheme = "nchan", .greets_publisher = true, .answers = true, .topics_max = 1,
	.open_publisher = open_publisher, .subscribe = subscribe, .publish = publish, .pong = wsframe_pong,
	.cut = wsframe_cut, .kind = wsframe_kind, .message = message,
};
