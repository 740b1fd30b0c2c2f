/*
 * What a client is told who is sent away. See parting.h.
 */
#include "proto/parting.h"

#include <string.h>

#include "proto/flash.h"
#include "proto/packet.h"
#include "proto/sink.h"
#include "proto/web_message.h"
#include "proto/websocket.h"

#define TEXT_MAX 1024			/* the reason, all of it escaped, and what stands around it */

/* Of a stream: what precedes its end. */
static void put_notice(struct sink *s, enum transport_group group, const struct parting *p)
{
	if (p->again) {
		if (group != GROUP_SSE)
			return;
		sink_literal(s, "retry: ");
		sink_number(s, p->retry);
		sink_literal(s, "\n\n");
		return;
	}
	if (group == GROUP_SSE)
		sink_text(s, p->expired ? "event: expired\ndata: " : "event: kicked\ndata: ");
	sink_text(s, p->expired ? "{\"expired\":\"" : "{\"kicked\":\"");
	sink_json(s, p->reason, strlen(p->reason));
	sink_text(s, group == GROUP_SSE ? "\"}\n\n" : "\"}\n");
}

/* A stream of HTTP/1.1 ends with a last chunk, which is its goodbye; one of HTTP/1.0 has neither. */
static size_t write_stream(uint32_t transport, const struct parting *p, char *dst)
{
	char last[TRANSPORT_NOTICE_MAX], text[TEXT_MAX];
	struct sink s = { .dst = text, .room = sizeof(text) };
	size_t last_len = transport_goodbye(transport, last), len = 0;

	if (transport_group(transport) != GROUP_PAGE)
		put_notice(&s, transport_group(transport), p);
	if (s.len > 0 && last_len > 0)
		len = web_chunk(dst, TRANSPORT_NOTICE_MAX - last_len, text, s.len);
	else if (s.len > 0)
		memcpy(dst, text, len = s.len);
	memcpy(dst + len, last, last_len);
	return len + last_len;
}

size_t parting_write(uint32_t transport, const struct parting *p, char *dst)
{
	switch (transport_group(transport)) {
	case GROUP_WEBSOCKET:
		return websocket_close(dst, p->again ? WEBSOCKET_SERVICE_RESTART : p->expired ? WEBSOCKET_UNAUTHORIZED : WEBSOCKET_POLICY, p->reason);
	case GROUP_FLASH:
	case GROUP_PACKET:
		return transport_error(transport, p->now, p->again ? 503 : p->expired ? 401 : 403, p->reason, dst);
	case GROUP_HTTP:
		return 0;
	default:
		return write_stream(transport, p, dst);
	}
}

size_t parting_ahead(uint32_t transport, uint64_t seconds, uint64_t now, char *dst)
{
	enum transport_group group = transport_group(transport);
	bool chunked = transport_goodbye(transport, dst) > 0;		/* of streams: those whose end is a chunk */
	char text[128];
	struct sink s = { .dst = text, .room = sizeof(text) };
	size_t header;

	if (group == GROUP_HTTP || group == GROUP_PAGE)
		return 0;
	if (group == GROUP_PACKET)
		return packet_expires(dst, seconds);
	if (group == GROUP_FLASH)
		return flash_expires(dst, now, seconds);
	if (group == GROUP_SSE)
		sink_literal(&s, "event: expires\ndata: ");
	sink_literal(&s, "{\"expires\":{\"in\":");
	sink_number(&s, seconds);
	sink_text(&s, group == GROUP_SSE ? "}}\n\n" : group == GROUP_JSON_LINES ? "}}\n" : "}}");
	if (group == GROUP_WEBSOCKET) {
		header = websocket_header(dst, WEBSOCKET_OP_TEXT, s.len);
		memcpy(dst + header, text, s.len);
		return header + s.len;
	}
	if (chunked)
		return web_chunk(dst, TRANSPORT_NOTICE_MAX, text, s.len);
	memcpy(dst, text, s.len);
	return s.len;
}
