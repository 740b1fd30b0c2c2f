/*
 * Publishing by POST. Crash rules: see publish_answered().
 */
#include <stdio.h>
#include <string.h>

#include "proto/http_key.h"
#include "proto/json.h"
#include "proto/message_text.h"
#include "proto/utf8.h"
#include "proto/web_request.h"
#include "worker/protocol/http_routes.h"
#include "worker/service/access.h"
#include "worker/service/flood.h"
#include "worker/service/quota.h"

#define REPLAYED "Idempotent-Replayed: true\r\n"
#define REPLAYED_EXPOSED REPLAYED "Access-Control-Expose-Headers: Idempotent-Replayed\r\n"	/* a page may read it */
#define ANSWER_ONE (POSITION_MAX + 96)	/* bytes of {"id":"...","subscribers":...,"nodes":...,"nodes_known":...}, at most */

static void put_receipt(struct sink *s, const struct service *service, const struct publish_item *item, const struct outcome *o)
{
	struct position_epoch of_stream;

	sink_literal(s, "{\"id\":");
	position_put_id(s, outcome_epoch(service, item, &of_stream), item->seq);
	sink_literal(s, ",\"subscribers\":");
	sink_number(s, item->subscribers);
	outcome_put_nodes(s, o);
	sink_byte(s, '}');
}

/* Answers with what became of one message, or of a list of them. */
static void answer_published(const struct exchange *x, struct outcome *o, bool list)
{
	static char body[PUBLISH_BATCH_MAX * (ANSWER_ONE + 1) + 8];
	struct sink s = { .dst = body, .room = sizeof(body) };
	struct http_answer answer;

	if (o->kind == OUTCOME_LATER)
		return;
	if (o->error) {
		exchange_error(x, o->status, NULL, o->status == 422 ? "this Idempotency-Key was used with another message" : o->error);
		return;
	}
	if (list)
		sink_byte(&s, '[');
	for (unsigned i = 0; i < o->count; i++) {
		if (i)
			sink_byte(&s, ',');
		put_receipt(&s, x->protocols->service, &o->published[i], o);
	}
	if (list) {
		sink_byte(&s, ']');
		if (o->count > 0)
			x->c->units += o->count - 1;	/* not one message */
	}
	sink_byte(&s, '\n');
	answer = exchange_answer(x, 200, HTTP_JSON);
	if (o->repeated)
		answer.fields = answer.origin.p ? REPLAYED_EXPOSED : REPLAYED;
	exchange_reply(x, o, &answer, body, s.len);
}

/* A request's Idempotency-Key, and where it lies. */
struct read_key {
	char bytes[HTTP_KEY_MAX];
	struct publish_key key;
};

/* False: answered with an error. */
static bool read_key(const struct exchange *x, bool many, struct read_key *k)
{
	struct http_text value = x->req->field[HTTP_IDEMPOTENCY_KEY];
	const char *error = NULL;
	int len = value.p ? http_key(value, k->bytes, &error) : 0;

	if (len < 0) {
		exchange_error(x, 400, NULL, error);
		return false;
	}
	k->key = (struct publish_key){ .bytes = k->bytes, .len = (size_t)len, .many = many };
	return true;
}

/* The members that the query has beside the topic or user, and where they lie. */
struct parameters {
	char event[PARAMETER_MAX], message_id[PARAMETER_MAX];
	int event_len, message_id_len;	/* PARAMETER_NONE: there is none */
	bool everywhere;		/* all nodes are asked for their subscribers */
};

/* False: answered with an error. */
static bool read_parameters(const struct exchange *x, struct parameters *p)
{
	p->event_len = parameter_read(x, MEMBER_EVENT, p->event);
	if (p->event_len == PARAMETER_BAD)
		return false;
	p->message_id_len = parameter_read(x, MEMBER_MESSAGE_ID, p->message_id);
	return p->message_id_len != PARAMETER_BAD && parameter_nodes(x, &p->everywhere);
}

/* An empty event is none. */
static void add_parameters(const struct parameters *p, struct message_names *names)
{
	if (p->event_len > 0) {
		names->event = p->event;
		names->event_len = (size_t)p->event_len;
	}
	if (p->message_id_len >= 0) {
		names->message_id = p->message_id;
		names->message_id_len = (size_t)p->message_id_len;
	}
}

/* What the body is. NULL, or why it can't be taken. */
static const char *body_kind(struct json *json, const struct http_request *req, enum message_kind *kind)
{
	struct http_text type = req->field[HTTP_CONTENT_TYPE], bare = type;
	const char *semicolon = type.p ? memchr(type.p, ';', type.len) : NULL;

	if (semicolon)
		bare.len = (size_t)(semicolon - type.p);
	while (bare.len && (bare.p[bare.len - 1] == ' ' || bare.p[bare.len - 1] == '\t'))
		bare.len--;
	*kind = MESSAGE_TEXT;
	if (req->body.len == 0)
		return "no data: the body is empty (an empty string is \"\" as application/json)";
	if (type.p && (http_media_type_is(type, HTTP_JSON) ||
		       (bare.len > 5 && strncasecmp(bare.p + bare.len - 5, "+json", 5) == 0))) {
		*kind = MESSAGE_JSON;
		return json_value(json, req->body.p ? req->body.p : "", req->body.len);
	}
	if ((type.p && http_media_type_is(type, "application/octet-stream")) || !utf8_text(req->body.p, req->body.len))
		*kind = MESSAGE_BINARY;
	return NULL;
}

/* A request's body as a record. */
struct posted {
	struct message_names names;
	enum message_kind kind;
	struct http_text text;
};

static void put_posted(struct sink *s, const struct posted *p)
{
	message_text(s, &p->names, p->kind, p->text.p, p->text.len);
}

static void write_posted(const struct request_body *body, char *dst)
{
	put_posted(&(struct sink){ .dst = dst, .room = body->size }, body->from);
}

/* The body, to one topic, user, or everybody. */
static void post_message(const struct exchange *x, const struct topic_name *to, const struct message_names *names)
{
	struct posted p = { .names = *names, .text = x->req->body };
	struct request req = {
		.kind = REQUEST_PUBLISH, .names.one = *to, .after = x->after, .answered = true, .body = { .write = write_posted, .from = &p },
	};
	const char *error = body_kind(&x->protocols->json, x->req, &p.kind);
	struct parameters parameters;
	struct read_key key;
	struct sink size = { 0 };
	struct outcome o;

	if (error) {
		exchange_error(x, 400, NULL, error);
		return;
	}
	if (!read_parameters(x, &parameters) || !read_key(x, false, &key))
		return;
	req.key = key.key;
	req.everywhere = parameters.everywhere;
	add_parameters(&parameters, &p.names);
	put_posted(&size, &p);
	req.body.size = size.len;
	request_serve(x->protocols->service, x->c, &req, &o);
	answer_published(x, &o, false);
}

/* Whom the path or the query names. False: answered with an error. */
static bool read_target(const struct exchange *x, struct http_text path, bool inbox, struct topic_name *name)
{
	struct names n = { .path = path, .query = x->req->query, .key = inbox ? "user" : "topic", .inbox = inbox };
	struct topic_name more;
	const char *error = NULL;
	int r;

	if (names_twice(x, &n))
		return false;
	r = names_next(&n, name, &error);
	if (r > 0 && names_next(&n, &more, &error) != 0) {
		r = -1;
		error = inbox ? "one user: a comma in it is written %2C" : "one topic: a comma in it is written %2C; POST an array to /pub for many";
	}
	if (r <= 0)
		exchange_error(x, 400, NULL, error ? error : "no user: POST /send/USER or /send?user=USER");
	return r > 0;
}

static void post_to(const struct exchange *x, struct http_text path, bool inbox)
{
	struct topic_name name;

	if (read_target(x, path, inbox, &name))
		post_message(x, &name, &(struct message_names){
			.key = inbox ? "to" : "topic", .name = name.bytes + inbox, .name_len = (size_t)name.len - inbox });
}

static bool may_post_to(const struct exchange *x, struct http_text path, bool inbox)
{
	struct parameters parameters;
	struct topic_name name;
	struct read_key key;

	return read_target(x, path, inbox, &name) && exchange_may(x, RIGHT_PUBLISH, &name) && read_parameters(x, &parameters) && read_key(x, false, &key);
}

static void write_item(const struct request_body *body, char *dst)
{
	json_request_write(body->from, dst);
}

/* Takes one of an array of messages into the batch. NULL, or why not. */
static const char *add_item(const struct exchange *x, const char *item, size_t len, unsigned *status)
{
	struct json_request json;
	struct request req = { .kind = REQUEST_PUBLISH, .after = x->after, .answered = true, .body = { .write = write_item, .from = &json } };
	const char *error;

	*status = 400;
	if (web_request_parse_publish(&x->protocols->json, item, len, &x->protocols->why, &json, &error) < 0)
		return error;
	req.names.one = subscribe_topic_name(false, json.name, json.name_len);
	*status = access_refuses(x->protocols->service, x->c->sid, RIGHT_PUBLISH, &req.names.one, &error);
	if (*status)
		return error;
	req.body.size = json.size;
	if (request_add(x->protocols->service, x->c, &req))
		return NULL;
	*status = 413;
	return "too much for one request: at most 512 messages, and so many bytes";
}

/* As far as the head tells. False: answered with an error. */
static bool may_post_array(const struct exchange *x, struct read_key *key)
{
	return parameters_known(x, 0) && read_key(x, true, key);
}

#define NOT_AN_ARRAY "/pub alone takes an array of messages, [{\"topic\":\"events\",\"data\":1}]; one message is the body of a POST to /pub/TOPIC. This is none: "

/* Whether it is meant as an array, be it broken. */
static bool begins_array(struct http_text body)
{
	const char *p = body.p, *end = p + body.len;

	if (body.len > 0)
		p = json_walk_space(p, end);
	return p < end && *p == '[';
}

/* An array of messages, each with its topic: all of them, or none. */
static void post_array(const struct exchange *x)
{
	const char *error = json_value(&x->protocols->json, x->req->body.p ? x->req->body.p : "", x->req->body.len), *item;
	struct request req = { .kind = REQUEST_PUBLISH, .answered = true };
	struct json_array array;
	struct read_key key;
	struct outcome o;
	unsigned status, number = 0;
	char why[sizeof(struct error_text) + sizeof(NOT_AN_ARRAY)];
	size_t len;

	if (!may_post_array(x, &key))
		return;
	if (error || !json_array_begin(&array, x->req->body.p, x->req->body.len)) {
		snprintf(why, sizeof(why), "%s%s", begins_array(x->req->body) ? "" : NOT_AN_ARRAY, error ? error : "it is JSON, but no array");
		exchange_error(x, 400, NULL, why);
		return;
	}
	req.key = key.key;
	if (request_has_published(x->protocols->service, x->c, &req, &o)) {
		answer_published(x, &o, true);
		return;
	}
	if (!request_begin(x->protocols->service, x->c))
		return;
	while (json_array_next(&array, &item, &len)) {
		number++;
		error = add_item(x, item, len, &status);
		if (error) {
			snprintf(why, sizeof(why), "message %u: %s", number, error);
			request_drop(x->protocols->service);
			exchange_error(x, status, NULL, why);
			return;
		}
	}
	if (flood_has(x->protocols->service, x->c->sid, number)) {
		request_drop(x->protocols->service);
		exchange_flood(&(struct exchange){ .protocols = x->protocols, .c = x->c, .req = x->req });
		return;
	}
	status = quota_take(x->protocols->service, x->c->sid, CLIENT_PUBLISHES, number, &error);
	if (status) {
		request_drop(x->protocols->service);
		exchange_error(x, status, NULL, error);
		return;
	}
	request_publish(x->protocols->service, x->c, &req, &o);
	if (o.kind == OUTCOME_LATER && !x->c->waits)
		quota_give(x->protocols->service, x->c->sid, CLIENT_PUBLISHES, number);
	answer_published(x, &o, true);
}

static bool is_array(const struct exchange *x, struct http_text path)
{
	return !path.p && !names_have_parameter(x->req->query, "topic");
}

void post_pub(const struct exchange *x, struct http_text path)
{
	if (is_array(x, path))
		post_array(x);
	else
		post_to(x, path, false);
}

bool may_pub(const struct exchange *x, struct http_text path)
{
	struct read_key key;

	return is_array(x, path) ? may_post_array(x, &key) : may_post_to(x, path, false);
}

void post_send(const struct exchange *x, struct http_text path)
{
	post_to(x, path, true);
}

bool may_send(const struct exchange *x, struct http_text path)
{
	return may_post_to(x, path, true);
}

void post_broadcast(const struct exchange *x, struct http_text path)
{
	struct topic_name everybody = subscribe_everybody_name();

	if (may_broadcast(x, path))
		post_message(x, &everybody, &(struct message_names){ 0 });
}

bool may_broadcast(const struct exchange *x, struct http_text path)
{
	struct topic_name everybody = subscribe_everybody_name();
	struct parameters parameters;
	struct read_key key;

	(void)path;
	if (!x->protocols->base->settings->broadcast)
		exchange_error(x, 403, NULL, "switched off (broadcast)");
	return x->protocols->base->settings->broadcast && exchange_may(x, RIGHT_PUBLISH, &everybody) && read_parameters(x, &parameters) && read_key(x, false, &key);
}
