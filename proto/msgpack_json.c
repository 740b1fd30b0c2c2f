/*
 * Both ways go through the value once, from the front. msgpack-c's packer writes the heads; its unpacker is not used (msgpack_walk.h).
 */
#include "proto/msgpack_json.h"

#include <endian.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <msgpack.h>

#include "proto/json.h"
#include "proto/utf8.h"

#define NUMBER_MAX 500

static int append(void *data, const char *bytes, size_t len)
{
	sink_bytes(data, bytes, len);
	return 0;
}

static msgpack_packer packer_of(struct sink *s)
{
	msgpack_packer to;

	msgpack_packer_init(&to, s, append);
	return to;
}

void msgpack_put_str(struct sink *s, const char *text, size_t len)
{
	msgpack_packer to = packer_of(s);

	msgpack_pack_str(&to, len);
	sink_bytes(s, text, len);
}

void msgpack_put_text(struct sink *s, const char *text)
{
	msgpack_put_str(s, text, strlen(text));
}

/* ---- JSON to msgpack ---- */

static void put_string(struct sink *s, struct message_range string)
{
	struct sink count = { 0 };
	msgpack_packer to = packer_of(s);

	json_put_string(&count, string.p, string.len, sink_bytes);
	msgpack_pack_str(&to, count.len);
	json_put_string(s, string.p, string.len, sink_bytes);
}

static void put_number(struct sink *s, struct message_range number)
{
	msgpack_packer to = packer_of(s);
	char text[NUMBER_MAX + 1], *end;
	unsigned long long n;

	if (number.len > NUMBER_MAX) {
		msgpack_put_str(s, number.p, number.len);
		return;
	}
	memcpy(text, number.p, number.len);
	text[number.len] = '\0';
	errno = 0;
	n = strtoull(text + (*text == '-'), &end, 10);
	if (*end != '\0' || errno != 0 || (*text == '-' && (n == 0 || n > (unsigned long long)INT64_MAX + 1)))
		msgpack_pack_double(&to, strtod(text, NULL));
	else if (*text == '-')
		msgpack_pack_int64(&to, (int64_t)(0 - n));
	else
		msgpack_pack_uint64(&to, n);
}

static void put_scalar(struct sink *s, struct message_range scalar)
{
	msgpack_packer to = packer_of(s);

	switch (*scalar.p) {
	case '"': put_string(s, scalar); break;
	case 't': msgpack_pack_true(&to); break;
	case 'f': msgpack_pack_false(&to); break;
	case 'n': msgpack_pack_nil(&to); break;
	default: put_number(s, scalar);
	}
}

/* Arrays and objects that are open, and their heads, in which the count is left open until they end. */
struct nest {
	unsigned depth;
	struct {
		size_t head;
		uint32_t count;		/* of values, names too */
		bool map;
	} open[JSON_DEPTH_MAX];
};

static bool begin(struct nest *nest, struct sink *s, bool map)
{
	if (nest->depth == JSON_DEPTH_MAX)
		return false;
	nest->open[nest->depth].head = s->len;
	nest->open[nest->depth].count = 0;
	nest->open[nest->depth++].map = map;
	sink_bytes(s, map ? "\xdf\0\0\0\0" : "\xdd\0\0\0\0", 5);
	return true;
}

static bool end_nested(struct nest *nest, struct sink *s)
{
	uint32_t count;
	bool map;

	if (nest->depth == 0)
		return false;
	map = nest->open[--nest->depth].map;
	count = htobe32(nest->open[nest->depth].count >> map);
	if (s->len <= s->room)
		memcpy(s->dst + nest->open[nest->depth].head + 1, &count, sizeof(count));
	return !map || nest->open[nest->depth].count % 2 == 0;
}

bool msgpack_from_json(struct sink *s, struct message_range value)
{
	const char *p = value.p, *end = value.p + value.len, *after;
	struct nest nest;

	for (nest.depth = 0; (p = json_walk_space(p, end)) < end; ) {
		switch (*p) {
		case ',': case ':':
			p++;
			continue;
		case '{': case '[':
			if (!begin(&nest, s, *p++ == '{'))
				return false;
			continue;
		case '}': case ']':
			if (!end_nested(&nest, s))
				return false;
			p++;
			break;
		default:
			after = json_walk_scalar(p, end);
			if (after == NULL || after == p)
				return false;
			put_scalar(s, (struct message_range){ p, (size_t)(after - p) });
			p = after;
		}
		if (nest.depth == 0)
			return json_walk_space(p, end) == end;
		nest.open[nest.depth - 1].count++;
	}
	return false;
}

/* ---- msgpack to JSON ---- */

static const char *put_json_string(struct sink *s, const struct msgpack_value *v)
{
	if (!utf8_text(v->p, v->len))
		return "a str that is not UTF-8 stands inside of the data";
	sink_byte(s, '"');
	sink_json(s, (const char *)v->p, v->len);
	sink_byte(s, '"');
	return NULL;
}

/* The shortest of 15, 16 and 17 digits that is read as the same number. */
static const char *put_json_double(struct sink *s, double f)
{
	char text[32];

	if (!isfinite(f))
		return "infinity and not-a-number have no JSON";
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, f);
		if (!(strtod(text, NULL) < f || strtod(text, NULL) > f))
			break;
	}
	sink_text(s, text);
	if (!strpbrk(text, ".e"))
		sink_literal(s, ".0");	/* it stays what it is on the way back */
	return NULL;
}

static const char *put_json_value(struct sink *s, const uint8_t **at, const uint8_t *end)
{
	struct msgpack_value v;
	const char *error = NULL;

	if (!msgpack_walk_head(at, end, &v))
		return "the msgpack is broken";
	switch (v.kind) {
	case WALK_NIL: sink_literal(s, "null"); break;
	case WALK_BOOL: sink_text(s, v.u ? "true" : "false"); break;
	case WALK_UINT: sink_number(s, v.u); break;
	case WALK_INT:
		sink_byte(s, '-');
		sink_number(s, 0 - v.u);
		break;
	case WALK_FLOAT: return put_json_double(s, v.f);
	case WALK_STR: return put_json_string(s, &v);
	case WALK_BIN:
	case WALK_EXT: return "bin or ext stands inside of the data";
	case WALK_ARRAY:
	case WALK_MAP:
		sink_byte(s, v.kind == WALK_MAP ? '{' : '[');
		for (uint32_t i = 0; i < v.len && error == NULL; i++) {
			if (i > 0)
				sink_byte(s, ',');
			if (v.kind == WALK_MAP) {
				if (*at == end || !((**at >= 0xa0 && **at < 0xc0) || (**at >= 0xd9 && **at <= 0xdb)))
					return "a map inside of the data has a key that is not a str";
				error = put_json_value(s, at, end);
				sink_byte(s, ':');
			}
			if (error == NULL)
				error = put_json_value(s, at, end);
		}
		sink_byte(s, v.kind == WALK_MAP ? '}' : ']');
		break;
	}
	return error;
}

const char *msgpack_to_json(struct sink *s, const struct msgpack_value *value)
{
	const uint8_t *at = value->start;

	return put_json_value(s, &at, value->end);
}
