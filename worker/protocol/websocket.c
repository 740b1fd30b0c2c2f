/*
 * WebSocket connections: frames, and on /ws the JSON actions in them. The same actions as the flash socket's, but each may carry an `id`,
 * and is answered with it.
 */
#include "proto/message.h"
#include "proto/sink.h"
#include "proto/websocket.h"
#include "worker/session/cursor.h"

#define ANSWER_MAX 1024		/* bytes of an answer: an id, two numbers or an error */

/* A frame with {"ok":...}. Returns its length. `item`: what became of a message, or NULL. */
static size_t answer_frame(char *dst, const struct request *req, const char *error, const struct publish_item *item)
{
	char text[ANSWER_MAX];
	struct sink s = { .dst = text, .room = sizeof(text) };
	size_t header;

	sink_text(&s, error ? "{\"ok\":false" : "{\"ok\":true");
	if (req->id) {
		sink_literal(&s, ",\"id\":");
		sink_bytes(&s, req->id, req->id_len);
	}
	if (item) {
		sink_literal(&s, ",\"message\":");
		if (item->seq)
			sink_number(&s, item->seq);
		else
			sink_literal(&s, "null");
		sink_literal(&s, ",\"subscribers\":");
		sink_number(&s, item->subscribers);
	}
	if (error) {
		sink_literal(&s, ",\"error\":\"");
		sink_json(&s, error, strlen(error));
		sink_byte(&s, '"');
	}
	sink_byte(&s, '}');
	header = websocket_header(dst, WEBSOCKET_OP_TEXT, s.len);
	memcpy(dst + header, text, s.len);
	return header + s.len;
}

/* Appends and commits, with input taken up to `parsed`. */
static void answer(struct worker *w, struct cursor *c, struct session_state_shm *st, uint64_t parsed, const char *frame, size_t len,
		   uint32_t flags)
{
	if (session_append(&w->base, c->fd, st, frame, len) < 0) {
		session_abort(&w->base, c->fd, COUNTER_no_buffer);
		c->stop = true;
		return;
	}
	st->parsed = parsed;
	st->flags |= flags;
	if (flags)
		c->stop = true;
	session_commit(&w->base, c->fd, st);
}

/* A publish or send. False: to be tried again. */
static bool act_publish(struct worker *w, struct cursor *c, const struct request *req, uint64_t after)
{
	struct topic_name name = action_name(req->kind == REQUEST_SEND, req->name, req->name_len);
	struct session_state_shm st;
	char frame[ANSWER_MAX + WEBSOCKET_HEADER_MAX], *record;

	if (req->id && w->item_count > 0)
		return false;
	record = stage_add(w, c, name.bytes, name.len, req->size, after, 0);
	if (!record)
		return false;
	request_message(req, record);
	if (!req->id)
		return true;
	if (stage_answered(w, c) < 0) {
		if (!c->stalled) {
			st = session(&w->base, c->fd)->state;
			answer(w, c, &st, after, frame,
			       answer_frame(frame, req, "more than the server's ring can take (ring_bytes)", NULL), 0);
		}
		return !c->stalled;
	}
	st = session(&w->base, c->fd)->state;
	answer(w, c, &st, after, frame, answer_frame(frame, req, NULL, &w->items[0]), 0);
	stage_end(w);
	return true;
}

/* True when the message is dealt with; false when it is to be tried again. */
static bool act(struct worker *w, struct cursor *c, const struct websocket_event *event)
{
	char frame[ANSWER_MAX + WEBSOCKET_HEADER_MAX];
	uint64_t after = c->at + event->taken;
	struct session_state_shm st;
	struct topic_name name;
	struct request req;
	const char *error = NULL;
	int r = request_parse(&w->json, event->text, event->len, true, &req, &error);

	if (r == 0 && (req.kind == REQUEST_PUBLISH || req.kind == REQUEST_SEND))
		return act_publish(w, c, &req, after);
	if (w->item_count > 0 || cursor_yields(c))
		return false;
	st = session(&w->base, c->fd)->state;
	if (r == 0 && req.kind == REQUEST_UNKNOWN) {
		error = "unknown action: subscribe, unsubscribe, publish, login, logout, send and ping are known";
	} else if (r == 0 && req.kind != REQUEST_PING) {
		name = action_name(req.kind == REQUEST_LOGIN || req.kind == REQUEST_LOGOUT, req.name, req.name_len);
		if (req.kind == REQUEST_SUBSCRIBE || req.kind == REQUEST_LOGIN)
			error = action_subscribe(w, c->fd, &st, &name);
		else
			action_unsubscribe(w, c->fd, &st, &name);
	}
	answer(w, c, &st, after, frame, answer_frame(frame, &req, error, NULL), 0);
	return true;
}

/* A control frame, or the end. What is staged has been published. */
static void control(struct worker *w, struct cursor *c, const struct websocket_event *event)
{
	struct session_state_shm st = session(&w->base, c->fd)->state;
	char frame[WEBSOCKET_CONTROL_MAX];
	uint64_t after = c->at + event->taken;

	switch (event->kind) {
	case WEBSOCKET_PING:
		/* (No turn is given away here: of one between fragments it would not be heard again.) */
		answer(w, c, &st, after, frame, websocket_control(frame, WEBSOCKET_OP_PONG, event->text, event->len), 0);
		break;
	case WEBSOCKET_CLOSE:
		answer(w, c, &st, after, frame, websocket_close(frame, event->code, ""), SESSION_CLOSE);
		break;
	default:
		base_count(&w->base, COUNTER_bad_input, 1);
		answer(w, c, &st, c->at + cursor_left(c), frame, websocket_close(frame, event->code, event->error), SESSION_CLOSE);
		break;
	}
}

bool websocket_step(struct worker *w, struct cursor *c)
{
	bool stream = session(&w->base, c->fd)->state.transport == TRANSPORT_WEBSOCKET_STREAM;
	struct websocket_event event;

	websocket_next(cursor_text(c), cursor_left(c), (size_t)w->base.settings->max_frame, cursor_scan(c), w->base.scratch, &event);
	if (event.kind != WEBSOCKET_MORE && event.kind != WEBSOCKET_BAD && event.kind != WEBSOCKET_CLOSE && cursor_floods(w, c, 1))
		return cursor_end_flood(w, c);
	switch (event.kind) {
	case WEBSOCKET_MORE:
		return false;
	case WEBSOCKET_TEXT:
	case WEBSOCKET_BINARY:
		if (!stream && !act(w, c, &event)) {
			stage_publish(w, c);	/* and then the same message again */
			return !c->stop;
		}
		break;
	case WEBSOCKET_PONG:
		break;
	default:
		stage_publish(w, c);
		if (c->stalled)
			return false;
		control(w, c, &event);
		break;
	}
	if (event.taken)
		cursor_take(c, event.taken);
	return !c->stop;
}
