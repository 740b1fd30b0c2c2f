/*
 * Janus' WebSocket with actions, at /ws: a greeting, and an answer to each subscribe. Its subscribers do not wait for the greeting. (Publishers there
 * are those of `ws`.)
 */
#include <stdio.h>
#include <string.h>

#include "tests/bench/speak.h"
#include "tests/bench/wire.h"
#include "tests/bench/wsframe.h"

#define SUBSCRIBE_BEGIN "{\"action\":\"subscribe\",\"topic\":["
#define SINCE_MAX (sizeof(",\"since\":\"\"") + TOLD_POSITION_MAX)
#define ATTACH "{\"action\":\"attach\",\"token\":\"%s\""

static size_t open_actions(char *dst)
{
	return (size_t)sprintf(dst, "GET /ws HTTP/1.1\r\nHost: localhost\r\n" WSFRAME_UPGRADE "\r\n");
}

static size_t action(char *dst, const char *text)
{
	size_t len = strlen(text), n = wsframe_text(dst, len);

	memcpy(dst + n, text, len);
	return n + len;
}

static size_t subscribe(char *dst, const char *topic, uint32_t number)
{
	char text[sizeof(SUBSCRIBE_BEGIN) + WIRE_TOPIC_MAX + 8];

	(void)number;
	snprintf(text, sizeof(text), SUBSCRIBE_BEGIN "\"%s\"]}", topic);
	return action(dst, text);
}

static size_t come(char *dst, uint32_t stream, const char *position, const char *token)
{
	static char text[sizeof(SUBSCRIBE_BEGIN) + SPEAK_COME_TOPICS_MAX * (WIRE_TOPIC_MAX + 3) + SINCE_MAX];
	bool attaches = token && *token;
	size_t n = (size_t)(attaches ? sprintf(text, ATTACH, token) : sprintf(text, SUBSCRIBE_BEGIN)), opened = open_actions(dst);
	char topic[WIRE_TOPIC_MAX];

	for (uint32_t i = 0; !attaches && i < wire_topics(); i++) {
		wire_topic(topic, wire_topic_number(stream, i));
		n += (size_t)sprintf(text + n, "%s\"%s\"%s", i ? "," : "", topic, i + 1 == wire_topics() ? "]" : "");
	}
	if (position)
		n += (size_t)sprintf(text + n, ",\"since\":\"%s\"", position);
	sprintf(text + n, "}");
	return opened + action(dst + opened, text);
}

/* The 101 and the greeting are one thing; the first words of a stream are here the answer. */
static enum speak_frame kind(const char *frame, size_t len)
{
	static const char ok[] = "{\"ok\":";
	size_t n;
	const char *content = wsframe_content(frame, len, &n);

	if (*frame == 'H')
		return wsframe_upgraded(frame, len) ? SPEAK_OTHER : SPEAK_BAD;
	if (!content || n < sizeof(ok) - 1 || memcmp(content, ok, sizeof(ok) - 1))
		return wsframe_kind(frame, len);
	return wire_is_start(content, n) ? SPEAK_ACK : SPEAK_BAD;
}

static int message(const char *frame, size_t len, size_t size, struct payload *p, struct stamp *stamp)
{
	return speak_ws.message(frame, len, size, p, stamp);
}

const struct speak speak_actions = {
	.name = "actions", .scheme = "http", .greets = true,
	.open = open_actions, .subscribe = subscribe,
	.pong = wsframe_pong, .cut = wsframe_cut, .kind = kind, .message = message, .come = come, .told = wsframe_told,
};
