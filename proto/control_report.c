/*
 * What a reload has done, and the configuration, as packets of the control protocol. See control_report.h.
 */
#include "proto/control_report.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <msgpack.h>

#include "proto/msgpack_walk.h"

/* ---- packing ---- */

struct packet {
	uint8_t *dst;
	size_t len;
};

static int append(void *data, const char *bytes, size_t len)
{
	struct packet *p = data;

	assert(len <= CONTROL_PACKET_MAX - p->len);
	memcpy(p->dst + p->len, bytes, len);
	p->len += len;
	return 0;
}

static void put_text(msgpack_packer *to, const char *text)
{
	msgpack_pack_str_with_body(to, text, strlen(text));
}

static void put_pair(msgpack_packer *to, const char *key, const char *value)
{
	put_text(to, key);
	put_text(to, value);
}

static void put_uint(msgpack_packer *to, const char *key, uint64_t value)
{
	put_text(to, key);
	msgpack_pack_uint64(to, value);
}

static void put_int(msgpack_packer *to, const char *key, int64_t value)
{
	put_text(to, key);
	msgpack_pack_int64(to, value);
}

static void put_bool(msgpack_packer *to, const char *key, bool value)
{
	put_text(to, key);
	if (value)
		msgpack_pack_true(to);
	else
		msgpack_pack_false(to);
}

static void begin(msgpack_packer *to, bool ok, unsigned more)
{
	msgpack_pack_map(to, 2 + more);
	put_uint(to, "v", CONTROL_VERSION);
	put_bool(to, "ok", ok);
}

static void put_changes(msgpack_packer *to, const char *key, const struct control_change *change, unsigned count)
{
	put_text(to, key);
	msgpack_pack_array(to, count);
	for (unsigned i = 0; i < count; i++) {
		msgpack_pack_map(to, 3);
		put_pair(to, "name", change[i].name);
		put_pair(to, "old", change[i].old);
		put_pair(to, "now", change[i].now);
	}
}

static void put_urls(msgpack_packer *to, const char *key, const char (*url)[128], unsigned count)
{
	put_text(to, key);
	msgpack_pack_array(to, count);
	for (unsigned i = 0; i < count; i++)
		put_text(to, url[i]);
}

static void put_slots(msgpack_packer *to, const struct control_report *r)
{
	put_text(to, "slots");
	msgpack_pack_array(to, r->slots);
	for (unsigned i = 0; i < r->slots; i++) {
		msgpack_pack_map(to, 3);
		put_uint(to, "slot", r->slot[i].slot);
		put_uint(to, "connections", r->slot[i].connections);
		put_uint(to, "paused", r->slot[i].paused);
	}
}

size_t control_report_pack(void *dst, const struct control_report *r, const char *error)
{
	struct packet packet = { dst, 0 };
	size_t len = error ? strnlen(error, CONTROL_ERROR_MAX - 1) : 0;
	msgpack_packer to;

	msgpack_packer_init(&to, &packet, append);
	begin(&to, !error, error ? 13 : 12);
	if (error) {
		put_text(&to, "error");
		msgpack_pack_str_with_body(&to, error, len);
	}
	put_pair(&to, "file", r->file);
	put_uint(&to, "since", r->since);
	put_changes(&to, "changed", r->changed, r->changes);
	put_changes(&to, "waiting", r->waiting, r->waits);
	put_urls(&to, "opened", r->opened, r->opens);
	put_urls(&to, "closed", r->closed, r->closes);
	put_uint(&to, "renewed", r->renewed);
	put_uint(&to, "added", r->added);
	put_uint(&to, "draining", r->draining);
	put_uint(&to, "kept", r->kept);
	put_uint(&to, "lost", r->lost);
	put_slots(&to, r);
	return packet.len;
}

size_t control_config_pack(void *dst, const char *file, uint64_t since, unsigned count, void (*get)(void *arg, unsigned i, struct control_setting *setting),
			   void *arg)
{
	struct packet packet = { dst, 0 };
	msgpack_packer to;

	msgpack_packer_init(&to, &packet, append);
	begin(&to, true, 3);
	put_pair(&to, "file", file);
	put_uint(&to, "since", since);
	put_text(&to, "settings");
	msgpack_pack_array(&to, count);
	for (unsigned i = 0; i < count; i++) {
		struct control_setting s = { 0 };

		get(arg, i, &s);
		msgpack_pack_map(&to, s.waits ? 6 : 4);
		put_pair(&to, "name", s.name);
		put_pair(&to, "value", s.value);
		put_int(&to, "line", s.line);
		put_bool(&to, "restart", s.restart);
		if (s.waits) {
			put_pair(&to, "wanted", s.wanted);
			put_int(&to, "wanted_line", s.wanted_line);
		}
	}
	return packet.len;
}

/* ---- unpacking: each is fine with an absent key, and leaves *dst then ---- */

static bool take_text(const struct msgpack_value *v, char *dst, size_t size)
{
	if (v->kind != WALK_STR || v->len >= size || memchr(v->p, 0, v->len))
		return false;
	memcpy(dst, v->p, v->len);
	dst[v->len] = '\0';
	return true;
}

static bool find_text(const struct msgpack_value *map, const char *key, char *dst, size_t size)
{
	struct msgpack_value v;

	return !msgpack_walk_find(map, key, &v) || take_text(&v, dst, size);
}

static bool find_uint(const struct msgpack_value *map, const char *key, uint64_t *dst)
{
	struct msgpack_value v;

	if (!msgpack_walk_find(map, key, &v))
		return true;
	*dst = v.u;
	return v.kind == WALK_UINT;
}

static bool find_int(const struct msgpack_value *map, const char *key, int64_t *dst)
{
	struct msgpack_value v;

	return !msgpack_walk_find(map, key, &v) || msgpack_walk_int(&v, dst);
}

static bool find_bool(const struct msgpack_value *map, const char *key, bool *dst)
{
	struct msgpack_value v;

	if (!msgpack_walk_find(map, key, &v))
		return true;
	*dst = v.kind == WALK_BOOL && v.u;
	return v.kind == WALK_BOOL;
}

/* What is in an array, one after the other. */
struct items {
	const uint8_t *at, *end;
	uint32_t left;
};

/* None if there is no such key. False: it is no array, or longer than that. */
static bool find_items(const struct msgpack_value *map, const char *key, uint32_t most, struct items *items)
{
	struct msgpack_value array;

	*items = (struct items){ 0 };
	if (!msgpack_walk_find(map, key, &array))
		return true;
	if (array.kind != WALK_ARRAY || array.len > most)
		return false;
	*items = (struct items){ array.p, array.end, array.len };
	return true;
}

static bool next_item(struct items *items, struct msgpack_value *item)
{
	return items->left > 0 && items->left-- && msgpack_walk_take(&items->at, items->end, item);
}

static bool find_changes(const struct msgpack_value *map, const char *key, struct control_change *change, unsigned *count)
{
	struct msgpack_value item;
	struct items items;

	if (!find_items(map, key, CONTROL_CHANGES_MAX, &items))
		return false;
	for (; next_item(&items, &item); change++, ++*count)
		if (item.kind != WALK_MAP || !find_text(&item, "name", change->name, sizeof(change->name)) ||
		    !find_text(&item, "old", change->old, sizeof(change->old)) || !find_text(&item, "now", change->now, sizeof(change->now)))
			return false;
	return true;
}

static bool find_urls(const struct msgpack_value *map, const char *key, char (*url)[128], unsigned *count)
{
	struct msgpack_value item;
	struct items items;

	if (!find_items(map, key, CONTROL_LISTEN_MAX, &items))
		return false;
	for (; next_item(&items, &item); ++*count)
		if (!take_text(&item, url[*count], sizeof(url[0])))
			return false;
	return true;
}

static bool find_slots(const struct msgpack_value *map, struct control_report *r)
{
	struct msgpack_value item;
	struct items items;

	if (!find_items(map, "slots", CONTROL_WORKERS_MAX, &items))
		return false;
	for (; next_item(&items, &item); r->slots++) {
		struct control_pause *p = &r->slot[r->slots];
		uint64_t slot = 0;

		if (item.kind != WALK_MAP || !find_uint(&item, "slot", &slot) || slot > UINT32_MAX || !find_uint(&item, "connections", &p->connections) ||
		    !find_uint(&item, "paused", &p->paused))
			return false;
		p->slot = (uint32_t)slot;
	}
	return true;
}

static int finish(bool good)
{
	if (good)
		return 0;
	errno = EBADMSG;
	return -1;
}

static bool take_map(const void *src, size_t len, struct msgpack_value *map)
{
	const uint8_t *at = src;

	return len <= CONTROL_PACKET_MAX && msgpack_walk_take(&at, at + len, map) && map->kind == WALK_MAP;
}

int control_report_unpack(const void *src, size_t len, struct control_report *r)
{
	struct msgpack_value map;

	memset(r, 0, sizeof(*r));
	return finish(take_map(src, len, &map) && find_text(&map, "file", r->file, sizeof(r->file)) && find_uint(&map, "since", &r->since) &&
		      find_changes(&map, "changed", r->changed, &r->changes) && find_changes(&map, "waiting", r->waiting, &r->waits) &&
		      find_urls(&map, "opened", r->opened, &r->opens) && find_urls(&map, "closed", r->closed, &r->closes) &&
		      find_uint(&map, "renewed", &r->renewed) && find_uint(&map, "added", &r->added) && find_uint(&map, "draining", &r->draining) &&
		      find_uint(&map, "kept", &r->kept) && find_uint(&map, "lost", &r->lost) && find_slots(&map, r));
}

static bool get_setting(const struct msgpack_value *map, char name[64], char value[CONTROL_SETTING_MAX], char wanted[CONTROL_SETTING_MAX],
			struct control_setting *s)
{
	struct msgpack_value v;

	name[0] = value[0] = wanted[0] = '\0';
	*s = (struct control_setting){ .name = name, .value = value, .wanted = wanted };
	s->waits = msgpack_walk_find(map, "wanted", &v);
	return find_text(map, "name", name, 64) && find_text(map, "value", value, CONTROL_SETTING_MAX) && find_text(map, "wanted", wanted, CONTROL_SETTING_MAX) &&
	       find_int(map, "line", &s->line) && find_int(map, "wanted_line", &s->wanted_line) && find_bool(map, "restart", &s->restart);
}

int control_config_unpack(const void *src, size_t len, char *file, uint64_t *since, void (*take)(void *arg, const struct control_setting *setting), void *arg)
{
	static char name[64], value[CONTROL_SETTING_MAX], wanted[CONTROL_SETTING_MAX];
	struct msgpack_value map, item;
	struct items items;

	file[0] = '\0';
	*since = 0;
	if (!take_map(src, len, &map) || !find_text(&map, "file", file, 4096) || !find_uint(&map, "since", since) ||
	    !find_items(&map, "settings", UINT32_MAX, &items))
		return finish(false);
	while (next_item(&items, &item)) {
		struct control_setting s;

		if (item.kind != WALK_MAP || !get_setting(&item, name, value, wanted, &s))
			return finish(false);
		take(arg, &s);
	}
	return 0;
}
