/*
 * Packet connections: see proto/packet.h.
 */
#include "proto/packet.h"
#include "worker/session/cursor.h"

static const char *const too_long = "the message is too long (max_frame)";

/* Appends the reply and commits, with input taken up to `parsed`. */
static void reply(struct worker *w, struct cursor *c, struct session_state_shm *st, uint64_t parsed, struct packet_reply r,
		  const struct packet_request *req)
{
	char bytes[PACKET_REPLY_MAX];

	r.has_seq = req->has_seq;
	r.seq = req->seq;
	if (session_append(&w->base, c->fd, st, bytes, packet_reply(bytes, &r)) < 0) {
		session_abort(&w->base, c->fd, COUNTER_no_buffer);
		c->stop = true;
		return;
	}
	st->parsed = parsed;
	session_commit(&w->base, c->fd, st);
}

static void refuse(struct worker *w, struct cursor *c, const struct packet_request *req, uint64_t parsed, const char *error)
{
	struct session_state_shm st = session(&w->base, c->fd)->state;

	reply(w, c, &st, parsed, (struct packet_reply){ .error = error }, req);
}

/* A publish or send. False: to be tried again. */
static bool act_publish(struct worker *w, struct cursor *c, const struct packet_request *req, uint64_t after)
{
	bool inbox = req->op == PACKET_SEND;
	const char *key = inbox ? "to" : "topic", *who = inbox ? req->id : req->topic, *error;
	size_t who_len = inbox ? req->id_len : req->topic_len;
	struct topic_name name = action_name(inbox, who, who_len);
	size_t size = packet_record(NULL, 0, req, key, who, who_len, &error);
	struct session_state_shm st;
	char *record;

	if (!error && size > stage_record_max(w))
		error = too_long;
	if ((error || req->receipt) && w->item_count > 0)
		return false;
	if (error) {
		refuse(w, c, req, after, error);
		return true;
	}
	record = stage_add(w, c, name.bytes, name.len, size, after, 0);
	if (!record)
		return false;
	packet_record(record, size, req, key, who, who_len, &error);
	if (!req->receipt)
		return true;
	if (stage_answered(w, c) < 0) {
		if (!c->stalled)
			refuse(w, c, req, after, "more than the server's ring can take (ring_bytes)");
		return !c->stalled;
	}
	st = session(&w->base, c->fd)->state;
	reply(w, c, &st, after, (struct packet_reply){ .has_id = w->items[0].seq != 0, .id = w->items[0].seq,
						       .has_subscribers = true, .subscribers = w->items[0].subscribers }, req);
	stage_end(w);
	return true;
}

/* True when the request is dealt with; false when it is to be tried again. */
static bool act(struct worker *w, struct cursor *c, const struct packet_request *req)
{
	uint64_t after = c->at + req->taken;
	struct packet_reply r = { 0 };
	struct session_state_shm st;
	struct topic_name name;

	if (req->kind == PACKET_REQUEST && (req->op == PACKET_PUBLISH || req->op == PACKET_SEND))
		return act_publish(w, c, req, after);
	if (w->item_count > 0 || cursor_yields(c))
		return false;
	st = session(&w->base, c->fd)->state;
	if (req->kind == PACKET_REFUSED) {
		r.error = req->error;
	} else if (req->op == PACKET_SUBSCRIBE || req->op == PACKET_UNSUBSCRIBE) {
		name = action_name(false, req->topic, req->topic_len);
	} else if (req->op == PACKET_LOGIN || req->op == PACKET_LOGOUT) {
		name = action_name(true, req->id, req->id_len);
	}
	if (!r.error && (req->op == PACKET_SUBSCRIBE || req->op == PACKET_LOGIN))
		r.error = action_subscribe(w, c->fd, &st, &name);
	else if (!r.error && (req->op == PACKET_UNSUBSCRIBE || req->op == PACKET_LOGOUT))
		action_unsubscribe(w, c->fd, &st, &name);
	reply(w, c, &st, after, r, req);
	return true;
}

/* This packet is the last one, and answered with the error. False, as a step that ends. */
static bool end(struct worker *w, struct cursor *c, const struct packet_request *req, enum counter why, const char *error)
{
	struct session_state_shm st;

	stage_publish(w, c);
	if (c->stalled)
		return false;
	base_count(&w->base, why, 1);
	st = session(&w->base, c->fd)->state;
	st.flags |= SESSION_CLOSE;
	reply(w, c, &st, c->at + cursor_left(c), (struct packet_reply){ .error = error }, req);
	return false;
}

bool packet_step(struct worker *w, struct cursor *c)
{
	struct packet_request req;

	packet_next(cursor_text(c), cursor_left(c), (size_t)w->base.settings->max_frame, &req);
	switch (req.kind) {
	case PACKET_MORE:
		return false;
	case PACKET_BAD:
		return end(w, c, &req, COUNTER_bad_input, req.error);
	case PACKET_REQUEST:
	case PACKET_REFUSED:
		break;
	}
	if (cursor_floods(w, c, 1))
		return end(w, c, &req, COUNTER_closed_flood, FLOOD_MESSAGES);
	if (act(w, c, &req))
		cursor_take(c, req.taken);
	else
		stage_publish(w, c);	/* and then the same packet again */
	return !c->stop;
}
