/*
 * The histogram of a slot in a snapshot: an array of classes, each [most subscribers, sum, bound, count, bound, count...].
 */
#include "shm/latency.h"
#include "shm/snapshot_io.h"

/* Each class with its bounds: a version that has others can make something of them. */
void snapshot_put_latency(struct snapshot_writer *w, const struct latency_shm *latency)
{
	snapshot_put_array(w, "latency", LATENCY_CLASSES);
	for (unsigned c = 0; c < LATENCY_CLASSES; c++) {
		msgpack_pack_array(&w->pack, 2 + 2 * LATENCY_BUCKETS);
		msgpack_pack_uint64(&w->pack, latency_class_most(c));
		msgpack_pack_uint64(&w->pack, atomic_load(&latency->sum[c]));
		for (unsigned b = 0; b < LATENCY_BUCKETS; b++) {
			msgpack_pack_uint64(&w->pack, latency_bound(b));
			msgpack_pack_uint64(&w->pack, atomic_load(&latency->count[c][b]));
		}
	}
}

static bool take_number(const uint8_t **at, const uint8_t *end, uint64_t *n)
{
	struct msgpack_value v;

	*n = 0;
	if (!msgpack_walk_take(at, end, &v) || v.kind != WALK_UINT)
		return false;
	*n = v.u;
	return true;
}

/* What another version counted in classes or below bounds that are none here is added where it belongs: it is no less. */
void snapshot_get_latency(struct snapshot_reader *r, const struct msgpack_value *map, struct latency_shm *latency)
{
	struct msgpack_value array, one;
	const uint8_t *at, *in;
	uint64_t most, sum, bound, count;

	if (!msgpack_walk_find(map, "latency", &array))
		return;
	snapshot_get_array(r, map, "latency", &array);
	at = array.p;
	for (uint32_t i = 0; i < array.len && msgpack_walk_take(&at, array.end, &one) && one.kind == WALK_ARRAY; i++) {
		unsigned class;

		in = one.p;
		if (!take_number(&in, one.end, &most) || !take_number(&in, one.end, &sum))
			return;
		class = latency_class(most);
		atomic_fetch_add(&latency->sum[class], sum);
		for (uint32_t b = 2; b + 1 < one.len && take_number(&in, one.end, &bound) && take_number(&in, one.end, &count); b += 2)
			atomic_fetch_add(&latency->count[class][latency_bucket(bound)], count);
	}
}
