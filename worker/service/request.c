/*
 * Serving requests. See request.h.
 */
#include "worker/service/request.h"

#include "worker/delivery/leave.h"
#include "worker/service/publish_batch.h"

static bool publishes(const struct request *req)
{
	return req->kind == REQUEST_PUBLISH || req->kind == REQUEST_SEND;
}

static void fail(struct outcome *o, unsigned status, const char *error)
{
	o->error = error;
	o->status = status;
}

/* ---- publishing ---- */

bool request_begin(struct worker *w, struct cursor *c)
{
	return publish_batch_begin(w, c);
}

bool request_add(struct worker *w, struct cursor *c, const struct request *req)
{
	const struct topic_name *name = &req->names.one;
	char *record = publish_batch_add(w, c, name->bytes, name->len, req->body.size, req->after, req->flags);

	if (record)
		req->body.write(&req->body, record);
	return record != NULL;
}

void request_drop(struct worker *w)
{
	publish_batch_drop(w);
}

void request_publish(struct worker *w, struct cursor *c, struct outcome *o)
{
	if (w->item_count > 0 && publish_batch_answered(w, c) < 0) {
		*o = outcome_nothing(w, c);
		fail(o, 413, "more than the server's ring can take at once (ring_bytes)");
		if (c->stalled)
			o->kind = OUTCOME_LATER;
		return;
	}
	*o = outcome_nothing(w, c);
	o->published = w->items;
	o->count = w->item_count;
}

/* A publish that nobody waits for. */
static enum outcome_kind add_to_batch(struct worker *w, struct cursor *c, const struct request *req)
{
	if (!request_add(w, c, req)) {
		if (!publish_batch_begin(w, c))
			return OUTCOME_LATER;
		request_add(w, c, req);
	}
	if (req->flags & SESSION_CLOSE)
		c->stop = true;
	return OUTCOME_BATCHED;
}

/* ---- subscriptions ---- */

static bool next_name(const struct request_names *names, unsigned number, struct topic_name *name)
{
	if (names->next)
		return names->next(names->from, name);
	if (number == 0)
		*name = names->one;
	return number == 0;
}

/* A connection that becomes a stream takes what goes to everybody from then on. (But not a page, which counts the messages of one topic.) */
static const char *subscribe_everybody(struct worker *w, struct cursor *c, struct session_state_shm *st)
{
	struct topic_name everybody = action_everybody();

	return w->base.settings->broadcast && !transport_has(st->transport, TRANSPORT_OWN_FRAMES) ? action_subscribe(w, c->fd, st, &everybody) : NULL;
}

static void subscribe(struct worker *w, struct cursor *c, const struct request *req, struct outcome *o)
{
	struct topic_name name;
	const char *error = NULL;

	if (req->becomes) {
		o->state.transport = req->transport;
		error = subscribe_everybody(w, c, &o->state);
	}
	for (unsigned n = 0; !error && next_name(&req->names, n, &name); n++)
		error = action_subscribe(w, c->fd, &o->state, &name);
	if (!error)
		return;
	fail(o, 503, error);
	if (req->becomes) {
		leave_all(&w->topics, w->apart, c->fd, req->transport);
		o->state = session(&w->base, c->fd)->state;
	}
}

static void unsubscribe(struct worker *w, struct cursor *c, const struct request *req, struct outcome *o)
{
	struct topic_name name;

	for (unsigned n = 0; next_name(&req->names, n, &name); n++)
		action_unsubscribe(w, c->fd, &o->state, &name);
}

/* ---- requests ---- */

/* Why it can't be served, as far as it can be told without trying. */
static bool refuse(const struct worker *w, const struct request *req, struct outcome *o)
{
	o->error = NULL;
	if (req->error)
		fail(o, req->status, req->error);
	else if (publishes(req) && req->body.size > publish_batch_record_max(w))
		fail(o, 413, "the message is too long with its quotes and control characters escaped (max_frame)");
	return o->error != NULL;
}

void request_serve(struct worker *w, struct cursor *c, const struct request *req, struct outcome *o)
{
	bool refused = refuse(w, req, o), publish = publishes(req) && !refused;
	struct outcome done;

	if (publish && !req->answered) {
		o->kind = add_to_batch(w, c, req);
		return;
	}
	o->kind = OUTCOME_LATER;
	if (!publish_batch_begin(w, c) || (!publish && cursor_yields(c)))
		return;
	if (publish) {
		request_add(w, c, req);
		request_publish(w, c, o);
		return;
	}
	done = outcome_nothing(w, c);
	if (refused)
		fail(&done, o->status, o->error);
	else if (req->kind == REQUEST_SUBSCRIBE || req->kind == REQUEST_LOGIN)
		subscribe(w, c, req, &done);
	else if (req->kind == REQUEST_UNSUBSCRIBE || req->kind == REQUEST_LOGOUT)
		unsubscribe(w, c, req, &done);
	*o = done;
}

struct outcome outcome_nothing(const struct worker *w, const struct cursor *c)
{
	return (struct outcome){ .kind = OUTCOME_ANSWER, .state = session(&w->base, c->fd)->state };
}

bool outcome_commit(struct worker *w, struct cursor *c, struct outcome *o, uint64_t after, const void *answer, size_t len, uint32_t flags)
{
	bool room = !len || session_append(&w->base, c->fd, &o->state, answer, len) == 0;

	if (room) {
		o->state.parsed = after;
		o->state.flags |= flags;
		session_commit(&w->base, c->fd, &o->state);
	} else {
		session_abort(&w->base, c->fd, COUNTER_no_buffer);
	}
	if (!room || flags & SESSION_CLOSE)
		c->stop = true;
	if (o->count > 0)
		publish_batch_end(w);
	return room;
}
