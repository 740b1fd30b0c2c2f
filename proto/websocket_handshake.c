/*
 * The handshake. The key proves nothing about the client; that the answer follows from it shows the client that no HTTP cache or server that
 * never heard of WebSockets has answered.
 */
#include "proto/websocket_handshake.h"

#include <string.h>

#include <nettle/base64.h>
#include <nettle/sha1.h>

#include "proto/sink.h"

#define OURS "janus"		/* the subprotocol */
#define BEARER "bearer."	/* and a token: no subprotocol, but what a page shows */
#define PROTOCOL_MAX 255
#define KEY 24		/* bytes of a key: base64 of so many */
#define KEY_BYTES 16
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

/* 22 letters of base64 and "==". Four bits of the last letter mean nothing, and may be anything. */
static bool is_key(struct http_text key)
{
	uint8_t bytes[BASE64_DECODE_LENGTH(KEY - 2)];
	struct base64_decode_ctx base64;
	size_t len;

	if (key.p == NULL || key.len != KEY || memcmp(key.p + KEY - 2, "==", 2) != 0)
		return false;
	base64_decode_init(&base64);
	return base64_decode_update(&base64, &len, bytes, KEY - 2, key.p) && len == KEY_BYTES;
}

unsigned websocket_check(const struct http_request *req, const char **error)
{
	if (req->method != HTTP_GET) {
		*error = "a WebSocket is asked for with GET";
		return 405;
	}
	if (req->minor == 0) {
		*error = "a WebSocket needs HTTP/1.1";
		return 400;
	}
	if (!http_is(req->field[HTTP_WEBSOCKET_VERSION], "13")) {
		*error = "Sec-WebSocket-Version: 13 is the version spoken here";
		return 426;
	}
	if (!is_key(req->field[HTTP_WEBSOCKET_KEY])) {
		*error = "Sec-WebSocket-Key is not 16 bytes in base64";
		return 400;
	}
	return 0;
}

/* A token (RFC 9110, 5.6.2), of a length that a name has. */
static bool is_protocol(struct http_text name)
{
	if (name.len == 0 || name.len > PROTOCOL_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (name.p[i] <= ' ' || name.p[i] > '~' || strchr("\"(),/:;<=>?@[\\]{}", name.p[i]) != NULL)
			return false;
	return true;
}

static struct http_text trim(struct http_text text)
{
	while (text.len > 0 && (*text.p == ' ' || *text.p == '\t')) {
		text.p++;
		text.len--;
	}
	while (text.len > 0 && (text.p[text.len - 1] == ' ' || text.p[text.len - 1] == '\t'))
		text.len--;
	return text;
}

static bool is_bearer(struct http_text name)
{
	return name.len >= sizeof(BEARER) - 1 && memcmp(name.p, BEARER, sizeof(BEARER) - 1) == 0;
}

struct http_text websocket_bearer(const struct http_request *req)
{
	struct http_text left = req->field[HTTP_WEBSOCKET_PROTOCOL], item;

	while (left.p != NULL && http_list_next(&left, ',', &item)) {
		item = trim(item);
		if (is_bearer(item))
			return (struct http_text){ item.p + sizeof(BEARER) - 1, item.len - (sizeof(BEARER) - 1) };
	}
	return (struct http_text){ 0 };
}

struct http_text websocket_protocol(const struct http_request *req)
{
	struct http_text left = req->field[HTTP_WEBSOCKET_PROTOCOL], item, first = { 0 };

	while (left.p != NULL && http_list_next(&left, ',', &item)) {
		item = trim(item);
		if (item.len == sizeof(OURS) - 1 && memcmp(item.p, OURS, item.len) == 0)	/* case counts */
			return item;
		if (first.p == NULL && is_protocol(item) && !is_bearer(item))
			first = item;
	}
	return first;
}

void websocket_accept(struct http_text key, char dst[WEBSOCKET_ACCEPT])
{
	struct sink s = { .dst = dst, .room = WEBSOCKET_ACCEPT };
	uint8_t hash[SHA1_DIGEST_SIZE];
	struct sha1_ctx sha1;

	sha1_init(&sha1);
	sha1_update(&sha1, KEY, (const uint8_t *)key.p);
	sha1_update(&sha1, sizeof(GUID) - 1, (const uint8_t *)GUID);
	sha1_digest(&sha1, sizeof(hash), hash);
	sink_base64(&s, hash, sizeof(hash));
}

size_t websocket_answer(char *dst, size_t room, const struct http_request *req, struct http_text protocol)
{
	struct sink s = { .dst = dst, .room = room };
	char accept[WEBSOCKET_ACCEPT];

	websocket_accept(req->field[HTTP_WEBSOCKET_KEY], accept);
	sink_literal(&s, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ");
	sink_bytes(&s, accept, sizeof(accept));
	sink_literal(&s, "\r\n");
	if (protocol.p != NULL) {
		sink_literal(&s, "Sec-WebSocket-Protocol: ");
		sink_bytes(&s, protocol.p, protocol.len);
		sink_literal(&s, "\r\n");
	}
	sink_literal(&s, "\r\n");
	return sink_end(&s);
}
