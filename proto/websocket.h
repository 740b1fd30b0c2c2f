/*
 * WebSocket frames (RFC 6455), the server's side. No I/O, no allocation; the input is never written to (payloads are unmasked into the
 * caller's scratch), so a connection's input can be parsed again after a crash.
 *
 * A message with all of its fragments is one unit: nothing of it is taken before it is whole. Control frames that stand between
 * fragments are reported as soon as they are whole, with taken 0; that they were is kept in the scan (`at` is behind them). When the
 * scan is lost in the middle of such a message, they are reported once more: at worst a ping is answered twice, which the standard
 * allows (a pong need not be asked for). A close there ends everything: it is reported with all that precedes it taken.
 */
#ifndef PROTO_WEBSOCKET_H
#define PROTO_WEBSOCKET_H

#include <stddef.h>
#include <stdint.h>

#define WEBSOCKET_MAX (1u << 30)	/* the largest `max` */
#define WEBSOCKET_EXTRA 8192		/* bytes of headers of fragments, and of control frames between them, that one message may have, */
#define WEBSOCKET_EXTRA_OF 8		/* and as many more as its payload has, divided by this: fragments of 64 bytes are no bother */
#define WEBSOCKET_HEADER_MAX 10		/* of a frame that the server sends */
#define WEBSOCKET_CONTROL_MAX 127	/* a whole control frame that the server sends */

enum websocket_opcode {
	WEBSOCKET_OP_CONTINUATION = 0, WEBSOCKET_OP_TEXT = 1, WEBSOCKET_OP_BINARY = 2,
	WEBSOCKET_OP_CLOSE = 8, WEBSOCKET_OP_PING = 9, WEBSOCKET_OP_PONG = 10,
};

/* Status codes of close frames that the server sends. */
enum websocket_code {
	WEBSOCKET_NORMAL = 1000,
	WEBSOCKET_GOING_AWAY = 1001,	/* the server stops */
	WEBSOCKET_PROTOCOL_ERROR = 1002,
	WEBSOCKET_NO_CODE = 1005,	/* never sent: the close frame had none */
	WEBSOCKET_NOT_UTF8 = 1007,
	WEBSOCKET_POLICY = 1008,
	WEBSOCKET_TOO_BIG = 1009,
	WEBSOCKET_SERVICE_RESTART = 1012,	/* connect again */
	WEBSOCKET_TRY_LATER = 1013,	/* the server has no room */
	WEBSOCKET_UNAUTHORIZED = 4401,	/* of those that are free for use: HTTP's 401, the token has run out */
};

enum websocket_kind {
	WEBSOCKET_MORE,		/* nothing whole yet */
	WEBSOCKET_TEXT,		/* a message, UTF-8 */
	WEBSOCKET_BINARY,	/* a message */
	WEBSOCKET_PING,		/* answer with a pong of the same text */
	WEBSOCKET_PONG,
	WEBSOCKET_CLOSE,	/* answer with a close of the same code (none: without), then close; text is the reason */
	WEBSOCKET_BAD,		/* send a close with `code`, then close */
};

/* How far the unit at the start of the buffer has been looked through. Zero it when the start of the buffer moves (taken > 0), and only
 * then: see above for what losing it costs. */
struct websocket_scan {
	uint32_t at;		/* frames before this are whole, and their control frames reported */
	uint32_t size;		/* of the payloads of the message's fragments before `at` */
	uint32_t opcode;	/* of the message, when a fragment of it is before `at`; else 0 */
};

struct websocket_event {
	enum websocket_kind kind;
	size_t taken;		/* bytes from the start of the buffer; 0 also for PING and PONG between fragments: then call again */
	const char *text;	/* in scratch; not terminated */
	size_t len;
	uint16_t code;		/* CLOSE: as received, WEBSOCKET_NO_CODE if there is none. BAD: to send */
	const char *error;	/* BAD; static */
};

/*
 * Looks for the first event in in[0..len). `max` is the most bytes a message may have; scratch has room for max bytes, and 125 at
 * least. A message that is too long is WEBSOCKET_BAD as soon as a header says so. A unit takes up at most max + max / WEBSOCKET_EXTRA_OF +
 * WEBSOCKET_EXTRA + 14 bytes. Results do not depend on the pieces an input arrives in.
 */
void websocket_next(const char *in, size_t len, size_t max, struct websocket_scan *scan, char *scratch, struct websocket_event *event);

/* The header of a frame with a whole message, or a control frame, of len bytes: 2 to WEBSOCKET_HEADER_MAX bytes. Returns its length. */
size_t websocket_header(char *dst, enum websocket_opcode opcode, size_t len);
size_t websocket_header_size(size_t len);

/* A ping or pong; text of more than 125 bytes is cut. Returns its length, <= WEBSOCKET_CONTROL_MAX. */
size_t websocket_control(char *dst, enum websocket_opcode opcode, const char *text, size_t len);

/* A close frame; code WEBSOCKET_NO_CODE: an empty one. The reason is cut, between characters, if it is too long. */
size_t websocket_close(char *dst, uint16_t code, const char *reason);

#endif
