#include "tests/bench/wire.h"

#include <string.h>

#define HELLO "<regular-socket/>\0"
#define STAMP "\"timestamp\":["
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

static char prefix[WIRE_PREFIX_MAX] = "bench";
static size_t prefix_len = 5;
static uint32_t topics = 1;

/* The members before the payload, which the server must hand on as they are. */
#define BEHIND_TOPIC "\",\"event\":\"" WIRE_EVENT "\",\"message_id\":\"\",\"data\":\""
#define BEHIND_TOPIC_BARE "\",\"event\":\"" WIRE_EVENT "\",\"data\":\""
static bool message_id = true;

/* What stands behind a topic's name, and what in its place in a subscription. */
#define PART ".any"
#define ANY_PART ".*"
static bool patterns;

void wire_init(const char *name, uint32_t each, bool has_message_id)
{
	prefix_len = strnlen(name, WIRE_PREFIX_MAX - 1);
	memcpy(prefix, name, prefix_len);
	topics = each;
	message_id = has_message_id;
}

void wire_use_patterns(bool use)
{
	patterns = use;
}

bool wire_message_id(void)
{
	return message_id;
}

uint32_t wire_topics(void)
{
	return topics;
}

uint32_t wire_topic_number(uint32_t stream, uint32_t i)
{
	return stream * topics + i;
}

/* Scattered, so that neighbours in time are not neighbours in number. */
uint32_t wire_topic_of(const struct payload *p)
{
	uint32_t h = (p->seq + 1) * 0x9e3779b1u ^ (p->topic + 1) * 0x85ebca77u ^ (p->publisher + 1) * 0xc2b2ae3du;

	return topics == 1 ? p->topic : p->topic * topics + (h >> 8) % topics;
}

static char *put_name(char *p, uint32_t number)
{
	p = put(p, prefix, prefix_len);
	*p++ = '-';
	return put_number(p, number);
}

static char *put_topic(char *p, uint32_t number)
{
	p = put_name(p, number);
	return patterns ? PUT(p, PART) : p;
}

size_t wire_topic(char dst[WIRE_TOPIC_MAX], uint32_t number)
{
	char *end = put_topic(dst, number);

	*end = 0;
	return (size_t)(end - dst);
}

size_t wire_subscription(char dst[WIRE_TOPIC_MAX], uint32_t number)
{
	char *end = put_name(dst, number);

	if (patterns)
		end = PUT(end, ANY_PART);
	*end = 0;
	return (size_t)(end - dst);
}

static char *put_members(char *p, uint32_t number)
{
	p = put_topic(PUT(p, "\"topic\":\""), number);
	return message_id ? PUT(p, BEHIND_TOPIC) : PUT(p, BEHIND_TOPIC_BARE);
}

static char *put_rest(char *p, const struct payload *payload, size_t size)
{
	p = put_members(p, wire_topic_of(payload));
	payload_write(p, size, payload);
	return PUT(p + size, "\"}");
}

size_t wire_object_size(const struct payload *p, size_t size)
{
	char members[WIRE_TOPIC_MAX + 64];

	return 1 + (size_t)(put_members(members, wire_topic_of(p)) - members) + size + 2;
}

size_t wire_object(char *dst, const struct payload *p, size_t size)
{
	return (size_t)(put_rest(PUT(dst, "{"), p, size) - dst);
}

/* The length of what may be a payload, up to the end of these bytes: that is where another character precedes it. */
static size_t payload_at_end(const char *at, size_t len)
{
	size_t n = 0;

	while (n < len && ((at[len - n - 1] >= 'a' && at[len - n - 1] <= 'p') || (at[len - n - 1] >= '0' && at[len - n - 1] <= '9')))
		n++;
	return n;
}

/* The members and the closing bracket. */
static int read_rest(const char *at, size_t len, size_t size, struct payload *p)
{
	char members[WIRE_TOPIC_MAX + 64];
	size_t before;

	if (!size && len > 2)
		size = payload_at_end(at, len - 2);
	before = len - size - 2;
	if (len < size + 2 + sizeof(BEHIND_TOPIC_BARE) || before > sizeof(members) || memcmp(at + before + size, "\"}", 2) ||
	    payload_read(at + before, size, p))
		return -1;
	return put_members(members, wire_topic_of(p)) == members + before && !memcmp(at, members, before) ? 0 : -1;
}

int wire_object_read(const char *object, size_t len, size_t size, struct payload *p)
{
	return len && *object == '{' ? read_rest(object + 1, len - 1, size, p) : -1;
}

size_t wire_subscribe(char *dst, const char *topic)
{
	char *p = PUT(dst, HELLO "{\"action\":\"subscribe\",\"data\":\"");

	p = put(p, topic, strlen(topic));
	p = PUT(p, "\"}\0");
	return (size_t)(p - dst);
}

#define ACTION "{\"action\":\"publish\","

size_t wire_action_size(const struct payload *p, size_t size)
{
	return wire_object_size(p, size) + sizeof(ACTION) - sizeof("{");
}

size_t wire_action(char *dst, const struct payload *p, size_t size)
{
	return (size_t)(put_rest(PUT(dst, ACTION), p, size) - dst);
}

size_t wire_publish(char *dst, const struct payload *p, size_t size)
{
	size_t n = wire_action(dst, p, size);

	dst[n] = 0;
	return n + 1;
}

size_t wire_classic(char *dst, const struct payload *p, size_t size)
{
	return (size_t)(put_rest(PUT(dst, HELLO "PUBLISH\0{"), p, size) - dst);
}

bool wire_is_ping(const char *frame, size_t len)
{
	return len == 5 && !memcmp(frame, "PING\1", 5);
}

bool wire_is_ack(const char *frame, size_t len)
{
	return len == 4 && !memcmp(frame, "ACK\1", 4);
}

int wire_number(const char **p, const char *end, uint64_t max, uint64_t *v)
{
	const char *s = *p;

	for (*v = 0; s < end && *s >= '0' && *s <= '9'; s++) {
		if (*v > max / 10)
			return -1;
		*v = *v * 10 + (uint64_t)(*s - '0');
	}
	if (s == *p || *v > max || (s - *p > 1 && **p == '0'))
		return -1;
	*p = s;
	return 0;
}

int wire_id(const char **p, const char *end, struct stamp *stamp)
{
	const char *s = *p;

	for (stamp->epoch = 0; s < end && ((*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z')); s++) {
		if (stamp->epoch > WIRE_ID_MAX / 36)
			return -1;
		stamp->epoch = stamp->epoch * 36 + (uint64_t)(*s <= '9' ? *s - '0' : *s - 'a' + 10);
	}
	if (!stamp->epoch || **p == '0' || s == end || *s++ != '-' || wire_number(&s, end, WIRE_ID_MAX, &stamp->id) || !stamp->id)
		return -1;
	*p = s;
	return 0;
}

bool wire_is_start(const char *object, size_t len)
{
	return STARTS(object, object + len, "{\"ok\":true,\"position\":\"");
}

bool wire_is_missed(const char *object, size_t len)
{
	return STARTS(object, object + len, "{\"missed\":{\"topic\":\"");
}

/* `"timestamp":[mega,s,us],` */
static int get_time(const char **p, const char *end, uint64_t *time)
{
	uint64_t part[3];

	if (!STARTS(*p, end, STAMP))
		return -1;
	*p += sizeof(STAMP) - 1;
	for (int i = 0; i < 3; i++) {
		if (wire_number(p, end, 999999, &part[i]) || *p == end || *(*p)++ != (i < 2 ? ',' : ']'))
			return -1;
	}
	if (*p == end || *(*p)++ != ',')
		return -1;
	*time = (part[0] * 1000000 + part[1]) * 1000000 + part[2];
	return *time ? 0 : -1;
}

bool wire_is_greeting(const char *frame, size_t len)
{
	const char *p = frame, *end = frame + len;
	uint64_t time, code;

	if (p == end || *p++ != '{' || get_time(&p, end, &time) || !STARTS(p, end, "\"token\":["))
		return false;
	p += sizeof("\"token\":[") - 1;
	for (int i = 0; i < 32; i++) {
		if (wire_number(&p, end, 255, &code) || p == end || *p++ != (i < 31 ? ',' : ']'))
			return false;
		if (!(code >= '0' && code <= '9') && !(code >= 'a' && code <= 'f'))
			return false;
	}
	return end - p == 2 && p[0] == '}' && p[1] == WIRE_END;
}

int wire_message(const char *frame, size_t len, size_t size, struct payload *p, struct stamp *stamp)
{
	const char *at = frame, *end = frame + len;

	if (at == end || *at++ != '{' || get_time(&at, end, &stamp->time) || at == end || end[-1] != WIRE_END)
		return -1;
	return read_rest(at, (size_t)(end - at) - 1, size, p);
}

int wire_web_message(const char *object, size_t len, size_t size, struct payload *p, struct stamp *stamp)
{
	const char *at = object, *end = object + len;

	if (!STARTS(at, end, "{\"id\":\""))
		return -1;
	at += sizeof("{\"id\":\"") - 1;
	if (wire_id(&at, end, stamp) || !STARTS(at, end, "\",\"timestamp\":"))
		return -1;
	at += sizeof("\",\"timestamp\":") - 1;
	if (wire_number(&at, end, WIRE_ID_MAX, &stamp->time) || !stamp->time || at == end || *at++ != ',')
		return -1;
	return read_rest(at, (size_t)(end - at), size, p);
}
