/*
 * What each path does.
 *
 *   GET  /               the page            GET  /sub/TOPICS   a stream: WebSocket, SSE or chunked
 *   GET  /janus.js       its client          GET  /inbox/USERS  the same, of what is sent to a user
 *   GET  /ws             WebSocket           GET  /test/USER    the same, as a page that grows
 *   POST /pub/TOPIC      publish             POST /send/USER    to all who are logged in under it
 *   POST /pub            many                GET  /version      what runs here
 *   POST /broadcast      to everybody        OPTIONS            CORS preflight
 *   GET  /history/TOPIC  what is kept        GET  /poll/TOPIC   the same, as soon as there is something
 *   GET  /topics/TOPIC   how it is, or /topics: all
 *   GET  /healthz, /readyz: whether a worker lives; whether all do
 *   GET  /metrics        for Prometheus, on admin listeners alone
 *   GET  /session/TOKEN  whether there is such a session; /session/TOKEN/messages: what it is owed
 *   POST /kick           ends connections; on admin listeners alone
 * What stands behind the slash may stand in the query instead: ?topic=, ?user=.
 *
 * Crash rules. A stream: subscriptions are linked one by one, then head, transport and the request's being taken are one commit; until
 * then recover() takes an HTTP session's subscriptions away, and the request is dealt with again. A publish: see http_publish.c.
 */
#include <stdio.h>
#include <string.h>

#include "proto/version.h"
#include "proto/vocabulary.h"
#include "proto/websocket_handshake.h"
#include "proto/wildcard.h"
#include "shm/crash.h"
#include "worker/delivery/leave.h"
#include "worker/protocol/http_page.h"
#include "worker/protocol/http_routes.h"
#include "worker/service/access.h"

#define LINES_SHOWN "text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff"	/* by a browser, as they come; NDJSON it would save */
#define FIELDS_MAX 512			/* bytes of a stream's header fields (HTTP_ANSWER_MAX) */
#define WRONG_ORIGIN "this origin may not use the server from a web page (origins)"
#define UPGRADE_FIELDS "Connection: Upgrade\r\nUpgrade: websocket\r\n" WEBSOCKET_VERSION_FIELD

static void refuse_page(const struct exchange *x, enum counter why, const char *text)
{
	base_count(x->protocols->base, why, 1);
	exchange_error(x, 403, NULL, text);
}

/* ---- streams ---- */

/* What the request asks for, and so what its connection becomes. */
static uint32_t stream_transport(const struct http_request *req, bool page, bool envelope)
{
	return transport_asked(ASKED_STREAM | (req->minor ? ASKED_CHUNKS : 0) | (req->event_stream ? ASKED_EVENTS : 0) | (envelope ? ASKED_ENVELOPE : 0) |
			       (req->websocket ? ASKED_WEBSOCKET : 0) | (page ? ASKED_PAGE : 0));
}

/* Behind the answer's head: what stands before the first message. */
static size_t put_greeting(const struct exchange *x, uint32_t transport, const struct position_start *start, char *dst, size_t room)
{
	struct transport_hello hello = session_hello(x->protocols->base, x->c->sid);

	hello.start = start;
	return room < TRANSPORT_NOTICE_MAX ? 0 : transport_greeting(transport, &hello, dst);
}

/* The fields of a stream's head. A page has no position, as its messages have none. */
static const char *stream_fields(uint32_t transport, bool granted, const struct position_start *start, char dst[FIELDS_MAX])
{
	struct sink s = { .dst = dst, .room = FIELDS_MAX };

	sink_literal(&s, HTTP_STREAM_FIELDS);
	if (transport_group(transport) != GROUP_PAGE) {
		position_put_fields(&s, start);
		if (granted)
			sink_literal(&s, "Access-Control-Expose-Headers: " POSITION_FIELDS "\r\n");
	}
	sink_byte(&s, '\0');
	return dst;
}

/* The head of the answer, and what stands before the first message, in the scratch. The stream starts where the outcome says. */
static size_t stream_head(const struct exchange *x, uint32_t transport, const struct outcome *o)
{
	struct position_start at;
	const struct position_start *start = outcome_start(x->protocols->service, o, &at);
	char fields[FIELDS_MAX];
	struct http_answer answer = exchange_answer(x, 200, transport_table[transport].type);
	char *dst = x->protocols->base->scratch;
	size_t room = x->protocols->base->scratch_room, len;

	if (transport_group(transport) == GROUP_WEBSOCKET) {
		len = websocket_answer(dst, room, x->req, websocket_protocol(x->req));
	} else {
		if (transport_group(transport) == GROUP_JSON_LINES && x->req->html)
			answer.type = LINES_SHOWN;
		answer.fields = stream_fields(transport, answer.origin.p != NULL, start, fields);
		len = http_stream(dst, room, &answer);
	}
	return answer.head || !len ? len : len + put_greeting(x, transport, start, dst + len, room - len);
}

static bool next_name(void *names, struct topic_name *name)
{
	const char *error;

	return names_next(names, name, &error) > 0;
}

/* The number of the topic's record before the first one that the page will show. */
static uint32_t page_base(const struct exchange *x)
{
	uint32_t sub = atomic_load_explicit(&session(x->protocols->base, x->c->sid)->subscriptions, memory_order_relaxed);

	return sub ? x->protocols->base->slot.subscriptions[sub].number - 1 : 0;
}

/* What the query asks for beside names. */
struct asked {
	struct resume resume;
	bool has_token;
	uint8_t token[TOKEN_BYTES];	/* zeroes: a new one */
	unsigned names;			/* how many */
};

static void start_stream(const struct exchange *x, struct names names, uint32_t transport, const struct asked *asked)
{
	struct request req = {
		.kind = asked->names == 0 && asked->has_token ? REQUEST_ATTACH : REQUEST_SUBSCRIBE,
		.resume = asked->resume,
		.has_token = asked->has_token,
		.names = { .next = next_name, .from = &names },
		.becomes = true,
		.transport = transport,
	};
	struct outcome o;

	memcpy(req.token, asked->token, sizeof(req.token));
	request_serve(x->protocols->service, x->c, &req, &o);
	if (o.kind == OUTCOME_LATER)
		return;
	if (o.error) {
		exchange_error(x, o.status, NULL, o.error);
		return;
	}
	CRASH_POINT("stream-subscribed");
	if (transport_has(transport, TRANSPORT_OWN_FRAMES))
		session(x->protocols->base, x->c->sid)->page_base = page_base(x);
	if (!exchange_send(x, &o, x->protocols->base->scratch, stream_head(x, transport, &o), true)) {
		leave_all(x->protocols->topics, x->protocols->multi_topic, x->c->sid, transport);
		return;
	}
	CRASH_POINT("stream-started");
	if (!transport_has(transport, TRANSPORT_OWN_FRAMES))
		session(x->protocols->base, x->c->sid)->page_base = x->protocols->base->now;
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
		refuse_page(x, COUNTER_refused_origins, WRONG_ORIGIN);
	else
		return true;
	return false;
}

/* Whether events are to have the whole object as data. -1: answered with an error. */
static int wants_envelope(const struct exchange *x)
{
	char value[PARAMETER_MAX];
	int len = parameter_read(x, MEMBER_ENVELOPE, value);

	if (len == PARAMETER_BAD)
		return -1;
	if (len == PARAMETER_NONE)
		return false;
	if (len == 4 && memcmp(value, "json", 4) == 0)
		return true;
	exchange_error(x, 400, NULL, "the envelope is none that is known: json");
	return -1;
}

/* NULL, or why the parameter asks for nothing of the past. */
static const char *read_resume_parameter(enum member name, const char *value, size_t len, struct resume *resume)
{
	switch (name) {
	case MEMBER_LAST_EVENT_ID:
		return resume_last_event(resume, value, len);
	case MEMBER_SINCE:
		return resume_since(resume, value, len);
	default:
		return resume_last_text(resume, value, len);
	}
}

/*
 * What of the past is asked for. A browser that connects again sends Last-Event-ID, by itself and to the same address, so that comes before what
 * stands in the query. False: answered with an error.
 */
static bool read_resume(const struct exchange *x, struct resume *resume)
{
	static const enum member names[] = { MEMBER_LAST_EVENT_ID, MEMBER_SINCE, MEMBER_LAST };
	struct http_text event = x->req->field[HTTP_LAST_EVENT_ID];
	char value[PARAMETER_MAX];
	const char *error = NULL;
	int len;

	*resume = (struct resume){ 0 };
	if (event.len > 0)
		return resume_last_event(resume, event.p, event.len) == NULL;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		len = parameter_read(x, names[i], value);
		if (len == PARAMETER_BAD)
			return false;
		if (len >= 0)
			error = read_resume_parameter(names[i], value, (size_t)len, resume);
		if (error) {
			exchange_error(x, 400, NULL, error);
			return false;
		}
		if (resume->kind != RESUME_NOT && names[i] == MEMBER_LAST_EVENT_ID)
			return true;
	}
	return true;
}

/* `token`: empty, a client wants to be told one. False: answered with an error. */
static bool read_token(const struct exchange *x, struct asked *asked)
{
	char value[PARAMETER_MAX];
	int len = parameter_read(x, MEMBER_TOKEN, value);
	const char *error;

	if (len == PARAMETER_BAD)
		return false;
	asked->has_token = len != PARAMETER_NONE;
	error = len > 0 ? token_read(asked->token, value, (size_t)len) : NULL;
	if (error)
		exchange_error(x, 400, NULL, error);
	return !error;
}

/* What a GET would be answered with, without its stream. */
static void answer_head(const struct exchange *x, struct names names, uint32_t transport)
{
	struct outcome o = outcome_nothing(x->protocols->service, x->c);
	struct topic_name name;

	while (next_name(&names, &name))
		if (!exchange_may(x, RIGHT_SUBSCRIBE, &name))
			return;
	outcome_starts_now(x->protocols->service, &o);
	exchange_send(x, &o, x->protocols->base->scratch, stream_head(x, transport, &o), x->req->keep_alive && x->req->minor);
}

static bool note_topic(void *found, const char *topic, size_t len)
{
	(void)topic;
	(void)len;
	*(bool *)found = true;
	return false;
}

/* Whether the request's token has topics subscribed at once. */
static bool begins_with_topics(const struct exchange *x)
{
	const struct rights *shown = access_rights(x->protocols->service, x->c->sid);
	bool found = false;

	if (shown)
		rights_at_once(shown, note_topic, &found);
	return found;
}

static void get_stream(const struct exchange *x, struct names names, bool page)
{
	int envelope = wants_envelope(x);
	struct asked asked = { 0 };
	struct names look = names;
	struct topic_name name;
	const char *error = NULL, *refused = NULL;
	int r;

	if (envelope < 0 || names_twice(x, &names) || (!page && (!read_resume(x, &asked.resume) || !read_token(x, &asked))))
		return;
	while ((r = names_next(&look, &name, &error)) > 0) {
		asked.names++;
		if (asked.resume.kind == RESUME_LAST && names.patterns && wildcard_in(name.bytes, name.len))
			refused = LAST_OF_PATTERN;
	}
	if (r < 0 || refused)
		exchange_error(x, 400, NULL, r < 0 ? error : refused);
	else if (asked.names == 0 && !asked.has_token && (page || !begins_with_topics(x)))
		exchange_error(x, 400, NULL, names.inbox ? "no user: GET /inbox/USER, /inbox/A,B or /inbox?user=A&user=B"
						 : "no topic: GET /sub/TOPIC, /sub/A,B or /sub?topic=A&topic=B");
	else if (page && asked.names > 1)
		exchange_error(x, 400, NULL, "one user: a comma in it is written %2C");
	else if (x->req->websocket && !page && !websocket_granted(x))
		return;
	else if (x->req->method == HTTP_HEAD)
		answer_head(x, names, stream_transport(x->req, page, envelope));
	else
		start_stream(x, names, stream_transport(x->req, page, envelope), &asked);
}

static void get_sub(const struct exchange *x, struct http_text path)
{
	get_stream(x, (struct names){ .path = path, .query = x->req->query, .key = "topic", .patterns = true }, false);
}

static void get_inbox(const struct exchange *x, struct http_text path)
{
	get_stream(x, (struct names){ .path = path, .query = x->req->query, .key = "user", .inbox = true }, false);
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
		start_stream(x, (struct names){ 0 }, TRANSPORT_WEBSOCKET, &(struct asked){ 0 });
}

/* Whether the browser has these bytes, by one of the tags it sends, or "*". Weak or not, a tag stands for the same bytes here. */
static bool has_page(const struct http_request *req, const struct page *page)
{
	struct http_text had = req->field[HTTP_IF_NONE_MATCH];

	return had.p && ((had.len == 1 && *had.p == '*') || memmem(had.p, had.len, page->tag, strlen(page->tag)));
}

static void reply_page(const struct exchange *x, enum page_name name)
{
	const struct page *page = page_get(name);
	bool had = has_page(x->req, page);
	struct http_answer answer = exchange_answer(x, had ? 304 : 200, had ? NULL : page->type);
	struct outcome o = outcome_nothing(x->protocols->service, x->c);
	char fields[sizeof("Cache-Control: no-cache\r\nETag: \r\n") + PAGE_TAG_MAX];

	snprintf(fields, sizeof(fields), "Cache-Control: no-cache\r\nETag: %s\r\n", page->tag);
	answer.fields = fields;
	exchange_reply(x, &o, &answer, page->bytes, page->len);
}

static void get_page(const struct exchange *x, struct http_text path)
{
	(void)path;
	if (x->protocols->base->settings->page != 0)
		exchange_error(x, 404, NULL, "the page is switched off (page)");
	else
		reply_page(x, exchange_is_admin(x) ? PAGE_ADMIN_HTML : PAGE_HTML);
}

/* (Also without the page: it shows nothing, and pages elsewhere use it.) */
static void get_janus_js(const struct exchange *x, struct http_text path)
{
	(void)path;
	reply_page(x, PAGE_JANUS_JS);
}

static void get_version(const struct exchange *x, struct http_text path)
{
	struct http_answer answer = exchange_answer(x, 200, HTTP_JSON);
	struct outcome o = outcome_nothing(x->protocols->service, x->c);
	const struct version_now has = base_has(x->protocols->base);
	char text[TRANSPORT_NOTICE_MAX];
	struct sink s = { .dst = text, .room = sizeof(text) };

	(void)path;
	version_object(&s, &has);
	sink_byte(&s, '\n');
	exchange_reply(x, &o, &answer, text, s.len);
}

/* ---- the paths ---- */

enum { PATH_NONE = 1, PATH_MAY = 2, PATH_MUST = 4, PATH_DEEP = 8 };	/* whether something follows the first segment; and more behind that */

#define ALLOW_GET "Allow: GET, HEAD, OPTIONS\r\n"
#define ALLOW_POST "Allow: POST, OPTIONS\r\n"
#define STREAM_PARAMETERS (MEMBER_BIT(ENVELOPE) | MEMBER_BIT(TOKEN) | MEMBERS_OF_RESUME | MEMBER_BIT(LAST_EVENT_ID))
#define WITH_BODY (MEMBER_BIT(EVENT) | MEMBER_BIT(MESSAGE_ID) | MEMBER_BIT(NODES))
#define ALLOW_ANY "Allow: GET, HEAD, POST, OPTIONS\r\n"

static const struct route {
	const char *name;
	enum { EVERYWHERE, ADMIN, OPEN } where;	/* ADMIN: on admin listeners alone; elsewhere there is no such path. OPEN: to everybody, whatever is shown */
	unsigned rest;
	bool upgrades;			/* to a WebSocket */
	unsigned query;			/* the parameters that are known */
	const char *allow;
	void (*get)(const struct exchange *x, struct http_text path);
	void (*post)(const struct exchange *x, struct http_text path);
	bool (*may)(const struct exchange *x, struct http_text path);	/* as far as the head tells; else it is answered */
} routes[] = {
	{ "", OPEN, PATH_NONE, false, 0, ALLOW_GET, get_page, NULL, NULL },
	{ "janus.js", OPEN, PATH_NONE, false, 0, ALLOW_GET, get_janus_js, NULL, NULL },
	{ "sub", EVERYWHERE, PATH_MAY, true, MEMBER_BIT(TOPIC) | STREAM_PARAMETERS, ALLOW_GET, get_sub, NULL, NULL },
	{ "ws", EVERYWHERE, PATH_NONE, true, 0, "Allow: GET, OPTIONS\r\n", get_ws, NULL, NULL },
	{ "pub", EVERYWHERE, PATH_MAY, false, MEMBER_BIT(TOPIC) | WITH_BODY, ALLOW_POST, NULL, post_pub, may_pub },
	{ "inbox", EVERYWHERE, PATH_MAY, true, MEMBER_BIT(USER) | STREAM_PARAMETERS, ALLOW_GET, get_inbox, NULL, NULL },
	{ "send", EVERYWHERE, PATH_MAY, false, MEMBER_BIT(USER) | WITH_BODY, ALLOW_POST, NULL, post_send, may_send },
	{ "test", EVERYWHERE, PATH_MUST, false, 0, ALLOW_GET, get_test, NULL, NULL },
	{ "broadcast", EVERYWHERE, PATH_NONE, false, WITH_BODY, ALLOW_POST, NULL, post_broadcast, may_broadcast },
	{ "history", EVERYWHERE, PATH_MAY, false, MEMBER_BIT(TOPIC) | MEMBER_BIT(LIMIT) | MEMBER_BIT(SINCE) | MEMBER_BIT(BEFORE), ALLOW_GET, get_history, NULL, NULL },
	{ "poll", EVERYWHERE, PATH_MAY, false, MEMBER_BIT(TOPIC) | MEMBER_BIT(LIMIT) | MEMBER_BIT(SINCE) | MEMBER_BIT(WAIT), "Allow: GET, OPTIONS\r\n", get_poll, NULL, NULL },
	{ "topics", EVERYWHERE, PATH_MAY, false, MEMBER_BIT(TOPIC) | MEMBER_BIT(PREFIX) | MEMBER_BIT(LIMIT) | MEMBER_BIT(CURSOR) | MEMBER_BIT(NODES), ALLOW_GET, get_topics, NULL, NULL },
	{ "session", EVERYWHERE, PATH_MUST | PATH_DEEP, false, MEMBER_BIT(LIMIT) | MEMBER_BIT(SINCE) | MEMBER_BIT(WAIT), "Allow: GET, OPTIONS\r\n", get_session, NULL, NULL },
	{ "kick", ADMIN, PATH_NONE, false, MEMBER_BIT(ID) | MEMBER_BIT(TOPIC) | MEMBER_BIT(USER) | MEMBER_BIT(SUB) | MEMBER_BIT(REASON), ALLOW_POST, NULL, post_kick, NULL },
	{ "version", OPEN, PATH_NONE, false, 0, ALLOW_GET, get_version, NULL, NULL },
	{ "healthz", OPEN, PATH_NONE, false, 0, ALLOW_GET, get_healthz, NULL, NULL },
	{ "readyz", OPEN, PATH_NONE, false, 0, ALLOW_GET, get_readyz, NULL, NULL },
	{ "metrics", ADMIN, PATH_NONE, false, 0, ALLOW_GET, get_metrics, NULL, NULL },
};

static const struct route *find_route(const struct exchange *x, struct http_text *rest)
{
	struct http_path path;

	*rest = (struct http_text){ 0 };
	if (!http_path(x->req->path, &path) || path.count > 3)
		return NULL;
	if (path.count > 1)
		*rest = (struct http_text){ path.segment[1].p, (size_t)(path.segment[path.count - 1].p + path.segment[path.count - 1].len - path.segment[1].p) };
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		const struct route *r = &routes[i];

		if (strlen(r->name) != path.segment[0].len || memcmp(r->name, path.segment[0].p, path.segment[0].len) != 0)
			continue;
		if (r->where == ADMIN && !exchange_is_admin(x))
			return NULL;
		if ((path.count > 1 && r->rest & PATH_NONE) || (path.count == 1 && r->rest & PATH_MUST) || (path.count > 2 && !(r->rest & PATH_DEEP)))
			return NULL;
		return r;
	}
	return NULL;
}

static void preflight(const struct exchange *x, const struct route *r)
{
	struct http_answer answer = exchange_answer(x, 204, NULL);
	struct outcome o = outcome_nothing(x->protocols->service, x->c);
	size_t len;

	answer.fields = r ? r->allow : ALLOW_ANY;
	if (!answer.origin.p) {		/* nothing is granted to it, or nobody asked */
		exchange_reply(x, &o, &answer, "", 0);
		return;
	}
	len = http_preflight(x->protocols->base->scratch, x->protocols->base->scratch_room, &answer, "GET, POST", x->req->field[HTTP_REQUEST_HEADERS]);
	exchange_send(x, &o, x->protocols->base->scratch, len, answer.keep_alive);
}

/* Of a body that is not what it looks like, nothing can be made. */
static bool encoding_known(const struct exchange *x)
{
	if (x->req->encoded)
		exchange_error(x, 415, "Accept-Encoding: identity\r\n", "the body has a Content-Encoding: send it as it is (identity)");
	return !x->req->encoded;
}

static bool is_get(const struct exchange *x)
{
	return x->req->method == HTTP_GET || x->req->method == HTTP_HEAD;
}

static const char *not_with(const struct exchange *x, const struct route *r, char *text, size_t size)
{
	snprintf(text, size, "not with %.*s: %s", (int)(x->req->name.len < 16 ? x->req->name.len : 16), x->req->name.p,
		 r->get ? "use GET here" : "use POST here, with what is to be published as the body (curl -d DATA)");
	return text;
}

/* Whether the request's head is enough to refuse it, whoever sends it. Then it is answered. */
static bool refused_to_all(const struct exchange *x, const struct route *r)
{
	bool get = is_get(x), head = x->req->method == HTTP_HEAD;
	char text[128];

	if (!exchange_host_allowed(x))
		refuse_page(x, COUNTER_refused_hosts, "browsers get nothing by this name (Host), which is none that the server knows as its own: set hosts to it in "
			       "the configuration, or open the server by localhost or its address");
	else if (x->req->websocket && get && (!r || !r->upgrades))
		exchange_error(x, 404, NULL, "no WebSocket here: connect to /ws, which subscribes and publishes by actions, or to /sub/TOPIC or /inbox/USER, which are listened to");
	else if (!r)
		exchange_error(x, 404, NULL,
			       "no such path: GET /, /janus.js, /ws, /sub/TOPIC, /inbox/USER, /test/USER, /history/TOPIC, /poll/TOPIC, /session/TOKEN, /topics, /version, /healthz, /readyz; POST /pub/TOPIC, /pub, /send/USER, /broadcast; "
			       "a / in a name is written %2F");
	else if (get && r->get && !(head && strstr(r->allow, "HEAD") == NULL))
		return !parameters_known(x, r->query);
	else if (x->req->method != HTTP_POST || !r->post)
		exchange_error(x, 405, r->allow, not_with(x, r, text, sizeof(text)));
	else if (!exchange_origin_allowed(x))
		refuse_page(x, COUNTER_refused_origins, WRONG_ORIGIN);
	else if (r->where == ADMIN && exchange_of_browser(x))
		refuse_page(x, COUNTER_refused_admin, "no web page may do this");
	else
		return !parameters_known(x, r->query) || !encoding_known(x);
	return true;
}

/* The same, whatever the path's names are. */
static bool refused(const struct exchange *x, const struct route *r)
{
	return refused_to_all(x, r) || (r->where != OPEN && !exchange_bearer(x));
}

bool routes_want_body(const struct exchange *x)
{
	struct http_text rest;
	const struct route *r = find_route(x, &rest);

	return x->req->method == HTTP_OPTIONS || (!refused(x, r) && (is_get(x) || !r->may || r->may(x, rest)));
}

void routes_handle(struct exchange *x)
{
	struct http_text rest;
	const struct route *r = find_route(x, &rest);

	if (x->req->method == HTTP_OPTIONS)
		preflight(x, r);
	else if (refused(x, r))
		return;
	else if (is_get(x))
		r->get(x, rest);
	else
		r->post(x, rest);
}
