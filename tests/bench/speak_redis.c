/*
 * Redis' publish and subscribe, over RESP 2. A publisher is answered with how many received its message.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/speak.h"
#include "tests/bench/wire.h"

static size_t subscribe(char *dst, const char *topic, uint32_t number)
{
	(void)number;
	return (size_t)sprintf(dst, "*2\r\n$9\r\nSUBSCRIBE\r\n$%zu\r\n%s\r\n", strlen(topic), topic);
}

static size_t publish(char *dst, const struct payload *p, size_t size)
{
	char topic[WIRE_TOPIC_MAX];
	size_t n = wire_topic(topic, wire_topic_of(p));

	n = (size_t)sprintf(dst, "*3\r\n$7\r\nPUBLISH\r\n$%zu\r\n%s\r\n$%zu\r\n", n, topic, wire_object_size(p, size));
	n += wire_object(dst + n, p, size);
	memcpy(dst + n, "\r\n", 2);
	return n + 2;
}

/* The line at `bytes` with its end, 0 if it is not all there; *value is the number behind its first byte. */
static size_t line(const char *bytes, size_t n, long *value)
{
	const char *end = n ? memchr(bytes, '\n', n) : NULL;

	if (!end)
		return 0;
	*value = strtol(bytes + 1, NULL, 10);
	return (size_t)(end - bytes) + 1;
}

/* An array of simple values, or one of them. */
static size_t cut(const char *bytes, size_t n)
{
	long left = 1, value;
	size_t at = 0, len;

	while (left-- > 0) {
		len = line(bytes + at, n - at, &value);
		if (!len)
			return 0;
		if (bytes[at] == '*')
			left += value;
		if (bytes[at] == '$' && value >= 0)
			len += (size_t)value + 2;
		at += len;
		if (at > n)
			return 0;
	}
	return at;
}

#define STARTS(frame, len, literal) ((len) >= sizeof(literal) - 1 && !memcmp((frame), (literal), sizeof(literal) - 1))

static enum speak_frame kind(const char *frame, size_t len)
{
	if (STARTS(frame, len, "*3\r\n$7\r\nmessage\r\n"))
		return SPEAK_MESSAGE;
	if (STARTS(frame, len, "*3\r\n$9\r\nsubscribe\r\n"))
		return SPEAK_ACK;
	return *frame == ':' || *frame == '+' ? SPEAK_OTHER : SPEAK_BAD;
}

static int message(const char *frame, size_t len, size_t size, struct payload *p, struct stamp *stamp)
{
	size_t head = sizeof("*3\r\n$7\r\nmessage\r\n") - 1, n;
	char topic[WIRE_TOPIC_MAX + 32];
	const char *at = frame + head;
	long topic_len = 0, object_len = 0;

	(void)stamp;
	at += line(at, len - (size_t)(at - frame), &topic_len) + (size_t)topic_len + 2;
	n = line(at, len - (size_t)(at - frame), &object_len);
	if (at + n + object_len + 2 != frame + len || wire_object_read(at + n, (size_t)object_len, size, p))
		return -1;
	n = wire_topic(topic, wire_topic_of(p));
	return (size_t)topic_len == n && !memcmp(at - 2 - n, topic, n) ? 0 : -1;
}

const struct speak speak_redis = {
	.name = "redis", .scheme = "redis", .answers = true,
	.subscribe = subscribe, .publish = publish,
	.cut = cut, .kind = kind, .message = message,
};
