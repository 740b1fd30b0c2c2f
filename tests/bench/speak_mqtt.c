/*
 * MQTT 3.1.1, QoS 0, clean sessions without a name and without keep-alive.
 */
#include <string.h>

#include "tests/bench/speak.h"
#include "tests/bench/wire.h"

enum { CONNACK = 0x20, PUBLISH = 0x30, SUBSCRIBE = 0x82, SUBACK = 0x90, PINGRESP = 0xd0 };

static size_t connect_packet(char *dst)
{
	static const char packet[] = { 0x10, 12, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 0 };

	memcpy(dst, packet, sizeof(packet));
	return sizeof(packet);
}

static size_t connect_publisher(char *dst, const char *topic)
{
	(void)topic;
	return connect_packet(dst);
}

static size_t put_length(char *dst, size_t v)
{
	size_t n = 0;

	do {
		dst[n++] = (char)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
	} while (v >>= 7);
	return n;
}

static size_t put_topic(char *dst, const char *topic)
{
	size_t n = strlen(topic);

	dst[0] = (char)(n >> 8);
	dst[1] = (char)n;
	memcpy(dst + 2, topic, n);
	return n + 2;
}

static size_t subscribe(char *dst, const char *topic, uint32_t number)
{
	size_t n = 1 + put_length(dst + 1, 2 + 2 + strlen(topic) + 1);

	dst[0] = (char)SUBSCRIBE;
	dst[n++] = (char)((number + 1) >> 8);
	dst[n++] = (char)(number + 1);
	n += put_topic(dst + n, topic);
	dst[n++] = 0;
	return n;
}

static size_t publish(char *dst, const struct payload *p, size_t size)
{
	char topic[WIRE_TOPIC_MAX];
	size_t n = wire_topic(topic, wire_topic_of(p));

	dst[0] = PUBLISH;
	n = 1 + put_length(dst + 1, 2 + n + wire_object_size(p, size));
	n += put_topic(dst + n, topic);
	return n + wire_object(dst + n, p, size);
}

/* The length of the packet's head; *rest is what follows. 0 if it is not all there. */
static size_t head(const char *bytes, size_t n, size_t *rest)
{
	*rest = 0;
	for (size_t i = 1; i < n && i <= 4; i++) {
		*rest |= (size_t)(bytes[i] & 0x7f) << 7 * (i - 1);
		if (!(bytes[i] & 0x80))
			return i + 1;
	}
	return 0;
}

static size_t cut(const char *bytes, size_t n)
{
	size_t rest, len = head(bytes, n, &rest);

	return len && len + rest <= n ? len + rest : 0;
}

static enum speak_frame kind(const char *frame, size_t len)
{
	switch ((unsigned char)*frame & 0xf0) {
	case PUBLISH:
		return SPEAK_MESSAGE;
	case CONNACK:
		return len == 4 && frame[3] == 0 ? SPEAK_GREETING : SPEAK_BAD;
	case SUBACK:
		return len == 5 && frame[4] == 0 ? SPEAK_ACK : SPEAK_BAD;
	case PINGRESP:
		return SPEAK_OTHER;
	default:
		return SPEAK_BAD;
	}
}

static int message(const char *frame, size_t len, size_t size, struct payload *p, struct stamp *stamp)
{
	char topic[WIRE_TOPIC_MAX], expected[WIRE_TOPIC_MAX + 2];
	size_t rest, at = head(frame, len, &rest), n;

	(void)stamp;
	if (rest < 2)
		return -1;
	n = (size_t)(unsigned char)frame[at] << 8 | (unsigned char)frame[at + 1];
	if (rest < 2 + n || wire_object_read(frame + at + 2 + n, rest - 2 - n, size, p))
		return -1;
	wire_topic(topic, wire_topic_of(p));
	return put_topic(expected, topic) == n + 2 && !memcmp(frame + at, expected, n + 2) ? 0 : -1;
}

const struct speak speak_mqtt = {
	.name = "mqtt", .scheme = "mqtt", .greets = true, .greets_publisher = true,
	.open = connect_packet, .open_publisher = connect_publisher, .subscribe = subscribe, .publish = publish,
	.cut = cut, .kind = kind, .message = message,
};
