/*
 * Packets of the control protocol, written and read. See control_packet.h.
 */
#include "proto/control_packet.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "proto/control.h"

/* ---- writing ---- */

static int append(void *data, const char *bytes, size_t len)
{
	struct control_packet *p = data;

	assert(len <= CONTROL_PACKET_MAX - p->len);
	memcpy(p->dst + p->len, bytes, len);
	p->len += len;
	return 0;
}

void control_packet_init(struct control_packet *p, void *dst)
{
	p->dst = dst;
	p->len = 0;
	msgpack_packer_init(&p->to, p, append);
}

void control_put_text(msgpack_packer *to, const char *text)
{
	msgpack_pack_str_with_body(to, text, strlen(text));
}

void control_put_pair(msgpack_packer *to, const char *key, const char *value)
{
	control_put_text(to, key);
	control_put_text(to, value);
}

void control_put_uint(msgpack_packer *to, const char *key, uint64_t value)
{
	control_put_text(to, key);
	msgpack_pack_uint64(to, value);
}

void control_put_int(msgpack_packer *to, const char *key, int64_t value)
{
	control_put_text(to, key);
	msgpack_pack_int64(to, value);
}

void control_put_bool(msgpack_packer *to, const char *key, bool value)
{
	control_put_text(to, key);
	if (value)
		msgpack_pack_true(to);
	else
		msgpack_pack_false(to);
}

void control_begin_request(msgpack_packer *to, unsigned more)
{
	msgpack_pack_map(to, 1 + more);
	control_put_uint(to, "v", CONTROL_VERSION);
}

void control_begin_reply(msgpack_packer *to, bool ok, unsigned more)
{
	control_begin_request(to, 1 + more);
	control_put_bool(to, "ok", ok);
}

/* ---- reading ---- */

bool control_get_text(const struct msgpack_value *v, char *dst, size_t size)
{
	if (v->kind != WALK_STR || v->len >= size || memchr(v->p, 0, v->len))
		return false;
	memcpy(dst, v->p, v->len);
	dst[v->len] = '\0';
	return true;
}

bool control_find_text(const struct msgpack_value *map, const char *key, char *dst, size_t size)
{
	struct msgpack_value v;

	return !msgpack_walk_find(map, key, &v) || control_get_text(&v, dst, size);
}

bool control_find_uint(const struct msgpack_value *map, const char *key, uint64_t *dst)
{
	struct msgpack_value v;

	if (!msgpack_walk_find(map, key, &v))
		return true;
	if (v.kind != WALK_UINT)
		return false;
	*dst = v.u;
	return true;
}

bool control_find_u32(const struct msgpack_value *map, const char *key, uint32_t *dst)
{
	uint64_t n = *dst;

	if (!control_find_uint(map, key, &n) || n > UINT32_MAX)
		return false;
	*dst = (uint32_t)n;
	return true;
}

bool control_find_int(const struct msgpack_value *map, const char *key, int64_t *dst)
{
	struct msgpack_value v;

	return !msgpack_walk_find(map, key, &v) || msgpack_walk_int(&v, dst);
}

bool control_find_bool(const struct msgpack_value *map, const char *key, bool *dst)
{
	struct msgpack_value v;

	if (!msgpack_walk_find(map, key, &v))
		return true;
	*dst = v.kind == WALK_BOOL && v.u;
	return v.kind == WALK_BOOL;
}

bool control_find_items(const struct msgpack_value *map, const char *key, uint32_t most, struct control_items *items)
{
	struct msgpack_value array;

	*items = (struct control_items){ 0 };
	if (!msgpack_walk_find(map, key, &array))
		return true;
	if (array.kind != WALK_ARRAY || array.len > most)
		return false;
	*items = (struct control_items){ array.p, array.end, array.len };
	return true;
}

bool control_next_item(struct control_items *items, struct msgpack_value *item)
{
	if (items->left == 0 || !msgpack_walk_take(&items->at, items->end, item))
		return false;
	items->left--;
	return true;
}

int control_packet_good(bool good)
{
	if (good)
		return 0;
	errno = EBADMSG;
	return -1;
}

int control_packet_read(const void *src, size_t len, struct msgpack_value *map)
{
	const uint8_t *at = src, *end = at + len;
	struct msgpack_value version;

	if (len > CONTROL_PACKET_MAX || !msgpack_walk_take(&at, end, map) || at != end || map->kind != WALK_MAP)
		return control_packet_good(false);
	if (!msgpack_walk_find(map, "v", &version) || version.kind != WALK_UINT)
		return control_packet_good(false);
	if (version.u == CONTROL_VERSION)
		return 0;
	errno = EPROTONOSUPPORT;
	return -1;
}
