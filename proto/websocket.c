/*
 * WebSocket frames.
 *
 *    0       1       2               6
 *   +-------+-------+-------/ /-----+---------------+------/ /------+
 *   |F000opc|M length length 0, 2, 8| masking key 4 | payload       |      F final, opc opcode, M masked (must be)
 *   +-------+-------+-------/ /-----+---------------+------/ /------+
 *
 * length: 0 to 125 as it is; 126, then 2 bytes; 127, then 8 bytes, the first bit 0; always the shortest of them.
 */
#include "proto/websocket.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "proto/utf8.h"

#define CONTROL_MAX 125		/* bytes of a control frame's payload */

struct frame {
	bool final;
	unsigned opcode;
	size_t header;		/* bytes, with the key */
	uint64_t len;		/* of the payload */
	const uint8_t *key;
};

static void bad(struct websocket_event *event, enum websocket_code code, const char *error)
{
	*event = (struct websocket_event){ .kind = WEBSOCKET_BAD, .code = (uint16_t)code, .error = error };
}

static bool is_control(const struct frame *f)
{
	return f->opcode & 8;
}

/* What the first two bytes say is against the rules, or NULL. */
static const char *check_start(uint8_t first, uint8_t second)
{
	unsigned opcode = first & 15;

	if (first & 0x70)
		return "a reserved bit is set: no extension was agreed on";
	if ((opcode > WEBSOCKET_OP_BINARY && opcode < WEBSOCKET_OP_CLOSE) || opcode > WEBSOCKET_OP_PONG)
		return "a reserved opcode";
	if (!(second & 0x80))
		return "a client's frames must be masked";
	if ((opcode & 8) && !(first & 0x80))
		return "a control frame is fragmented";
	if ((opcode & 8) && (second & 0x7f) > CONTROL_MAX)
		return "a control frame is longer than 125 bytes";
	return NULL;
}

/* Reads the header at p. False: event is BAD; or, left as it is, there is not all of it. */
static bool read_header(const uint8_t *p, size_t left, struct frame *f, struct websocket_event *event)
{
	const char *error = left >= 2 ? check_start(p[0], p[1]) : NULL;
	unsigned extra;

	if (error != NULL)
		bad(event, WEBSOCKET_PROTOCOL_ERROR, error);
	if (left < 2 || error != NULL)
		return false;
	f->final = p[0] >> 7;
	f->opcode = p[0] & 15;
	f->len = p[1] & 0x7f;
	extra = f->len < 126 ? 0 : f->len == 126 ? 2 : 8;
	f->header = 2 + extra + 4;
	if (left < 2 + extra)
		return false;
	if (extra > 0) {
		f->len = 0;
		for (unsigned i = 0; i < extra; i++)
			f->len = f->len << 8 | p[2 + i];
		if (f->len < (extra == 2 ? 126 : 65536) || f->len >> 63) {
			bad(event, WEBSOCKET_PROTOCOL_ERROR, "a frame's length is not in its shortest form");
			return false;
		}
	}
	f->key = p + 2 + extra;
	return true;
}

static void unmask(char *dst, const struct frame *f)
{
	const uint8_t *src = f->key + 4;
	uint64_t word, mask;
	size_t i = 0, len = (size_t)f->len;

	memcpy(&mask, f->key, 4);
	memcpy((char *)&mask + 4, f->key, 4);
	for (; i + 8 <= len; i += 8) {
		memcpy(&word, src + i, 8);
		word ^= mask;
		memcpy(dst + i, &word, 8);
	}
	for (; i < len; i++)
		dst[i] = (char)(src[i] ^ f->key[i & 3]);
}

/* Codes that may be sent (RFC 6455, 7.4, and the IANA registry): those not defined for it are refused. */
static bool is_code(unsigned code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static void read_close(struct websocket_event *event)
{
	const uint8_t *p = (const uint8_t *)event->text;

	event->kind = WEBSOCKET_CLOSE;
	event->code = WEBSOCKET_NO_CODE;
	if (event->len == 0)
		return;
	if (event->len == 1) {
		bad(event, WEBSOCKET_PROTOCOL_ERROR, "a close frame with half a code");
		return;
	}
	event->code = (uint16_t)(p[0] << 8 | p[1]);
	event->text += 2;
	event->len -= 2;
	if (!is_code(event->code))
		bad(event, WEBSOCKET_PROTOCOL_ERROR, "a close frame with a code that may not be sent");
	else if (!utf8_text(event->text, event->len))
		bad(event, WEBSOCKET_NOT_UTF8, "a close frame's reason is not UTF-8");
}

/* A whole control frame at scan->at. */
static void control(const struct frame *f, struct websocket_scan *scan, char *scratch, struct websocket_event *event)
{
	size_t end = scan->at + f->header + (size_t)f->len;

	unmask(scratch, f);
	event->text = scratch;
	event->len = (size_t)f->len;
	if (f->opcode == WEBSOCKET_OP_CLOSE) {
		event->taken = end;
		read_close(event);
		return;
	}
	event->kind = f->opcode == WEBSOCKET_OP_PING ? WEBSOCKET_PING : WEBSOCKET_PONG;
	if (scan->opcode == 0)
		event->taken = end;
	else
		scan->at = (uint32_t)end;
}

/* Whether a data frame may stand at scan->at, by its header. */
static bool check_data(const struct frame *f, size_t max, const struct websocket_scan *scan, struct websocket_event *event)
{
	if (scan->opcode == 0 && f->opcode == WEBSOCKET_OP_CONTINUATION)
		bad(event, WEBSOCKET_PROTOCOL_ERROR, "a continuation of nothing");
	else if (scan->opcode != 0 && f->opcode != WEBSOCKET_OP_CONTINUATION)
		bad(event, WEBSOCKET_PROTOCOL_ERROR, "a new message before the last one is whole");
	else if (f->len > max - scan->size)
		bad(event, WEBSOCKET_TOO_BIG, "the message is too long");
	return event->kind != WEBSOCKET_BAD;
}

/* A message whose last frame, at scan->at, is whole. */
static void message(const uint8_t *in, const struct frame *last, const struct websocket_scan *scan, char *scratch,
		    struct websocket_event *event)
{
	unsigned opcode = scan->opcode ? scan->opcode : last->opcode;
	size_t end = scan->at + last->header + (size_t)last->len, size = 0;
	struct frame f;

	for (size_t at = 0; at < end; at += f.header + (size_t)f.len) {
		if (!read_header(in + at, end - at, &f, event))
			break;
		if (is_control(&f))
			continue;
		unmask(scratch + size, &f);
		size += (size_t)f.len;
	}
	if (opcode == WEBSOCKET_OP_TEXT && !utf8_text(scratch, size)) {
		bad(event, WEBSOCKET_NOT_UTF8, "a text message is not UTF-8");
		return;
	}
	*event = (struct websocket_event){
		.kind = opcode == WEBSOCKET_OP_TEXT ? WEBSOCKET_TEXT : WEBSOCKET_BINARY, .taken = end, .text = scratch, .len = size,
	};
}

void websocket_next(const char *in, size_t len, size_t max, struct websocket_scan *scan, char *scratch, struct websocket_event *event)
{
	const uint8_t *p = (const uint8_t *)in;
	struct frame f;

	assert(max <= WEBSOCKET_MAX);
	*event = (struct websocket_event){ .kind = WEBSOCKET_MORE };
	while (read_header(p + scan->at, len - scan->at, &f, event)) {
		size_t end = scan->at + f.header;

		if (!is_control(&f) && !check_data(&f, max, scan, event))
			return;
		if (end + (is_control(&f) ? (size_t)f.len : 0) - scan->size > WEBSOCKET_EXTRA + scan->size / WEBSOCKET_EXTRA_OF) {
			bad(event, WEBSOCKET_POLICY, "the message has too many fragments");
			return;
		}
		if (len < end || len - end < f.len)
			return;
		if (is_control(&f)) {
			control(&f, scan, scratch, event);
			return;
		}
		if (f.final) {
			message(p, &f, scan, scratch, event);
			return;
		}
		if (scan->opcode == 0)
			scan->opcode = f.opcode;
		scan->at = (uint32_t)(end + f.len);
		scan->size += (uint32_t)f.len;
	}
}

size_t websocket_header_size(size_t len)
{
	return len < 126 ? 2 : len < 65536 ? 4 : 10;
}

size_t websocket_header(char *dst, enum websocket_opcode opcode, size_t len)
{
	size_t size = websocket_header_size(len);

	dst[0] = (char)(0x80 | opcode);
	dst[1] = (char)(size == 2 ? len : size == 4 ? 126 : 127);
	for (size_t i = size; i > 2; i--) {
		dst[i - 1] = (char)(len & 255);
		len >>= 8;
	}
	return size;
}

size_t websocket_control(char *dst, enum websocket_opcode opcode, const char *text, size_t len)
{
	if (len > CONTROL_MAX)
		len = CONTROL_MAX;
	websocket_header(dst, opcode, len);
	if (len > 0)
		memcpy(dst + 2, text, len);
	return 2 + len;
}

size_t websocket_close(char *dst, uint16_t code, const char *reason)
{
	char text[CONTROL_MAX] = { (char)(code >> 8), (char)(code & 255) };
	size_t len = strlen(reason);

	if (code == WEBSOCKET_NO_CODE)
		return websocket_control(dst, WEBSOCKET_OP_CLOSE, NULL, 0);
	if (len > CONTROL_MAX - 2) {
		len = CONTROL_MAX - 2;
		while (len > 0 && ((uint8_t)reason[len] & 0xc0) == 0x80)
			len--;
	}
	memcpy(text + 2, reason, len);
	return websocket_control(dst, WEBSOCKET_OP_CLOSE, text, 2 + len);
}
