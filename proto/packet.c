/*
 * Requests. The map is walked once, and the values of the keys that are known are remembered; what an operation wants is a table.
 */
#include "proto/packet.h"

#include <assert.h>
#include <string.h>

#include "proto/message.h"
#include "proto/utf8.h"

enum key { KEY_OP, KEY_SEQ, KEY_TOPIC, KEY_ID, KEY_EVENT, KEY_RECEIPT, KEY_DATA, KEYS };

static const char *const key_names[KEYS] = {
	[KEY_OP] = "op", [KEY_SEQ] = "seq", [KEY_TOPIC] = "topic", [KEY_ID] = "id", [KEY_EVENT] = "event", [KEY_RECEIPT] = "receipt",
	[KEY_DATA] = "data",
};

static const struct {
	const char *name;
	bool topic, id, data;
} ops[REQUEST_UNKNOWN] = {
	[REQUEST_SUBSCRIBE] = { "subscribe", .topic = true },
	[REQUEST_UNSUBSCRIBE] = { "unsubscribe", .topic = true },
	[REQUEST_PUBLISH] = { "publish", .topic = true, .data = true },
	[REQUEST_LOGIN] = { "login", .id = true },
	[REQUEST_LOGOUT] = { "logout", .id = true },
	[REQUEST_SEND] = { "send", .id = true, .data = true },
	[REQUEST_PING] = { "ping", false, false, false },
};

static void bad(struct packet_request *req, const char *error)
{
	*req = (struct packet_request){ .kind = PACKET_BAD, .error = error };
}

/* Finds the values of known keys in the map that fills in[0..len). NULL, or what is wrong. *twice: a known key stands twice. */
static const char *read_map(const uint8_t *in, size_t len, struct msgpack_value values[KEYS], bool *twice)
{
	const uint8_t *at = in, *end = in + len;
	struct msgpack_value map, key, value;

	if (!msgpack_walk_head(&at, end, &map) || map.kind != WALK_MAP)
		return "a packet is not a msgpack map";
	for (uint32_t i = 0; i < map.len; i++) {
		if (!msgpack_walk_take(&at, end, &key) || !msgpack_walk_take(&at, end, &value))
			return "a packet's msgpack is broken or too deep";
		for (unsigned k = 0; k < KEYS; k++) {
			if (!msgpack_walk_is(&key, key_names[k]))
				continue;
			*twice |= values[k].start != NULL;
			values[k] = value;
		}
	}
	return at == end ? NULL : "a packet's length is not that of its map";
}

typedef const char *rules_fn(const char *name, size_t len);

/* The texts that name topics and connections. */
static const char *read_name(const struct msgpack_value *v, const char *none, rules_fn *rules, const char **name, size_t *len)
{
	if (v->start == NULL)
		return none;
	if (v->kind != WALK_STR)
		return "topic and id are str";
	*name = (const char *)v->p;
	*len = v->len;
	return rules(*name, *len);
}

static const char *read_event(const struct msgpack_value *v, struct packet_request *req)
{
	if (v->kind != WALK_STR)
		return "event is a str";
	if (!utf8_text(v->p, v->len))
		return "event is not UTF-8";
	req->event = (const char *)v->p;
	req->event_len = v->len;
	return NULL;
}

static const char *read_op(const struct msgpack_value *v, struct packet_request *req)
{
	for (unsigned i = 0; i < REQUEST_UNKNOWN; i++) {
		if (msgpack_walk_is(v, ops[i].name)) {
			req->op = (enum request_kind)i;
			return NULL;
		}
	}
	return v->start == NULL ? "no op" : "unknown op: subscribe, unsubscribe, publish, login, logout, send and ping are known";
}

/* What the operation wants. NULL, or why it is refused. */
static const char *read_request(const struct msgpack_value v[KEYS], struct packet_request *req)
{
	const char *error;

	if (v[KEY_SEQ].start != NULL && v[KEY_SEQ].kind != WALK_UINT)
		return "seq is an unsigned integer";
	req->has_seq = v[KEY_SEQ].start != NULL;
	req->seq = v[KEY_SEQ].u;
	error = read_op(&v[KEY_OP], req);
	if (error == NULL && ops[req->op].topic)
		error = read_name(&v[KEY_TOPIC], "no topic", message_topic_error, &req->topic, &req->topic_len);
	if (error == NULL && ops[req->op].id)
		error = read_name(&v[KEY_ID], "no id", message_id_error, &req->id, &req->id_len);
	if (error != NULL || !ops[req->op].data)
		return error;
	if (v[KEY_DATA].start == NULL)
		return "no data";
	if (v[KEY_RECEIPT].start != NULL && v[KEY_RECEIPT].kind != WALK_BOOL)
		return "receipt is true or false";
	req->data = v[KEY_DATA];
	req->receipt = v[KEY_RECEIPT].start != NULL && v[KEY_RECEIPT].u;
	return v[KEY_EVENT].start != NULL ? read_event(&v[KEY_EVENT], req) : NULL;
}

void packet_next(const char *in, size_t len, size_t max, struct packet_request *req)
{
	const uint8_t *p = (const uint8_t *)in;
	struct msgpack_value values[KEYS] = { 0 };
	bool twice = false;
	const char *error;
	size_t size;

	assert(max <= PACKET_MAX);
	*req = (struct packet_request){ .kind = PACKET_MORE };
	if (len < PACKET_HEADER)
		return;
	size = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
	if (size > max || size == 0) {
		bad(req, size > 0 ? "the packet is too long" : "a packet is not a msgpack map");
		return;
	}
	if (len - PACKET_HEADER < size)
		return;
	error = read_map(p + PACKET_HEADER, size, values, &twice);
	if (error != NULL) {
		bad(req, error);
		return;
	}
	error = twice ? "a key stands twice" : read_request(values, req);
	req->kind = error != NULL ? PACKET_REFUSED : PACKET_REQUEST;
	req->error = error;
	req->taken = PACKET_HEADER + size;
}
