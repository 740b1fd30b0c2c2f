/*
 * Between packets and the ring's records, and replies. As in web_message.c, one function over a sink tells the length and writes.
 */
#include "proto/packet.h"

#include <msgpack.h>

#include "proto/message_text.h"
#include "proto/message_view.h"
#include "proto/msgpack_json.h"
#include "proto/utf8.h"
#include "proto/transport.h"
#include "proto/version.h"

static int append(void *data, const char *bytes, size_t len)
{
	sink_bytes(data, bytes, len);
	return 0;
}

size_t packet_record(char *dst, size_t room, const struct packet_request *req, const char **error)
{
	const struct message_names names = {
		.key = request_is_of_user(req->op) ? "to" : "topic", .name = req->name, .name_len = req->name_len,
		.event = req->event, .event_len = req->event_len, .message_id = req->message_id, .message_id_len = req->message_id_len,
	};
	struct sink s = { .dst = dst, .room = room };
	const struct msgpack_value *data = &req->data;

	*error = NULL;
	if (data->kind == WALK_BIN || (data->kind == WALK_STR && !utf8_text(data->p, data->len))) {
		if (!message_text(&s, &names, MESSAGE_BINARY, data->p, data->len))
			*error = "event and message_id are too long";
	} else {
		message_put_names(&s, &names);
		sink_literal(&s, ",\"data\":");
		*error = msgpack_to_json(&s, data);
		sink_byte(&s, '}');
	}
	if (*error != NULL)
		return 0;
	return room == 0 ? s.len : sink_end(&s);
}

/* ---- messages ---- */

static bool put_members(struct sink *s, const struct message_view *view, enum message_to to)
{
	struct message_range left = view->text;
	struct message_member m;

	while (message_member_next(&left, &m)) {
		enum message_name name = message_name_of(m.name);

		if (!message_name_goes(name, to))
			continue;
		if (name == MESSAGE_NAME_TO)
			msgpack_put_text(s, "user");
		else if (!msgpack_from_json(s, m.name))
			return false;
		if (!msgpack_from_json(s, m.value))
			return false;
	}
	return left.p == NULL;
}

static uint32_t count_members(const struct message_view *view, enum message_to to)
{
	struct message_range left = view->text;
	struct message_member m;
	uint32_t count = 0;

	while (message_member_next(&left, &m))
		count += message_name_goes(message_name_of(m.name), to);
	return count;
}

static void put_position(struct sink *s, const char *key, const struct position_epoch *epoch, uint64_t seq)
{
	char text[POSITION_MAX];

	msgpack_put_text(s, key);
	msgpack_put_str(s, text, position_write(text, epoch, seq));
}

/* `stream`, if its epoch is not 0; else the other one. */
static void put_either(struct sink *s, const char *key, struct position stream, const struct position_epoch *epoch, uint64_t seq)
{
	struct position_epoch of_stream;

	if (stream.epoch) {
		of_stream = position_epoch(stream.epoch);
		put_position(s, key, &of_stream, stream.seq);
	} else {
		put_position(s, key, epoch, seq);
	}
}

static bool put_map(struct sink *s, const struct web_record *rec, const struct message_view *view)
{
	enum message_to to = web_record_to(rec, view);
	msgpack_packer packer;

	if (to == MESSAGE_TO_UNKNOWN)
		return false;
	msgpack_packer_init(&packer, s, append);
	msgpack_pack_map(&packer, count_members(view, to) + 1 + (rec->seq != 0) + (view->bytes.p != NULL));
	if (rec->seq != 0)
		put_either(s, "id", view->stream, rec->epoch, rec->seq);
	msgpack_put_text(s, "timestamp");
	msgpack_pack_uint64(&packer, rec->time);
	if (!put_members(s, view, to))
		return false;
	if (view->bytes.p != NULL) {
		msgpack_put_text(s, "data");
		msgpack_pack_bin(&packer, view->bytes.len);
		sink_bytes(s, view->bytes.p, view->bytes.len);
	}
	return true;
}

static void put_length(char dst[PACKET_HEADER], size_t len)
{
	for (unsigned i = 0; i < PACKET_HEADER; i++)
		dst[i] = (char)(len >> 8 * (PACKET_HEADER - 1 - i) & 255);
}

size_t packet_message_size(const struct web_record *rec)
{
	struct sink count = { 0 };
	struct message_view view;

	if (!message_view_parse(rec->text, rec->len, &view) || !put_map(&count, rec, &view))
		return 0;
	return PACKET_HEADER + count.len;
}

size_t packet_message(const struct web_record *rec, char *dst, size_t room)
{
	struct sink s = { .dst = dst, .room = room };
	struct message_view view;

	sink_literal(&s, "\0\0\0\0");
	if (!message_view_parse(rec->text, rec->len, &view) || !put_map(&s, rec, &view) || sink_end(&s) == 0)
		return 0;
	put_length(dst, s.len - PACKET_HEADER);
	return s.len;
}

/* ---- replies ---- */

static void put_uint(struct sink *s, const char *key, uint64_t value)
{
	msgpack_packer to;

	msgpack_packer_init(&to, s, append);
	msgpack_put_text(s, key);
	msgpack_pack_uint64(&to, value);
}

/* The head of a reply with `more` pairs beside "ok". */
static void begin(struct sink *s, bool ok, unsigned more)
{
	msgpack_packer to;

	msgpack_packer_init(&to, s, append);
	sink_literal(s, "\0\0\0\0");
	msgpack_pack_map(&to, 1 + more);
	msgpack_put_text(s, "ok");
	sink_byte(s, (char)(ok ? 0xc3 : 0xc2));
}

/* How much of a text fits into `most` bytes, not cut inside a character. */
static size_t cut(const char *text, size_t most)
{
	size_t len = strlen(text);

	if (len <= most)
		return len;
	while (most > 0 && ((uint8_t)text[most] & 0xc0) == 0x80)
		most--;
	return most;
}

static unsigned count_start(const struct position_start *start)
{
	return start == NULL ? 0 : (!start->resumed ? 1 : start->recovered ? 2 : 3) + (start->token != NULL);
}

static void put_token(struct sink *s, const uint8_t *token)
{
	char text[TOKEN_TEXT];

	token_write(text, token);
	msgpack_put_text(s, "token");
	msgpack_put_str(s, text, sizeof(text));
}

static void put_start(struct sink *s, const struct position_start *start)
{
	if (start == NULL)
		return;
	put_either(s, "position", start->stream, start->epoch, start->seq);
	if (start->resumed) {
		msgpack_put_text(s, "recovered");
		sink_byte(s, (char)(start->recovered ? 0xc3 : 0xc2));
	}
	if (start->resumed && !start->recovered)
		put_uint(s, "missing", start->missing);
	if (start->token)
		put_token(s, start->token);
}

size_t packet_reply(char *dst, const struct packet_reply *reply)
{
	struct sink s = { .dst = dst, .room = PACKET_REPLY_MAX };

	begin(&s, reply->error == NULL,
	      (reply->error != NULL) + reply->has_ref + (reply->seq != 0) + reply->has_subscribers + 2u * (reply->nodes != 0) +
	      count_start(reply->start) + (reply->code != 0) + (reply->expires != 0));
	if (reply->has_ref)
		put_uint(&s, "ref", reply->ref);
	put_start(&s, reply->start);
	if (reply->seq != 0)
		put_position(&s, "id", reply->epoch, reply->seq);
	if (reply->has_subscribers)
		put_uint(&s, "subscribers", reply->subscribers);
	if (reply->nodes != 0) {
		put_uint(&s, "nodes", reply->nodes);
		put_uint(&s, "nodes_known", reply->nodes_known);
	}
	if (reply->expires != 0)
		put_uint(&s, "expires", (uint64_t)reply->expires);
	if (reply->code != 0)
		put_uint(&s, "code", reply->code);
	if (reply->error != NULL) {
		msgpack_put_text(&s, "error");
		msgpack_put_str(&s, reply->error, cut(reply->error, PACKET_REPLY_MAX - s.len - 5));
	}
	put_length(dst, s.len - PACKET_HEADER);
	return s.len;
}

size_t packet_greeting(char *dst, const struct transport_hello *hello)
{
	struct sink s = { .dst = dst, .room = PACKET_REPLY_MAX };
	unsigned count = 0;
	msgpack_packer to;

	while (version_feature(count, &hello->has) != NULL)
		count++;
	msgpack_packer_init(&to, &s, append);
	sink_literal(&s, "\0\0\0\0");
	msgpack_pack_map(&to, 2u + hello->has.sessions);
	msgpack_put_text(&s, "janus");
	msgpack_put_text(&s, JANUS_VERSION);
	msgpack_put_text(&s, "features");
	msgpack_pack_array(&to, count);
	for (unsigned i = 0; i < count; i++)
		msgpack_put_text(&s, version_feature(i, &hello->has));
	if (hello->has.sessions)
		put_token(&s, hello->token);
	put_length(dst, s.len - PACKET_HEADER);
	return s.len;
}

size_t packet_ping(char *dst, uint64_t time)
{
	struct sink s = { .dst = dst, .room = PACKET_REPLY_MAX };

	begin(&s, true, 1);
	put_uint(&s, "ping", time);
	put_length(dst, s.len - PACKET_HEADER);
	return s.len;
}

/* A packet that is one map within another: {what: {...}}. */
static void begin_note(struct sink *s, const char *what, size_t members)
{
	msgpack_packer to;

	msgpack_packer_init(&to, s, append);
	sink_literal(s, "\0\0\0\0");
	msgpack_pack_map(&to, 1);
	msgpack_put_text(s, what);
	msgpack_pack_map(&to, members);
}

size_t packet_missed(char *dst, const struct transport_missed *missed)
{
	struct sink s = { .dst = dst, .room = PACKET_REPLY_MAX };

	begin_note(&s, "missed", 2);
	if (missed->to == MESSAGE_TO_ALL) {
		msgpack_put_text(&s, "broadcast");
		sink_byte(&s, (char)0xc3);
	} else {
		msgpack_put_text(&s, missed->to == MESSAGE_TO_USER ? "user" : "topic");
		msgpack_put_str(&s, missed->name, missed->len);
	}
	put_uint(&s, "messages", missed->messages);
	put_length(dst, s.len - PACKET_HEADER);
	return s.len;
}

size_t packet_expires(char *dst, uint64_t seconds)
{
	struct sink s = { .dst = dst, .room = PACKET_REPLY_MAX };

	begin_note(&s, "expires", 1);
	put_uint(&s, "in", seconds);
	put_length(dst, s.len - PACKET_HEADER);
	return s.len;
}
