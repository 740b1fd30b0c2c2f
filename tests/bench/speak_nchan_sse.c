/*
 * nginx with nchan over Server-Sent Events, for those who come back: a message's id is SECONDS:TAG, which is kept as a stamp's two numbers, and a
 * position is an id. Behind the head come events, bare, up to the connection's end. There is no word of whether a position is still there.
 */
#include <stdio.h>
#include <string.h>

#include "tests/bench/httpc.h"
#include "tests/bench/speak.h"
#include "tests/bench/wire.h"

#define BEHIND_ID "\ndata: "
#define STARTS(at, len, literal) ((len) >= sizeof(literal) - 1 && !memcmp((at), (literal), sizeof(literal) - 1))

static size_t come(char *dst, uint32_t stream, const char *position, const char *token)
{
	char fields[128] = "Accept: text/event-stream\r\n";
	size_t n = strlen(fields);
	struct stamp at;

	(void)token;
	if (position && !told_position_read(position, strlen(position), &at))
		snprintf(fields + n, sizeof(fields) - n, "Last-Event-ID: %llu:%llu\r\n", (unsigned long long)at.epoch, (unsigned long long)at.id);
	return httpc_stream(dst, stream, "", fields);
}

static size_t cut(const char *bytes, size_t n)
{
	const char *end;

	if (*bytes == 'H')
		return httpc_cut(bytes, n);
	end = memmem(bytes, n, "\n\n", 2);
	return end ? (size_t)(end - bytes) + 2 : 0;
}

static enum speak_frame kind(const char *frame, size_t len)
{
	if (*frame == 'H')
		return httpc_status(frame, len) == 200 && httpc_has(frame, len, "Content-Type", "text/event-stream") ? SPEAK_ACK : SPEAK_BAD;
	return *frame == ':' ? SPEAK_OTHER : SPEAK_MESSAGE;
}

static int message(const char *frame, size_t len, size_t size, struct payload *p, struct stamp *stamp)
{
	const char *at = frame + 4, *end = frame + len - 2;

	if (!STARTS(frame, len, "id: ") || memcmp(end, "\n\n", 2) || wire_number(&at, end, WIRE_ID_MAX, &stamp->epoch) || !stamp->epoch || at == end ||
	    *at++ != ':' || wire_number(&at, end, WIRE_ID_MAX, &stamp->id) || !STARTS(at, (size_t)(end - at), BEHIND_ID))
		return -1;
	at += sizeof(BEHIND_ID) - 1;
	return wire_object_read(at, (size_t)(end - at), size, p);
}

const struct speak speak_nchan_sse = {
	.name = "nchan-sse", .scheme = "nchan", .topics_max = 1,
	.cut = cut, .kind = kind, .message = message, .come = come,
};
