#include "tests/fuzz/values.h"

#include <string.h>

static bool is_number(const struct msgpack_value *v)
{
	return v->kind == WALK_UINT || v->kind == WALK_INT || v->kind == WALK_FLOAT;
}

/* Exact: its mantissa has 64 bits. */
static long double number(const struct msgpack_value *v)
{
	return v->kind == WALK_UINT ? (long double)v->u : v->kind == WALK_INT ? (long double)v->i : (long double)v->f;
}

static bool same_from(const uint8_t **a, const uint8_t *a_end, const uint8_t **b, const uint8_t *b_end)
{
	struct msgpack_value x, y;
	uint64_t values;

	if (!msgpack_walk_head(a, a_end, &x) || !msgpack_walk_head(b, b_end, &y))
		return false;
	if (is_number(&x) && is_number(&y))
		return number(&x) == number(&y) || (number(&x) != number(&x) && number(&y) != number(&y));
	if (x.kind != y.kind)
		return false;
	if (x.kind == WALK_NIL || x.kind == WALK_BOOL)
		return x.kind == WALK_NIL || x.u == y.u;
	if (x.len != y.len)
		return false;
	if (x.kind != WALK_ARRAY && x.kind != WALK_MAP)
		return memcmp(x.p, y.p, x.len) == 0;
	for (values = x.kind == WALK_MAP ? 2 * (uint64_t)x.len : x.len; values > 0; values--)
		if (!same_from(a, a_end, b, b_end))
			return false;
	return true;
}

bool values_same(const struct msgpack_value *a, const struct msgpack_value *b)
{
	const uint8_t *p = a->start, *q = b->start;

	return same_from(&p, a->end, &q, b->end) && p == a->end && q == b->end;
}

bool values_map(const uint8_t *p, const uint8_t *end, struct msgpack_value *map)
{
	struct msgpack_value value;

	if (!msgpack_walk_head(&p, end, map) || map->kind != WALK_MAP)
		return false;
	map->end = end;
	for (uint64_t values = 2 * (uint64_t)map->len; values > 0; values--)
		if (!msgpack_walk_take(&p, end, &value))
			return false;
	return p == end;
}

struct msgpack_value values_find(const struct msgpack_value *map, const char *key)
{
	const uint8_t *at = map->start;
	struct msgpack_value head, name, value;

	if (!msgpack_walk_head(&at, map->end, &head) || head.kind != WALK_MAP)
		return (struct msgpack_value){ 0 };
	for (uint32_t i = 0; i < head.len; i++) {
		if (!msgpack_walk_take(&at, map->end, &name) || !msgpack_walk_take(&at, map->end, &value))
			break;
		if (msgpack_walk_is(&name, key))
			return value;
	}
	return (struct msgpack_value){ 0 };
}
