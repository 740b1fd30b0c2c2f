/*
 * What the server says of itself, in the words of each transport.
 */
#include <string.h>

#include "proto/flash.h"
#include "proto/http_response.h"
#include "proto/packet.h"
#include "proto/speak.h"
#include "proto/transport.h"
#include "proto/web_message.h"
#include "proto/websocket.h"

_Static_assert(SPEAK_MAX >= FLASH_GREETING_MAX && SPEAK_MAX >= FLASH_ERROR_MAX && SPEAK_MAX >= PACKET_REPLY_MAX &&
	       SPEAK_MAX >= HTTP_ANSWER_MAX + 512, "room for all of them");

static size_t copy(char *dst, const char *text)
{
	size_t len = strlen(text);

	memcpy(dst, text, len);
	return len;
}

size_t speak_greeting(uint32_t transport, uint64_t now, const uint8_t token[16], char *dst)
{
	return transport == TRANSPORT_FLASH ? flash_greeting(dst, now, token) : 0;
}

size_t speak_heartbeat(uint32_t transport, uint64_t now, char *dst)
{
	switch (transport) {
	case TRANSPORT_FLASH: return copy(dst, FLASH_PING);
	case TRANSPORT_PACKET: return packet_ping(dst, now);
	case TRANSPORT_WEBSOCKET:
	case TRANSPORT_WEBSOCKET_STREAM: return websocket_control(dst, WEBSOCKET_OP_PING, "", 0);
	case TRANSPORT_SSE: return copy(dst, SSE_HEARTBEAT_CHUNK);
	case TRANSPORT_SSE_10: return copy(dst, SSE_HEARTBEAT);
	case TRANSPORT_COMET: case TRANSPORT_PAGE: return copy(dst, COMET_HEARTBEAT_CHUNK);
	case TRANSPORT_COMET_10: case TRANSPORT_PAGE_10: return copy(dst, COMET_HEARTBEAT);
	}
	return 0;
}

size_t speak_goodbye(uint32_t transport, char *dst)
{
	switch (transport) {
	case TRANSPORT_WEBSOCKET:
	case TRANSPORT_WEBSOCKET_STREAM: return websocket_close(dst, WEBSOCKET_GOING_AWAY, "the server stops");
	case TRANSPORT_SSE:
	case TRANSPORT_COMET:
	case TRANSPORT_PAGE: return copy(dst, HTTP_LAST_CHUNK);
	}
	return 0;
}

static uint16_t close_code(unsigned status)
{
	return status == 503 ? WEBSOCKET_TRY_LATER : WEBSOCKET_POLICY;
}

size_t speak_error(uint32_t transport, uint64_t now, unsigned status, const char *text, char *dst)
{
	switch (transport) {
	case TRANSPORT_FLASH:
		return flash_error(dst, now, text);
	case TRANSPORT_PACKET:
		return packet_reply(dst, &(struct packet_reply){ .error = text });
	case TRANSPORT_HTTP:
		return http_error(dst, SPEAK_MAX, &(struct http_answer){ .status = status, .time = now, .minor = 1 }, text);
	case TRANSPORT_WEBSOCKET:
	case TRANSPORT_WEBSOCKET_STREAM:
		return websocket_close(dst, close_code(status), text);
	}
	return 0;		/* a stream just ends */
}
