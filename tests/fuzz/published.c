/*
 * What the encoders write is read here by the letter of their formats: WebSocket frames by length, events line by line, JSON by json.c.
 */
#include "tests/fuzz/published.h"

#include <stdlib.h>
#include <string.h>

#include "proto/json.h"
#include "proto/message_view.h"
#include "proto/packet.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/values.h"

#define FORMATS (WEB_TEST + 1)	/* and that of packets */

const struct position_epoch published_epoch = { .len = sizeof(PUBLISHED_EPOCH) - 1, .text = PUBLISHED_EPOCH };

static size_t size_of(unsigned format, bool chunked, const struct web_record *rec)
{
	return format < FORMATS ? web_message_size((enum web_format)format, chunked, rec) : packet_message_size(rec);
}

static size_t write_to(unsigned format, bool chunked, const struct web_record *rec, char *dst, size_t room)
{
	return format < FORMATS ? web_message((enum web_format)format, chunked, rec, dst, room) : packet_message(rec, dst, room);
}

static struct web_record record_of(const char *record, size_t len, enum message_to to)
{
	return (struct web_record){ .time = PUBLISHED_TIME, .epoch = &published_epoch, .seq = PUBLISHED_SEQ, .number = 1, .to = to, .text = record, .len = len };
}

void published_bounds(const char *record, size_t len, size_t room)
{
	struct web_record rec = record_of(record, len, len % 2 ? MESSAGE_TO_USER : MESSAGE_TO_TOPIC);

	for (unsigned i = 0; i < 2 * (FORMATS + 1); i++) {
		unsigned format = i / 2;
		bool chunked = i & 1;
		size_t size = size_of(format, chunked, &rec);
		char *dst = fuzz_alloc(size), *small = fuzz_alloc(room);

		fuzz_check(write_to(format, chunked, &rec, dst, size) == size);
		if (size > 0)
			fuzz_check(write_to(format, chunked, &rec, dst, size - 1) == 0);
		fuzz_check(write_to(format, chunked, &rec, small, room) == (size <= room ? size : 0));
		free(small);
		free(dst);
	}
}

struct text {
	char *p;
	size_t len;
};

static struct text encode(unsigned format, bool chunked, const struct web_record *rec)
{
	struct text t;

	t.len = size_of(format, chunked, rec);
	fuzz_check(t.len > 0);
	t.p = fuzz_alloc(t.len);
	fuzz_check(write_to(format, chunked, rec, t.p, t.len) == t.len);
	return t;
}

/* One chunk, which holds what the answer without chunks does. */
static void check_chunk(unsigned format, const struct web_record *rec, const struct text *plain)
{
	struct text chunk = encode(format, true, rec);
	char *end;
	size_t size = strtoul(chunk.p, &end, 16);

	fuzz_check(size == plain->len && memcmp(end, "\r\n", 2) == 0);
	fuzz_check(end + 2 + size + 2 == chunk.p + chunk.len && memcmp(end + 2 + size, "\r\n", 2) == 0);
	fuzz_check(memcmp(end + 2, plain->p, size) == 0);
	free(chunk.p);
}

/* The payload of one whole frame. */
static struct text unframe(const struct text *frame, unsigned opcode)
{
	const uint8_t *p = (const uint8_t *)frame->p;
	size_t header = p[1] < 126 ? 2 : p[1] == 126 ? 4 : 10, len = header == 2 ? p[1] : 0;

	for (size_t i = 2; i < header; i++)
		len = len << 8 | p[i];
	fuzz_check(p[0] == (0x80 | opcode) && header + len == frame->len);
	return (struct text){ frame->p + header, len };
}

/* The object that JSON transports send: the server's members, then the record's but for those that the server alone may say. */
static void check_object(const struct text *object, const struct message_view *view, enum message_to to)
{
	struct message_range left = view->text;
	struct message_member m;
	struct json json;
	const char *error;
	unsigned at = 2;

	json_init(&json);
	fuzz_check(json_read_object(&json, object->p, object->len, &error) == 0);
	fuzz_check(json.count >= 2 && json_name_is(&json.members[0], "id") && json_name_is(&json.members[1], "timestamp"));
	while (message_member_next(&left, &m)) {
		enum message_name name = message_name_of(m.name);

		if (!message_name_goes(name, to))
			continue;
		fuzz_check(at < json.count);
		if (name == MESSAGE_NAME_TO)
			m.name = (struct message_range){ "\"user\"", 6 };
		fuzz_check(json.members[at].name_len == m.name.len && memcmp(json.members[at].name, m.name.p, m.name.len) == 0);
		fuzz_check(json.members[at].value_len == m.value.len && memcmp(json.members[at].value, m.value.p, m.value.len) == 0);
		at++;
	}
	if (view->bytes.p != NULL) {
		fuzz_check(at + 2 == json.count && json_name_is(&json.members[at + 1], "encoding"));
		fuzz_check(json_name_is(&json.members[at], "data") && json.members[at].value_len == 2 + (view->bytes.len + 2) / 3 * 4);
		at += 2;
	}
	fuzz_check(at == json.count);
	json_fini(&json);
}

/* The same object in one line. */
static void check_json_lines(const struct text *json_lines, const struct text *object)
{
	fuzz_check(json_lines->len == object->len + 1 && memchr(json_lines->p, '\n', json_lines->len) == json_lines->p + object->len);
	for (size_t i = 0; i < object->len; i++)
		fuzz_check(json_lines->p[i] == object->p[i] || (json_lines->p[i] == ' ' && (object->p[i] == '\n' || object->p[i] == '\r')));
}

/* What a string stands for; with line breaks as an event stream passes them on. */
static struct text decode(struct message_range string, bool lines)
{
	struct text t = { fuzz_alloc(string.len), 0 };
	ssize_t len = json_read_string(string.p, string.len, t.p, string.len);
	size_t used = 0;

	fuzz_check(len >= 0);
	t.len = (size_t)len;
	if (!lines)
		return t;
	for (size_t i = 0; i < t.len; i++) {
		if (t.p[i] == '\r' && i + 1 < t.len && t.p[i + 1] == '\n')
			continue;
		t.p[used++] = t.p[i];
		if (t.p[used - 1] == '\r')
			t.p[used - 1] = '\n';
	}
	t.len = used;
	return t;
}

/* Takes a line that begins with `name` off the front: what stands behind that. p NULL: it is another. */
static struct text take_line(struct text *left, const char *name)
{
	size_t n = strlen(name);
	char *nl = memchr(left->p, '\n', left->len);
	struct text line = { NULL, 0 };

	fuzz_check(nl != NULL);
	if ((size_t)(nl - left->p) < n || memcmp(left->p, name, n) != 0)
		return line;
	line = (struct text){ left->p + n, (size_t)(nl - left->p) - n };
	left->len -= (size_t)(nl + 1 - left->p);
	left->p = nl + 1;
	return line;
}

static void check_event_line(struct text *left, const struct message_view *view)
{
	struct text line = take_line(left, "event: "), want;

	if (!message_is_string(view->event)) {
		fuzz_check(line.p == NULL);
		return;
	}
	want = decode(view->event, false);
	if (want.len == 0 || memchr(want.p, '\n', want.len) || memchr(want.p, '\r', want.len) || memchr(want.p, '\0', want.len))
		fuzz_check(line.p == NULL);
	else
		fuzz_check(line.p != NULL && line.len == want.len && memcmp(line.p, want.p, want.len) == 0);
	free(want.p);
}

/* Read as a browser reads it: the data is what its lines say, joined. */
static void check_sse(const struct text *sse, const struct text *json_lines, const struct message_view *view)
{
	struct text left = *sse, line = take_line(&left, "id: "), data = { fuzz_alloc(sse->len), 0 }, want;

	fuzz_check(memchr(sse->p, '\r', sse->len) == NULL);
	fuzz_check(line.p != NULL && line.len == sizeof(PUBLISHED_ID) - 1 && memcmp(line.p, PUBLISHED_ID, line.len) == 0);
	check_event_line(&left, view);
	while ((line = take_line(&left, "data: ")).p != NULL) {
		memcpy(data.p + data.len, line.p, line.len);
		data.len += line.len;
		data.p[data.len++] = '\n';
	}
	fuzz_check(left.len == 1 && *left.p == '\n' && data.len > 0);
	if (view->bytes.p == NULL && message_is_string(view->data)) {
		want = decode(view->data, true);
		fuzz_check(data.len == want.len + 1 && memcmp(data.p, want.p, want.len) == 0);
		free(want.p);
	} else if (view->bytes.p == NULL && view->data.p == NULL) {
		fuzz_check(data.len == json_lines->len && memcmp(data.p, json_lines->p, data.len) == 0);
	} else {
		fuzz_check(memchr(data.p, '\n', data.len) == data.p + data.len - 1);
	}
	free(data.p);
}

/* The data is the object in one line. */
static void check_envelope(const struct text *sse, const struct text *json_lines, const struct message_view *view)
{
	struct text left = *sse, line = take_line(&left, "id: ");

	fuzz_check(line.p != NULL);
	check_event_line(&left, view);
	line = take_line(&left, "data: ");
	fuzz_check(line.p != NULL && line.len + 1 == json_lines->len && memcmp(line.p, json_lines->p, line.len) == 0);
	fuzz_check(left.len == 1 && *left.p == '\n');
}

static void check_test(const struct text *page)
{
	static const char head[] = "Recvd msg #1: '", tail[] = "'<br>\r\n";
	size_t from = sizeof(head) - 1, to = page->len - (sizeof(tail) - 1);

	fuzz_check(to >= from && memcmp(page->p, head, from) == 0 && memcmp(page->p + to, tail, page->len - to) == 0);
	for (size_t i = from; i < to; i++)
		fuzz_check(page->p[i] != '<' && page->p[i] != '>' && page->p[i] != '\'');
}

/* Arrays and objects inside each other, at most. */
static size_t brackets(const char *text, size_t len)
{
	size_t count = 0;

	for (size_t i = 0; i < len; i++)
		count += text[i] == '{' || text[i] == '[';
	return count;
}

static void check_packet(const struct text *packet, const struct web_record *rec, const struct message_view *view, enum message_to to)
{
	const uint8_t *p = (const uint8_t *)packet->p, *end = p + packet->len;
	struct msgpack_value map, value;
	struct text topic;

	fuzz_check(((size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3]) == packet->len - PACKET_HEADER);
	if (!values_map(p + PACKET_HEADER, end, &map)) {
		fuzz_check(brackets(rec->text, rec->len) > MSGPACK_WALK_DEPTH);
		return;
	}
	value = values_find(&map, "id");
	fuzz_check(value.start != NULL && value.kind == WALK_STR && value.len == sizeof(PUBLISHED_ID) - 1 && memcmp(value.p, PUBLISHED_ID, value.len) == 0);
	value = values_find(&map, "timestamp");
	fuzz_check(value.start != NULL && value.kind == WALK_UINT && value.u == PUBLISHED_TIME);
	value = values_find(&map, "ok");
	fuzz_check(value.start == NULL);
	if (to == MESSAGE_TO_TOPIC) {
		fuzz_check(message_is_string(view->topic));
		topic = decode(view->topic, false);
		value = values_find(&map, "topic");
		fuzz_check(value.start != NULL && value.kind == WALK_STR);
		fuzz_check(value.len == topic.len && memcmp(value.p, topic.p, topic.len) == 0);
		free(topic.p);
	}
	if (view->bytes.p != NULL) {
		value = values_find(&map, "data");
		fuzz_check(value.start != NULL && value.kind == WALK_BIN && value.len == view->bytes.len);
		fuzz_check(memcmp(value.p, view->bytes.p, value.len) == 0);
	}
}

/* The same record as one of the stream: nothing is other, as it has the id itself. */
static void check_of_stream(const struct web_record *rec, const struct text all[FORMATS + 1])
{
	static const struct position_epoch other = { .len = 2, .text = "x-" };
	char *record = fuzz_alloc(MESSAGE_STREAM_EXTRA + rec->len);
	struct web_record of_stream = *rec;

	message_stream_head(record, PUBLISHED_EPOCH_MS, PUBLISHED_SEQ);
	memcpy(record + MESSAGE_STREAM_EXTRA, rec->text, rec->len);
	of_stream.text = record;
	of_stream.len += MESSAGE_STREAM_EXTRA;
	of_stream.epoch = &other;
	of_stream.seq++;
	for (unsigned i = 0; i <= FORMATS; i++) {
		struct text t = encode(i, false, &of_stream);

		fuzz_check(t.len == all[i].len && memcmp(t.p, all[i].p, t.len) == 0);
		free(t.p);
	}
	free(record);
}

void published_check(const char *record, size_t len, enum message_to to)
{
	struct web_record rec = record_of(record, len, to);
	struct text all[FORMATS + 1], object, raw;
	struct message_view view;

	fuzz_check(message_view_parse(record, len, &view));
	published_bounds(record, len, 0);
	for (unsigned i = 0; i <= FORMATS; i++)
		all[i] = encode(i, false, &rec);
	object = unframe(&all[WEB_WEBSOCKET], 1);
	raw = unframe(&all[WEB_WEBSOCKET_RAW], view.bytes.p != NULL ? 2 : 1);
	fuzz_check(view.goes_to == to || view.goes_to == MESSAGE_TO_UNKNOWN);
	check_object(&object, &view, to);
	if (view.bytes.p != NULL)
		fuzz_check(raw.len == view.bytes.len && memcmp(raw.p, view.bytes.p, raw.len) == 0);
	else
		fuzz_check(raw.len == object.len && memcmp(raw.p, object.p, raw.len) == 0);
	check_json_lines(&all[WEB_JSON_LINES], &object);
	check_sse(&all[WEB_SSE], &all[WEB_JSON_LINES], &view);
	check_envelope(&all[WEB_SSE_JSON], &all[WEB_JSON_LINES], &view);
	check_test(&all[WEB_TEST]);
	check_packet(&all[FORMATS], &rec, &view, to);
	for (unsigned i = WEB_SSE; i <= WEB_TEST; i++)
		check_chunk(i, &rec, &all[i]);
	check_of_stream(&rec, all);
	for (unsigned i = 0; i <= FORMATS; i++)
		free(all[i].p);
}
