/*
 * The formats of the web. Each payload is one function over a sink: run without a buffer it tells the length that must stand in front of
 * it, run with one it writes.
 */
#include "proto/web_message.h"

#include <string.h>

#include "proto/message_view.h"
#include "proto/transport.h"
#include "proto/websocket.h"

#define MISSED_MAX 1792	/* bytes of what web_missed() frames: a name of 255 that are all escaped */

typedef void payload_fn(struct sink *s, const struct web_record *rec, const struct message_view *view);

/* ---- the JSON object ---- */

typedef void put_fn(struct sink *s, const char *bytes, size_t len);

/* Those of a record in which somebody has put what the server alone may say. */
static void put_selected(struct sink *s, const struct message_view *view, enum message_to to, put_fn *put)
{
	struct message_range left = view->text;
	struct message_member m;

	for (bool first = true; message_member_next(&left, &m); ) {
		enum message_name name = message_name_of(m.name);

		if (!message_name_goes(name, to))
			continue;
		if (!first)
			sink_byte(s, ',');
		first = false;
		if (name != MESSAGE_NAME_TO) {
			put(s, m.name.p, (size_t)(m.value.p + m.value.len - m.name.p));
			continue;
		}
		sink_literal(s, "\"user\":");
		put(s, m.value.p, m.value.len);
	}
}

static void put_members(struct sink *s, const struct web_record *rec, const struct message_view *view, put_fn *put)
{
	const char *p = view->text.p, *end = p + view->text.len - 1;

	switch (view->goes_to) {
	case MESSAGE_TO_TOPIC:
	case MESSAGE_TO_ALL:
		put(s, p, (size_t)(end - p));
		break;
	case MESSAGE_TO_USER:
		put(s, p, (size_t)(view->to.p - p));
		sink_literal(s, "\"user\"");
		p = view->to.p + view->to.len;
		put(s, p, (size_t)(end - p));
		break;
	case MESSAGE_TO_UNKNOWN:
		put_selected(s, view, rec->to, put);
		break;
	}
}

/* Erlang's now(): millions of seconds, seconds, microseconds. */
static void put_now(struct sink *s, const struct web_record *rec)
{
	uint64_t seconds = rec->time / 1000000;

	sink_literal(s, "\"timestamp\":[");
	sink_number(s, seconds / 1000000);
	sink_byte(s, ',');
	sink_number(s, seconds % 1000000);
	sink_byte(s, ',');
	sink_number(s, rec->time % 1000000);
	sink_literal(s, "],");
}

static void put_bytes(struct sink *s, const struct message_view *view)
{
	if (view->bytes.p == NULL)
		return;
	sink_literal(s, ",\"data\":\"");
	sink_base64(s, view->bytes.p, view->bytes.len);
	sink_literal(s, "\",\"encoding\":\"base64\"");
}

static void put_id(struct sink *s, const struct web_record *rec, const struct message_view *view)
{
	if (view->stream.epoch)
		position_put_at(s, view->stream);
	else
		position_put(s, rec->epoch, rec->seq);
}

static void put_object(struct sink *s, const struct web_record *rec, const struct message_view *view, put_fn *put)
{
	sink_byte(s, '{');
	if (rec->seq != 0) {
		sink_literal(s, "\"id\":\"");
		put_id(s, rec, view);
		sink_literal(s, "\",");
	}
	sink_literal(s, "\"timestamp\":");
	sink_number(s, rec->time);
	sink_byte(s, ',');
	put_members(s, rec, view, put);
	put_bytes(s, view);
	sink_byte(s, '}');
}

static void put_plain(struct sink *s, const char *bytes, size_t len)
{
	sink_bytes(s, bytes, len);
}

static void put_json(struct sink *s, const struct web_record *rec, const struct message_view *view)
{
	put_object(s, rec, view, put_plain);
}

static void put_raw(struct sink *s, const struct web_record *rec, const struct message_view *view)
{
	(void)rec;
	sink_bytes(s, view->bytes.p, view->bytes.len);
}

static void put_json_lines(struct sink *s, const struct web_record *rec, const struct message_view *view)
{
	put_object(s, rec, view, sink_one_line);
	sink_byte(s, '\n');
}

static void put_flash(struct sink *s, const struct web_record *rec, const struct message_view *view)
{
	sink_byte(s, '{');
	put_now(s, rec);
	sink_bytes(s, view->text.p, view->text.len - 1);
	put_bytes(s, view);
	sink_literal(s, "}\1");
}

/* ---- server-sent events ---- */

/* Whether the string is not empty and fit for one line. */
static bool is_line(struct message_range string)
{
	const char *p = string.p + 1, *end = string.p + string.len - 1;
	char out[4] = { 0 };
	size_t taken;

	if (p == end)
		return false;
	while ((p = memchr(p, '\\', (size_t)(end - p))) != NULL) {
		if (json_escape(p, end, out, &taken) == 0 || *out == '\n' || *out == '\r' || *out == '\0')
			return false;
		p += taken;
	}
	return true;
}

static void put_line_bytes(struct sink *s, const void *bytes, size_t len)
{
	sink_one_line(s, bytes, len);
}

/* A string's text, "data: " in front of each of its lines. Line breaks can stand in it as escapes only. */
static void put_lines(struct sink *s, struct message_range string)
{
	const char *p = string.p + 1, *end = string.p + string.len - 1, *slash;
	bool after_cr = false;

	while ((slash = memchr(p, '\\', (size_t)(end - p))) != NULL) {
		char out[4];
		size_t taken, n = json_escape(slash, end, out, &taken);

		after_cr = after_cr && slash == p;
		sink_one_line(s, p, (size_t)(slash - p));
		if (n == 0)
			return;
		if (*out == '\r' || (*out == '\n' && !after_cr))
			sink_literal(s, "\ndata: ");
		else if (*out != '\n')
			sink_bytes(s, out, n);
		after_cr = *out == '\r';
		p = slash + taken;
	}
	sink_one_line(s, p, (size_t)(end - p));
}

/* The lines in front of the data, and its name. */
static void put_event_head(struct sink *s, const struct web_record *rec, const struct message_view *view)
{
	if (rec->seq != 0) {
		sink_literal(s, "id: ");
		put_id(s, rec, view);
		sink_byte(s, '\n');
	}
	if (message_is_string(view->event) && is_line(view->event)) {
		sink_literal(s, "event: ");
		json_put_string(s, view->event.p, view->event.len, put_line_bytes);
		sink_byte(s, '\n');
	}
	sink_literal(s, "data: ");
}

static void put_sse_json(struct sink *s, const struct web_record *rec, const struct message_view *view)
{
	put_event_head(s, rec, view);
	put_object(s, rec, view, sink_one_line);
	sink_literal(s, "\n\n");
}

static void put_sse(struct sink *s, const struct web_record *rec, const struct message_view *view)
{
	put_event_head(s, rec, view);
	if (view->bytes.p != NULL)
		sink_base64(s, view->bytes.p, view->bytes.len);
	else if (message_is_string(view->data))
		put_lines(s, view->data);
	else if (view->data.p != NULL)
		sink_one_line(s, view->data.p, view->data.len);
	else
		put_object(s, rec, view, sink_one_line);
	sink_literal(s, "\n\n");
}

/* ---- the test page ---- */

static void put_html_bytes(struct sink *s, const void *bytes, size_t len)
{
	sink_html(s, bytes, len);
}

static void put_test(struct sink *s, const struct web_record *rec, const struct message_view *view)
{
	sink_literal(s, "Recvd msg #");
	sink_number(s, rec->number);
	sink_literal(s, ": '");
	if (view->bytes.p != NULL)
		sink_base64(s, view->bytes.p, view->bytes.len);
	else if (message_is_string(view->data))
		json_put_string(s, view->data.p, view->data.len, put_html_bytes);
	else if (view->data.p != NULL)
		sink_html(s, view->data.p, view->data.len);
	else
		put_object(s, rec, view, sink_html);
	sink_literal(s, "'<br>\r\n");
}

/* ---- framing ---- */

static payload_fn *payload_of(enum web_format format, const struct message_view *view)
{
	switch (format) {
	case WEB_WEBSOCKET: return put_json;
	case WEB_WEBSOCKET_RAW: return view->bytes.p != NULL ? put_raw : put_json;
	case WEB_SSE: return put_sse;
	case WEB_SSE_JSON: return put_sse_json;
	case WEB_JSON_LINES: return put_json_lines;
	case WEB_TEST: return put_test;
	case WEB_FLASH: return put_flash;
	}
	return put_json;
}

static bool is_websocket(enum web_format format)
{
	return format == WEB_WEBSOCKET || format == WEB_WEBSOCKET_RAW;
}

/* What stands in front of a payload of len bytes. */
static void put_head(struct sink *s, enum web_format format, bool chunked, bool raw, size_t len)
{
	char header[WEBSOCKET_HEADER_MAX];

	if (is_websocket(format)) {
		sink_bytes(s, header, websocket_header(header, raw ? WEBSOCKET_OP_BINARY : WEBSOCKET_OP_TEXT, len));
	} else if (chunked) {
		sink_hex(s, len);
		sink_literal(s, "\r\n");
	}
}

static void put_message(struct sink *s, enum web_format format, bool chunked, const struct web_record *rec)
{
	struct message_view view;
	struct sink count = { 0 };
	payload_fn *put;
	size_t start;

	if (!message_view_parse(rec->text, rec->len, &view) || view.text.len == 0 || web_record_to(rec, &view) == MESSAGE_TO_UNKNOWN) {
		s->room = s->len = 0;
		return;
	}
	put = payload_of(format, &view);
	put(&count, rec, &view);
	put_head(s, format, chunked, put == put_raw, count.len);
	start = s->len;
	if (s->room > 0)
		put(s, rec, &view);
	else
		s->len += count.len;
	if (s->len - start != count.len)
		s->room = 0;	/* changed meanwhile */
	if (chunked && !is_websocket(format))
		sink_literal(s, "\r\n");
}

size_t web_message_size(enum web_format format, bool chunked, const struct web_record *rec)
{
	struct sink s = { 0 };

	put_message(&s, format, chunked, rec);
	return s.len;
}

size_t web_message(enum web_format format, bool chunked, const struct web_record *rec, char *dst, size_t room)
{
	struct sink s = { .dst = dst, .room = room };

	put_message(&s, format, chunked, rec);
	return sink_end(&s);
}

size_t web_chunk(char *dst, size_t room, const char *bytes, size_t len)
{
	struct sink s = { .dst = dst, .room = room };

	sink_hex(&s, len);
	sink_literal(&s, "\r\n");
	sink_bytes(&s, bytes, len);
	sink_literal(&s, "\r\n");
	return sink_end(&s);
}

static void put_start(struct sink *s, enum web_format format, const struct position_start *start, uint32_t retry)
{
	if (format == WEB_SSE || format == WEB_SSE_JSON) {
		sink_literal(s, "retry: ");
		sink_number(s, retry);
		sink_literal(s, "\nid: ");
		position_put_start(s, start);
		sink_literal(s, "\n\n");
		position_put_token(s, start);
		return;
	}
	sink_literal(s, "{\"ok\":true,");
	position_put_members(s, start);
	sink_text(s, format == WEB_JSON_LINES ? "}\n" : "}");
}

/* A payload that is no record's, framed. */
static size_t put_framed(enum web_format format, bool chunked, const struct sink *part, char *dst, size_t room)
{
	struct sink s = { .dst = dst, .room = room };

	put_head(&s, format, chunked, false, part->len);
	sink_bytes(&s, part->dst, part->len);
	if (chunked && !is_websocket(format))
		sink_literal(&s, "\r\n");
	return sink_end(part) ? sink_end(&s) : 0;
}

size_t web_start(enum web_format format, bool chunked, const struct position_start *start, uint32_t retry, char *dst, size_t room)
{
	char text[256];
	struct sink part = { .dst = text, .room = sizeof(text) };

	put_start(&part, format, start, retry);
	return put_framed(format, chunked, &part, dst, room);
}

static void put_missed(struct sink *s, const struct transport_missed *missed)
{
	sink_literal(s, "{\"missed\":{");
	if (missed->to == MESSAGE_TO_ALL) {
		sink_literal(s, "\"broadcast\":true");
	} else {
		sink_text(s, missed->to == MESSAGE_TO_USER ? "\"user\":\"" : "\"topic\":\"");
		sink_json(s, missed->name, missed->len);
		sink_byte(s, '"');
	}
	sink_literal(s, ",\"messages\":");
	sink_number(s, missed->messages);
	sink_literal(s, "}}");
}

size_t web_missed(enum web_format format, bool chunked, const struct transport_missed *missed, char *dst, size_t room)
{
	bool event = format == WEB_SSE || format == WEB_SSE_JSON;
	char text[MISSED_MAX];
	struct sink part = { .dst = text, .room = sizeof(text) };

	if (event)
		sink_literal(&part, "event: missed\ndata: ");
	put_missed(&part, missed);
	sink_text(&part, event ? "\n\n" : format == WEB_JSON_LINES ? "\n" : "");
	return put_framed(format, chunked, &part, dst, room);
}
