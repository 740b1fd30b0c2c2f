/*
 * The handover state. See handover.h.
 */
#include "master/handover.h"

#include <errno.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/msgpack_walk.h"

static void put_key(msgpack_packer *p, const char *key)
{
	msgpack_pack_str_with_body(p, key, strlen(key));
}

static void put_int(msgpack_packer *p, const char *key, int64_t n)
{
	put_key(p, key);
	msgpack_pack_int64(p, n);
}

static void put_text(msgpack_packer *p, const char *key, const char *text)
{
	put_key(p, key);
	put_key(p, text);
}

static void put_listeners(msgpack_packer *p, const char *key, const struct handover_listener *listen, unsigned count)
{
	put_key(p, key);
	msgpack_pack_array(p, count);
	for (unsigned i = 0; i < count; i++) {
		msgpack_pack_map(p, 8);
		put_int(p, "fd", listen[i].fd);
		put_text(p, "url", listen[i].url);
		put_text(p, "bound", listen[i].bound);
		put_text(p, "slow", slow_policy_word(listen[i].slow));
		put_int(p, "proxy", listen[i].proxy);
		put_int(p, "dev", (int64_t)listen[i].file.dev);
		put_int(p, "ino", (int64_t)listen[i].file.ino);
		put_int(p, "line", listen[i].line);
	}
}

static void put_lines(msgpack_packer *p, const char *key, const struct config_lines *lines)
{
	put_key(p, key);
	msgpack_pack_map(p, SETTINGS + 1);
	for (unsigned i = 0; i < SETTINGS; i++)
		put_int(p, settings_table[i].name, lines->of[i]);
	put_int(p, "workers", lines->of[SETTINGS]);
}

static void put_config(msgpack_packer *p, const struct handover_config *c)
{
	put_key(p, "config");
	if (!c->there) {
		msgpack_pack_nil(p);
		return;
	}
	msgpack_pack_map(p, 4);
	put_int(p, "since", (int64_t)c->since);
	put_key(p, "wanted");
	settings_pack(&c->wanted, p);
	put_lines(p, "wanted_lines", &c->wanted_lines);
	put_lines(p, "lines", &c->lines);
}

static void put_slots(msgpack_packer *p, const struct handover *h)
{
	put_key(p, "slots");
	msgpack_pack_array(p, INDEX_SLOTS_MAX);
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		msgpack_pack_map(p, 7);
		put_int(p, "used", h->slots[i].used);
		put_int(p, "draining", h->slots[i].draining);
		put_int(p, "segment", h->slots[i].segment);
		put_int(p, "orders", h->slots[i].orders);
		put_int(p, "door", h->slots[i].door);
		put_int(p, "keeper", h->slots[i].keeper);
		put_int(p, "spare", h->slots[i].spare);
	}
}

static void put_fallback(msgpack_packer *p, const struct handover_fallback *b)
{
	put_key(p, "before");
	if (!b->there) {
		msgpack_pack_nil(p);
		return;
	}
	msgpack_pack_map(p, 7);
	put_int(p, "program", b->program);
	put_int(p, "hub", b->hub);
	put_key(p, "segments");
	msgpack_pack_array(p, INDEX_SLOTS_MAX);
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		msgpack_pack_int(p, b->segment[i]);
	put_key(p, "settings");
	settings_pack(&b->settings, p);
	put_config(p, &b->config);
	put_int(p, "secrets", b->secrets);
	put_listeners(p, "listen", b->listen, b->listeners);
}

static void put_arguments(msgpack_packer *p, const struct handover *h)
{
	put_key(p, "arguments");
	if (!h->arguments_there) {
		msgpack_pack_nil(p);
		return;
	}
	msgpack_pack_bin(p, h->arguments_len);
	msgpack_pack_bin_body(p, h->arguments, h->arguments_len);
}

static void pack(msgpack_packer *p, const struct handover *h)
{
	msgpack_pack_map(p, 46);
	put_int(p, "v", HANDOVER_VERSION);
	put_int(p, "layout", h->layout);
	put_int(p, "answer", h->answer);
	put_int(p, "nonce", (int64_t)h->nonce);
	put_text(p, "program", h->program);
	put_arguments(p, h);
	put_int(p, "managed", h->managed);
	put_int(p, "master", h->master);
	put_int(p, "slot", h->slot);
	put_int(p, "hub", h->hub);
	put_int(p, "lock", h->lock);
	put_int(p, "secrets", h->secrets);
	put_int(p, "tickets", h->tickets);
	put_int(p, "fetched", h->fetched);
	put_int(p, "control", h->control);
	put_int(p, "caller", h->caller);
	put_int(p, "snapshot_version", h->snapshot_version);
	put_int(p, "snapshot", h->snapshot);
	put_int(p, "tls", h->tls);
	put_int(p, "tls_before", h->tls_before);
	put_int(p, "fresh", h->new_segments);
	put_int(p, "restore", h->restore);
	put_int(p, "roll", h->reload_number);
	put_int(p, "trial", h->canary);
	put_int(p, "trial_slot", h->canary_slot);
	put_int(p, "again", h->again);
	put_int(p, "revived", h->revived);
	put_int(p, "adopted", h->adopted);
	put_text(p, "failed", h->failed);
	put_fallback(p, &h->fallback);
	put_int(p, "data", h->data);
	put_int(p, "bridge", h->bridge);
	put_int(p, "keepers_died", h->keepers.count);
	put_int(p, "keepers_waits", h->keepers.pauses);
	put_int(p, "programs", h->programs);
	put_int(p, "died", (int64_t)h->died);
	put_int(p, "started", (int64_t)h->started);
	put_key(p, "settings");
	settings_pack(&h->settings, p);
	put_config(p, &h->config);
	put_int(p, "lost", (int64_t)h->lost);
	put_int(p, "moved", (int64_t)h->moved);
	put_key(p, "wake");
	msgpack_pack_array(p, INDEX_SLOTS_MAX);
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		msgpack_pack_int(p, h->wake[i]);
	put_key(p, "queue");
	msgpack_pack_array(p, INDEX_SLOTS_MAX);
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		msgpack_pack_int(p, h->queue[i]);
	put_listeners(p, "listen", h->listen, h->listeners);
	put_listeners(p, "dropped", h->dropped, h->dropped_count);
	put_slots(p, h);
}

void handover_strip(struct handover *h)
{
	h->slot = h->caller = h->snapshot = h->tls = h->tls_before = h->canary_slot = -1;
	h->fallback.there = h->revived = h->adopted = false;
	h->failed[0] = '\0';
}

int handover_write(const struct handover *h)
{
	msgpack_sbuffer buf;
	msgpack_packer p;
	int fd = memfd_create("janus-handover", 0);

	if (fd < 0)
		return -1;
	msgpack_sbuffer_init(&buf);
	msgpack_packer_init(&p, &buf, msgpack_sbuffer_write);
	pack(&p, h);
	if (write(fd, buf.data, buf.size) != (ssize_t)buf.size) {
		close(fd);
		fd = -1;
		errno = EIO;
	}
	msgpack_sbuffer_destroy(&buf);
	return fd;
}

static int64_t get_int(const struct msgpack_value *map, const char *key, int64_t absent)
{
	struct msgpack_value value;
	int64_t n;

	return msgpack_walk_find(map, key, &value) && msgpack_walk_int(&value, &n) ? n : absent;
}

static void get_text(const struct msgpack_value *map, const char *key, char *dst, size_t size)
{
	struct msgpack_value value;

	dst[0] = '\0';
	if (msgpack_walk_find(map, key, &value) && value.kind == WALK_STR && value.len < size) {
		memcpy(dst, value.p, value.len);
		dst[value.len] = '\0';
	}
}

/* Of an array, what is still to be taken. */
struct items {
	const uint8_t *at, *end;
	uint32_t left;
};

/* Not more than `most` items; none if there is no such array. */
static struct items get_items(const struct msgpack_value *map, const char *key, uint32_t most)
{
	struct msgpack_value array;

	if (!msgpack_walk_find(map, key, &array) || array.kind != WALK_ARRAY)
		return (struct items){ 0 };
	return (struct items){ array.p, array.end, array.len < most ? array.len : most };
}

static bool next_item(struct items *items, struct msgpack_value *item)
{
	return items->left > 0 && items->left-- && msgpack_walk_take(&items->at, items->end, item);
}

/* An array of numbers. */
static void get_ints(const struct msgpack_value *map, const char *key, int *dst, uint32_t most)
{
	struct items items = get_items(map, key, most);
	struct msgpack_value item;

	while (next_item(&items, &item))
		*dst++ = (int)item.i;
}

static void unpack_listeners(const struct msgpack_value *map, const char *key, struct handover_listener *listen, unsigned *count)
{
	struct items items = get_items(map, key, LISTENERS_OPEN_MAX);
	struct msgpack_value item;

	for (*count = 0; next_item(&items, &item); ++*count, listen++) {
		struct listen_address address = { 0 };
		char why[CONFIG_ERROR_MAX], slow[16] = "";

		listen->fd = (int)get_int(&item, "fd", -1);
		get_text(&item, "url", listen->url, sizeof(listen->url));
		get_text(&item, "bound", listen->bound, sizeof(listen->bound));
		get_text(&item, "slow", slow, sizeof(slow));
		listen->slow = slow_policy_read(text_piece(slow, strlen(slow)));
		listen->proxy = get_int(&item, "proxy", 0) != 0;
		listen->file.dev = (uint64_t)get_int(&item, "dev", 0);
		listen->file.ino = (uint64_t)get_int(&item, "ino", 0);
		listen->line = (int)get_int(&item, "line", CONFIG_DEFAULT);
		(void)!config_address_read(&address, listen->url, why);
		listen->proto = address.proto;
		listen->tls = address.tls;
	}
}

static void unpack_arrays(struct handover *h, const struct msgpack_value *map)
{
	struct items items;
	struct msgpack_value item;

	get_ints(map, "wake", h->wake, INDEX_SLOTS_MAX);
	memset(h->queue, -1, sizeof(h->queue));
	get_ints(map, "queue", h->queue, INDEX_SLOTS_MAX);
	unpack_listeners(map, "listen", h->listen, &h->listeners);
	unpack_listeners(map, "dropped", h->dropped, &h->dropped_count);
	items = get_items(map, "slots", INDEX_SLOTS_MAX);
	for (unsigned i = 0; next_item(&items, &item); i++) {
		h->slots[i].used = get_int(&item, "used", 0);
		h->slots[i].draining = get_int(&item, "draining", 0);
		h->slots[i].segment = (int)get_int(&item, "segment", -1);
		h->slots[i].orders = (int)get_int(&item, "orders", -1);
		h->slots[i].door = (int)get_int(&item, "door", -1);
		h->slots[i].keeper = (uint32_t)get_int(&item, "keeper", 0);
		h->slots[i].spare = (uint32_t)get_int(&item, "spare", 0);
	}
}

static void unpack_lines(const struct msgpack_value *map, const char *key, struct config_lines *lines)
{
	struct msgpack_value value;

	if (!msgpack_walk_find(map, key, &value) || value.kind != WALK_MAP)
		return;
	for (unsigned i = 0; i < SETTINGS; i++)
		lines->of[i] = (int)get_int(&value, settings_table[i].name, CONFIG_DEFAULT);
	lines->of[SETTINGS] = (int)get_int(&value, "workers", CONFIG_DEFAULT);
}

static void unpack_config(struct handover_config *c, const struct msgpack_value *map)
{
	struct msgpack_value config, wanted;

	if (!msgpack_walk_find(map, "config", &config) || config.kind != WALK_MAP)
		return;
	c->there = msgpack_walk_find(&config, "wanted", &wanted) && settings_unpack(&c->wanted, &wanted) == 0;
	c->since = (uint64_t)get_int(&config, "since", 0);
	unpack_lines(&config, "wanted_lines", &c->wanted_lines);
	unpack_lines(&config, "lines", &c->lines);
}

static int unpack_fallback(struct handover_fallback *b, const struct msgpack_value *map)
{
	struct msgpack_value before, settings;

	if (!msgpack_walk_find(map, "before", &before) || before.kind != WALK_MAP)
		return 0;
	if (!msgpack_walk_find(&before, "settings", &settings) || settings_unpack(&b->settings, &settings) < 0)
		return -1;
	b->there = true;
	unpack_config(&b->config, &before);
	b->program = (int)get_int(&before, "program", -1);
	b->hub = (int)get_int(&before, "hub", -1);
	b->secrets = (int)get_int(&before, "secrets", -1);
	get_ints(&before, "segments", b->segment, INDEX_SLOTS_MAX);
	unpack_listeners(&before, "listen", b->listen, &b->listeners);
	return 0;
}

static void unpack_arguments(struct handover *h, const struct msgpack_value *map)
{
	struct msgpack_value value;

	if (!msgpack_walk_find(map, "arguments", &value) || value.kind != WALK_BIN || value.len > sizeof(h->arguments))
		return;
	memcpy(h->arguments, value.p, value.len);
	h->arguments_len = (unsigned)value.len;
	h->arguments_there = h->arguments_len == 0 || h->arguments[h->arguments_len - 1] == '\0';
}

static int unpack(struct handover *h, const struct msgpack_value *map)
{
	struct msgpack_value settings;

	if (get_int(map, "v", 0) != HANDOVER_VERSION || !msgpack_walk_find(map, "settings", &settings) ||
	    settings_unpack(&h->settings, &settings) < 0)
		return -1;
	h->layout = (uint32_t)get_int(map, "layout", 0);
	h->answer = (int)get_int(map, "answer", -1);
	h->nonce = (uint64_t)get_int(map, "nonce", 0);
	get_text(map, "program", h->program, sizeof(h->program));
	unpack_arguments(h, map);
	h->managed = get_int(map, "managed", 0);
	h->master = (uint32_t)get_int(map, "master", 0);
	h->slot = (int)get_int(map, "slot", -1);
	h->hub = (int)get_int(map, "hub", -1);
	h->lock = (int)get_int(map, "lock", -1);
	h->secrets = (int)get_int(map, "secrets", -1);
	h->tickets = (int)get_int(map, "tickets", -1);
	h->fetched = (int)get_int(map, "fetched", -1);
	h->control = (int)get_int(map, "control", -1);
	h->caller = (int)get_int(map, "caller", -1);
	h->snapshot_version = (uint32_t)get_int(map, "snapshot_version", 0);
	h->snapshot = (int)get_int(map, "snapshot", -1);
	h->tls = (int)get_int(map, "tls", -1);
	h->tls_before = (int)get_int(map, "tls_before", -1);
	h->new_segments = get_int(map, "fresh", 0);
	/* (An earlier version has no such key: if it sends segments along, they are to be filled.) */
	h->restore = get_int(map, "restore", h->new_segments);
	h->reload_number = (uint32_t)get_int(map, "roll", 0);
	h->canary = get_int(map, "trial", 0);
	h->canary_slot = (int)get_int(map, "trial_slot", -1);
	h->again = get_int(map, "again", 0);
	h->revived = get_int(map, "revived", 0);
	h->adopted = get_int(map, "adopted", 0);
	get_text(map, "failed", h->failed, sizeof(h->failed));
	if (unpack_fallback(&h->fallback, map) < 0)
		return -1;
	h->data = (uint32_t)get_int(map, "data", 0);
	h->bridge = (uint32_t)get_int(map, "bridge", 0);
	h->keepers.count = (unsigned)get_int(map, "keepers_died", 0);
	h->keepers.pauses = (unsigned)get_int(map, "keepers_waits", 0);
	h->programs = (uint32_t)get_int(map, "programs", 0);
	h->died = (uint64_t)get_int(map, "died", 0);
	h->started = (uint64_t)get_int(map, "started", 0);
	h->lost = (uint64_t)get_int(map, "lost", 0);
	h->moved = (uint64_t)get_int(map, "moved", 0);
	unpack_config(&h->config, map);
	unpack_arrays(h, map);
	return 0;
}

int handover_read(struct handover *h, int fd)
{
	struct msgpack_value map;
	const uint8_t *at;
	struct stat st;
	uint8_t *bytes = NULL;
	int r = -1;

	memset(h, 0, sizeof(*h));
	if (fstat(fd, &st) == 0 && st.st_size > 0 && (bytes = malloc((size_t)st.st_size)) != NULL &&
	    pread(fd, bytes, (size_t)st.st_size, 0) == st.st_size && (at = bytes, msgpack_walk_take(&at, bytes + st.st_size, &map)))
		r = unpack(h, &map);
	free(bytes);
	close(fd);
	if (r < 0)
		errno = EPROTO;
	return r;
}
