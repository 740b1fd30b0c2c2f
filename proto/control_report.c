/*
 * What a reload has done, and the configuration, as packets of the control protocol. See control_report.h.
 */
#include "proto/control_report.h"

#include <errno.h>
#include <string.h>

#include "proto/control_packet.h"

/* ---- packing ---- */

static void put_changes(msgpack_packer *to, const char *key, const struct control_change *change, unsigned count)
{
	control_put_text(to, key);
	msgpack_pack_array(to, count);
	for (unsigned i = 0; i < count; i++) {
		msgpack_pack_map(to, 3);
		control_put_pair(to, "name", change[i].name);
		control_put_pair(to, "old", change[i].old);
		control_put_pair(to, "now", change[i].now);
	}
}

static void put_urls(msgpack_packer *to, const char *key, const char (*url)[128], unsigned count)
{
	control_put_text(to, key);
	msgpack_pack_array(to, count);
	for (unsigned i = 0; i < count; i++)
		control_put_text(to, url[i]);
}

static void put_slots(msgpack_packer *to, const struct control_report *r)
{
	control_put_text(to, "slots");
	msgpack_pack_array(to, r->slots);
	for (unsigned i = 0; i < r->slots; i++) {
		msgpack_pack_map(to, 3);
		control_put_uint(to, "slot", r->slot[i].slot);
		control_put_uint(to, "connections", r->slot[i].connections);
		control_put_uint(to, "paused", r->slot[i].paused);
	}
}

size_t control_report_pack(void *dst, const struct control_report *r, const char *error)
{
	struct control_packet packet;
	size_t len = error ? strnlen(error, CONTROL_ERROR_MAX - 1) : 0;
	msgpack_packer *to = &packet.to;

	control_packet_init(&packet, dst);
	control_begin_reply(to, !error, error ? 14 : 13);
	if (error) {
		control_put_text(to, "error");
		msgpack_pack_str_with_body(to, error, len);
	}
	control_put_pair(to, "file", r->file);
	control_put_uint(to, "since", r->since);
	put_changes(to, "changed", r->changed, r->changes);
	put_changes(to, "waiting", r->waiting, r->waits);
	put_urls(to, "opened", r->opened, r->opens);
	put_urls(to, "closed", r->closed, r->closes);
	control_put_uint(to, "renewed", r->renewed);
	control_put_uint(to, "added", r->added);
	control_put_uint(to, "draining", r->draining);
	control_put_uint(to, "kept", r->kept);
	control_put_uint(to, "moved", r->moved);
	control_put_uint(to, "lost", r->lost);
	put_slots(to, r);
	return packet.len;
}

size_t control_config_pack(void *dst, const char *file, uint64_t since, unsigned count, void (*get)(void *arg, unsigned i, struct control_setting *setting),
			   void *arg)
{
	struct control_packet packet;
	msgpack_packer *to = &packet.to;

	control_packet_init(&packet, dst);
	control_begin_reply(to, true, 3);
	control_put_pair(to, "file", file);
	control_put_uint(to, "since", since);
	control_put_text(to, "settings");
	msgpack_pack_array(to, count);
	for (unsigned i = 0; i < count; i++) {
		struct control_setting s = { 0 };

		get(arg, i, &s);
		msgpack_pack_map(to, s.waits ? 6 : 4);
		control_put_pair(to, "name", s.name);
		control_put_pair(to, "value", s.value);
		control_put_int(to, "line", s.line);
		control_put_bool(to, "restart", s.restart);
		if (s.waits) {
			control_put_pair(to, "wanted", s.wanted);
			control_put_int(to, "wanted_line", s.wanted_line);
		}
	}
	return packet.len;
}

/* ---- unpacking ---- */

static bool find_changes(const struct msgpack_value *map, const char *key, struct control_change *change, unsigned *count)
{
	struct msgpack_value item;
	struct control_items items;

	if (!control_find_items(map, key, CONTROL_CHANGES_MAX, &items))
		return false;
	for (; control_next_item(&items, &item); change++, ++*count)
		if (item.kind != WALK_MAP || !control_find_text(&item, "name", change->name, sizeof(change->name)) ||
		    !control_find_text(&item, "old", change->old, sizeof(change->old)) || !control_find_text(&item, "now", change->now, sizeof(change->now)))
			return false;
	return true;
}

static bool find_urls(const struct msgpack_value *map, const char *key, char (*url)[128], unsigned *count)
{
	struct msgpack_value item;
	struct control_items items;

	if (!control_find_items(map, key, CONTROL_LISTEN_MAX, &items))
		return false;
	for (; control_next_item(&items, &item); ++*count)
		if (!control_get_text(&item, url[*count], sizeof(url[0])))
			return false;
	return true;
}

static bool find_slots(const struct msgpack_value *map, struct control_report *r)
{
	struct msgpack_value item;
	struct control_items items;

	if (!control_find_items(map, "slots", CONTROL_WORKERS_MAX, &items))
		return false;
	for (; control_next_item(&items, &item); r->slots++) {
		struct control_pause *p = &r->slot[r->slots];
		uint64_t slot = 0;

		if (item.kind != WALK_MAP || !control_find_uint(&item, "slot", &slot) || slot > UINT32_MAX || !control_find_uint(&item, "connections", &p->connections) ||
		    !control_find_uint(&item, "paused", &p->paused))
			return false;
		p->slot = (uint32_t)slot;
	}
	return true;
}

int control_report_unpack(const void *src, size_t len, struct control_report *r)
{
	struct msgpack_value map;

	memset(r, 0, sizeof(*r));
	if (control_packet_read(src, len, &map) < 0)
		return -1;
	return control_packet_good(control_find_text(&map, "file", r->file, sizeof(r->file)) && control_find_uint(&map, "since", &r->since) &&
		      find_changes(&map, "changed", r->changed, &r->changes) && find_changes(&map, "waiting", r->waiting, &r->waits) &&
		      find_urls(&map, "opened", r->opened, &r->opens) && find_urls(&map, "closed", r->closed, &r->closes) &&
		      control_find_uint(&map, "renewed", &r->renewed) && control_find_uint(&map, "added", &r->added) && control_find_uint(&map, "draining", &r->draining) &&
		      control_find_uint(&map, "kept", &r->kept) && control_find_uint(&map, "moved", &r->moved) && control_find_uint(&map, "lost", &r->lost) && find_slots(&map, r));
}

static bool get_setting(const struct msgpack_value *map, char name[64], char value[CONTROL_SETTING_MAX], char wanted[CONTROL_SETTING_MAX],
			struct control_setting *s)
{
	struct msgpack_value v;

	name[0] = value[0] = wanted[0] = '\0';
	*s = (struct control_setting){ .name = name, .value = value, .wanted = wanted };
	s->waits = msgpack_walk_find(map, "wanted", &v);
	return control_find_text(map, "name", name, 64) && control_find_text(map, "value", value, CONTROL_SETTING_MAX) && control_find_text(map, "wanted", wanted, CONTROL_SETTING_MAX) &&
	       control_find_int(map, "line", &s->line) && control_find_int(map, "wanted_line", &s->wanted_line) && control_find_bool(map, "restart", &s->restart);
}

int control_config_unpack(const void *src, size_t len, char *file, uint64_t *since, void (*take)(void *arg, const struct control_setting *setting), void *arg)
{
	static char name[64], value[CONTROL_SETTING_MAX], wanted[CONTROL_SETTING_MAX];
	struct msgpack_value map, item;
	struct control_items items;

	file[0] = '\0';
	*since = 0;
	if (control_packet_read(src, len, &map) < 0)
		return -1;
	if (!control_find_text(&map, "file", file, 4096) || !control_find_uint(&map, "since", since) ||
	    !control_find_items(&map, "settings", UINT32_MAX, &items))
		return control_packet_good(false);
	while (control_next_item(&items, &item)) {
		struct control_setting s;

		if (item.kind != WALK_MAP || !get_setting(&item, name, value, wanted, &s))
			return control_packet_good(false);
		take(arg, &s);
	}
	return 0;
}
