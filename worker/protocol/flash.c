/*
 * The flash socket's frames, acted upon. See PROTOCOL.md.
 */
#include "proto/flash.h"
#include "proto/message.h"
#include "worker/session/cursor.h"

#ifdef JANUS_CRASH_POINTS
#define CRASH_FRAME "{\"action\":\"crash\"}"
#endif

/* What the client asks for, but for publishing: done and answered, in one commit. */
static void ask(struct worker *w, struct cursor *c, const struct request *req, uint64_t parsed)
{
	struct session_state_shm st = session(&w->base, c->fd)->state;
	bool inbox = req->kind == REQUEST_LOGIN || req->kind == REQUEST_LOGOUT;
	struct topic_name name = action_name(inbox, req->name, req->name_len);
	const char *error = NULL;
	bool answered = req->kind == REQUEST_SUBSCRIBE || req->kind == REQUEST_LOGIN;

	if (answered)
		error = action_subscribe(w, c->fd, &st, &name);
	else
		action_unsubscribe(w, c->fd, &st, &name);
	if (error) {
		session_error(w, c->fd, parsed, error, false);
		return;
	}
	if (answered && session_append(&w->base, c->fd, &st, FLASH_ACK, sizeof(FLASH_ACK) - 1) < 0) {
		session_abort(&w->base, c->fd, COUNTER_no_buffer);
		return;
	}
	st.parsed = parsed;
	session_commit(&w->base, c->fd, &st);
}

/* True when the frame is dealt with; false when it is to be tried again. */
static bool act(struct worker *w, struct cursor *c, const struct flash_frame *frame)
{
	uint64_t after = c->at + frame->taken;
	bool classic = frame->kind == FLASH_PUBLISH;
	struct request req;
	const char *error;
	int r = classic ? request_parse_publish(&w->json, frame->text, frame->len, &req, &error)
			: request_parse(&w->json, frame->text, frame->len, false, &req, &error);

	if (r == 0 && (req.kind == REQUEST_PUBLISH || req.kind == REQUEST_SEND)) {
		struct topic_name name = action_name(req.kind == REQUEST_SEND, req.name, req.name_len);
		char *record = stage_add(w, c, name.bytes, name.len, req.size, after, classic ? SESSION_CLOSE : 0);

		if (!record)
			return false;
		request_message(&req, record);
		c->stop = classic;
		return true;
	}
	if (w->item_count > 0)
		return false;
	if (cursor_yields(c))
		return false;
	if (r < 0) {
		session_error(w, c->fd, after, error, true);
		c->stop = true;
	} else if (req.kind != REQUEST_UNKNOWN) {
		ask(w, c, &req, after);
#ifdef JANUS_CRASH_POINTS
	} else if (frame->len == sizeof(CRASH_FRAME) - 1 && memcmp(frame->text, CRASH_FRAME, frame->len) == 0) {
		__builtin_trap();
#endif
	} else {
		session_error(w, c->fd, after, ACTION_UNKNOWN, false);
	}
	return true;
}

bool flash_step(struct worker *w, struct cursor *c)
{
	struct flash_frame frame;

	flash_next(cursor_text(c), cursor_left(c), (size_t)w->base.settings->max_frame, cursor_scan(c), &frame);
	if (frame.kind == FLASH_MORE) {
		if (c->head->len == lend_room_max(&w->base.slot) && c->at == c->head->base)
			frame = (struct flash_frame){ .kind = FLASH_BAD, .error = "frame too long" };
		else
			return false;
	}
	if (frame.kind == FLASH_BAD) {
		stage_publish(w, c);
		if (!c->stalled)
			session_error(w, c->fd, c->at + cursor_left(c), frame.error, true);
		return false;
	}
	if (frame.kind == FLASH_NOTHING)
		cursor_skip(c, frame.taken);
	else if (cursor_floods(w, c, 1))
		return cursor_end_flood(w, c);
	else if (act(w, c, &frame))
		cursor_take(c, frame.taken);
	else
		stage_publish(w, c);	/* and then the same frame again */
	return !c->stop;
}
