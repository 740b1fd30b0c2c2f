/*
 * proto/msgpack_walk.c, compared with msgpack-c's unpacker; msgpack_json.c: a value as JSON and back is the same value.
 */
#include "proto/msgpack_walk.h"

#include <stdlib.h>
#include <string.h>

#include <msgpack.h>

#include "proto/msgpack_json.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/values.h"
#include "tests/unit/json_fixture.h"

/* An empty one may lie anywhere. */
static bool same_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
	return a_len == b_len && (a_len == 0 || a == b);
}

static bool same_scalar(const struct msgpack_value *v, const msgpack_object *o)
{
	switch (v->kind) {
	case WALK_NIL: return o->type == MSGPACK_OBJECT_NIL;
	case WALK_BOOL: return o->type == MSGPACK_OBJECT_BOOLEAN && o->via.boolean == (v->u == 1);
	case WALK_UINT: return o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 == v->u;
	case WALK_INT: return o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER && o->via.i64 == v->i;
	case WALK_FLOAT:
		return (o->type == MSGPACK_OBJECT_FLOAT32 || o->type == MSGPACK_OBJECT_FLOAT64) &&
		       (o->via.f64 == v->f || (o->via.f64 != o->via.f64 && v->f != v->f));
	case WALK_STR: return o->type == MSGPACK_OBJECT_STR && same_bytes(o->via.str.ptr, o->via.str.size, v->p, v->len);
	case WALK_BIN: return o->type == MSGPACK_OBJECT_BIN && same_bytes(o->via.bin.ptr, o->via.bin.size, v->p, v->len);
	case WALK_EXT: return o->type == MSGPACK_OBJECT_EXT && same_bytes(o->via.ext.ptr, o->via.ext.size, v->p + 1, v->len - 1);
	default: return false;
	}
}

static bool same(const uint8_t **at, const uint8_t *end, const msgpack_object *o)
{
	struct msgpack_value v;

	if (!msgpack_walk_head(at, end, &v))
		return false;
	if (v.kind == WALK_ARRAY) {
		if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size != v.len)
			return false;
		for (uint32_t i = 0; i < v.len; i++)
			if (!same(at, end, &o->via.array.ptr[i]))
				return false;
		return true;
	}
	if (v.kind == WALK_MAP) {
		if (o->type != MSGPACK_OBJECT_MAP || o->via.map.size != v.len)
			return false;
		for (uint32_t i = 0; i < v.len; i++)
			if (!same(at, end, &o->via.map.ptr[i].key) || !same(at, end, &o->via.map.ptr[i].val))
				return false;
		return true;
	}
	return same_scalar(&v, o);
}

/* Of a value that the walk has taken, or has not: msgpack-c allocates what heads announce, so it is not asked about arrays and maps with a
 * length of their own then. */
static void compare(const struct fuzz_input *in, bool good, size_t taken)
{
	msgpack_unpacked got;
	size_t used = 0;
	msgpack_unpack_return result;

	for (size_t i = 0; !good && i < in->len; i++)
		if (in->original[i] >= 0xdc && in->original[i] <= 0xdf)
			return;
	msgpack_unpacked_init(&got);
	result = msgpack_unpack_next(&got, in->bytes, in->len, &used);
	if (result != MSGPACK_UNPACK_NOMEM_ERROR) {	/* too deep for it */
		const uint8_t *at = (const uint8_t *)in->bytes;

		fuzz_check((result == MSGPACK_UNPACK_SUCCESS || result == MSGPACK_UNPACK_EXTRA_BYTES) == good);
		fuzz_check(!good || (used == taken && same(&at, at + taken, &got.data) && at == (const uint8_t *)in->bytes + taken));
	}
	msgpack_unpacked_destroy(&got);
}

static void check_json(const struct msgpack_value *value)
{
	struct sink count = { 0 }, text, packed;
	const char *error = msgpack_to_json(&count, value);
	struct msgpack_value back;
	const uint8_t *at;

	text = (struct sink){ .dst = fuzz_alloc(count.len), .room = count.len };
	fuzz_check(msgpack_to_json(&text, value) == error && text.len == count.len);
	if (error == NULL) {
		struct message_range range = { text.dst, text.len };

		fuzz_check(json_check(text.dst, text.len) == NULL);
		count = (struct sink){ 0 };
		fuzz_check(msgpack_from_json(&count, range));
		packed = (struct sink){ .dst = fuzz_alloc(count.len), .room = count.len };
		fuzz_check(msgpack_from_json(&packed, range) && packed.len == count.len);
		at = (const uint8_t *)packed.dst;
		fuzz_check(msgpack_walk_take(&at, at + packed.len, &back) && values_same(value, &back));
		free(packed.dst);
	}
	free(text.dst);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *at, *end;
	struct msgpack_value value;
	struct fuzz_input in;
	bool good;

	fuzz_open_bare(&in, data, size);
	at = (const uint8_t *)in.bytes;
	end = at + in.len;
	good = msgpack_walk_take(&at, end, &value);
	fuzz_check(at <= end && (!good || (value.start == (const uint8_t *)in.bytes && value.end == at)));
	compare(&in, good, (size_t)(at - (const uint8_t *)in.bytes));
	if (good)
		check_json(&value);
	fuzz_close(&in);
	return 0;
}
