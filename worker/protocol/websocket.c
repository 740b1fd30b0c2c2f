/*
 * WebSocket connections: frames, and on /ws the JSON actions in them.
 */
#include "proto/sink.h"
#include "proto/web_request.h"
#include "proto/websocket.h"
#include "worker/protocol/answer.h"
#include "worker/protocol/input.h"
#include "worker/service/flood.h"
#include "worker/service/publish_batch.h"
#include "worker/service/request.h"
#include "worker/session/tell.h"

#define ANSWER_MAX 1024		/* bytes of an answer: a ref, and a position, an id or an error */

/* A frame with {"ok":...}. Returns its length. */
static size_t websocket_answer_frame(const struct service *service, char *dst, const struct json_request *req, const struct outcome *o)
{
	struct position_start at;
	const struct position_start *start = outcome_start(service, o, &at);
	struct position_epoch of_stream;
	char text[ANSWER_MAX];
	struct sink s = { .dst = text, .room = sizeof(text) };
	size_t header;

	sink_text(&s, o->error ? "{\"ok\":false" : "{\"ok\":true");
	if (req->ref) {
		sink_literal(&s, ",\"ref\":");
		sink_bytes(&s, req->ref, req->ref_len);
	}
	if (start) {
		sink_byte(&s, ',');
		position_put_members(&s, start);
	}
	if (o->published) {
		sink_literal(&s, ",\"id\":");
		position_put_id(&s, outcome_epoch(service, o->published, &of_stream), o->published->seq);
		sink_literal(&s, ",\"subscribers\":");
		sink_number(&s, o->published->subscribers);
		outcome_put_nodes(&s, o);
	}
	if (o->error) {
		sink_literal(&s, ",\"error\":\"");
		sink_json(&s, o->error, strlen(o->error));
		sink_byte(&s, '"');
	}
	if (outcome_code(o)) {
		sink_literal(&s, ",\"code\":");
		sink_number(&s, o->status);
	}
	if (!o->error && o->expires && o->expires != INT64_MAX) {
		sink_literal(&s, ",\"expires\":");
		sink_number(&s, (uint64_t)o->expires);
	}
	sink_byte(&s, '}');
	header = websocket_header(dst, WEBSOCKET_OP_TEXT, s.len);
	memcpy(dst + header, text, s.len);
	return header + s.len;
}

static void write_body(const struct request_body *body, char *dst)
{
	json_request_write(body->from, dst);
}

/* The names of a request, one after the other. */
struct websocket_names {
	struct json_request *json;
	struct web_names left;
};

static bool next_name(void *from, struct topic_name *name)
{
	struct websocket_names *names = from;

	if (!web_request_next_name(names->json, &names->left))
		return false;
	*name = subscribe_topic_name(request_is_of_user(names->json->kind), names->json->name, names->json->name_len);
	return true;
}

/* The message's key: its message_id, if that is a string or number. Strings are resolved in `bytes`. NULL, or why it is none. */
static const char *read_key(const struct json_request *json, char bytes[ONCE_KEY_MAX], struct publish_key *key)
{
	const char *id = json->message_id;
	ssize_t len = 0;

	if (id == NULL)
		return NULL;
	if (*id == '"')
		len = json_read_string(id, json->message_id_len, bytes, ONCE_KEY_MAX);
	else if (*id == '-' || (*id >= '0' && *id <= '9'))
		len = json->message_id_len <= ONCE_KEY_MAX ? (ssize_t)json->message_id_len : -1;
	if (len < 0)
		return MESSAGE_ID_TOO_LONG;
	*key = (struct publish_key){ .bytes = *id == '"' ? bytes : id, .len = (size_t)len };
	return NULL;
}

/* The request of a message. What it publishes, its names point into *json; its key, into that or `key`. */
static void websocket_next_request(struct protocols *protocols, const struct cursor *c, const struct websocket_event *event,
				   struct json_request *json, struct websocket_names *names, char key[ONCE_KEY_MAX], struct request *req)
{
	const char *error = NULL;
	int r = web_request_parse(&protocols->json, event->text, event->len, &protocols->why, json, &error);

	*names = (struct websocket_names){ .json = json };

	*req = (struct request){
		.kind = json->kind,
		.error = r < 0 ? error : NULL,
		.status = 400,
		.after = c->at + event->taken,
		.answered = json->ref != NULL,
		.everywhere = json->everywhere && json->ref != NULL,
		.has_token = json->kind == REQUEST_ATTACH,
		.resume = json->resume,
		.body = { .size = json->size, .write = write_body, .from = json },
	};
	if (r == 0 && json->kind == REQUEST_UNKNOWN) {
		req->error = "unknown action: subscribe, unsubscribe, publish, login, logout, send, attach, auth and ping are known";
	} else if (r == 0 && (json->kind == REQUEST_PUBLISH || json->kind == REQUEST_SEND)) {
		req->names.one = subscribe_topic_name(request_is_of_user(json->kind), json->name, json->name_len);
		req->error = read_key(json, key, &req->key);
	} else if (r == 0 && json->kind == REQUEST_ATTACH) {
		memcpy(req->token, json->token, sizeof(req->token));
	} else if (r == 0 && json->kind == REQUEST_AUTH) {
		req->shown = json->shown;
		req->shown_len = json->shown_len;
	} else if (r == 0 && json->kind != REQUEST_PING) {
		req->names = (struct request_names){ .next = next_name, .from = names };
	}
}

/* False when it is to be tried again. */
static bool serve(struct protocols *protocols, struct cursor *c, const struct websocket_event *event)
{
	char frame[ANSWER_MAX + WEBSOCKET_HEADER_MAX], key[ONCE_KEY_MAX];
	struct websocket_names names;
	struct json_request json;
	struct request req;
	struct outcome o;

	websocket_next_request(protocols, c, event, &json, &names, key, &req);
	request_serve(protocols->service, c, &req, &o);
	if (o.kind == OUTCOME_ANSWER) {
		size_t len = request_is_answered(&req, &o) ? websocket_answer_frame(protocols->service, frame, &json, &o) : 0;

		outcome_commit(protocols->service, c, &o, req.after, frame, len, 0);
	}
	return o.kind != OUTCOME_LATER;
}

/* A control frame, or the end. The batch has been published. */
static void control(struct protocols *protocols, struct cursor *c, const struct websocket_event *event)
{
	struct outcome o = outcome_nothing(protocols->service, c);
	char frame[WEBSOCKET_CONTROL_MAX];
	uint64_t after = c->at + event->taken;

	switch (event->kind) {
	case WEBSOCKET_PING:
		/* (No turn is given away here: of one between fragments it would not be heard again.) */
		outcome_commit(protocols->service, c, &o, after, frame, websocket_control(frame, WEBSOCKET_OP_PONG, event->text, event->len), 0);
		break;
	case WEBSOCKET_CLOSE:
		outcome_commit(protocols->service, c, &o, after, frame, websocket_close(frame, event->code, ""), SESSION_CLOSE);
		break;
	default:
		session_bad(protocols, c->sid, event->error);
		outcome_commit(protocols->service, c, &o, c->at + cursor_left(c), frame, websocket_close(frame, event->code, event->error), SESSION_CLOSE);
		break;
	}
}

bool websocket_step(struct protocols *protocols, struct cursor *c)
{
	bool stream = session(protocols->base, c->sid)->state.transport == TRANSPORT_WEBSOCKET_STREAM;
	struct websocket_event event;

	websocket_next(cursor_text(c), cursor_left(c), (size_t)protocols->base->settings->max_frame, cursor_scan(c), protocols->base->scratch, &event);
	if (event.kind != WEBSOCKET_MORE && event.kind != WEBSOCKET_BAD && event.kind != WEBSOCKET_CLOSE && flood_has(protocols->service, c->sid, 1))
		return input_end_flood(protocols, c);
	switch (event.kind) {
	case WEBSOCKET_MORE:
		return false;
	case WEBSOCKET_TEXT:
	case WEBSOCKET_BINARY:
		if (!stream && !serve(protocols, c, &event))
			return false;
		break;
	case WEBSOCKET_PONG:
		break;
	default:
		if (!publish_batch_begin(protocols->service, c))
			return false;
		control(protocols, c, &event);
		break;
	}
	if (event.taken)
		cursor_take(c, event.taken);
	return !c->stop;
}
