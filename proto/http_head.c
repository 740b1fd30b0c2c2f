/*
 * A request's head: the request line and the header fields. http.c has made sure that it consists of lines that end in CR LF, the last
 * one empty; a CR elsewhere is a control character like any other, and refused.
 */
#include <string.h>

#include "proto/http_origin.h"
#include "proto/http_text.h"

#define ONCE_LAST HTTP_AUTHORIZATION

static const struct {
	const char *name;
	size_t len;
} field_names[HTTP_FIELDS] = {
#define NAME(text) { text, sizeof(text) - 1 }
	[HTTP_HOST] = NAME("host"),
	[HTTP_CONTENT_LENGTH] = NAME("content-length"),
	[HTTP_TRANSFER_ENCODING] = NAME("transfer-encoding"),
	[HTTP_CONTENT_TYPE] = NAME("content-type"),
	[HTTP_ORIGIN] = NAME("origin"),
	[HTTP_WEBSOCKET_KEY] = NAME("sec-websocket-key"),
	[HTTP_WEBSOCKET_VERSION] = NAME("sec-websocket-version"),
	[HTTP_REQUEST_METHOD] = NAME("access-control-request-method"),
	[HTTP_IDEMPOTENCY_KEY] = NAME("idempotency-key"),
	[HTTP_LAST_EVENT_ID] = NAME("last-event-id"),
	[HTTP_AUTHORIZATION] = NAME("authorization"),
	[HTTP_REQUEST_HEADERS] = NAME("access-control-request-headers"),
	[HTTP_ACCEPT] = NAME("accept"),
	[HTTP_CONNECTION] = NAME("connection"),
	[HTTP_UPGRADE] = NAME("upgrade"),
	[HTTP_WEBSOCKET_PROTOCOL] = NAME("sec-websocket-protocol"),
	[HTTP_EXPECT] = NAME("expect"),
	[HTTP_CONTENT_ENCODING] = NAME("content-encoding"),
	[HTTP_ACCEPT_LANGUAGE] = NAME("accept-language"),
	[HTTP_FETCH_SITE] = NAME("sec-fetch-site"),
	[HTTP_FETCH_MODE] = NAME("sec-fetch-mode"),
	[HTTP_IF_NONE_MATCH] = NAME("if-none-match"),
	[HTTP_COOKIE] = NAME("cookie"),
};

static bool bad(struct http_request *req, unsigned status, const char *error)
{
	http_bad(req, status, error);
	return false;
}

/* What the header fields say together, beyond req->field. */
struct found {
	bool close, keep_alive, connection_upgrade, upgrade_websocket;
};

static enum http_method find_method(struct http_text name)
{
	static const char *const names[] = {
		[HTTP_GET] = "GET", [HTTP_HEAD] = "HEAD", [HTTP_POST] = "POST", [HTTP_OPTIONS] = "OPTIONS",
	};

	for (unsigned i = 0; i < HTTP_OTHER; i++)
		if (name.len == strlen(names[i]) && memcmp(name.p, names[i], name.len) == 0)
			return (enum http_method)i;
	return HTTP_OTHER;
}

/* http://host:80/path?query, as a proxy would be sent, becomes /path?query; the Host field then does not count. False: no host is there, or
 * a user, whom nobody here knows. */
static bool strip_authority(struct http_text *target, struct http_authority *authority)
{
	size_t scheme = target->len >= 7 && strncasecmp(target->p, "http://", 7) == 0 ? 7
			: target->len >= 8 && strncasecmp(target->p, "https://", 8) == 0 ? 8 : 0;
	size_t i = scheme;

	if (scheme == 0)
		return true;
	while (i < target->len && target->p[i] != '/' && target->p[i] != '?')
		i++;
	if (!http_authority((struct http_text){ target->p + scheme, i - scheme }, authority) || authority->host.len == 0)
		return false;
	*target = (struct http_text){ target->p + i, target->len - i };
	return true;
}

static bool parse_target(struct http_text target, struct http_request *req)
{
	const char *mark;

	for (size_t i = 0; i < target.len; i++)
		if ((uint8_t)target.p[i] <= 0x20 || target.p[i] == 0x7f || target.p[i] == '#')
			return bad(req, 400, "the request target has a character that may not stand there");
	if (!strip_authority(&target, &req->authority))
		return bad(req, 400, "the request target's host is malformed");
	mark = memchr(target.p, '?', target.len);
	req->path = target;
	if (mark != NULL) {
		req->path.len = (size_t)(mark - target.p);
		req->query = (struct http_text){ mark + 1, target.len - req->path.len - 1 };
	}
	if (req->path.len == 0 && target.p[-1] != ' ')
		req->path = (struct http_text){ "/", 1 };	/* http://host */
	if (req->path.len > 0 && req->path.p[0] == '/')
		return true;
	if (req->method == HTTP_OPTIONS && req->path.len == 1 && req->path.p[0] == '*' && mark == NULL)
		return true;
	return bad(req, 400, "the request target is not a path");
}

static bool parse_version(struct http_text version, struct http_request *req)
{
	const char *p = version.p;

	if (version.len != 8 || memcmp(p, "HTTP/", 5) != 0 || p[5] < '0' || p[5] > '9' || p[6] != '.' || p[7] < '0' || p[7] > '9')
		return bad(req, 400, "the request line is malformed");
	if (p[5] != '1')
		return bad(req, 505, p[5] == '2' ? "this looks like HTTP/2: HTTP/1.1 and HTTP/1.0 are spoken here" : "only HTTP/1.1 and HTTP/1.0 are spoken here");
	req->minor = p[7] == '0' ? 0 : 1;
	return true;
}

static bool parse_request_line(struct http_text line, struct http_request *req)
{
	const char *first = memchr(line.p, ' ', line.len), *last = memrchr(line.p, ' ', line.len);
	struct http_text target, version;

	if (first == NULL || first == last)
		return bad(req, 400, "the request line is malformed");
	req->name = (struct http_text){ line.p, (size_t)(first - line.p) };
	for (size_t i = 0; i < req->name.len; i++)
		if (!http_is_token(req->name.p[i]))
			return bad(req, 400, "the request line is malformed");
	req->method = find_method(req->name);
	target = (struct http_text){ first + 1, (size_t)(last - first) - 1 };
	version = (struct http_text){ last + 1, line.len - (size_t)(last - line.p) - 1 };
	return parse_version(version, req) && parse_target(target, req);
}

/* The type by its name, unless with q=0. */
static bool accepts(struct http_text accept, const char *type)
{
	struct http_text range, part;

	while (http_list_next(&accept, ',', &range)) {
		bool good = http_list_next(&range, ';', &part) && http_is(http_trim(part), type);

		while (good && http_list_next(&range, ';', &part)) {
			part = http_trim(part);
			if (part.len < 3 || strncasecmp(part.p, "q=0", 3) != 0)
				continue;
			good = false;
			for (size_t i = 3; i < part.len; i++)
				good |= part.p[i] >= '1' && part.p[i] <= '9';
		}
		if (good)
			return true;
	}
	return false;
}

/* A field of which several may stand: its tokens count, whichever of them they stand in. */
static bool note_list(enum http_field field, struct http_text value, struct http_request *req, struct found *found)
{
	switch (field) {
	case HTTP_CONNECTION:
		found->close |= http_has_token(value, "close");
		found->keep_alive |= http_has_token(value, "keep-alive");
		found->connection_upgrade |= http_has_token(value, "upgrade");
		return true;
	case HTTP_UPGRADE:
		found->upgrade_websocket |= http_has_token(value, "websocket");
		return true;
	case HTTP_ACCEPT:
		req->event_stream |= accepts(value, "text/event-stream");
		req->html |= accepts(value, "text/html");
		return true;
	case HTTP_CONTENT_ENCODING:
		req->encoded |= value.len > 0 && !http_is(value, "identity");
		return true;
	case HTTP_EXPECT:
		if (!http_is(value, "100-continue"))
			return bad(req, 417, "the only expectation known is 100-continue");
		req->expect_continue = true;
		return true;
	default:
		return true;
	}
}

static bool parse_field(struct http_text line, struct http_request *req, struct found *found)
{
	struct http_text name, value;
	const char *error = http_split_field(line, &name, &value);

	if (error != NULL)
		return bad(req, 400, error);
	for (unsigned i = 0; i < HTTP_FIELDS; i++) {
		if (name.len != field_names[i].len || !http_is(name, field_names[i].name))
			continue;
		if (req->field[i].p == NULL)
			req->field[i] = value;
		else if (i <= ONCE_LAST)
			return bad(req, 400, "a header field that may stand once stands twice");
		return note_list((enum http_field)i, value, req, found);
	}
	return true;
}

static bool check_host(struct http_request *req)
{
	struct http_text host = req->field[HTTP_HOST];
	struct http_authority authority;

	if (host.p == NULL)
		return req->minor == 0 || bad(req, 400, "the Host field is missing");
	if (!http_authority(host, &authority))
		return bad(req, 400, "the Host field is malformed");
	if (req->authority.host.p == NULL)
		req->authority = authority;
	return true;
}

/* Whether chunked is the last coding, and stands there once (RFC 9112, 6.3). */
static bool ends_chunked(struct http_text codings)
{
	struct http_text coding;
	bool chunked = false;

	while (http_list_next(&codings, ',', &coding)) {
		if (chunked)
			return false;
		chunked = http_is(http_trim(coding), "chunked");
	}
	return chunked;
}

/* How long the content is, by the fields that say so. */
static bool check_length(struct http_request *req, uint64_t *length)
{
	struct http_text text = req->field[HTTP_CONTENT_LENGTH], coding = req->field[HTTP_TRANSFER_ENCODING];

	*length = 0;
	if (coding.p != NULL) {
		if (text.p != NULL)
			return bad(req, 400, "Content-Length and Transfer-Encoding exclude each other");
		if (req->minor == 0)
			return bad(req, 400, "HTTP/1.0 has no Transfer-Encoding");
		if (!ends_chunked(coding))
			return bad(req, 400, "a Transfer-Encoding that does not end in chunked does not say where the body ends");
		if (!http_is(coding, "chunked"))
			return bad(req, 501, "the only Transfer-Encoding known is chunked");
		req->chunked = true;
		return true;
	}
	if (text.p == NULL && req->method == HTTP_POST)
		return bad(req, 411, "a POST says how long its body is, by Content-Length or Transfer-Encoding: chunked; this one has neither, and so no body (curl -d DATA sends one)");
	if (text.p != NULL && text.len == 0)
		return bad(req, 400, "Content-Length is not a number");
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return bad(req, 400, "Content-Length is not a number");
		if (*length <= HTTP_BODY_MAX)	/* enough to be too long; no overflow */
			*length = *length * 10 + (unsigned)(text.p[i] - '0');
	}
	return true;
}

bool http_parse_head(const char *in, size_t start, size_t head, struct http_request *req, uint64_t *length)
{
	const char *p = in + start, *end = in + head - 2;	/* the empty line */
	struct found found = { 0 };
	bool first = true;

	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		struct http_text line = { p, (size_t)(nl - p) - 1 };

		if (!(first ? parse_request_line(line, req) : parse_field(line, req, &found)))
			return false;
		first = false;
		p = nl + 1;
	}
	if (!check_host(req) || !check_length(req, length))
		return false;
	req->keep_alive = !found.close && (req->minor > 0 || found.keep_alive);
	req->websocket = found.connection_upgrade && found.upgrade_websocket;
	req->expect_continue = req->expect_continue && req->minor > 0 && (req->chunked || *length > 0);
	return true;
}

static void glance_at_field(struct http_text line, struct http_request *req, unsigned *twice)
{
	struct http_text name, value;

	if (http_split_field(line, &name, &value) != NULL)
		return;
	for (unsigned i = 0; i < 2; i++) {
		enum http_field field = i == 0 ? HTTP_HOST : HTTP_ORIGIN;

		if (!http_is(name, field_names[field].name))
			continue;
		if (req->field[field].p != NULL)
			*twice |= 1u << i;
		req->field[field] = value;
	}
}

void http_glance(const char *in, size_t len, struct http_request *req)
{
	struct http_request first = { .minor = 1 };
	const char *p = in, *end = in + len, *nl;
	unsigned lines = 0, twice = 0;

	*req = first;
	if (len > 1 && p[0] == '\r' && p[1] == '\n')
		p += 2;
	for (; (nl = memchr(p, '\n', (size_t)(end - p))) != NULL && nl - p > 1 && nl[-1] == '\r'; p = nl + 1) {
		struct http_text line = { p, (size_t)(nl - p) - 1 };

		if (lines++ == 0)
			parse_request_line(line, &first);
		else
			glance_at_field(line, req, &twice);
	}
	if (first.kind != HTTP_BAD) {
		req->method = first.method;
		req->minor = first.minor;
		req->authority = first.authority;
	}
	if (twice & 1)		/* which of them is meant, nobody can tell */
		req->field[HTTP_HOST] = (struct http_text){ 0 };
	if (twice & 2)
		req->field[HTTP_ORIGIN] = (struct http_text){ 0 };
	if (first.authority.host.p == NULL && req->field[HTTP_HOST].p != NULL && !http_authority(req->field[HTTP_HOST], &req->authority))
		req->authority = (struct http_authority){ 0 };
}
