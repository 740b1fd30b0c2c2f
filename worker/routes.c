/*
 * What each path does.
 *
 *   GET  /               the page            GET  /sub/TOPICS   a stream: WebSocket, SSE or chunked
 *   GET  /ws             WebSocket           GET  /inbox/IDS    the same, of what is sent to an id
 *   POST /pub/TOPIC      publish             GET  /test/ID      the same, as a page that grows
 *   POST /pub            many                POST /send/ID      to all who are logged in under it
 *   POST /broadcast      to everybody        OPTIONS            CORS preflight
 *
 * Crash rules. A stream: subscriptions are linked one by one, then head, transport and the request's being taken are one commit; until
 * then recover() takes an HTTP session's subscriptions away, and the request is dealt with again. A publish: see publish_answered().
 */
#include <stdio.h>
#include <string.h>

#include "proto/json.h"
#include "proto/message.h"
#include "proto/message_text.h"
#include "proto/utf8.h"
#include "proto/web_message.h"
#include "proto/websocket_handshake.h"
#include "shm/crash.h"
#include "worker/http.h"
#include "worker/page.h"

#define RETRY_MS 2000			/* after which an EventSource connects again */
#define NDJSON "application/x-ndjson"
#define HTML "text/html; charset=utf-8"
#define PAGE_HEAD "<!DOCTYPE html><html><head><meta charset=\"utf-8\"><title>Janus</title></head><body>\r\n"
#define UPGRADE_FIELDS "Connection: Upgrade\r\nUpgrade: websocket\r\n" WEBSOCKET_VERSION_FIELD
#define ANSWER_ONE 64			/* bytes of {"id":...,"subscribers":...}, at most */

/* ---- topics and ids in paths ---- */

/* Those that a request names, one after the other. */
struct names {
	struct http_text path, query;	/* what is left of both */
	const char *key;		/* of the query; NULL: not looked at */
	bool inbox;
};

/* 1 and a name; 0: no more; -1 and why it is none. */
static int names_next(struct names *n, struct topic_name *name, const char **error)
{
	char text[MESSAGE_TOPIC_MAX];
	struct http_text raw, key;
	bool plus = false;
	int len;

	if (!n->path.p || !http_list_next(&n->path, ',', &raw)) {
		do {
			if (!n->key || !n->query.p || !http_query_next(&n->query, &key, &raw))
				return 0;
		} while (key.len != strlen(n->key) || memcmp(key.p, n->key, key.len) != 0);
		plus = true;
	}
	len = http_decode(raw, plus, text, sizeof(text), error);
	if (len < 0)
		return -1;
	*error = n->inbox ? message_id_error(text, (size_t)len) : message_topic_error(text, (size_t)len);
	if (*error)
		return -1;
	*name = action_name(n->inbox, text, (size_t)len);
	return 1;
}

/* ---- streams ---- */

static uint32_t stream_transport(const struct http_request *req, bool page)
{
	if (page)
		return req->minor ? TRANSPORT_PAGE : TRANSPORT_PAGE_10;
	if (req->websocket)
		return TRANSPORT_WEBSOCKET_STREAM;
	if (req->event_stream)
		return req->minor ? TRANSPORT_SSE : TRANSPORT_SSE_10;
	return req->minor ? TRANSPORT_COMET : TRANSPORT_COMET_10;
}

/* The head of the answer, and what stands before the first message, in the scratch. */
static size_t stream_head(const struct exchange *x, uint32_t transport)
{
	struct http_answer answer = exchange_answer(x, 200, NULL);
	char *dst = x->w->scratch;
	size_t room = x->w->scratch_room, len;

	if (transport == TRANSPORT_WEBSOCKET || transport == TRANSPORT_WEBSOCKET_STREAM)
		return websocket_answer(dst, room, x->req, (struct http_text){ 0 });
	answer.fields = HTTP_STREAM_FIELDS;
	answer.type = transport == TRANSPORT_SSE || transport == TRANSPORT_SSE_10 ? HTTP_EVENT_STREAM
		    : frame_is_own(transport) ? HTML : NDJSON;
	len = http_stream(dst, room, &answer);
	if (answer.head || !len)
		return len;
	if (transport == TRANSPORT_SSE || transport == TRANSPORT_SSE_10)
		len += web_sse_retry(dst + len, room - len, transport == TRANSPORT_SSE, RETRY_MS);
	else if (transport == TRANSPORT_PAGE)
		len += web_chunk(dst + len, room - len, PAGE_HEAD, sizeof(PAGE_HEAD) - 1);
	else if (transport == TRANSPORT_PAGE_10)
		len += (size_t)sprintf(dst + len, "%s", PAGE_HEAD);
	return len;
}

/* Subscribes to all of them, and to what goes to everybody. NULL, or why not. */
static const char *subscribe_all(const struct exchange *x, struct session_state_shm *st, struct names n)
{
	struct topic_name name = action_everybody();
	const char *error;

	/* (A page counts the messages of one topic.) */
	if (x->w->settings->broadcast && !frame_is_own(st->transport) && (error = action_subscribe(x->w, x->c->fd, st, &name)) != NULL)
		return error;
	while (names_next(&n, &name, &error) > 0)
		if ((error = action_subscribe(x->w, x->c->fd, st, &name)) != NULL)
			return error;
	return NULL;
}

/* The number of the topic's record before the first one that the page will show. */
static uint32_t page_base(const struct exchange *x)
{
	uint32_t sub = atomic_load_explicit(&session(x->w, x->c->fd)->subscriptions, memory_order_relaxed);

	while (sub && atomic_load_explicit(&x->w->slot.subscriptions[sub].next, memory_order_relaxed))
		sub = atomic_load_explicit(&x->w->slot.subscriptions[sub].next, memory_order_relaxed);
	return sub ? x->w->slot.subscriptions[sub].number - 1 : 0;
}

static void start_stream(const struct exchange *x, struct names names, uint32_t transport)
{
	struct session_state_shm st = session(x->w, x->c->fd)->state;
	const char *error;

	st.transport = transport;
	error = subscribe_all(x, &st, names);
	if (error) {
		action_leave_all(x->w, x->c->fd, transport);
		exchange_error(x, 503, NULL, error);
		return;
	}
	CRASH_POINT("stream-subscribed");
	if (frame_is_own(transport))
		session(x->w, x->c->fd)->page_base = page_base(x);
	if (!exchange_append(x, &st, x->w->scratch, stream_head(x, transport))) {
		action_leave_all(x->w, x->c->fd, transport);
		return;
	}
	exchange_commit(x, &st, true);
	CRASH_POINT("stream-started");
}

/* Whether the request may become a WebSocket; if not it is answered. */
static bool websocket_granted(const struct exchange *x)
{
	const char *error;
	unsigned status = websocket_check(x->req, &error);

	if (status == 426)
		exchange_error(x, status, UPGRADE_FIELDS, error);
	else if (status)
		exchange_error(x, status, status == 405 ? "Allow: GET, OPTIONS\r\n" : NULL, error);
	else if (!exchange_origin_allowed(x))
		exchange_error(x, 403, NULL, "this origin may not use the server from a web page (origins)");
	else
		return true;
	return false;
}

static void get_stream(const struct exchange *x, struct names names, bool page)
{
	struct names look = names;
	struct topic_name name;
	const char *error;
	unsigned count = 0;
	int r;

	while ((r = names_next(&look, &name, &error)) > 0)
		count++;
	if (r < 0)
		exchange_error(x, 400, NULL, error);
	else if (count == 0)
		exchange_error(x, 400, NULL, "no topic: GET /sub/TOPIC, /sub/A,B or /sub?topic=A&topic=B");
	else if (page && count > 1)
		exchange_error(x, 400, NULL, "one id: a comma in it is written %2C");
	else if (x->req->websocket && !page && !websocket_granted(x))
		return;
	else if (x->req->method == HTTP_HEAD) {
		struct session_state_shm st = session(x->w, x->c->fd)->state;

		if (exchange_append(x, &st, x->w->scratch, stream_head(x, stream_transport(x->req, page))))
			exchange_commit(x, &st, x->req->keep_alive && x->req->minor);
	} else {
		start_stream(x, names, stream_transport(x->req, page));
	}
}

static void get_sub(const struct exchange *x, struct http_text path)
{
	get_stream(x, (struct names){ .path = path, .query = x->req->query, .key = "topic" }, false);
}

static void get_inbox(const struct exchange *x, struct http_text path)
{
	get_stream(x, (struct names){ .path = path, .query = x->req->query, .key = "id", .inbox = true }, false);
}

static void get_test(const struct exchange *x, struct http_text path)
{
	get_stream(x, (struct names){ .path = path, .inbox = true }, true);
}

static void get_ws(const struct exchange *x, struct http_text path)
{
	(void)path;
	if (!x->req->websocket)
		exchange_error(x, 426, UPGRADE_FIELDS, "this path is for WebSockets (RFC 6455)");
	else if (websocket_granted(x))
		start_stream(x, (struct names){ 0 }, TRANSPORT_WEBSOCKET);
}

static void get_page(const struct exchange *x, struct http_text path)
{
	struct http_answer answer = exchange_answer(x, 200, HTML);

	(void)path;
	if (x->w->settings->page != 0) {
		exchange_error(x, 404, NULL, "the page is switched off (page)");
		return;
	}
	answer.fields = "Cache-Control: no-cache\r\n";
	exchange_reply(x, &answer, page_html, page_html_len);
}

/* ---- publishing ---- */

static size_t put_receipt(char *dst, const struct publish_item *item)
{
	if (!item->seq)
		return (size_t)sprintf(dst, "{\"id\":null,\"subscribers\":%llu}", (unsigned long long)item->subscribers);
	return (size_t)sprintf(dst, "{\"id\":%llu,\"subscribers\":%llu}", (unsigned long long)item->seq,
			       (unsigned long long)item->subscribers);
}

/* Publishes what is staged, and answers. As a list, if it was one. */
static void publish_and_answer(const struct exchange *x, bool list)
{
	static char body[PUBLISH_BATCH_MAX * (ANSWER_ONE + 1) + 8];
	struct http_answer answer;
	size_t len = 0;

	if (x->w->item_count > 0 && stage_answered(x->w, x->c) < 0) {
		if (!x->c->stalled)
			exchange_error(x, 413, NULL, "more than the server's ring can take at once (ring_bytes)");
		return;
	}
	if (list)
		body[len++] = '[';
	for (unsigned i = 0; i < x->w->item_count; i++) {
		if (i)
			body[len++] = ',';
		len += put_receipt(body + len, &x->w->items[i]);
	}
	if (list) {
		body[len++] = ']';
		x->c->units += x->w->item_count;	/* not one message */
	}
	body[len++] = '\n';
	answer = exchange_answer(x, 200, HTTP_JSON);
	exchange_reply(x, &answer, body, len);
	if (x->w->item_count > 0)
		stage_end(x->w);
}

/* Of the member `event`, from ?event=. -1: answered with an error. */
static int read_event(const struct exchange *x, char dst[MESSAGE_TOPIC_MAX])
{
	struct http_text query = x->req->query, key, value;
	const char *error;
	int len;

	while (query.p && http_query_next(&query, &key, &value)) {
		if (key.len != 5 || memcmp(key.p, "event", 5) != 0)
			continue;
		len = http_decode(value, true, dst, MESSAGE_TOPIC_MAX, &error);
		if (len < 0)
			exchange_error(x, 400, NULL, error);
		return len;
	}
	return 0;
}

/* What the body is. NULL, or why it can't be taken. */
static const char *body_kind(const struct http_request *req, enum message_kind *kind)
{
	struct http_text type = req->field[HTTP_CONTENT_TYPE], bare = type;
	const char *semicolon = type.p ? memchr(type.p, ';', type.len) : NULL;

	if (semicolon)
		bare.len = (size_t)(semicolon - type.p);
	while (bare.len && (bare.p[bare.len - 1] == ' ' || bare.p[bare.len - 1] == '\t'))
		bare.len--;
	*kind = MESSAGE_TEXT;
	if (type.p && (http_media_type_is(type, HTTP_JSON) ||
		       (bare.len > 5 && strncasecmp(bare.p + bare.len - 5, "+json", 5) == 0))) {
		*kind = MESSAGE_JSON;
		return json_check(req->body.p ? req->body.p : "", req->body.len);
	}
	if ((type.p && http_media_type_is(type, "application/octet-stream")) || !utf8_text(req->body.p, req->body.len))
		*kind = MESSAGE_BINARY;
	return NULL;
}

/* The body, to one topic, id, or everybody. */
static void post_message(const struct exchange *x, const struct topic_name *to, const struct message_names *names)
{
	struct message_names all = *names;
	char event[MESSAGE_TOPIC_MAX];
	struct sink size = { 0 }, record = { 0 };
	enum message_kind kind;
	const char *error = body_kind(x->req, &kind), *body = x->req->body.p ? x->req->body.p : "";
	int event_len = error ? 0 : read_event(x, event);

	if (error) {
		exchange_error(x, 400, NULL, error);
		return;
	}
	if (event_len < 0)
		return;
	if (event_len) {
		all.event = event;
		all.event_len = (size_t)event_len;
	}
	message_text(&size, &all, kind, body, x->req->body.len);
	if (size.len > stage_record_max(x->w)) {
		exchange_error(x, 413, NULL, "the message is too long with its quotes and control characters escaped (max_frame)");
		return;
	}
	if (!stage_begin(x->w, x->c))
		return;
	record.dst = stage_add(x->w, x->c, to->bytes, to->len, size.len, x->after, 0);
	record.room = size.len;
	message_text(&record, &all, kind, body, x->req->body.len);
	publish_and_answer(x, false);
}

static void post_to(const struct exchange *x, struct http_text path, bool inbox)
{
	struct names n = { .path = path, .inbox = inbox };
	struct topic_name name;
	const char *error = NULL;
	int r = names_next(&n, &name, &error);

	if (r > 0 && n.path.p) {
		r = -1;
		error = inbox ? "one id: a comma in it is written %2C" : "one topic: a comma in it is written %2C; POST an array to /pub for many";
	}
	if (r <= 0) {
		exchange_error(x, 400, NULL, error ? error : "an id is missing: POST /send/ID");
		return;
	}
	post_message(x, &name, &(struct message_names){
		.key = inbox ? "to" : "topic", .name = name.bytes + inbox, .name_len = (size_t)name.len - inbox });
}

/* An array of messages, each with its topic: all of them, or none. */
static void post_array(const struct exchange *x)
{
	const char *error = json_check(x->req->body.p ? x->req->body.p : "", x->req->body.len), *item;
	struct json_array array;
	struct request req;
	char why[256];
	size_t len;

	if (error || !json_array_begin(&array, x->req->body.p, x->req->body.len)) {
		exchange_error(x, 400, NULL, error ? error : "not an array: POST /pub/TOPIC publishes one message, /pub an array of them");
		return;
	}
	if (!stage_begin(x->w, x->c))
		return;
	while (json_array_next(&array, &item, &len)) {
		unsigned number = x->w->item_count + 1;
		unsigned status = 400;
		char *record = NULL;

		if (request_parse_publish(&x->w->json, item, len, &req, &error) == 0) {
			status = 413;
			error = "too much for one request: at most 512 messages, and so many bytes";
			record = stage_add(x->w, x->c, req.name, req.name_len, req.size, x->after, 0);
		}
		if (!record) {
			snprintf(why, sizeof(why), "message %u: %s", number, error);
			stage_drop(x->w);
			exchange_error(x, status, NULL, why);
			return;
		}
		request_message(&req, record);
	}
	publish_and_answer(x, true);
}

static void post_pub(const struct exchange *x, struct http_text path)
{
	if (path.p)
		post_to(x, path, false);
	else
		post_array(x);
}

static void post_send(const struct exchange *x, struct http_text path)
{
	post_to(x, path, true);
}

static void post_broadcast(const struct exchange *x, struct http_text path)
{
	struct topic_name everybody = action_everybody();

	(void)path;
	if (!x->w->settings->broadcast)
		exchange_error(x, 403, NULL, "switched off (broadcast)");
	else
		post_message(x, &everybody, &(struct message_names){ 0 });
}

/* ---- the paths ---- */

enum { PATH_NONE = 1, PATH_MAY = 2, PATH_MUST = 4 };	/* whether something follows the first segment */

static const struct route {
	const char *name;
	unsigned rest;
	void (*get)(const struct exchange *x, struct http_text path);
	void (*post)(const struct exchange *x, struct http_text path);
} routes[] = {
	{ "", PATH_NONE, get_page, NULL },
	{ "sub", PATH_MAY, get_sub, NULL },
	{ "ws", PATH_NONE, get_ws, NULL },
	{ "pub", PATH_MAY, NULL, post_pub },
	{ "inbox", PATH_MAY, get_inbox, NULL },
	{ "send", PATH_MUST, NULL, post_send },
	{ "test", PATH_MUST, get_test, NULL },
	{ "broadcast", PATH_NONE, NULL, post_broadcast },
};

static const struct route *find_route(const struct http_request *req, struct http_text *rest)
{
	struct http_path path;

	*rest = (struct http_text){ 0 };
	if (!http_path(req->path, &path) || path.count > 2)
		return NULL;
	if (path.count == 2)
		*rest = path.segment[1];
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		const struct route *r = &routes[i];

		if (strlen(r->name) != path.segment[0].len || memcmp(r->name, path.segment[0].p, path.segment[0].len) != 0)
			continue;
		if ((path.count == 2 && r->rest == PATH_NONE) || (path.count == 1 && r->rest == PATH_MUST))
			return NULL;
		return r;
	}
	return NULL;
}

static void preflight(const struct exchange *x)
{
	struct http_answer answer = exchange_answer(x, 204, NULL);
	struct session_state_shm st = session(x->w, x->c->fd)->state;
	size_t len;

	if (!answer.origin.p) {		/* nothing is granted to it, or nobody asked */
		exchange_reply(x, &answer, "", 0);
		return;
	}
	len = http_preflight(x->w->scratch, x->w->scratch_room, &answer, "GET, POST", x->req->field[HTTP_REQUEST_HEADERS]);
	if (exchange_append(x, &st, x->w->scratch, len))
		exchange_commit(x, &st, answer.keep_alive);
}

void routes_handle(struct exchange *x)
{
	bool get = x->req->method == HTTP_GET || x->req->method == HTTP_HEAD;
	const struct route *r;
	struct http_text rest;

	if (x->req->method == HTTP_OPTIONS) {
		preflight(x);
		return;
	}
	r = find_route(x->req, &rest);
	if (!r)
		exchange_error(x, 404, NULL,
			       "no such path: GET /, /ws, /sub/TOPIC, /inbox/ID, /test/ID; POST /pub/TOPIC, /pub, /send/ID, /broadcast");
	else if (get && r->get)
		r->get(x, rest);
	else if (x->req->method != HTTP_POST || !r->post)
		exchange_error(x, 405, r->get ? "Allow: GET, HEAD, OPTIONS\r\n" : "Allow: POST, OPTIONS\r\n",
			       r->get ? "use GET here" : "use POST here");
	else if (!exchange_origin_allowed(x))
		exchange_error(x, 403, NULL, "this origin may not use the server from a web page (origins)");
	else
		r->post(x, rest);
}
