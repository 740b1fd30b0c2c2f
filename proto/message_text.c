/*
 * Records from their parts. The data of a JSON message may have white space around it when it is a request's body; in a record it must
 * not, for message_view.c looks for a value right behind its colon and for a comma or bracket right behind the value.
 */
#include "proto/message_text.h"

#include "proto/message_view.h"

static void put_string(struct sink *s, const char *text, size_t len)
{
	sink_byte(s, '"');
	sink_json(s, text, len);
	sink_byte(s, '"');
}

void message_put_names(struct sink *s, const struct message_names *names)
{
	if (names->name == NULL) {
		sink_literal(s, "\"broadcast\":true");
	} else {
		sink_byte(s, '"');
		sink_text(s, names->key);
		sink_literal(s, "\":");
		put_string(s, names->name, names->name_len);
	}
	if (names->event != NULL) {
		sink_literal(s, ",\"event\":");
		put_string(s, names->event, names->event_len);
	}
	if (names->message_id != NULL) {
		sink_literal(s, ",\"message_id\":");
		put_string(s, names->message_id, names->message_id_len);
	}
}

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

void message_put_json(struct sink *s, const char *json, size_t len)
{
	while (len > 0 && is_space(*json)) {
		json++;
		len--;
	}
	while (len > 0 && is_space(json[len - 1]))
		len--;
	sink_bytes(s, json, len);
}

static bool put_binary(struct sink *s, const struct message_names *names, const void *data, size_t len)
{
	char head[MESSAGE_BINARY_EXTRA];
	struct sink count = { 0 };

	message_put_names(&count, names);
	if (count.len + 1 > MESSAGE_BINARY_TEXT_MAX)
		return false;
	message_binary_head(head, count.len + 1);
	sink_bytes(s, head, sizeof(head));
	message_put_names(s, names);
	sink_byte(s, '}');
	sink_bytes(s, data, len);
	return true;
}

bool message_text(struct sink *s, const struct message_names *names, enum message_kind kind, const void *data, size_t len)
{
	if (kind == MESSAGE_BINARY)
		return put_binary(s, names, data, len);
	message_put_names(s, names);
	sink_literal(s, ",\"data\":");
	if (kind == MESSAGE_TEXT)
		put_string(s, data, len);
	else
		message_put_json(s, data, len);
	sink_byte(s, '}');
	return true;
}

void message_put_ahead(char *record, const char *members, size_t len)
{
	const uint8_t *head = (const uint8_t *)record + len;

	if (*head == 0) {
		message_binary_head(record, ((size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3]) + len);
		record += MESSAGE_BINARY_EXTRA;
	}
	memcpy(record, members, len);
}
