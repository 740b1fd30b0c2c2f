/*
 * The flash protocol, which Janus and the floor speak.
 */
#include "tests/bench/speak.h"

#include <string.h>

#include "tests/bench/wire.h"

static size_t subscribe(char *dst, const char *topic, uint32_t number)
{
	(void)number;
	return wire_subscribe(dst, topic);
}

static size_t pong(char *dst)
{
	memcpy(dst, "PONG", 5);
	return 5;
}

static size_t cut(const char *bytes, size_t n)
{
	const char *end = memchr(bytes, WIRE_END, n);

	return end ? (size_t)(end - bytes) + 1 : 0;
}

static enum speak_frame kind(const char *frame, size_t len)
{
	if (wire_is_ping(frame, len))
		return SPEAK_PING;
	if (wire_is_ack(frame, len))
		return SPEAK_ACK;
	return wire_is_greeting(frame, len) ? SPEAK_GREETING : SPEAK_MESSAGE;
}

const struct speak speak_flash = {
	.name = "flash", .scheme = "flash", .greets = true, .greets_publisher = true,
	.subscribe = subscribe, .publish = wire_publish, .pong = pong,
	.cut = cut, .kind = kind, .message = wire_message,
};
