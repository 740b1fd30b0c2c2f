#include "tests/bench/wsframe.h"

#include <string.h>

#include "tests/bench/httpc.h"
#include "tests/bench/wire.h"

enum { TEXT = 0x81, BINARY = 0x82, CLOSE = 0x88, PING = 0x89, PONG = 0x8a };	/* whole, not compressed */
#define MASKED 0x80
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r"	/* what follows from the key in WSFRAME_UPGRADE */

bool wsframe_upgraded(const char *answer, size_t len)
{
	return httpc_status(answer, len) == 101 && httpc_has(answer, len, "Upgrade", "websocket\r") &&
	       httpc_has(answer, len, "Sec-WebSocket-Accept", ACCEPT);
}

size_t wsframe_text(char *dst, size_t len)
{
	size_t n = 0, bytes = len < 126 ? 0 : len < 65536 ? 2 : 8;

	dst[n++] = (char)TEXT;
	dst[n++] = (char)(MASKED | (bytes == 0 ? len : bytes == 2 ? 126 : 127));
	while (bytes--)
		dst[n++] = (char)(len >> 8 * bytes);
	memset(dst + n, 0, 4);
	return n + 4;
}

size_t wsframe_pong(char *dst)
{
	static const char frame[] = { (char)PONG, (char)MASKED, 0, 0, 0, 0 };

	memcpy(dst, frame, sizeof(frame));
	return sizeof(frame);
}

/* The length of a frame's head, and what it says of the rest; 0 if it is not all there. *fit: it may be a server's. */
static size_t head(const char *bytes, size_t n, size_t *rest, bool *fit)
{
	size_t more;

	*fit = true;
	if (n < 2)
		return 0;
	*rest = bytes[1] & 0x7f;
	more = *rest == 126 ? 2 : *rest == 127 ? 8 : 0;
	*fit = !(bytes[1] & MASKED);
	if (n < 2 + more)
		return 0;
	if (more)
		*rest = 0;
	for (size_t i = 0; i < more; i++)
		*rest = *rest << 8 | (unsigned char)bytes[2 + i];
	if ((more && *rest < 126) || (more == 8 && *rest < 65536) || *rest > UINT32_MAX)
		*fit = false;
	return 2 + more;
}

size_t wsframe_cut(const char *bytes, size_t n)
{
	size_t len, rest;
	bool fit;

	if (*bytes == 'H')
		return httpc_cut(bytes, n);
	len = head(bytes, n, &rest, &fit);
	if (!fit)
		return n;
	return len && len + rest <= n ? len + rest : 0;
}

/* What the server says first at /ws. */
static bool is_greeting(const char *frame, size_t len)
{
	static const char begin[] = "{\"janus\":";
	size_t n;
	const char *content = wsframe_content(frame, len, &n);

	return content && n > sizeof(begin) && !memcmp(content, begin, sizeof(begin) - 1);
}

/* What it says first of a stream. */
static bool is_start(const char *frame, size_t len)
{
	size_t n;
	const char *content = wsframe_content(frame, len, &n);

	return content && (wire_is_start(content, n) || wire_is_missed(content, n));
}

enum speak_frame wsframe_kind(const char *frame, size_t len)
{
	switch ((unsigned char)*frame) {
	case 'H':
		return wsframe_upgraded(frame, len) ? SPEAK_ACK : SPEAK_BAD;
	case TEXT:
	case BINARY:
		return is_greeting(frame, len) ? SPEAK_GREETING : is_start(frame, len) ? SPEAK_OTHER : SPEAK_MESSAGE;
	case PING:
		return SPEAK_PING;
	case CLOSE:	/* the end will follow */
	case PONG:
		return SPEAK_OTHER;
	default:
		return SPEAK_BAD;
	}
}

int wsframe_told(const char *frame, size_t len, struct told *told)
{
	size_t n;
	const char *content = wsframe_content(frame, len, &n);

	return *frame == 'H' ? told_head(frame, len, told) : content ? told_object(content, n, told) : 0;
}

const char *wsframe_content(const char *frame, size_t len, size_t *content_len)
{
	unsigned char first = (unsigned char)*frame;
	bool fit;
	size_t at = head(frame, len, content_len, &fit);

	return fit && at && at + *content_len == len && (first == TEXT || first == BINARY) ? frame + at : NULL;
}
