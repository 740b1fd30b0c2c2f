/*
 * The control protocol's packets: written by msgpack-c, read by msgpack_walk.c.
 */
#include "proto/control.h"

#include <errno.h>
#include <string.h>

#include "proto/control_packet.h"

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

size_t control_request_write(void *dst, const struct control_request *request)
{
	const struct {
		const char *key, *text;
	} texts[] = { { "arg", request->argument }, { "id", request->id }, { "topic", request->topic }, { "user", request->user }, { "sub", request->sub }, { "reason", request->reason } };
	struct control_packet packet;
	msgpack_packer *to = &packet.to;
	unsigned more = 1;

	for (size_t i = 0; i < COUNT(texts); i++)
		more += *texts[i].text != '\0';
	control_packet_init(&packet, dst);
	control_begin_request(to, more + (request->rate != 0) + (request->slot != CONTROL_NO_SLOT));
	control_put_pair(to, "cmd", control_command_name(request->command));
	for (size_t i = 0; i < COUNT(texts); i++)
		if (*texts[i].text)
			control_put_pair(to, texts[i].key, texts[i].text);
	if (request->rate)
		control_put_uint(to, "rate", request->rate);
	if (request->slot != CONTROL_NO_SLOT)
		control_put_uint(to, "slot", request->slot);
	return packet.len;
}

size_t control_request_pack(void *dst, enum control_command command)
{
	const struct control_request request = { .command = command, .slot = CONTROL_NO_SLOT };

	return control_request_write(dst, &request);
}

size_t control_order_pack(void *dst, uint64_t order, uint64_t slots)
{
	struct control_packet packet;
	msgpack_packer *to = &packet.to;

	control_packet_init(&packet, dst);
	control_begin_reply(to, true, 2);
	control_put_uint(to, "order", order);
	control_put_uint(to, "order_slots", slots);
	return packet.len;
}

size_t control_reply_pack(void *dst, const char *error)
{
	struct control_packet packet;
	msgpack_packer *to = &packet.to;
	size_t len = error ? strnlen(error, CONTROL_ERROR_MAX - 1) : 0;

	control_packet_init(&packet, dst);
	control_begin_reply(to, !error, error ? 1 : 0);
	if (error) {
		control_put_text(to, "error");
		msgpack_pack_str(to, len);
		msgpack_pack_str_body(to, error, len);
	}
	return packet.len;
}

static void pack_worker(msgpack_packer *to, const struct control_worker *w)
{
	msgpack_pack_map(to, 7);
	control_put_uint(to, "slot", w->slot);
	control_put_pair(to, "state", control_state_name(w->state));
	control_put_uint(to, "keeper", w->keeper);
	control_put_uint(to, "worker", w->worker);
	control_put_uint(to, "connections", w->connections);
	control_put_uint(to, "restarts", w->restarts);
	control_put_uint(to, "generation", w->generation);
}

size_t control_status_pack(void *dst, const struct control_status *status)
{
	struct control_packet packet;
	msgpack_packer *to = &packet.to;

	control_packet_init(&packet, dst);
	control_begin_reply(to, true, 16);
	control_put_pair(to, "version", status->version);
	control_put_uint(to, "pid", status->pid);
	control_put_uint(to, "revived", status->revived);
	control_put_uint(to, "started", status->started);
	control_put_pair(to, "file", status->file);
	control_put_pair(to, "runtime_dir", status->runtime_dir);
	control_put_pair(to, "data", status->data);
	control_put_pair(to, "data_error", status->data_error);
	control_put_pair(to, "nodes", status->nodes);
	control_put_text(to, "listen");
	msgpack_pack_array(to, status->listeners);
	for (unsigned i = 0; i < status->listeners; i++)
		control_put_text(to, status->listen[i]);
	control_put_pair(to, "admin", status->admin);
	control_put_uint(to, "connections_max", status->connections_max);
	control_put_uint(to, "buffered", status->buffered);
	control_put_uint(to, "buffered_max", status->buffered_max);
	control_put_text(to, "by_transport");
	msgpack_pack_map(to, TRANSPORT_GROUPS);
	for (unsigned i = 0; i < TRANSPORT_GROUPS; i++)
		control_put_uint(to, transport_group_key(i), status->by_transport[i]);
	control_put_text(to, "workers");
	msgpack_pack_array(to, status->workers);
	for (unsigned i = 0; i < status->workers; i++)
		pack_worker(to, &status->worker[i]);
	return packet.len;
}

/* ---- unpacking: what the values say ---- */

static bool get_worker(const struct msgpack_value *map, struct control_worker *w)
{
	char state[32] = "";

	if (map->kind != WALK_MAP || !control_find_text(map, "state", state, sizeof(state)))
		return false;
	w->state = find_name(state_names, COUNT(state_names), state);
	return control_find_u32(map, "slot", &w->slot) && control_find_u32(map, "keeper", &w->keeper) && control_find_u32(map, "worker", &w->worker) &&
	       control_find_uint(map, "connections", &w->connections) && control_find_uint(map, "restarts", &w->restarts) &&
	       control_find_uint(map, "generation", &w->generation);
}

static bool find_listeners(const struct msgpack_value *map, struct control_status *s)
{
	struct control_items items;
	struct msgpack_value v;

	if (!control_find_items(map, "listen", CONTROL_LISTEN_MAX, &items))
		return false;
	for (; control_next_item(&items, &v); s->listeners++)
		if (!control_get_text(&v, s->listen[s->listeners], sizeof(s->listen[0])))
			return false;
	return items.left == 0;
}

static bool find_workers(const struct msgpack_value *map, struct control_status *s)
{
	struct control_items items;
	struct msgpack_value v;

	if (!control_find_items(map, "workers", CONTROL_WORKERS_MAX, &items))
		return false;
	for (; control_next_item(&items, &v); s->workers++)
		if (!get_worker(&v, &s->worker[s->workers]))
			return false;
	return items.left == 0;
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
		if (!control_find_uint(&groups, transport_group_key(i), &by_transport[i]))
			return false;
	return true;
}

static bool get_status(const struct msgpack_value *map, struct control_status *s)
{
	memset(s, 0, sizeof(*s));
	return find_listeners(map, s) && find_workers(map, s) &&
	       control_find_text(map, "version", s->version, sizeof(s->version)) && control_find_u32(map, "pid", &s->pid) && control_find_u32(map, "revived", &s->revived) &&
	       control_find_uint(map, "started", &s->started) && control_find_text(map, "file", s->file, sizeof(s->file)) &&
	       control_find_text(map, "runtime_dir", s->runtime_dir, sizeof(s->runtime_dir)) && control_find_text(map, "data", s->data, sizeof(s->data)) &&
	       control_find_text(map, "data_error", s->data_error, sizeof(s->data_error)) && control_find_text(map, "nodes", s->nodes, sizeof(s->nodes)) &&
	       control_find_text(map, "admin", s->admin, sizeof(s->admin)) &&
	       control_find_uint(map, "connections_max", &s->connections_max) && control_find_uint(map, "buffered", &s->buffered) &&
	       control_find_uint(map, "buffered_max", &s->buffered_max) && find_groups(map, s->by_transport);
}

/* ---- unpacking: whole packets ---- */

int control_request_unpack(const void *src, size_t len, struct control_request *request)
{
	struct msgpack_value map, name;

	if (control_packet_read(src, len, &map) < 0)
		return -1;
	memset(request, 0, sizeof(*request));
	if (!msgpack_walk_find(&map, "cmd", &name) || !control_get_text(&name, request->name, sizeof(request->name)) ||
	    !control_find_text(&map, "arg", request->argument, sizeof(request->argument)))
		return control_packet_good(false);
	request->command = control_command_find(request->name);
	request->slot = CONTROL_NO_SLOT;
	return control_packet_good(control_find_text(&map, "id", request->id, sizeof(request->id)) && control_find_text(&map, "topic", request->topic, sizeof(request->topic)) &&
		      control_find_text(&map, "user", request->user, sizeof(request->user)) && control_find_text(&map, "sub", request->sub, sizeof(request->sub)) && control_find_text(&map, "reason", request->reason, sizeof(request->reason)) &&
		      control_find_uint(&map, "rate", &request->rate) && control_find_u32(&map, "slot", &request->slot));
}

int control_reply_unpack(const void *src, size_t len, struct control_reply *reply, struct control_status *status)
{
	struct msgpack_value map, ok;

	if (control_packet_read(src, len, &map) < 0)
		return -1;
	memset(reply, 0, sizeof(*reply));
	if (!msgpack_walk_find(&map, "ok", &ok) || ok.kind != WALK_BOOL || !control_find_text(&map, "error", reply->error, sizeof(reply->error)) ||
	    !control_find_uint(&map, "order", &reply->order) || !control_find_uint(&map, "order_slots", &reply->slots))
		return control_packet_good(false);
	reply->ok = ok.u;
	return control_packet_good(!reply->ok || !status || get_status(&map, status));
}
