/*
 * Packets as requests, and what became of them as packets. See proto/packet.h.
 */
#include "proto/packet.h"

#include <string.h>

#include "worker/protocol/answer.h"
#include "worker/protocol/input.h"
#include "worker/service/flood.h"
#include "worker/service/request.h"
#include "worker/session/tell.h"

static void write_body(const struct request_body *body, char *dst)
{
	const char *error;

	packet_record(dst, body->size, body->from, &error);
}

/* The names of a request, one after the other. */
struct packet_names {
	struct packet_request packet;
	bool begun;
};

static bool next_name(void *from, struct topic_name *name)
{
	struct packet_names *names = from;
	bool one = names->packet.names == NULL, some = one ? !names->begun : packet_next_name(&names->packet);

	names->begun = true;
	if (some)
		*name = subscribe_topic_name(request_is_of_user(names->packet.op), names->packet.name, names->packet.name_len);
	return some;
}

static void packet_next_request(const struct cursor *c, const struct packet_request *p, struct packet_names *names, struct request *req)
{
	*req = (struct request){
		.kind = p->op,
		.error = p->error,
		.status = 400,
		.after = c->at + p->taken,
		.answered = p->receipt,
		.everywhere = p->everywhere && p->receipt,
		.has_token = p->op == REQUEST_ATTACH,
		.resume = p->resume,
		.body = { .write = write_body, .from = p },
	};
	if (p->kind != PACKET_REQUEST || p->op == REQUEST_PING)
		return;
	memcpy(req->token, p->token, sizeof(req->token));
	if (p->op == REQUEST_ATTACH)
		return;
	if (p->op == REQUEST_AUTH) {
		req->shown = p->shown;
		req->shown_len = p->shown_len;
		return;
	}
	if (p->op == REQUEST_PUBLISH || p->op == REQUEST_SEND) {
		req->names.one = subscribe_topic_name(request_is_of_user(p->op), p->name, p->name_len);
		req->body.size = packet_record(NULL, 0, p, &req->error);
		req->key = (struct publish_key){ .bytes = p->message_id, .len = p->message_id_len };
		if (p->message_id_len > ONCE_KEY_MAX)
			req->error = MESSAGE_ID_TOO_LONG;
		return;
	}
	*names = (struct packet_names){ .packet = *p };
	req->names = (struct request_names){ .next = next_name, .from = names };
}

static void packet_answer(struct protocols *protocols, struct cursor *c, const struct packet_request *p, uint64_t after, struct outcome *o,
			  bool answered, uint32_t flags)
{
	struct position_epoch of_stream;
	struct position_start start;
	struct packet_reply r = {
		.error = o->error, .has_ref = p->has_ref, .ref = p->ref, .epoch = &protocols->base->epoch,
		.start = outcome_start(protocols->service, o, &start),
		.code = outcome_code(o),
		.expires = !o->error && o->expires != INT64_MAX ? o->expires : 0,
	};
	char bytes[PACKET_REPLY_MAX];

	if (o->published) {
		r.epoch = outcome_epoch(protocols->service, o->published, &of_stream);
		r.seq = o->published->seq;
		r.has_subscribers = true;
		r.subscribers = o->published->subscribers;
		r.nodes = o->nodes;
		r.nodes_known = o->nodes_known;
	}
	outcome_commit(protocols->service, c, o, after, bytes, answered ? packet_reply(bytes, &r) : 0, flags);
}

/* This packet is the last one, and answered with the error. False, as a step that ends. */
static bool end(struct protocols *protocols, struct cursor *c, const struct packet_request *p, enum counter why, const char *error)
{
	struct request req = { .kind = REQUEST_UNKNOWN, .error = error, .status = 400, .after = c->at + cursor_left(c) };
	struct outcome o;

	request_serve(protocols->service, c, &req, &o);
	if (o.kind == OUTCOME_LATER)
		return false;
	if (why == COUNTER_bad_input)
		session_bad(protocols, c->sid, error);
	else
		tell_ends(protocols->base, c->sid, why, error);
	packet_answer(protocols, c, p, req.after, &o, true, SESSION_CLOSE);
	return false;
}

bool packet_step(struct protocols *protocols, struct cursor *c)
{
	struct packet_names names;
	struct packet_request p;
	struct request req;
	struct outcome o;

	packet_next(cursor_text(c), cursor_left(c), (size_t)protocols->base->settings->max_frame, &protocols->why, &p);
	switch (p.kind) {
	case PACKET_MORE:
		return false;
	case PACKET_BAD:
		return end(protocols, c, &p, COUNTER_bad_input, p.error);
	case PACKET_REQUEST:
	case PACKET_REFUSED:
		break;
	}
	if (flood_has(protocols->service, c->sid, 1))
		return end(protocols, c, &p, COUNTER_closed_flood, FLOOD_MESSAGES);
	packet_next_request(c, &p, &names, &req);
	request_serve(protocols->service, c, &req, &o);
	if (o.kind == OUTCOME_LATER)
		return false;
	if (o.kind == OUTCOME_ANSWER)
		packet_answer(protocols, c, &p, req.after, &o, request_is_answered(&req, &o), 0);
	cursor_take(c, p.taken);
	return !c->stop;
}
