/*
 * Janus' Server-Sent Events: one chunk an event, which has id, event and data. The topic is not in it, but the payload's sum covers it.
 */
#include <stdio.h>
#include <string.h>

#include "tests/bench/httpc.h"
#include "tests/bench/speak.h"
#include "tests/bench/wire.h"

#define BEHIND_ID "\nevent: " WIRE_EVENT "\ndata: "
#define STARTS(at, len, literal) ((len) >= sizeof(literal) - 1 && !memcmp((at), (literal), sizeof(literal) - 1))

static size_t subscribed(char *dst)
{
	return httpc_end(dst, "Accept: text/event-stream\r\n");
}

static enum speak_frame kind(const char *frame, size_t len)
{
	const char *content;
	size_t n;

	if (*frame == 'H')
		return httpc_is_stream(frame, len, "text/event-stream") ? SPEAK_ACK : SPEAK_BAD;
	httpc_chunk(frame, len, &content, &n);
	if (!content)
		return SPEAK_BAD;
	if (!n || STARTS(content, n, "retry: ") || STARTS(content, n, "event: missed\ndata: "))	/* no content: the end will follow */
		return SPEAK_OTHER;
	return n == 2 && STARTS(content, n, ":\n") ? SPEAK_PING : SPEAK_MESSAGE;
}

/* As browsers do it. */
static size_t come(char *dst, uint32_t stream, const char *position, const char *token)
{
	char fields[128], query[HTTPC_QUERY_MAX];

	snprintf(fields, sizeof(fields), "Accept: text/event-stream\r\n%s%s%s", position ? "Last-Event-ID: " : "", position ? position : "",
		 position ? "\r\n" : "");
	return httpc_stream(dst, stream, httpc_query(query, NULL, token), fields);
}

static int token_event(const char *event, size_t len, struct told *told)
{
	static const char begin[] = "event: token\ndata: ";
	size_t before = sizeof(begin) - 1;

	if (!STARTS(event, len, begin) || len < before + 2 || memcmp(event + len - 2, "\n\n", 2))
		return -1;
	return told_token(event + before, len - before - 2, told);
}

/* The content's position is the one that a browser takes. */
static int told(const char *frame, size_t len, struct told *told)
{
	const char *at, *id, *end;
	size_t n;

	if (*frame == 'H')
		return told_head(frame, len, told);
	httpc_chunk(frame, len, &at, &n);
	if (!at || n < 3)
		return 0;
	if (STARTS(at, n, "event: missed\ndata: ")) {
		size_t before = sizeof("event: missed\ndata: ") - 1;

		return memcmp(at + n - 2, "\n\n", 2) ? -1 : told_object(at + before, n - before - 2, told);
	}
	id = memmem(at, n, "\nid: ", 5);
	end = id ? memmem(id, (size_t)(at + n - id), "\n\n", 2) : NULL;
	if (!end || told_position_read(id + 5, (size_t)(end - (id + 5)), &told->at))
		return -1;
	n -= (size_t)(end + 2 - at);
	return n ? token_event(end + 2, n, told) : 0;
}

static int message(const char *frame, size_t len, size_t size, struct payload *p, struct stamp *stamp)
{
	const char *at, *end;
	size_t n;

	if (httpc_chunk(frame, len, &at, &n) != len || !at || !STARTS(at, n, "id: "))
		return -1;
	end = at + n;
	at += 4;
	if (wire_id(&at, end, stamp) || !STARTS(at, (size_t)(end - at), BEHIND_ID))
		return -1;
	at += sizeof(BEHIND_ID) - 1;
	if (!size && end - at > 2)
		size = (size_t)(end - at) - 2;
	return (size_t)(end - at) == size + 2 && !memcmp(at + size, "\n\n", 2) ? payload_read(at, size, p) : -1;
}

const struct speak speak_sse = {
	.name = "sse", .scheme = "http", .one_ack = true,
	.open = httpc_open, .subscribe = httpc_topic, .subscribed = subscribed,
	.cut = httpc_stream_cut, .kind = kind, .message = message, .come = come, .told = told,
};
