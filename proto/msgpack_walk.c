/*
 * The walk. What a head announces is compared with what is left before it is believed: every value takes a byte at least.
 */
#include "proto/msgpack_walk.h"

#include <string.h>

/* A big-endian number of `size` bytes at *at. */
static bool take_number(const uint8_t **at, const uint8_t *end, unsigned size, uint64_t *n)
{
	if ((size_t)(end - *at) < size)
		return false;
	for (*n = 0; size > 0; size--)
		*n = *n << 8 | *(*at)++;
	return true;
}

static void set_int(struct msgpack_value *v, int64_t i)
{
	v->kind = i < 0 ? WALK_INT : WALK_UINT;
	v->i = i;
}

/* 0xca to 0xd3: floats and integers. */
static bool take_scalar(unsigned b, const uint8_t **at, const uint8_t *end, struct msgpack_value *v)
{
	unsigned size = b == 0xca ? 4 : 8;
	uint64_t n;
	uint32_t half;
	float f;

	if (b >= 0xd0)
		size = 1u << (b - 0xd0);
	else if (b >= 0xcc)
		size = 1u << (b - 0xcc);
	if (!take_number(at, end, size, &n))
		return false;
	v->kind = b < 0xcc ? WALK_FLOAT : WALK_UINT;
	v->u = n;
	switch (b) {
	case 0xca:
		half = (uint32_t)n;
		memcpy(&f, &half, sizeof(f));
		v->f = (double)f;
		break;
	case 0xcb: memcpy(&v->f, &n, sizeof(v->f)); break;
	case 0xd0: set_int(v, (int8_t)n); break;
	case 0xd1: set_int(v, (int16_t)n); break;
	case 0xd2: set_int(v, (int32_t)n); break;
	case 0xd3: set_int(v, (int64_t)n); break;
	}
	return true;
}

/* Bytes that follow a head, or values: whether there can be so many. */
static bool take_body(const uint8_t **at, const uint8_t *end, enum msgpack_kind kind, uint64_t len, struct msgpack_value *v)
{
	uint64_t least = kind == WALK_MAP ? 2 * len : len;

	if (least > (size_t)(end - *at))
		return false;
	v->kind = kind;
	v->len = (uint32_t)len;
	v->p = *at;
	if (kind != WALK_ARRAY && kind != WALK_MAP)
		*at += len;
	return true;
}

/* Heads with a length of 1, 2 or 4 bytes, and fixext. */
static bool take_sized(unsigned b, const uint8_t **at, const uint8_t *end, struct msgpack_value *v)
{
	static const struct { uint8_t first, last, size; enum msgpack_kind kind; } heads[] = {
		{ 0xc4, 0xc6, 1, WALK_BIN }, { 0xc7, 0xc9, 1, WALK_EXT }, { 0xd9, 0xdb, 1, WALK_STR },
		{ 0xdc, 0xdd, 2, WALK_ARRAY }, { 0xde, 0xdf, 2, WALK_MAP },
	};
	uint64_t len;

	if (b >= 0xd4 && b <= 0xd8)
		return take_body(at, end, WALK_EXT, 1 + (1u << (b - 0xd4)), v);
	for (unsigned i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		if (b >= heads[i].first && b <= heads[i].last)
			return take_number(at, end, (unsigned)heads[i].size << (b - heads[i].first), &len) &&
			       take_body(at, end, heads[i].kind, len + (heads[i].kind == WALK_EXT), v);
	return false;	/* 0xc1 */
}

bool msgpack_walk_head(const uint8_t **at, const uint8_t *end, struct msgpack_value *v)
{
	const uint8_t *start = *at;
	bool good = true;
	unsigned b;

	if (*at == end)
		return false;
	*v = (struct msgpack_value){ .start = start };
	b = *(*at)++;
	if (b < 0x80 || b >= 0xe0)
		set_int(v, (int8_t)b);
	else if (b < 0x90)
		good = take_body(at, end, WALK_MAP, b & 15, v);
	else if (b < 0xa0)
		good = take_body(at, end, WALK_ARRAY, b & 15, v);
	else if (b < 0xc0)
		good = take_body(at, end, WALK_STR, b & 31, v);
	else if (b == 0xc0)
		v->kind = WALK_NIL;
	else if (b == 0xc2 || b == 0xc3)
		*v = (struct msgpack_value){ .kind = WALK_BOOL, .u = b & 1, .start = start };
	else if (b >= 0xca && b <= 0xd3)
		good = take_scalar(b, at, end, v);
	else
		good = take_sized(b, at, end, v);
	if (good && v->kind != WALK_ARRAY && v->kind != WALK_MAP)
		v->end = *at;
	return good;
}

static bool skip(const uint8_t **at, const uint8_t *end, uint64_t values, unsigned depth)
{
	for (; values > 0; values--) {
		struct msgpack_value v;

		if (!msgpack_walk_head(at, end, &v))
			return false;
		if (v.kind != WALK_ARRAY && v.kind != WALK_MAP)
			continue;
		if (depth == 0 || !skip(at, end, v.kind == WALK_MAP ? 2 * (uint64_t)v.len : v.len, depth - 1))
			return false;
	}
	return true;
}

bool msgpack_walk_take(const uint8_t **at, const uint8_t *end, struct msgpack_value *v)
{
	if (!msgpack_walk_head(at, end, v))
		return false;
	if (v->kind == WALK_ARRAY && !skip(at, end, v->len, MSGPACK_WALK_DEPTH - 1))
		return false;
	if (v->kind == WALK_MAP && !skip(at, end, 2 * (uint64_t)v->len, MSGPACK_WALK_DEPTH - 1))
		return false;
	v->end = *at;
	return true;
}

bool msgpack_walk_is(const struct msgpack_value *v, const char *text)
{
	return v->kind == WALK_STR && v->len == strlen(text) && memcmp(v->p, text, v->len) == 0;
}

bool msgpack_walk_find(const struct msgpack_value *map, const char *key, struct msgpack_value *value)
{
	const uint8_t *at = map->p;
	struct msgpack_value k;

	for (uint32_t i = 0; map->kind == WALK_MAP && i < map->len; i++) {
		if (!msgpack_walk_take(&at, map->end, &k) || !msgpack_walk_take(&at, map->end, value))
			return false;
		if (msgpack_walk_is(&k, key))
			return true;
	}
	return false;
}

bool msgpack_walk_int(const struct msgpack_value *v, int64_t *n)
{
	*n = v->i;
	return v->kind == WALK_INT || (v->kind == WALK_UINT && v->u <= INT64_MAX);
}
