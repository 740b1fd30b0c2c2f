/*
 * Messages of the ring as those of NATS. See nats_message.h.
 */
#include "proto/nats_message.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#include "proto/message_text.h"
#include "proto/message_view.h"
#include "proto/utf8.h"

#define TYPE_JSON "application/json"
#define TYPE_BYTES "application/octet-stream"
#define EMPTY "\"\""			/* the value of a header that stands for no text */

/* ---- from a record ---- */

/* What is left of the record, while it is compared with what a plain message has. */
struct rest {
	const char *p, *end;
};

static bool take(struct rest *rest, const char *text, size_t len)
{
	if ((size_t)(rest->end - rest->p) < len || memcmp(rest->p, text, len) != 0)
		return false;
	rest->p += len;
	return true;
}
#define take_literal(rest, text) take(rest, text, sizeof(text) - 1)

/* The name, as message_put_names() writes it. */
static bool take_name(struct rest *rest, const struct subject_name *name)
{
	char text[8 * 255];
	struct sink s = { .dst = text, .room = sizeof(text) };

	message_put_names(&s, &(struct message_names){ .key = name->to == MESSAGE_TO_USER ? "to" : "topic",
						       .name = name->to == MESSAGE_TO_ALL ? NULL : name->name, .name_len = name->len });
	return take(rest, text, s.len);
}

/* Whether a header can have the text as its value, and gives it back as it is: blanks around it would go. */
static bool fits_header(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((uint8_t)p[i] < 0x20 || p[i] == 0x7f || p[i] == '\\')
			return false;
	return len > 0 && *p != ' ' && p[len - 1] != ' ';
}

/* A string as a header's value, terminated; NULL: no header can hold it. */
static const char *header_value(const char *string, size_t len, struct sink *scratch)
{
	const char *value = scratch->dst + scratch->len;

	if (len == 2)
		return EMPTY;
	if (!fits_header(string + 1, len - 2))
		return NULL;
	sink_bytes(scratch, string + 1, len - 2);
	sink_byte(scratch, '\0');
	return value;
}

/* The member `start` begins, if it stands here. False: it stands here, and no header can hold it. */
static bool take_header(struct rest *rest, const char *start, const char **value, struct sink *scratch)
{
	const char *end;

	if (!take(rest, start, strlen(start)))
		return true;
	if (rest->p == rest->end || *rest->p != '"' || (end = json_walk_scalar(rest->p, rest->end)) == NULL)
		return false;
	*value = header_value(rest->p, (size_t)(end - rest->p), scratch);
	rest->p = end;
	return *value != NULL;
}

/* Whether the record is a plain message's, and its other members are in the headers. */
static bool take_plain(struct nats_message *m, const struct message_view *view, const struct subject_name *name, struct sink *scratch)
{
	struct rest rest = { view->text.p, view->text.p + view->text.len };

	if (view->goes_to != name->to || !take_name(&rest, name) || !take_header(&rest, ",\"event\":", &m->event, scratch) ||
	    !take_header(&rest, ",\"message_id\":", &m->message_id, scratch))
		return false;
	if (view->bytes.p == NULL && (!take_literal(&rest, ",\"data\":") || rest.p != view->data.p || !take(&rest, view->data.p, view->data.len)))
		return false;
	return take_literal(&rest, "}") && rest.p == rest.end;
}

/* All members on one line, with null for the data. */
static void put_members(struct nats_message *m, const struct message_view *view, struct sink *scratch)
{
	const char *p = view->text.p, *end = p + view->text.len;

	m->message_id = NULL;
	m->members = scratch->dst + scratch->len;
	sink_byte(scratch, '{');
	if (view->data.p) {
		sink_one_line(scratch, p, (size_t)(view->data.p - p));
		sink_literal(scratch, "null");
		p = view->data.p + view->data.len;
	}
	sink_one_line(scratch, p, (size_t)(end - p));
	sink_byte(scratch, '\0');
}

static void put_payload(struct nats_message *m, const struct message_view *view, struct sink *scratch)
{
	struct message_range data = view->data;

	if (view->bytes.p) {
		*m = (struct nats_message){ .payload = view->bytes.p, .len = view->bytes.len, .type = TYPE_BYTES };
	} else if (data.p == NULL) {
		*m = (struct nats_message){ .payload = "" };
	} else if (!message_is_string(data)) {
		*m = (struct nats_message){ .payload = data.p, .len = data.len, .type = TYPE_JSON };
	} else if (memchr(data.p, '\\', data.len) == NULL) {
		*m = (struct nats_message){ .payload = data.p + 1, .len = data.len - 2 };
	} else {
		size_t from = scratch->len;

		json_put_string(scratch, data.p, data.len, sink_bytes);
		*m = (struct nats_message){ .payload = scratch->dst + from, .len = scratch->len - from };
	}
}

bool nats_message_write(struct nats_message *m, const struct subject_name *name, const struct message_view *view, size_t len, char *scratch)
{
	struct sink s = { .dst = scratch, .room = nats_message_scratch(len) };
	size_t from;

	put_payload(m, view, &s);
	from = s.len;
	if (!take_plain(m, view, name, &s)) {
		s.len = from;
		/* (This is for other clients: nodes have it from the members.) */
		m->event = message_is_string(view->event) ? header_value(view->event.p, view->event.len, &s) : NULL;
		put_members(m, view, &s);
	}
	return s.room > 0;
}

/* The value of the last member of this name. */
static struct message_range find_value(const struct message_view *view, enum message_name name)
{
	struct message_range left = view->text, value = { 0 };
	struct message_member m;

	while (message_member_next(&left, &m))
		if (message_name_of(m.name) == name)
			value = m.value;
	return value;
}

bool nats_message_name(const struct message_view *view, enum message_to to, struct subject_name *name)
{
	struct message_range value;
	ssize_t n;

	name->to = to;
	name->len = 0;
	if (to == MESSAGE_TO_ALL)
		return true;
	value = to == MESSAGE_TO_TOPIC ? view->topic : find_value(view, MESSAGE_NAME_TO);
	n = message_is_string(value) ? json_read_string(value.p, value.len, name->name, sizeof(name->name)) : -1;
	name->len = n > 0 ? (uint8_t)n : 0;
	return n > 0;
}

/* ---- to a record ---- */

static bool is_type(const struct nats_message *m, const char *type)
{
	size_t len = strlen(type);

	return m->type && strncasecmp(m->type, type, len) == 0 && (m->type[len] == '\0' || m->type[len] == ';' || m->type[len] == ' ');
}

/* What the payload is. NULL, or why it can't be taken. */
static const char *payload_kind(struct json *json, const struct nats_message *m, enum message_kind *kind)
{
	*kind = MESSAGE_TEXT;
	if (is_type(m, TYPE_JSON)) {
		*kind = MESSAGE_JSON;
		return json_value(json, m->payload, m->len);
	}
	if (is_type(m, TYPE_BYTES) || !utf8_text(m->payload, m->len))
		*kind = MESSAGE_BINARY;
	return NULL;
}

/* A text beside the data, of whoever has set the header. */
static const char *header_error(const char *value)
{
	return value && !utf8_text(value, strlen(value)) ? "a header is not UTF-8" : NULL;
}

static const char *header_text(const char *value)
{
	return value && strcmp(value, EMPTY) == 0 ? "" : value;
}

static const char *put_plain(struct sink *s, struct json *json, const struct nats_message *m, const struct subject_name *name)
{
	const char *event = header_text(m->event), *message_id = header_text(m->message_id);
	struct message_names names = {
		.key = name->to == MESSAGE_TO_USER ? "to" : "topic", .name = name->to == MESSAGE_TO_ALL ? NULL : name->name, .name_len = name->len,
		.event = event, .event_len = event ? strlen(event) : 0, .message_id = message_id, .message_id_len = message_id ? strlen(message_id) : 0,
	};
	enum message_kind kind;
	const char *error = payload_kind(json, m, &kind);

	if (error == NULL)
		error = header_error(m->event);
	if (error == NULL)
		error = header_error(m->message_id);
	if (error == NULL && !message_text(s, &names, kind, m->payload, m->len))
		error = "event and message_id are too long";
	return error;
}

/* Whether members say what the subject says. */
static bool is_to(const struct json *json, const struct subject_name *name)
{
	const char *key = name->to == MESSAGE_TO_USER ? "to" : name->to == MESSAGE_TO_TOPIC ? "topic" : "broadcast";
	const struct json_member *found = NULL;
	char text[255];

	for (unsigned i = 0; i < json->count; i++)
		if (json_name_is(&json->members[i], key))
			found = found ? NULL : &json->members[i];
	if (found == NULL || name->to == MESSAGE_TO_ALL)
		return found != NULL;
	return found->type == JSON_STRING && json_read_string(found->value, found->value_len, text, sizeof(text)) == name->len &&
	       memcmp(text, name->name, name->len) == 0;
}

/* The member whose place the payload takes: the last that is called data. json->count: there is none. */
static unsigned find_data(const struct json *json)
{
	unsigned found = json->count;

	for (unsigned i = 0; i < json->count; i++)
		if (json_name_is(&json->members[i], "data"))
			found = i;
	return found;
}

static void put_data(struct sink *s, enum message_kind kind, const struct nats_message *m)
{
	if (kind == MESSAGE_JSON) {
		message_put_json(s, m->payload, m->len);
		return;
	}
	sink_byte(s, '"');
	sink_json(s, m->payload, m->len);
	sink_byte(s, '"');
}

static void put_text(struct sink *s, const struct json *json, unsigned data, enum message_kind kind, const struct nats_message *m)
{
	for (unsigned i = 0; i < json->count; i++) {
		const struct json_member *member = &json->members[i];

		sink_bytes(s, member->name, member->name_len);
		sink_byte(s, ':');
		if (i == data)
			put_data(s, kind, m);
		else
			sink_bytes(s, member->value, member->value_len);
		sink_byte(s, i + 1 < json->count ? ',' : '}');
	}
}

static const char *put_all_members(struct sink *s, struct json *json, const struct nats_message *m, const struct subject_name *name)
{
	const char *error;
	enum message_kind kind;
	struct sink text = { 0 };
	char head[MESSAGE_BINARY_EXTRA];
	unsigned data;

	error = payload_kind(json, m, &kind);
	if (error == NULL && json_read_object(json, m->members, strlen(m->members), &error) < 0)
		return error;
	if (error)
		return error;
	if (json->count == 0 || !is_to(json, name))
		return "the members say another name than the subject";
	data = find_data(json);
	if (kind != MESSAGE_BINARY) {
		put_text(s, json, data, kind, m);
		return NULL;
	}
	put_text(&text, json, json->count, kind, m);
	if (data < json->count || text.len > MESSAGE_BINARY_TEXT_MAX)
		return "the members don't go with binary data";
	message_binary_head(head, text.len);
	sink_bytes(s, head, sizeof(head));
	put_text(s, json, json->count, kind, m);
	sink_bytes(s, m->payload, m->len);
	return NULL;
}

const char *nats_message_read(struct sink *s, struct json *json, const struct nats_message *m, const struct subject_name *name)
{
	const char *error = m->members ? put_all_members(s, json, m, name) : put_plain(s, json, m, name);

	return error == NULL && sink_end(s) == 0 ? "the message is too long" : error;
}

/* ---- words of nodes ---- */

bool nats_node_is_good(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= NATS_NODE_MAX && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == len;
}

bool nats_take_word(const char **text, char *dst, size_t room)
{
	size_t len = strcspn(*text, " \n");

	if (len == 0 || len >= room)
		return false;
	memcpy(dst, *text, len);
	dst[len] = '\0';
	*text += len + ((*text)[len] == ' ');
	return true;
}

bool nats_take_number(const char **text, uint64_t *n)
{
	char word[21];
	uint64_t value = 0;

	if (!nats_take_word(text, word, sizeof(word)))
		return false;
	for (const char *p = word; *p; p++) {
		if (*p < '0' || *p > '9' || value > UINT64_MAX / 10 || (value == UINT64_MAX / 10 && *p > '5'))
			return false;
		value = value * 10 + (uint64_t)(*p - '0');
	}
	*n = value;
	return true;
}

void nats_origin_write(char dst[NATS_ORIGIN_MAX], const struct nats_origin *origin)
{
	struct sink s = { .dst = dst, .room = NATS_ORIGIN_MAX };

	sink_text(&s, origin->node);
	sink_byte(&s, ' ');
	sink_number(&s, origin->epoch);
	sink_byte(&s, ' ');
	sink_number(&s, origin->seq);
	sink_byte(&s, ' ');
	sink_number(&s, origin->mark);
	sink_byte(&s, '\0');
}

bool nats_origin_read(const char *text, struct nats_origin *origin)
{
	return nats_take_word(&text, origin->node, sizeof(origin->node)) && nats_node_is_good(origin->node) && nats_take_number(&text, &origin->epoch) &&
	       nats_take_number(&text, &origin->seq) && nats_take_number(&text, &origin->mark) && *text == '\0';
}
