/*
 * The control protocol's packets.
 *
 * msgpack-c allocates what an array's or a map's header announces before it has seen one element: five bytes can ask for gigabytes. So a
 * packet is walked first, and only given to msgpack-c when everything it announces is there.
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

size_t control_request_pack(void *dst, enum control_command command)
{
	struct packet packet = {dst, 0};
	msgpack_packer to;

	msgpack_packer_init(&to, &packet, append);
	begin_request(&to, 1);
	pack_pair(&to, "cmd", control_command_name(command));
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
	begin_reply(&to, true, 11);
	pack_pair(&to, "version", status->version);
	pack_uint(&to, "pid", status->pid);
	pack_uint(&to, "started", status->started);
	pack_pair(&to, "file", status->file);
	pack_pair(&to, "runtime_dir", status->runtime_dir);
	pack_text(&to, "listen");
	msgpack_pack_array(&to, status->listeners);
	for (unsigned i = 0; i < status->listeners; i++)
		pack_text(&to, status->listen[i]);
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

static bool get_uint(const msgpack_object *o, uint64_t most, uint64_t *dst)
{
	if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER || o->via.u64 > most)
		return false;
	*dst = o->via.u64;
	return true;
}

static bool get_u32(const msgpack_object *o, uint32_t *dst)
{
	uint64_t n;

	if (!get_uint(o, UINT32_MAX, &n))
		return false;
	*dst = (uint32_t)n;
	return true;
}

static bool get_text(const msgpack_object *o, char *dst, size_t size)
{
	if (o->type != MSGPACK_OBJECT_STR || o->via.str.size >= size || memchr(o->via.str.ptr, 0, o->via.str.size))
		return false;
	memcpy(dst, o->via.str.ptr, o->via.str.size);
	dst[o->via.str.size] = '\0';
	return true;
}

/* The value of a key in a map, the last one if there are several, or NULL. */
static const msgpack_object *find(const msgpack_object *map, const char *key)
{
	for (uint32_t i = map->via.map.size; i > 0; i--) {
		const msgpack_object_kv *kv = &map->via.map.ptr[i - 1];

		if (kv->key.type == MSGPACK_OBJECT_STR && kv->key.via.str.size == strlen(key) &&
		    memcmp(kv->key.via.str.ptr, key, strlen(key)) == 0)
			return &kv->val;
	}
	return NULL;
}

/* Each is fine with an absent key, and leaves *dst then. */
static bool find_uint(const msgpack_object *map, const char *key, uint64_t *dst)
{
	const msgpack_object *o = find(map, key);

	return !o || get_uint(o, UINT64_MAX, dst);
}

static bool find_u32(const msgpack_object *map, const char *key, uint32_t *dst)
{
	const msgpack_object *o = find(map, key);

	return !o || get_u32(o, dst);
}

static bool find_text(const msgpack_object *map, const char *key, char *dst, size_t size)
{
	const msgpack_object *o = find(map, key);

	return !o || get_text(o, dst, size);
}

/* The array at a key, an empty one if absent; NULL when it is none or too long. */
static const msgpack_object_array *find_array(const msgpack_object *map, const char *key, uint32_t most)
{
	static const msgpack_object_array empty;
	const msgpack_object *o = find(map, key);

	if (!o)
		return &empty;
	return o->type == MSGPACK_OBJECT_ARRAY && o->via.array.size <= most ? &o->via.array : NULL;
}

static bool get_worker(const msgpack_object *o, struct control_worker *w)
{
	char state[32] = "";

	if (o->type != MSGPACK_OBJECT_MAP || !find_text(o, "state", state, sizeof(state)))
		return false;
	w->state = find_name(state_names, COUNT(state_names), state);
	return find_u32(o, "slot", &w->slot) && find_u32(o, "keeper", &w->keeper) && find_u32(o, "worker", &w->worker) &&
	       find_uint(o, "connections", &w->connections) && find_uint(o, "restarts", &w->restarts) &&
	       find_uint(o, "generation", &w->generation);
}

/* A later version may know transports that are none here. */
static bool find_groups(const msgpack_object *map, uint64_t *by_transport)
{
	const msgpack_object *o = find(map, "by_transport");

	if (!o)
		return true;
	if (o->type != MSGPACK_OBJECT_MAP)
		return false;
	for (unsigned i = 0; i < TRANSPORT_GROUPS; i++)
		if (!find_uint(o, transport_group_key(i), &by_transport[i]))
			return false;
	return true;
}

static bool get_status(const msgpack_object *map, struct control_status *s)
{
	const msgpack_object_array *listen = find_array(map, "listen", CONTROL_LISTEN_MAX);
	const msgpack_object_array *workers = find_array(map, "workers", CONTROL_WORKERS_MAX);

	memset(s, 0, sizeof(*s));
	if (!listen || !workers)
		return false;
	for (; s->listeners < listen->size; s->listeners++)
		if (!get_text(&listen->ptr[s->listeners], s->listen[s->listeners], sizeof(s->listen[0])))
			return false;
	for (; s->workers < workers->size; s->workers++)
		if (!get_worker(&workers->ptr[s->workers], &s->worker[s->workers]))
			return false;
	return find_text(map, "version", s->version, sizeof(s->version)) && find_u32(map, "pid", &s->pid) &&
	       find_uint(map, "started", &s->started) && find_text(map, "file", s->file, sizeof(s->file)) &&
	       find_text(map, "runtime_dir", s->runtime_dir, sizeof(s->runtime_dir)) &&
	       find_uint(map, "connections_max", &s->connections_max) && find_uint(map, "buffered", &s->buffered) &&
	       find_uint(map, "buffered_max", &s->buffered_max) && find_groups(map, s->by_transport);
}

/* ---- unpacking: whole packets ---- */

/* 0, and *got has a map of this protocol's version, to be given back with msgpack_unpacked_destroy(). */
static int unpack(const void *src, size_t len, msgpack_unpacked *got)
{
	const uint8_t *p = src, *end = p + len;
	struct msgpack_value whole;
	size_t at = 0;
	uint64_t version;

	msgpack_unpacked_init(got);
	if (len > CONTROL_PACKET_MAX || !msgpack_walk_take(&p, end, &whole) || p != end)
		goto bad;
	if (msgpack_unpack_next(got, src, len, &at) != MSGPACK_UNPACK_SUCCESS || got->data.type != MSGPACK_OBJECT_MAP)
		goto bad;
	if (!find(&got->data, "v") || !get_uint(find(&got->data, "v"), UINT64_MAX, &version))
		goto bad;
	if (version == CONTROL_VERSION)
		return 0;
	msgpack_unpacked_destroy(got);
	errno = EPROTONOSUPPORT;
	return -1;
bad:
	msgpack_unpacked_destroy(got);
	errno = EBADMSG;
	return -1;
}

static int finish(msgpack_unpacked *got, bool good)
{
	msgpack_unpacked_destroy(got);
	if (good)
		return 0;
	errno = EBADMSG;
	return -1;
}

int control_request_unpack(const void *src, size_t len, struct control_request *request)
{
	msgpack_unpacked got;
	bool good;

	if (unpack(src, len, &got) < 0)
		return -1;
	memset(request, 0, sizeof(*request));
	good = find(&got.data, "cmd") && find_text(&got.data, "cmd", request->name, sizeof(request->name));
	request->command = control_command_find(request->name);
	return finish(&got, good);
}

int control_reply_unpack(const void *src, size_t len, struct control_reply *reply, struct control_status *status)
{
	msgpack_unpacked got;
	const msgpack_object *ok;
	bool good;

	if (unpack(src, len, &got) < 0)
		return -1;
	memset(reply, 0, sizeof(*reply));
	ok = find(&got.data, "ok");
	good = ok && ok->type == MSGPACK_OBJECT_BOOLEAN && find_text(&got.data, "error", reply->error, sizeof(reply->error));
	reply->ok = good && ok->via.boolean;
	if (reply->ok && status)
		good = get_status(&got.data, status);
	return finish(&got, good);
}
