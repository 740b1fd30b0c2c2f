/*
 * The table of transports, and what the server says of itself in the words of each.
 */
#include <assert.h>
#include <string.h>

#include "proto/flash.h"
#include "proto/http_response.h"
#include "proto/packet.h"
#include "proto/transport.h"
#include "proto/version.h"
#include "proto/web_message.h"
#include "proto/websocket.h"

_Static_assert(TRANSPORT_NOTICE_MAX >= FLASH_GREETING_MAX && TRANSPORT_NOTICE_MAX >= FLASH_ERROR_MAX &&
	       TRANSPORT_NOTICE_MAX >= PACKET_REPLY_MAX && TRANSPORT_NOTICE_MAX >= HTTP_ANSWER_MAX + 512, "room for all of them");

static size_t copy(char *dst, const char *text)
{
	size_t len = strlen(text);

	memcpy(dst, text, len);
	return len;
}

/* ---- the flash socket ---- */

/* Text is what nearly all messages are: it goes a shorter way. */
static bool is_text(const struct web_record *rec)
{
	return message_is_plain(rec->text);
}

static size_t flash_size(const struct web_record *rec)
{
	return is_text(rec) ? flash_message_size(rec->time, rec->len) : web_message_size(WEB_FLASH, false, rec);
}

static size_t flash_encode(const struct web_record *rec, char *dst, size_t room)
{
	if (is_text(rec))
		return flash_message_size(rec->time, rec->len) <= room ? flash_message(dst, rec->time, rec->text, rec->len) : 0;
	return web_message(WEB_FLASH, false, rec, dst, room);
}

static size_t flash_hello(char *dst, const struct transport_hello *hello)
{
	return flash_greeting(dst, hello->now, hello->token);
}

static size_t flash_heartbeat(char *dst, uint64_t now)
{
	(void)now;
	return copy(dst, FLASH_PING);
}

static size_t flash_refusal(char *dst, uint64_t now, unsigned status, const char *text)
{
	return flash_error_code(dst, now, status == 401 ? status : 0, text);
}

/* ---- packets, HTTP ---- */

static size_t packet_hello(char *dst, const struct transport_hello *hello)
{
	return packet_greeting(dst, hello);
}

static size_t packet_refusal(char *dst, uint64_t now, unsigned status, const char *text)
{
	(void)now;
	return packet_reply(dst, &(struct packet_reply){ .error = text, .code = status == 401 ? status : 0 });
}

static size_t http_refusal(char *dst, uint64_t now, unsigned status, const char *text)
{
	return http_error(dst, TRANSPORT_NOTICE_MAX, &(struct http_answer){ .status = status, .time = now, .minor = 1 }, text);
}

/* ---- WebSocket ---- */

static size_t websocket_hello(char *dst, const struct transport_hello *hello)
{
	char text[TRANSPORT_NOTICE_MAX / 2];
	struct sink s = { .dst = text, .room = sizeof(text) };
	size_t header;

	version_greeting(&s, &hello->has, hello->has.sessions ? hello->token : NULL);
	header = websocket_header(dst, WEBSOCKET_OP_TEXT, s.len);
	memcpy(dst + header, text, s.len);
	return header + s.len;
}

static size_t websocket_heartbeat(char *dst, uint64_t now)
{
	(void)now;
	return websocket_control(dst, WEBSOCKET_OP_PING, "", 0);
}

static size_t websocket_refusal(char *dst, uint64_t now, unsigned status, const char *text)
{
	(void)now;
	return websocket_close(dst, status == 503 ? WEBSOCKET_TRY_LATER : WEBSOCKET_POLICY, text);
}

static size_t websocket_goodbye(char *dst)
{
	return websocket_close(dst, WEBSOCKET_GOING_AWAY, "the server stops");
}

/* ---- streams over HTTP. One that is ended with an error just ends. ---- */

#define HEARTBEAT(name, text)                              \
	static size_t name##_heartbeat(char *dst, uint64_t now) \
	{                                                  \
		(void)now;                                 \
		return copy(dst, text);                    \
	}
HEARTBEAT(sse, SSE_HEARTBEAT)
HEARTBEAT(sse_chunked, SSE_HEARTBEAT_CHUNK)
HEARTBEAT(json_lines, JSON_LINES_HEARTBEAT)
HEARTBEAT(json_lines_chunked, JSON_LINES_HEARTBEAT_CHUNK)

#define PAGE_HEAD "<!DOCTYPE html><html><head><meta charset=\"utf-8\"><title>Janus</title></head><body>\r\n"

#define START(name, format, chunked)                                                                             \
	static size_t name##_hello(char *dst, const struct transport_hello *hello)                               \
	{                                                                                                        \
		return web_start(format, chunked, hello->start, hello->retry, dst, TRANSPORT_NOTICE_MAX);         \
	}
START(websocket_stream, WEB_WEBSOCKET, false)
START(sse, WEB_SSE, false)
START(sse_chunked, WEB_SSE, true)
START(json_lines, WEB_JSON_LINES, false)
START(json_lines_chunked, WEB_JSON_LINES, true)

static size_t page_hello(char *dst, const struct transport_hello *hello)
{
	(void)hello;
	return copy(dst, PAGE_HEAD);
}

static size_t page_chunked_hello(char *dst, const struct transport_hello *hello)
{
	(void)hello;
	return web_chunk(dst, TRANSPORT_NOTICE_MAX, PAGE_HEAD, sizeof(PAGE_HEAD) - 1);
}

#define MISSED(name, format, chunked)                                                       \
	static size_t name##_missed(char *dst, const struct transport_missed *missed)       \
	{                                                                                   \
		return web_missed(format, chunked, missed, dst, TRANSPORT_NOTICE_MAX);       \
	}
MISSED(websocket, WEB_WEBSOCKET, false)
MISSED(sse, WEB_SSE, false)
MISSED(sse_chunked, WEB_SSE, true)
MISSED(json_lines, WEB_JSON_LINES, false)
MISSED(json_lines_chunked, WEB_JSON_LINES, true)

static size_t chunked_goodbye(char *dst)
{
	return copy(dst, HTTP_LAST_CHUNK);
}

/* ---- encoders ---- */

#define WEB_ENCODER(name, format, chunked)                                                       \
	static size_t name##_size(const struct web_record *rec)                                  \
	{                                                                                        \
		return web_message_size(format, chunked, rec);                                   \
	}                                                                                        \
	static size_t name##_encode(const struct web_record *rec, char *dst, size_t room)        \
	{                                                                                        \
		return web_message(format, chunked, rec, dst, room);                             \
	}
WEB_ENCODER(websocket, WEB_WEBSOCKET, false)
WEB_ENCODER(websocket_raw, WEB_WEBSOCKET_RAW, false)
WEB_ENCODER(sse, WEB_SSE, false)
WEB_ENCODER(sse_chunked, WEB_SSE, true)
WEB_ENCODER(sse_json, WEB_SSE_JSON, false)
WEB_ENCODER(sse_json_chunked, WEB_SSE_JSON, true)
WEB_ENCODER(json_lines, WEB_JSON_LINES, false)
WEB_ENCODER(json_lines_chunked, WEB_JSON_LINES, true)
WEB_ENCODER(page, WEB_TEST, false)
WEB_ENCODER(page_chunked, WEB_TEST, true)

#define flash_encoder { flash_size, flash_encode }
#define packet_encoder { packet_message_size, packet_message }
#define websocket_encoder { websocket_size, websocket_encode }
#define websocket_raw_encoder { websocket_raw_size, websocket_raw_encode }
#define sse_encoder { sse_size, sse_encode }
#define sse_chunked_encoder { sse_chunked_size, sse_chunked_encode }
#define sse_json_encoder { sse_json_size, sse_json_encode }
#define sse_json_chunked_encoder { sse_json_chunked_size, sse_json_chunked_encode }
#define json_lines_encoder { json_lines_size, json_lines_encode }
#define json_lines_chunked_encoder { json_lines_chunked_size, json_lines_chunked_encode }
#define page_encoder { page_size, page_encode }
#define page_chunked_encoder { page_chunked_size, page_chunked_encode }
#define NO_ENCODER { NULL, NULL }

/* ---- the tables ---- */

const struct transport_ops transport_table[TRANSPORTS] = {
#define TRANSPORT(name, word, group, traits, input, encoder, greeting, heartbeat, error, goodbye, missed, asked, type) \
	[TRANSPORT_##name] = { word, GROUP_##group, traits, encoder, greeting, heartbeat, error, goodbye, missed, asked, type },
#include "proto/transport.def"
};

static const struct {
	const char *scheme, *tls;
	enum transport transport;
} protocols[PROTOCOLS] = {
#define PROTOCOL(name, scheme, tls, transport) [PROTO_##name] = { scheme, tls, TRANSPORT_##transport },
#include "proto/transport.def"
};

static const struct {
	const char *key, *text;
} groups[TRANSPORT_GROUPS] = {
#define GROUP(name, key, text) [GROUP_##name] = { key, text },
#include "proto/transport.def"
};

size_t transport_greeting(uint32_t transport, const struct transport_hello *hello, char *dst)
{
	return transport_table[transport].greeting ? transport_table[transport].greeting(dst, hello) : 0;
}

size_t transport_heartbeat(uint32_t transport, uint64_t now, char *dst)
{
	return transport_table[transport].heartbeat ? transport_table[transport].heartbeat(dst, now) : 0;
}

size_t transport_error(uint32_t transport, uint64_t now, unsigned status, const char *text, char *dst)
{
	return transport_table[transport].error ? transport_table[transport].error(dst, now, status, text) : 0;
}

size_t transport_goodbye(uint32_t transport, char *dst)
{
	return transport_table[transport].goodbye ? transport_table[transport].goodbye(dst) : 0;
}

size_t transport_missed(uint32_t transport, const struct transport_missed *missed, char *dst)
{
	return transport_table[transport].missed ? transport_table[transport].missed(dst, missed) : 0;
}

enum transport transport_asked(unsigned asked)
{
	unsigned best = 0;

	assert(asked & ASKED_STREAM);
	for (unsigned t = 1; t < TRANSPORTS; t++)
		if ((transport_table[t].asked & ~asked) == 0 && transport_table[t].asked > transport_table[best].asked)
			best = t;
	return (enum transport)best;
}

enum transport protocol_transport(int protocol)
{
	return protocols[protocol].transport;
}

const char *protocol_scheme(int protocol, bool tls)
{
	return tls ? protocols[protocol].tls : protocols[protocol].scheme;
}

const char *transport_group_key(enum transport_group group)
{
	return groups[group].key;
}

const char *transport_group_text(enum transport_group group)
{
	return groups[group].text;
}

void transport_put_counts(struct sink *s, const uint64_t by_group[TRANSPORT_GROUPS])
{
	bool first = true;

	sink_byte(s, '{');
	for (unsigned i = 0; i < TRANSPORT_GROUPS; i++) {
		if (by_group[i] == 0)
			continue;
		sink_text(s, first ? "\"" : ",\"");
		sink_text(s, groups[i].key);
		sink_literal(s, "\":");
		sink_number(s, by_group[i]);
		first = false;
	}
	sink_byte(s, '}');
}
