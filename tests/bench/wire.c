#include "tests/bench/wire.h"

#include <string.h>

#define HELLO "<regular-socket/>\0"
#define STAMP "{\"timestamp\":["
#define PUT(p, literal) put((p), (literal), sizeof(literal) - 1)
#define STARTS(p, end, literal) ((size_t)((end) - (p)) >= sizeof(literal) - 1 && !memcmp((p), (literal), sizeof(literal) - 1))

static char *put(char *p, const void *bytes, size_t len)
{
	memcpy(p, bytes, len);
	return p + len;
}

static char *put_number(char *p, uint32_t v)
{
	char digits[10];
	unsigned n = 0;

	do
		digits[n++] = (char)('0' + v % 10);
	while (v /= 10);
	while (n)
		*p++ = digits[--n];
	return p;
}

/* The members before the payload, which the server must hand on as they are. */
static char *put_members(char *p, uint32_t topic)
{
	p = PUT(p, "\"topic\":\"bench-");
	p = put_number(p, topic);
	return PUT(p, "\",\"event\":\"bench\",\"message_id\":\"\",\"data\":\"");
}

size_t wire_subscribe(char *dst, uint32_t topic)
{
	char *p = PUT(dst, HELLO "{\"action\":\"subscribe\",\"data\":\"bench-");

	p = put_number(p, topic);
	p = PUT(p, "\"}\0");
	return (size_t)(p - dst);
}

static char *put_message(char *p, const struct payload *payload, size_t size)
{
	p = put_members(p, payload->topic);
	payload_write(p, size, payload);
	return PUT(p + size, "\"}");
}

size_t wire_publish(char *dst, const struct payload *p, size_t size)
{
	char *at = put_message(PUT(dst, "{\"action\":\"publish\","), p, size);

	*at++ = 0;
	return (size_t)(at - dst);
}

size_t wire_classic(char *dst, const struct payload *p, size_t size)
{
	return (size_t)(put_message(PUT(dst, HELLO "PUBLISH\0{"), p, size) - dst);
}

bool wire_is_ping(const char *frame, size_t len)
{
	return len == 5 && !memcmp(frame, "PING\1", 5);
}

bool wire_is_ack(const char *frame, size_t len)
{
	return len == 4 && !memcmp(frame, "ACK\1", 4);
}

/* A number as Erlang and C write it: no sign, no leading zero. */
static int get_number(const char **p, const char *end, uint64_t max, uint64_t *v)
{
	const char *s = *p;

	for (*v = 0; s < end && *s >= '0' && *s <= '9'; s++) {
		*v = *v * 10 + (uint64_t)(*s - '0');
		if (*v > max)
			return -1;
	}
	if (s == *p || (s - *p > 1 && **p == '0'))
		return -1;
	*p = s;
	return 0;
}

/* `{"timestamp":[mega,s,us],` */
static int get_stamp(const char **p, const char *end, uint64_t *stamp)
{
	uint64_t part[3];

	if (!STARTS(*p, end, STAMP))
		return -1;
	*p += sizeof(STAMP) - 1;
	for (int i = 0; i < 3; i++) {
		if (get_number(p, end, 999999, &part[i]) || *p == end || *(*p)++ != (i < 2 ? ',' : ']'))
			return -1;
	}
	if (*p == end || *(*p)++ != ',')
		return -1;
	*stamp = (part[0] * 1000000 + part[1]) * 1000000 + part[2];
	return 0;
}

bool wire_is_greeting(const char *frame, size_t len)
{
	const char *p = frame, *end = frame + len;
	uint64_t stamp, code;

	if (get_stamp(&p, end, &stamp) || !STARTS(p, end, "\"token\":["))
		return false;
	p += sizeof("\"token\":[") - 1;
	for (int i = 0; i < 32; i++) {
		if (get_number(&p, end, 255, &code) || p == end || *p++ != (i < 31 ? ',' : ']'))
			return false;
		if (!(code >= '0' && code <= '9') && !(code >= 'a' && code <= 'f'))
			return false;
	}
	return end - p == 2 && p[0] == '}' && p[1] == WIRE_END;
}

int wire_message(const char *frame, size_t len, size_t size, struct payload *p, uint64_t *stamp)
{
	char members[WIRE_EXTRA];
	const char *at = frame, *end = frame + len;
	size_t want = (size_t)(put_members(members, p->topic) - members);

	if (get_stamp(&at, end, stamp) || (size_t)(end - at) != want + size + 3 || memcmp(at, members, want))
		return -1;
	at += want;
	if (memcmp(at + size, "\"}\1", 3))
		return -1;
	return payload_read(at, size, p);
}
