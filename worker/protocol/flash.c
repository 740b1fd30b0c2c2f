/*
 * The flash socket: its frames as requests, and what became of them as it says that. See PROTOCOL.md.
 */
#include "proto/flash.h"

#include "proto/message.h"
#include "worker/protocol/answer.h"
#include "worker/protocol/input.h"
#include "worker/service/flood.h"
#include "worker/service/publish_batch.h"
#include "worker/service/request.h"
#include "worker/session/tell.h"

#ifdef JANUS_CRASH_POINTS
#define CRASH_FRAME "{\"action\":\"crash\"}"
#endif

static void write_body(const struct request_body *body, char *dst)
{
	json_request_write(body->from, dst);
}

/* The request of a frame. What it publishes points into *json. */
static void flash_next_request(struct protocols *protocols, const struct cursor *c, const struct flash_frame *frame, struct json_request *json,
			       struct request *req)
{
	bool classic = frame->kind == FLASH_PUBLISH;
	const char *error = NULL;
	int r = classic ? json_request_parse_publish(&protocols->json, frame->text, frame->len, json, &error)
			: json_request_parse(&protocols->json, frame->text, frame->len, json, &error);

	*req = (struct request){
		.kind = json->kind,
		.after = c->at + frame->taken,
		.flags = classic ? SESSION_CLOSE : 0,
		.error = r < 0 ? error : NULL,
		.status = 400,
	};
	if (r < 0)
		return;
	if (json->kind == REQUEST_UNKNOWN) {
		req->error = "unknown action: subscribe, unsubscribe, publish, login, logout, send, attach and auth are known";
		req->status = 404;
		return;
	}
	if (json->kind == REQUEST_ATTACH) {
		req->has_token = true;
		memcpy(req->token, json->token, sizeof(req->token));
		return;
	}
	if (json->kind == REQUEST_AUTH) {
		req->shown = json->shown;
		req->shown_len = json->shown_len;
		return;
	}
	if (protocols->base->settings->publish_from == PUBLISH_FROM_ON)
		json_request_leave_out(&protocols->json, "from", json);
	req->names.one = subscribe_topic_name(request_is_of_user(json->kind), json->name, json->name_len);
	req->body = (struct request_body){ .size = json->size, .write = write_body, .from = json };
}

/* Logging in and subscribing are acknowledged, and mistakes are told: all but those that another request would not make end the connection. */
static void flash_answer(struct protocols *protocols, struct cursor *c, const struct request *req, struct outcome *o)
{
	bool end = o->error && o->status == 400;
	char bytes[FLASH_ERROR_MAX];
	size_t len = 0;

	if (o->error) {
		len = flash_error_code(bytes, hub_now(), outcome_code(o), o->error);
	} else if (req->kind == REQUEST_SUBSCRIBE || req->kind == REQUEST_LOGIN || req->kind == REQUEST_ATTACH || req->kind == REQUEST_AUTH) {
		len = sizeof(FLASH_ACK) - 1;
		memcpy(bytes, FLASH_ACK, len);
	}
	outcome_commit(protocols->service, c, o, req->after, bytes, len, req->flags | (end ? SESSION_CLOSE : 0));
	if (end)
		session_bad(protocols, c->sid, o->error);
}

/* The frame is none, and nothing behind it can be understood. */
static bool refuse(struct protocols *protocols, struct cursor *c, const char *error)
{
	struct request req = { .kind = REQUEST_UNKNOWN, .error = error, .status = 400, .after = c->at + cursor_left(c) };
	struct outcome o;

	request_serve(protocols->service, c, &req, &o);
	if (o.kind == OUTCOME_ANSWER)
		flash_answer(protocols, c, &req, &o);
	return false;
}

bool flash_step(struct protocols *protocols, struct cursor *c)
{
	struct json_request json;
	struct flash_frame frame;
	struct request req;
	struct outcome o;

	flash_next(cursor_text(c), cursor_left(c), (size_t)protocols->base->settings->max_frame, cursor_scan(c), &frame);
	if (frame.kind == FLASH_MORE) {
		if (c->head->len == pool_room_max(&protocols->base->slot) && c->at == c->head->base)
			return refuse(protocols, c, "frame too long");
		return false;
	}
	if (frame.kind == FLASH_BAD)
		return refuse(protocols, c, frame.error);
	if (frame.kind == FLASH_NOTHING) {
		cursor_skip(c, frame.taken);
		return !c->stop;
	}
	if (flood_has(protocols->service, c->sid, 1))
		return input_end_flood(protocols, c);
	flash_next_request(protocols, c, &frame, &json, &req);
#ifdef JANUS_CRASH_POINTS
	if (frame.len == sizeof(CRASH_FRAME) - 1 && memcmp(frame.text, CRASH_FRAME, frame.len) == 0 && publish_batch_begin(protocols->service, c))
		__builtin_trap();
#endif
	request_serve(protocols->service, c, &req, &o);
	if (o.kind == OUTCOME_LATER)
		return false;
	if (o.kind == OUTCOME_ANSWER)
		flash_answer(protocols, c, &req, &o);
	cursor_take(c, frame.taken);
	return !c->stop;
}

/* (That it was said is noted first, in the buffer: who dies in between leaves it unsaid, which is no more than a hint that did not come.) */
void flash_hint(struct protocols *protocols, session_id sid)
{
	const struct session_state_shm *st = &session(protocols->base, sid)->state;
	struct buffer_shm *head = pool_header(&protocols->base->slot, st->in);
	const char *text = (const char *)pool_bytes(&protocols->base->slot, st->in) + (st->parsed - head->base);
	size_t len = (size_t)(head->base + head->len - st->parsed);
	char bytes[FLASH_ERROR_MAX];

	if (len > 0 && flash_is_lines(text, len, (struct flash_scan *)head->scan) &&
	    session_answer(protocols->base, sid, st->parsed, bytes, flash_error(bytes, hub_now(), FLASH_LINES)))
		output_flush(protocols->output, sid);
}
