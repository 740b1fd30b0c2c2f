/*
 * Requests. The map is walked once, and the values of the keys that are known are remembered; what an operation takes is vocabulary.c's.
 */
#include "proto/packet.h"

#include <assert.h>
#include <string.h>

#include "proto/message.h"
#include "proto/sink.h"
#include "proto/stranger.h"
#include "proto/utf8.h"
#include "proto/wildcard.h"

/* The map's values, by their keys. */
struct found {
	struct msgpack_value by[MEMBERS];
	struct msgpack_value unknown;	/* the first key that is none of these; start NULL: there is none */
	unsigned twice;			/* in bits: those that stand more than once; `by` has the last one */
};

static void bad(struct packet_request *req, const char *error)
{
	*req = (struct packet_request){ .kind = PACKET_BAD, .error = error };
}

static enum member kind_of(const struct msgpack_value *key)
{
	enum member m = MEMBERS;

	if (msgpack_walk_is(key, "op"))
		return MEMBER_ACTION;
	if (key->kind == WALK_STR)
		m = member_find((const char *)key->p, key->len);
	return m == MEMBER_ACTION ? MEMBERS : m;
}

/* Finds the values in the map that fills in[0..len). NULL, or what is wrong. */
static const char *read_map(const uint8_t *in, size_t len, struct found *found)
{
	const uint8_t *at = in, *end = in + len;
	struct msgpack_value map, key, value;

	if (!msgpack_walk_head(&at, end, &map) || map.kind != WALK_MAP)
		return "a packet is not a msgpack map";
	for (uint32_t i = 0; i < map.len; i++) {
		enum member m;

		if (!msgpack_walk_take(&at, end, &key) || !msgpack_walk_take(&at, end, &value))
			return "a packet's msgpack is broken or too deep";
		m = kind_of(&key);
		if (m == MEMBERS) {
			if (found->unknown.start == NULL)
				found->unknown = key;
			continue;
		}
		if (found->by[m].start != NULL)
			found->twice |= 1u << m;
		found->by[m] = value;
	}
	return at == end ? NULL : "a packet's length is not that of its map";
}

/* ---- names ---- */

static const char *read_name(const struct msgpack_value *v, struct packet_request *req)
{
	bool user = request_is_of_user(req->op);
	const char *error;

	if (v->kind != WALK_STR)
		return user ? "a user is a str" : "a topic is a str";
	req->name = (const char *)v->p;
	req->name_len = v->len;
	error = web_name_error(name_use_of(req->op), req->name, req->name_len);
	if (error == NULL && req->resume.kind == RESUME_LAST && !user && wildcard_in(req->name, req->name_len))
		error = LAST_OF_PATTERN;
	return error;
}

static const char *read_array(const struct msgpack_value *v, struct packet_request *req)
{
	const uint8_t *at = v->start;
	const char *error = NULL;
	struct msgpack_value array, item;

	if (v->len > NAMES_MAX)
		return NAMES_TOO_MANY;
	if (v->len == 0)
		return request_is_of_user(req->op) ? "no user" : "no topic";
	msgpack_walk_head(&at, v->end, &array);
	req->names = at;
	req->names_end = v->end;
	while (error == NULL && at < v->end && msgpack_walk_take(&at, v->end, &item))
		error = read_name(&item, req);
	return error;
}

static const char *read_names(const struct msgpack_value *v, bool many, struct packet_request *req)
{
	bool user = request_is_of_user(req->op);

	if (v->start == NULL)
		return user ? "no user" : "no topic";
	if (many && v->kind == WALK_ARRAY)
		return read_array(v, req);
	if (many && v->kind != WALK_STR)
		return user ? "user is a str or an array of str" : "topic is a str or an array of str";
	return read_name(v, req);
}

bool packet_next_name(struct packet_request *req)
{
	struct msgpack_value item;
	const char *error;

	if (req->names == NULL || req->names >= req->names_end || !msgpack_walk_take(&req->names, req->names_end, &item))
		return false;
	error = read_name(&item, req);
	assert(error == NULL);
	(void)error;
	return true;
}

/* ---- requests ---- */

/* The texts beside the data. */
static const char *read_text(const struct msgpack_value *v, const char *not_str, const char *not_utf8, const char **text, size_t *len)
{
	if (v->start == NULL)
		return NULL;
	if (v->kind != WALK_STR)
		return not_str;
	if (!utf8_text(v->p, v->len))
		return not_utf8;
	*text = (const char *)v->p;
	*len = v->len;
	return NULL;
}

static const char *read_resume(const struct found *found, struct packet_request *req)
{
	const struct msgpack_value *since = &found->by[MEMBER_SINCE], *last = &found->by[MEMBER_LAST];
	const char *error = NULL;

	if (since->start != NULL)
		error = resume_since(&req->resume, (const char *)since->p, since->kind == WALK_STR ? since->len : 0);
	if (error == NULL && last->start != NULL)
		error = resume_last(&req->resume, last->kind == WALK_UINT ? last->u : 0);
	return error;
}

static const char *read_token(const struct msgpack_value *v, struct packet_request *req)
{
	return v->start == NULL ? "no token" : token_read(req->token, (const char *)v->p, v->kind == WALK_STR ? v->len : 0);
}

static const char *read_shown(const struct msgpack_value *v, struct packet_request *req)
{
	return v->start == NULL ? "no token" : read_text(v, "the token is a str", "the token is not UTF-8", &req->shown, &req->shown_len);
}

static const char *read_op(const struct msgpack_value *v, struct packet_request *req)
{
	req->op = v->start != NULL && v->kind == WALK_STR ? request_kind_find((const char *)v->p, v->len) : REQUEST_UNKNOWN;
	if (req->op != REQUEST_UNKNOWN)
		return NULL;
	return v->start == NULL ? "no op: subscribe, unsubscribe, publish, login, logout, send, attach, auth and ping are known" : "unknown op: subscribe, unsubscribe, publish, login, logout, send, attach, auth and ping are known";
}

/* Sets the request's ref, if there is one. */
static const char *read_ref(const struct found *found, struct error_text *why, struct packet_request *req)
{
	const struct msgpack_value *v = &found->by[MEMBER_REF];

	if (found->twice & MEMBER_BIT(REF))
		return error_twice(why, "member", "ref");
	if (v->start != NULL && v->kind != WALK_UINT)
		return "ref is an unsigned integer";
	req->has_ref = v->start != NULL;
	req->ref = v->u;
	if (found->twice & MEMBER_BIT(ACTION))
		return error_twice(why, "member", "op");
	if (found->twice != 0)
		return error_twice(why, "member", member_names[__builtin_ctz(found->twice)]);
	return NULL;
}

/* Whether there is a key that the operation does not take. */
static const char *refuse_others(const struct found *found, unsigned taken, struct error_text *why)
{
	if (found->unknown.start != NULL && found->unknown.kind != WALK_STR)
		return "a key is not a str";
	if (found->unknown.start != NULL)
		return error_unknown(why, "member", (const char *)found->unknown.p, found->unknown.len);
	for (unsigned m = 0; m < MEMBERS; m++)
		if (found->by[m].start != NULL && !(taken & 1u << m))
			return error_unknown(why, "member", member_names[m], strlen(member_names[m]));
	return NULL;
}

/* Whether all nodes are asked. NULL, or why not. */
static const char *read_nodes(const struct msgpack_value *v, struct packet_request *req)
{
	req->everywhere = v->start != NULL && msgpack_walk_is(v, NODES_ALL);
	return v->start == NULL || req->everywhere ? NULL : NODES_WRONG;
}

static const char *read_message(const struct found *found, struct packet_request *req)
{
	const struct msgpack_value *v = found->by;
	const char *error;

	if (v[MEMBER_DATA].start == NULL)
		return "no data";
	if (v[MEMBER_RECEIPT].start != NULL && v[MEMBER_RECEIPT].kind != WALK_BOOL)
		return "receipt is true or false";
	req->data = v[MEMBER_DATA];
	req->receipt = v[MEMBER_RECEIPT].start != NULL && v[MEMBER_RECEIPT].u;
	error = read_nodes(&v[MEMBER_NODES], req);
	if (error == NULL)
		error = read_text(&v[MEMBER_EVENT], "event is a str", "event is not UTF-8", &req->event, &req->event_len);
	if (error == NULL)
		error = read_text(&v[MEMBER_MESSAGE_ID], "message_id is a str", "message_id is not UTF-8", &req->message_id, &req->message_id_len);
	return error;
}

/* What the operation wants. NULL, or why it is refused. */
static const char *read_request(const struct found *found, struct error_text *why, struct packet_request *req)
{
	const struct msgpack_value *v = found->by;
	unsigned taken = MEMBER_BIT(ACTION) | MEMBER_BIT(REF);
	const char *error = read_ref(found, why, req);
	bool publishes;

	if (error == NULL)
		error = read_op(&v[MEMBER_ACTION], req);
	if (error != NULL)
		return error;
	publishes = req->op == REQUEST_PUBLISH || req->op == REQUEST_SEND;
	taken |= member_bits(req->op) | (publishes ? MEMBER_BIT(RECEIPT) | MEMBER_BIT(NODES) : 0);
	error = refuse_others(found, taken, why);
	if (error == NULL)
		error = read_resume(found, req);
	if (error == NULL && req->op == REQUEST_ATTACH)
		error = read_token(&v[MEMBER_TOKEN], req);
	else if (error == NULL && req->op == REQUEST_AUTH)
		error = read_shown(&v[MEMBER_TOKEN], req);
	else if (error == NULL && req->op != REQUEST_PING)
		error = read_names(&v[member_of_name(req->op)], !publishes, req);
	return error == NULL && publishes ? read_message(found, req) : error;
}

/* Why a length can't be one: most likely something else is spoken. Its bytes are in[0..PACKET_HEADER). */
static const char *length_error(const char *in, size_t size, size_t max, struct error_text *why)
{
	struct sink s = { .dst = why->text, .room = sizeof(why->text) };
	enum stranger stranger = stranger_find(in, PACKET_HEADER);
	uint32_t turned = __builtin_bswap32((uint32_t)size);

	if (size == 0)
		return "length 0: a packet is a msgpack map, behind the 4 bytes of its length, big-endian";
	sink_literal(&s, "length 0x");
	for (int shift = 28; shift >= 0; shift -= 4)
		sink_byte(&s, "0123456789abcdef"[size >> shift & 15]);
	if (stranger != STRANGER_NONE && stranger != STRANGER_PART && stranger != STRANGER_PACKET) {
		sink_literal(&s, ": ");
		sink_text(&s, stranger_text(stranger));
		sink_byte(&s, '\0');
		return why->text;
	}
	sink_literal(&s, " is too long: ");
	sink_number(&s, max);
	sink_literal(&s, " bytes at most (max_frame)");
	if (turned <= max) {
		sink_literal(&s, "; little-endian it would be ");
		sink_number(&s, turned);
		sink_literal(&s, ": a length is big-endian");
	} else if ((uint8_t)*in >> 4 == 8) {
		sink_literal(&s, "; is this a map without the 4 bytes of its length?");
	}
	sink_byte(&s, '\0');
	return why->text;
}

void packet_next(const char *in, size_t len, size_t max, struct error_text *why, struct packet_request *req)
{
	const uint8_t *p = (const uint8_t *)in;
	struct found found = { 0 };
	const char *error;
	size_t size;

	assert(max <= PACKET_MAX);
	*req = (struct packet_request){ .kind = PACKET_MORE };
	if (len < PACKET_HEADER)
		return;
	size = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
	if (size > max || size == 0) {
		bad(req, length_error(in, size, max, why));
		return;
	}
	if (len - PACKET_HEADER < size)
		return;
	error = read_map(p + PACKET_HEADER, size, &found);
	if (error != NULL) {
		bad(req, error);
		return;
	}
	error = read_request(&found, why, req);
	req->kind = error != NULL ? PACKET_REFUSED : PACKET_REQUEST;
	req->error = error;
	req->taken = PACKET_HEADER + size;
}
