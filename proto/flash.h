/*
 * The flash-socket protocol of the Erlang server Janus (2009). See PROTOCOL.md.
 *
 * Client to server: frames that end in NUL: `<regular-socket/>` (means nothing), PING, PONG, a JSON action, and
 * `PUBLISH` NUL followed by a JSON object, which may end in NUL or just end. Server to client: frames that end in 0x01.
 */
#ifndef PROTO_FLASH_H
#define PROTO_FLASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLASH_ACK "ACK\1"
#define FLASH_PING "PING\1"
#define FLASH_TOKEN_BYTES 16		/* sent as the ASCII codes of 32 lowercase hex digits */
#define FLASH_GREETING_MAX 256		/* bytes */
#define FLASH_ERROR_MAX 512
#define FLASH_MESSAGE_EXTRA 64		/* a message's frame is at most this much longer than the message */

#define FLASH_FRAME_MAX (1u << 30)	/* the largest `max` */
#define FLASH_FRAME_EXTRA 256		/* a frame takes up at most `max` and this many bytes of the input */

enum flash_kind {
	FLASH_MORE,		/* no whole frame yet */
	FLASH_NOTHING,		/* <regular-socket/>, PING, PONG, or an empty or blank frame: taken, no answer */
	FLASH_ACTION,		/* text is a JSON action */
	FLASH_PUBLISH,		/* text is the JSON object after PUBLISH */
	FLASH_BAD,		/* error says why; the connection is to be closed */
};

/* How far the frame at the start of the buffer has been looked through, so that input arriving in pieces is not looked at
 * twice. Zero it when the start of the buffer moves to another frame; losing it costs time only. While the frame stays where it is,
 * flash_next() may be called again after it has returned it, and returns it again. */
struct flash_scan {
	uint32_t looked;	/* bytes */
	uint32_t object;	/* where the object after PUBLISH starts; 0 not known yet */
	uint32_t depth;		/* of { and [ in it */
	uint8_t in_string, escaped;
	uint8_t started;	/* an action's { has been seen */
	uint32_t lines;		/* flash_is_lines(): bytes that it has looked at; UINT32_MAX: it has said so */
};

struct flash_frame {
	enum flash_kind kind;
	const char *text;	/* in the caller's buffer */
	size_t len;
	size_t taken;		/* bytes from the start of the buffer that this frame takes up, with what ends it */
	const char *error;	/* static */
};

/*
 * Looks for the first frame in in[0..len). `max` is the most bytes a frame's text may have: longer is FLASH_BAD as soon as it is seen.
 * `PUBLISH` NUL and its object (with the NUL behind it if it is there already, and any <regular-socket/> NUL or white space between) are one
 * frame: nothing is taken before the object is whole. A whole object is taken without waiting for a NUL; the one that comes
 * later is an empty frame, FLASH_NOTHING. Whether the object is JSON is not looked at: where it ends is found by counting
 * brackets outside strings; something else than { after PUBLISH, or a NUL inside the object, is FLASH_BAD. A frame that can't become
 * any of these is FLASH_BAD before its end has arrived. What an input is cut into does not depend on the pieces it arrives in,
 * except for that one NUL.
 */
void flash_next(const char *in, size_t len, size_t max, struct flash_scan *scan, struct flash_frame *frame);

/*
 * Whether what flash_next() has found no whole frame in is that of a client which ends frames in line feeds: an object that is whole, a line feed
 * behind it, and one at the end. True once for each frame, so that it is told once. Looks only at input that has grown.
 */
bool flash_is_lines(const char *in, size_t len, struct flash_scan *scan);

/* What such a client is told. */
#define FLASH_LINES "nothing is done before the frame ends, in a NUL (byte 0): a line feed does not end it (printf '...\\0')"

/* Each writes a frame to dst and returns its length. `time` is microseconds since 1970. */
size_t flash_greeting(char *dst, uint64_t time, const uint8_t token[FLASH_TOKEN_BYTES]);	/* <= FLASH_GREETING_MAX */
size_t flash_error(char *dst, uint64_t time, const char *text);		/* <= FLASH_ERROR_MAX; text is escaped, and cut if it is too long */
/* The same, with a `code`: the HTTP status that says the same, 0 none. */
size_t flash_error_code(char *dst, uint64_t time, unsigned code, const char *text);
/* That the client's token runs out in so many seconds: FLASH_ERROR_MAX. */
size_t flash_expires(char *dst, uint64_t time, uint64_t seconds);
size_t flash_message(char *dst, uint64_t time, const char *message, size_t len);	/* <= len + FLASH_MESSAGE_EXTRA; see message.h */

/* The length flash_message() would return, without writing. */
size_t flash_message_size(uint64_t time, size_t len);

#endif
