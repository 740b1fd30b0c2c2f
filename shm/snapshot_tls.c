/*
 * A snapshot's TLS connections. See snapshot.h, and tls_shm.h for what the members mean. What a flow says of the session's stream and input follows from
 * the session.
 *
 * Where the kernel makes the records, `suite` is called `kernel_suite`: a program that does not know of that must not seal any.
 */
#include <string.h>

#include "shm/snapshot_io.h"
#include "shm/tls.h"

static const char *const suites[] = {
	[TLS_AES_128_GCM] = "aes-128-gcm", [TLS_AES_256_GCM] = "aes-256-gcm", [TLS_CHACHA20_POLY1305] = "chacha20-poly1305",
};
#define SUITES (sizeof(suites) / sizeof(suites[0]))

static const struct {
	const char *key;
	uint16_t flag;
} controls[] = {
	{ "update_owed", TLS_UPDATE_OWED }, { "close_owed", TLS_CLOSE_OWED }, { "close_sealed", TLS_CLOSE_SEALED }, { "alert_owed", TLS_ALERT_OWED },
	{ "peer_closed", TLS_PEER_CLOSED },
};
#define CONTROLS (sizeof(controls) / sizeof(controls[0]))

static void put_keys(struct snapshot_writer *w, const char *key, const struct tls_keys *keys)
{
	snapshot_put_key(w, key);
	snapshot_put_map(w, 4);
	snapshot_put_bytes(w, "key", keys->key, sizeof(keys->key));
	snapshot_put_bytes(w, "iv", keys->iv, sizeof(keys->iv));
	snapshot_put_bytes(w, "secret", keys->secret, sizeof(keys->secret));
	snapshot_put_uint(w, "generation", keys->generation);
}

void snapshot_put_tls(struct snapshot_writer *w, const struct tls_entry_shm *e, const void *pending, const void *held)
{
	const char *suite = e->kind.suite > 0 && e->kind.suite < SUITES ? suites[e->kind.suite] : "";

	snapshot_put_key(w, "tls");
	snapshot_put_map(w, 11 + CONTROLS);
	snapshot_put_uint(w, "minor", e->kind.version == TLS_1_3 ? 3 : 2);
	snapshot_put_text(w, tls_by_kernel(&e->flow) ? "kernel_suite" : "suite", suite, strlen(suite));
	snapshot_put_uint(w, "out_seq", e->flow.out_seq);
	snapshot_put_uint(w, "in_seq", e->flow.in_seq);
	snapshot_put_uint(w, "wire_out", e->flow.wire_out);
	snapshot_put_uint(w, "wire_in", e->flow.wire_in);
	snapshot_put_bytes(w, "pending", pending ? (const uint8_t *)pending + e->flow.pending_start : NULL, e->flow.pending_end - e->flow.pending_start);
	snapshot_put_uint(w, "alert", e->flow.alert);
	snapshot_put_bytes(w, "held", held, e->flow.held_len);
	for (unsigned i = 0; i < CONTROLS; i++)
		snapshot_put_uint(w, controls[i].key, e->flow.control & controls[i].flag ? 1 : 0);
	put_keys(w, "out", &e->out);
	put_keys(w, "in", &e->in);
}

static void get_exactly(struct snapshot_reader *r, const struct msgpack_value *map, const char *key, uint8_t *dst, size_t len)
{
	uint32_t n;
	const uint8_t *bytes = snapshot_get_bytes(r, map, key, &n);

	if (n == len)
		memcpy(dst, bytes, len);
	else
		r->bad = true;
}

static void get_keys(struct snapshot_reader *r, const struct msgpack_value *map, const char *key, struct tls_keys *keys)
{
	struct msgpack_value of;

	if (!msgpack_walk_find(map, key, &of) || of.kind != WALK_MAP) {
		r->bad = true;
		return;
	}
	get_exactly(r, &of, "key", keys->key, sizeof(keys->key));
	get_exactly(r, &of, "iv", keys->iv, sizeof(keys->iv));
	get_exactly(r, &of, "secret", keys->secret, sizeof(keys->secret));
	keys->generation = (uint32_t)snapshot_get_uint(r, &of, "generation", SNAPSHOT_NEEDED, UINT32_MAX);
}

bool snapshot_get_tls(struct snapshot_reader *r, const struct msgpack_value *map, struct tls_entry_shm *e, struct msgpack_value *tls)
{
	struct msgpack_value suite;

	memset(e, 0, sizeof(*e));
	if (!msgpack_walk_find(map, "tls", tls) || tls->kind != WALK_MAP ||
	    (!msgpack_walk_find(tls, "suite", &suite) && !msgpack_walk_find(tls, "kernel_suite", &suite))) {
		r->bad = true;
		return false;
	}
	if (!msgpack_walk_find(tls, "suite", &(struct msgpack_value){ 0 }))
		e->flow.control |= TLS_BY_KERNEL;
	e->kind.version = snapshot_get_uint(r, tls, "minor", SNAPSHOT_NEEDED, 3) == 3 ? TLS_1_3 : TLS_1_2;
	for (unsigned i = 1; i < SUITES; i++)
		if (msgpack_walk_is(&suite, suites[i]))
			e->kind.suite = (uint8_t)i;
	e->flow.out_seq = snapshot_get_uint(r, tls, "out_seq", SNAPSHOT_NEEDED, SNAPSHOT_MOST);
	e->flow.in_seq = snapshot_get_uint(r, tls, "in_seq", SNAPSHOT_NEEDED, SNAPSHOT_MOST);
	e->flow.wire_out = snapshot_get_uint(r, tls, "wire_out", SNAPSHOT_NEEDED, SNAPSHOT_MOST);
	e->flow.wire_in = snapshot_get_uint(r, tls, "wire_in", SNAPSHOT_NEEDED, SNAPSHOT_MOST);
	e->flow.alert = (uint8_t)snapshot_get_uint(r, tls, "alert", 0, UINT8_MAX);
	for (unsigned i = 0; i < CONTROLS; i++)
		if (snapshot_get_uint(r, tls, controls[i].key, 0, 1))
			e->flow.control |= controls[i].flag;
	get_keys(r, tls, "out", &e->out);
	get_keys(r, tls, "in", &e->in);
	r->bad |= e->kind.suite == 0;
	return !r->bad;
}
