/*
 * proto/http*.c, websocket_handshake.c: requests out of a stream, whole and in pieces, the parts of each request, and the answers to it.
 */
#include "proto/http.h"

#include <stdlib.h>
#include <string.h>

#include "proto/http_response.h"
#include "proto/utf8.h"
#include "proto/websocket_handshake.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/json_fixture.h"

static const struct http_limits limits[] = {
	{ .line = 4096, .head = 16384, .headers = 100, .body = 20000 },
	{ .line = 200, .head = 1000, .headers = 20, .body = 300 },
	{ .line = 20, .head = 64, .headers = 2, .body = 5 },
	{ .line = 65535, .head = HTTP_HEAD_MAX, .headers = 65534, .body = 0 },
};
#define UNTOUCHED 0x5a

struct stream {
	struct fuzz_input *in;
	const struct http_limits *limits;
	size_t at;
	struct http_scan scan;
	char *scratch;
	struct fuzz_log log;
};

static void note_range(struct stream *s, const char *name, struct http_text range)
{
	fuzz_say(&s->log, "  %s %ld + %zu\n", name, fuzz_where(s->in, range.p), range.len);
}

/* All that a request says. */
static void note(struct stream *s, const struct http_request *r)
{
	fuzz_say(&s->log, "%d at %zu takes %zu, %u %s, method %d, 1.%u, %d%d%d%d%d\n", (int)r->kind, s->at, r->taken, r->status,
		 r->error ? r->error : "-", (int)r->method, r->minor, r->keep_alive, r->websocket, r->event_stream, r->expect_continue,
		 r->chunked);
	note_range(s, "name", r->name);
	note_range(s, "path", r->path);
	note_range(s, "query", r->query);
	for (unsigned i = 0; i < HTTP_FIELDS; i++)
		note_range(s, "field", r->field[i]);
	fuzz_say_bytes(&s->log, r->body.p, r->body.len);
}

static bool is_untouched(const struct stream *s)
{
	for (size_t i = 0; i < s->limits->body; i++)
		if (s->scratch[i] != UNTOUCHED)
			return false;
	return true;
}

/* What stands once in good requests: its value, NULL if it does not stand there. */
static const char *find_once(const char *p, const char *end, const char *name)
{
	const char *found = NULL;

	for (; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; ) {
		p++;
		if ((size_t)(end - p) < strlen(name) || strncasecmp(p, name, strlen(name)) != 0)
			continue;
		fuzz_check(found == NULL);
		found = p + strlen(name);
	}
	return found;
}

/* Where a request ends is what other programs must agree on: read once more, as simply as can be. */
static void check_framing(const struct http_request *r, const char *p, const char *end)
{
	const char *start = *p == '\r' ? p + 2 : p, *body = memmem(start, (size_t)(end - start), "\r\n\r\n", 4), *length;
	size_t used = 0;

	fuzz_check(body != NULL);
	body += 4;
	for (p = start; p < body; p++)
		fuzz_check((uint8_t)*p >= 0x20 || *p == '\t' || (*p == '\r' && p[1] == '\n') || (*p == '\n' && p > start && p[-1] == '\r'));
	length = find_once(start, body, "Content-Length:");
	fuzz_check(r->chunked == (find_once(start, body, "Transfer-Encoding:") != NULL) && !(r->chunked && length != NULL));
	if (!r->chunked) {
		fuzz_check(r->body.p == body && r->body.len == (length != NULL ? strtoul(length, NULL, 10) : 0) && body + r->body.len == end);
		return;
	}
	for (unsigned long size = strtoul(body, NULL, 16); size > 0; size = strtoul(body, NULL, 16)) {
		body = (char *)memchr(body, '\n', (size_t)(end - body)) + 1;
		fuzz_check(size <= (size_t)(end - body) && size <= r->body.len - used && memcmp(r->body.p + used, body, size) == 0);
		used += size;
		body += size + 2;
	}
	fuzz_check(used == r->body.len && body < end && memcmp(end - 2, "\r\n", 2) == 0);
}

static void check_kind(const struct stream *s, const struct http_request *r)
{
	size_t left = s->in->seen - s->at, most = s->limits->head + s->limits->body + HTTP_CHUNK_EXTRA + 2;
	const char *end = s->in->bytes + s->at + r->taken;

	fuzz_check((r->kind == HTTP_BAD) == (r->error != NULL) && (r->kind == HTTP_BAD) == (r->status != 0));
	fuzz_check(r->kind != HTTP_BAD || strcmp(http_reason(r->status), "Error") != 0);
	if (r->kind != HTTP_REQUEST) {
		fuzz_check(r->taken == 0 && (r->kind == HTTP_BAD || left <= most));
		fuzz_check(is_untouched(s));
		return;
	}
	fuzz_check(r->taken > 0 && r->taken <= left && r->taken <= most && r->body.len <= s->limits->body);
	fuzz_check(r->chunked ? r->body.p == s->scratch : r->body.p + r->body.len == end && is_untouched(s));
	fuzz_check(r->minor == 1 || !r->chunked);
	check_framing(r, end - r->taken, end);
}

/* The same bytes once more: the same again, but for HTTP_CONTINUE. */
static void check_again(struct stream *s, const struct http_request *r)
{
	struct http_request again;

	http_next(s->in->bytes + s->at, s->in->seen - s->at, s->limits, &s->scan, s->scratch, &again);
	fuzz_check(again.kind == (r->kind == HTTP_CONTINUE ? HTTP_MORE : r->kind));
	fuzz_check(again.taken == r->taken && again.status == r->status && again.body.len == r->body.len);
}

/* The text is looked at where its memory ends, not where its request goes on. */
static void check_decoded(struct http_text text, bool plus)
{
	char *dst = fuzz_alloc(text.len), *small = fuzz_alloc(text.len / 2), *copy = fuzz_alloc(text.len);
	struct http_text raw = { copy, text.len };
	const char *error = NULL;
	int len;

	memcpy(copy, text.p, text.len);
	len = http_decode(raw, plus, dst, raw.len, &error);
	fuzz_check((len < 0) == (error != NULL) && len <= (int)raw.len);
	fuzz_check(len < 0 || utf8_text(dst, (size_t)len));
	for (int i = 0; i < len; i++)
		fuzz_check((uint8_t)dst[i] >= 0x20 && dst[i] != 0x7f);
	if (len >= 0)
		fuzz_check(http_decode(raw, plus, small, raw.len / 2, &error) == ((size_t)len <= raw.len / 2 ? len : -1));
	free(copy);
	free(small);
	free(dst);
}

static void check_parts(const struct http_request *r)
{
	struct http_text query = r->query, name, value, list, item;
	struct http_path path;

	if (http_path(r->path, &path)) {
		fuzz_check(path.count >= 1 && path.count <= HTTP_SEGMENTS_MAX);
		for (unsigned i = 0; i < path.count; i++) {
			size_t sum = 0, count = 0;

			for (list = path.segment[i]; http_list_next(&list, ',', &item); sum += item.len, count++)
				check_decoded(item, false);
			fuzz_check(count > 0 && sum + count - 1 == path.segment[i].len);
		}
	}
	while (http_query_next(&query, &name, &value)) {
		fuzz_check(memchr(name.p, '&', name.len) == NULL && memchr(name.p, '=', name.len) == NULL);
		check_decoded(name, true);
		check_decoded(value, true);
	}
	if (r->field[HTTP_CONTENT_TYPE].p != NULL)
		http_media_type_is(r->field[HTTP_CONTENT_TYPE], "application/json");
}

/* A head, as a client reads it: lines that end in CR LF, no control characters but TAB in them. Returns the body. */
static const char *check_head(const char *p, const char *end)
{
	for (const char *from = p; p < end; p++) {
		if ((uint8_t)*p >= 0x20 || *p == '\t')
			continue;
		fuzz_check(*p == '\r' && end - p >= 2 && p[1] == '\n');
		p++;
		if (p - from == 1)
			return p + 1;
		from = p + 1;
	}
	fuzz_check(!"a head without an end");
	return NULL;
}

static void check_answers(const struct http_request *r, uint64_t time)
{
	struct http_answer a = { .status = 200, .time = time, .minor = r->minor, .keep_alive = r->keep_alive, .head = r->method == HTTP_HEAD,
				 .type = "text/html", .origin = r->field[HTTP_ORIGIN] };
	size_t room = HTTP_ANSWER_MAX + r->body.len + a.origin.len + r->field[HTTP_REQUEST_HEADERS].len, len;
	char *dst = fuzz_alloc(room);
	const char *body;

	len = http_answer(dst, room, &a, r->body.p, r->body.len);
	fuzz_check(len > 0 && len <= room);
	body = check_head(dst, dst + len);
	fuzz_check((size_t)(dst + len - body) == (a.head ? 0 : r->body.len));
	fuzz_check(http_answer(dst, len - 1, &a, r->body.p, r->body.len) == 0);
	len = http_stream(dst, room, &a);
	fuzz_check(len > 0 && check_head(dst, dst + len) == dst + len);
	len = http_preflight(dst, room, &a, "GET, POST", r->field[HTTP_REQUEST_HEADERS]);
	fuzz_check(len > 0 && check_head(dst, dst + len) == dst + len);
	free(dst);
}

static void check_error(const char *text, size_t len, uint64_t time)
{
	struct http_answer a = { .status = 404, .time = time, .minor = 1 };
	char *dst = fuzz_alloc(HTTP_ANSWER_MAX), *copy = fuzz_alloc(len + 1);
	const char *body;

	memcpy(copy, text, len);
	copy[len] = '\0';
	len = http_error(dst, HTTP_ANSWER_MAX, &a, copy);
	fuzz_check(len > 0 && len <= HTTP_ANSWER_MAX);
	body = check_head(dst, dst + len);
	fuzz_check(json_check(body, (size_t)(dst + len - body)) == NULL);
	free(copy);
	free(dst);
}

static void check_websocket(const struct http_request *r)
{
	size_t room = 512 + r->field[HTTP_WEBSOCKET_PROTOCOL].len, len;
	const char *error = NULL;
	unsigned status = websocket_check(r, &error);
	char *dst;

	fuzz_check((status == 0) == (error == NULL));
	if (status != 0)
		return;
	dst = fuzz_alloc(room);
	len = websocket_answer(dst, room, r, r->field[HTTP_WEBSOCKET_PROTOCOL]);
	fuzz_check(len > 0 && len <= room && check_head(dst, dst + len) == dst + len);
	fuzz_check(websocket_answer(dst, len - 1, r, r->field[HTTP_WEBSOCKET_PROTOCOL]) == 0);
	free(dst);
}

/* Goes on with what is seen. False: the connection would be closed. */
static bool read_requests(struct stream *s, bool parts)
{
	for (;;) {
		struct http_request r;

		memset(s->scratch, UNTOUCHED, s->limits->body);
		http_next(s->in->bytes + s->at, s->in->seen - s->at, s->limits, &s->scan, s->scratch, &r);
		check_kind(s, &r);
		check_again(s, &r);
		if (r.kind == HTTP_MORE || r.kind == HTTP_CONTINUE)
			return true;
		note(s, &r);
		if (r.kind == HTTP_BAD)
			return false;
		if (parts) {
			check_parts(&r);
			check_answers(&r, s->at * 1000003);
			check_error(r.path.p, r.path.len, s->at);
			if (r.websocket)
				check_websocket(&r);
		}
		s->at += r.taken;
		s->scan = (struct http_scan){ 0 };
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stream whole = { 0 }, pieces = { 0 };
	struct fuzz_input in;

	if (!fuzz_open(&in, data, size))
		return 0;
	whole.in = pieces.in = &in;
	whole.limits = pieces.limits = &limits[in.settings % (sizeof(limits) / sizeof(limits[0]))];
	whole.scratch = pieces.scratch = fuzz_alloc(whole.limits->body);
	read_requests(&whole, true);
	fuzz_hide(&in);
	while (fuzz_more(&in) && read_requests(&pieces, false))
		;
	fuzz_same(&whole.log, &pieces.log);
	fuzz_log_free(&whole.log);
	fuzz_log_free(&pieces.log);
	free(whole.scratch);
	fuzz_close(&in);
	return 0;
}
