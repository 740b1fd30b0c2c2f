/*
 * Janus' chunked stream: one chunk a line, which is a JSON object.
 */
#include "tests/bench/httpc.h"
#include "tests/bench/speak.h"
#include "tests/bench/wire.h"

static size_t subscribed(char *dst)
{
	return httpc_end(dst, "");
}

static enum speak_frame kind(const char *frame, size_t len)
{
	const char *content;
	size_t n;

	if (*frame == 'H')
		return httpc_is_stream(frame, len, "application/x-ndjson") ? SPEAK_ACK : SPEAK_BAD;
	httpc_chunk(frame, len, &content, &n);
	if (!content)
		return SPEAK_BAD;
	if (!n || wire_is_start(content, n) || wire_is_missed(content, n))	/* no content: the end will follow */
		return SPEAK_OTHER;
	return n == 1 && *content == ' ' ? SPEAK_PING : SPEAK_MESSAGE;
}

static size_t come(char *dst, uint32_t stream, const char *position, const char *token)
{
	char query[HTTPC_QUERY_MAX];

	return httpc_stream(dst, stream, httpc_query(query, position, token), "");
}

static int told(const char *frame, size_t len, struct told *told)
{
	const char *line;
	size_t n;

	if (*frame == 'H')
		return told_head(frame, len, told);
	httpc_chunk(frame, len, &line, &n);
	return line ? told_object(line, n, told) : 0;
}

static int message(const char *frame, size_t len, size_t size, struct payload *p, struct stamp *stamp)
{
	const char *line;
	size_t n;

	if (httpc_chunk(frame, len, &line, &n) != len || !line || !n || line[n - 1] != '\n')
		return -1;
	return wire_web_message(line, n - 1, size, p, stamp);
}

const struct speak speak_json_lines = {
	.name = "json-lines", .scheme = "http", .one_ack = true,
	.open = httpc_open, .subscribe = httpc_topic, .subscribed = subscribed,
	.cut = httpc_stream_cut, .kind = kind, .message = message, .come = come, .told = told,
};
