/*
 * The control protocol's packets: written by msgpack-c, read by msgpack_walk.c.
 */
#include "proto/control.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <msgpack.h>

#include "proto/msgpack_walk.h"

static const char *const command_names[] = {
	[CONTROL_UNKNOWN] = "unknown",
	[CONTROL_STATUS] = "status",
	[CONTROL_RELOAD] = "reload",
	[CONTROL_HUB] = "hub",
	[CONTROL_SLOTS] = "slots",
	[CONTROL_CONFIG] = "config",
	[CONTROL_LOG] = "log",
	[CONTROL_KICK] = "kick",
	[CONTROL_DRAIN] = "drain",
	[CONTROL_STOP] = "stop",
};
static const char *const state_names[] = {
	[CONTROL_STATE_UNKNOWN] = "unknown",
	[CONTROL_STATE_EMPTY] = "empty",
	[CONTROL_STATE_STARTING] = "starting",
	[CONTROL_STATE_LIVE] = "live",
	[CONTROL_STATE_DRAINING] = "draining",
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static unsigned find_name(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 1; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return (unsigned)i;
	return 0;
}

const char *control_command_name(enum control_command command)
{
	return command_names[command];
}

enum control_command control_command_find(const char *name)
{
	return find_name(command_names, COUNT(command_names), name);
}

const char *control_state_name(enum control_state state)
{
	return state_names[state];
}

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

static void pack_text(msgpack_packer *to, const char *text)
{
	msgpack_pack_str(to, strlen(text));
	msgpack_pack_str_body(to, text, strlen(text));
}

static void pack_uint(msgpack_packer *to, const char *key, uint64_t value)
{
	pack_text(to, key);
	msgpack_pack_uint64(to, value);
}

static void pack_pair(msgpack_packer *to, const char *key, const char *value)
{
	pack_text(to, key);
	pack_text(to, value);
}

/* A map of `more` pairs beyond v and, in a reply, ok. */
static void begin_request(msgpack_packer *to, unsigned more)
{
	msgpack_pack_map(to, 1 + more);
	pack_uint(to, "v", CONTROL_VERSION);
}

static void begin_reply(msgpack_packer *to, bool ok, unsigned more)
{
	begin_request(to, 1 + more);
	pack_text(to, "ok");
	if (ok)
		msgpack_pack_true(to);
	else
		msgpack_pack_false(to);
}

size_t control_request_write(void *dst, const struct control_request *request)
{
	const struct {
		const char *key, *text;
	} texts[] = { { "arg", request->argument }, { "id", request->id }, { "topic", request->topic }, { "user", request->user }, { "reason", request->reason } };
	struct packet packet = {dst, 0};
	msgpack_packer to;
	unsigned more = 1;

	for (size_t i = 0; i < COUNT(texts); i++)
		more += *texts[i].text != '\0';
	msgpack_packer_init(&to, &packet, append);
	begin_request(&to, more + (request->rate != 0) + (request->slot != CONTROL_NO_SLOT));
	pack_pair(&to, "cmd", control_command_name(request->command));
	for (size_t i = 0; i < COUNT(texts); i++)
		if (*texts[i].text)
			pack_pair(&to, texts[i].key, texts[i].text);
	if (request->rate)
		pack_uint(&to, "rate", request->rate);
	if (request->slot != CONTROL_NO_SLOT)
		pack_uint(&to, "slot", request->slot);
	return packet.len;
}

size_t control_request_pack(void *dst, enum control_command command)
{
	const struct control_request request = { .command = command, .slot = CONTROL_NO_SLOT };

	return control_request_write(dst, &request);
}

size_t control_order_pack(void *dst, uint64_t order, uint64_t slots)
{
	struct packet packet = {dst, 0};
	msgpack_packer to;

	msgpack_packer_init(&to, &packet, append);
	begin_reply(&to, true, 2);
	pack_uint(&to, "order", order);
	pack_uint(&to, "order_slots", slots);
	return packet.len;
}

size_t control_reply_pack(void *dst, const char *error)
{
	struct packet packet = {dst, 0};
	msgpack_packer to;
	size_t len = error ? strnlen(error, CONTROL_ERROR_MAX - 1) : 0;

	msgpack_packer_init(&to, &packet, append);
	begin_reply(&to, !error, error ? 1 : 0);
	if (error) {
		pack_text(&to, "error");
		msgpack_pack_str(&to, len);
		msgpack_pack_str_body(&to, error, len);
	}
	return packet.len;
}

static void pack_worker(msgpack_packer *to, const struct control_worker *w)
{
	msgpack_pack_map(to, 7);
	pack_uint(to, "slot", w->slot);
	pack_pair(to, "state", control_state_name(w->state));
	pack_uint(to, "keeper", w->keeper);
	pack_uint(to, "worker", w->worker);
	pack_uint(to, "connections", w->connections);
	pack_uint(to, "restarts", w->restarts);
	pack_uint(to, "generation", w->generation);
}

size_t control_status_pack(void *dst, const struct control_status *status)
{
	struct packet packet = {dst, 0};
	msgpack_packer to;

	msgpack_packer_init(&to, &packet, append);
	begin_reply(&to, true, 14);
	pack_pair(&to, "version", status->version);
	pack_uint(&to, "pid", status->pid);
	pack_uint(&to, "started", status->started);
	pack_pair(&to, "file", status->file);
	pack_pair(&to, "runtime_dir", status->runtime_dir);
	pack_pair(&to, "data", status->data);
	pack_pair(&to, "data_error", status->data_error);
	pack_text(&to, "listen");
	msgpack_pack_array(&to, status->listeners);
	for (unsigned i = 0; i < status->listeners; i++)
		pack_text(&to, status->listen[i]);
	pack_pair(&to, "admin", status->admin);
	pack_uint(&to, "connections_max", status->connections_max);
	pack_uint(&to, "buffered", status->buffered);
	pack_uint(&to, "buffered_max", status->buffered_max);
	pack_text(&to, "by_transport");
	msgpack_pack_map(&to, TRANSPORT_GROUPS);
	for (unsigned i = 0; i < TRANSPORT_GROUPS; i++)
		pack_uint(&to, transport_group_key(i), status->by_transport[i]);
	pack_text(&to, "workers");
	msgpack_pack_array(&to, status->workers);
	for (unsigned i = 0; i < status->workers; i++)
		pack_worker(&to, &status->worker[i]);
	return packet.len;
}

/* ---- unpacking: what the values say ---- */

static bool get_uint(const struct msgpack_value *v, uint64_t most, uint64_t *dst)
{
	if (v->kind != WALK_UINT || v->u > most)
		return false;
	*dst = v->u;
	return true;
}

static bool get_text(const struct msgpack_value *v, char *dst, size_t size)
{
	if (v->kind != WALK_STR || v->len >= size || memchr(v->p, 0, v->len))
		return false;
	memcpy(dst, v->p, v->len);
	dst[v->len] = '\0';
	return true;
}

/* Each is fine with an absent key, and leaves *dst then. */
static bool find_uint(const struct msgpack_value *map, const char *key, uint64_t *dst)
{
	struct msgpack_value v;

	return !msgpack_walk_find(map, key, &v) || get_uint(&v, UINT64_MAX, dst);
}

static bool find_u32(const struct msgpack_value *map, const char *key, uint32_t *dst)
{
	struct msgpack_value v;
	uint64_t n = *dst;

	if (msgpack_walk_find(map, key, &v) && !get_uint(&v, UINT32_MAX, &n))
		return false;
	*dst = (uint32_t)n;
	return true;
}

static bool find_text(const struct msgpack_value *map, const char *key, char *dst, size_t size)
{
	struct msgpack_value v;

	return !msgpack_walk_find(map, key, &v) || get_text(&v, dst, size);
}

/* The array at a key, an empty one if absent. False: it is none, or too long. */
static bool find_array(const struct msgpack_value *map, const char *key, uint32_t most, struct msgpack_value *array)
{
	if (msgpack_walk_find(map, key, array))
		return array->kind == WALK_ARRAY && array->len <= most;
	*array = (struct msgpack_value){ .kind = WALK_ARRAY };
	return true;
}

static bool get_worker(const struct msgpack_value *map, struct control_worker *w)
{
	char state[32] = "";

	if (map->kind != WALK_MAP || !find_text(map, "state", state, sizeof(state)))
		return false;
	w->state = find_name(state_names, COUNT(state_names), state);
	return find_u32(map, "slot", &w->slot) && find_u32(map, "keeper", &w->keeper) && find_u32(map, "worker", &w->worker) &&
	       find_uint(map, "connections", &w->connections) && find_uint(map, "restarts", &w->restarts) &&
	       find_uint(map, "generation", &w->generation);
}

static bool find_listeners(const struct msgpack_value *map, struct control_status *s)
{
	struct msgpack_value array, v;
	const uint8_t *at;

	if (!find_array(map, "listen", CONTROL_LISTEN_MAX, &array))
		return false;
	for (at = array.p; s->listeners < array.len; s->listeners++)
		if (!msgpack_walk_take(&at, array.end, &v) || !get_text(&v, s->listen[s->listeners], sizeof(s->listen[0])))
			return false;
	return true;
}

static bool find_workers(const struct msgpack_value *map, struct control_status *s)
{
	struct msgpack_value array, v;
	const uint8_t *at;

	if (!find_array(map, "workers", CONTROL_WORKERS_MAX, &array))
		return false;
	for (at = array.p; s->workers < array.len; s->workers++)
		if (!msgpack_walk_take(&at, array.end, &v) || !get_worker(&v, &s->worker[s->workers]))
			return false;
	return true;
}

/* A later version may know transports that are none here. */
static bool find_groups(const struct msgpack_value *map, uint64_t *by_transport)
{
	struct msgpack_value groups;

	if (!msgpack_walk_find(map, "by_transport", &groups))
		return true;
	if (groups.kind != WALK_MAP)
		return false;
	for (unsigned i = 0; i < TRANSPORT_GROUPS; i++)
		if (!find_uint(&groups, transport_group_key(i), &by_transport[i]))
			return false;
	return true;
}

static bool get_status(const struct msgpack_value *map, struct control_status *s)
{
	memset(s, 0, sizeof(*s));
	return find_listeners(map, s) && find_workers(map, s) &&
	       find_text(map, "version", s->version, sizeof(s->version)) && find_u32(map, "pid", &s->pid) &&
	       find_uint(map, "started", &s->started) && find_text(map, "file", s->file, sizeof(s->file)) &&
	       find_text(map, "runtime_dir", s->runtime_dir, sizeof(s->runtime_dir)) && find_text(map, "data", s->data, sizeof(s->data)) &&
	       find_text(map, "data_error", s->data_error, sizeof(s->data_error)) && find_text(map, "admin", s->admin, sizeof(s->admin)) &&
	       find_uint(map, "connections_max", &s->connections_max) && find_uint(map, "buffered", &s->buffered) &&
	       find_uint(map, "buffered_max", &s->buffered_max) && find_groups(map, s->by_transport);
}

/* ---- unpacking: whole packets ---- */

static int finish(bool good)
{
	if (good)
		return 0;
	errno = EBADMSG;
	return -1;
}

/* 0: the packet is a map of this protocol's version. */
static int unpack(const void *src, size_t len, struct msgpack_value *map)
{
	const uint8_t *at = src, *end = at + len;
	struct msgpack_value version;

	if (len > CONTROL_PACKET_MAX || !msgpack_walk_take(&at, end, map) || at != end)
		return finish(false);
	if (!msgpack_walk_find(map, "v", &version) || version.kind != WALK_UINT)
		return finish(false);
	if (version.u == CONTROL_VERSION)
		return 0;
	errno = EPROTONOSUPPORT;
	return -1;
}

int control_request_unpack(const void *src, size_t len, struct control_request *request)
{
	struct msgpack_value map, name;

	if (unpack(src, len, &map) < 0)
		return -1;
	memset(request, 0, sizeof(*request));
	if (!msgpack_walk_find(&map, "cmd", &name) || !get_text(&name, request->name, sizeof(request->name)) ||
	    !find_text(&map, "arg", request->argument, sizeof(request->argument)))
		return finish(false);
	request->command = control_command_find(request->name);
	request->slot = CONTROL_NO_SLOT;
	return finish(find_text(&map, "id", request->id, sizeof(request->id)) && find_text(&map, "topic", request->topic, sizeof(request->topic)) &&
		      find_text(&map, "user", request->user, sizeof(request->user)) && find_text(&map, "reason", request->reason, sizeof(request->reason)) &&
		      find_uint(&map, "rate", &request->rate) && find_u32(&map, "slot", &request->slot));
}

int control_reply_unpack(const void *src, size_t len, struct control_reply *reply, struct control_status *status)
{
	struct msgpack_value map, ok;

	if (unpack(src, len, &map) < 0)
		return -1;
	memset(reply, 0, sizeof(*reply));
	if (!msgpack_walk_find(&map, "ok", &ok) || ok.kind != WALK_BOOL || !find_text(&map, "error", reply->error, sizeof(reply->error)) ||
	    !find_uint(&map, "order", &reply->order) || !find_uint(&map, "order_slots", &reply->slots))
		return finish(false);
	reply->ok = ok.u;
	return finish(!reply->ok || !status || get_status(&map, status));
}
