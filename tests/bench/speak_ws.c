/*
 * Janus' WebSocket: subscribers at /sub/TOPIC,TOPIC..., where the 101 is the ACK of all; publishers send actions at /ws, which are not
 * answered if all is well.
 */
#include <stdio.h>

#include "tests/bench/httpc.h"
#include "tests/bench/speak.h"
#include "tests/bench/wire.h"
#include "tests/bench/wsframe.h"

static size_t open_publisher(char *dst, const char *topic)
{
	(void)topic;
	return (size_t)sprintf(dst, "GET /ws HTTP/1.1\r\nHost: localhost\r\n" WSFRAME_UPGRADE "\r\n");
}

static size_t subscribed(char *dst)
{
	return httpc_end(dst, WSFRAME_UPGRADE);
}

/* The action is flash's, without the byte that ends it there. */
static size_t publish(char *dst, const struct payload *p, size_t size)
{
	size_t n = wsframe_text(dst, wire_action_size(p, size));

	return n + wire_action(dst + n, p, size);
}

static size_t come(char *dst, uint32_t stream, const char *position, const char *token)
{
	char query[HTTPC_QUERY_MAX];

	return httpc_stream(dst, stream, httpc_query(query, position, token), WSFRAME_UPGRADE);
}

static int message(const char *frame, size_t len, size_t size, struct payload *p, struct stamp *stamp)
{
	size_t n;
	const char *content = wsframe_content(frame, len, &n);

	return content ? wire_web_message(content, n, size, p, stamp) : -1;
}

const struct speak speak_ws = {
	.name = "ws", .scheme = "http", .greets_publisher = true, .greets_after_ack = true, .one_ack = true,
	.open = httpc_open, .open_publisher = open_publisher, .subscribe = httpc_topic, .subscribed = subscribed, .publish = publish,
	.pong = wsframe_pong, .cut = wsframe_cut, .kind = wsframe_kind, .message = message, .come = come, .told = wsframe_told,
};
