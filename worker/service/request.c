/*
 * Serving requests. See request.h.
 */
#include "worker/service/request.h"

#include <errno.h>

#include "proto/message_text.h"
#include "proto/vocabulary.h"
#include "shm/nodes.h"
#include "worker/delivery/leave.h"
#include "worker/service/access.h"
#include "worker/service/presence.h"
#include "worker/service/quota.h"
#include "worker/service/waiting.h"
#include "worker/session/tell.h"

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

bool request_begin(struct service *service, struct cursor *c)
{
	return publish_batch_begin(service, c);
}

bool request_add(struct service *service, struct cursor *c, const struct request *req)
{
	const struct topic_name *name = &req->names.one;
	char from[ACCESS_FROM_MAX];
	size_t ahead = access_from(service, c->sid, from);
	char *record = publish_batch_add(service, c, name->bytes, name->len, ahead + req->body.size, req->after, req->flags);

	if (record)
		req->body.write(&req->body, record + ahead);
	if (record && ahead)
		message_put_ahead(record, from, ahead);
	return record != NULL;
}

void request_drop(struct service *service)
{
	publish_batch_drop(service);
}

/* Whether some of the batch may be for the stream, which is asked for their ids. */
static bool has_stream(const struct service *service)
{
	const struct hub *hub = &service->base->hub;
	unsigned i = 0;

	if (nodes_stream(hub) == STREAM_OFF)
		return false;
	while (i < service->item_count && !nodes_is_stream(hub, service->items[i].topic, service->items[i].topic_len))
		i++;
	return i < service->item_count;
}

/* What was published is not answered before others have said what the answer says; if there is something to wait for. */
static void hold(struct service *service, struct cursor *c, bool everywhere, struct outcome *o)
{
	const struct question_answer none = { .nodes = question_nodes(&service->base->hub) };
	struct waiting_shm *w = waiting_of(service, c);

	if (everywhere)
		outcome_count_nodes(o, &none);
	if (w)
		waiting_published(service, w, o->published, o->count, o->repeated);
	if (waiting_of(service, c) == NULL)
		return;
	publish_batch_end(service);
	o->kind = OUTCOME_LATER;
	c->stop = c->waits = true;
}

static void publish_failed(struct service *service, struct cursor *c, int why, struct outcome *o)
{
	struct waiting_shm *w = waiting_of(service, c);

	if (w)
		waiting_end(service, w);
	*o = outcome_nothing(service, c);
	if (why == EINVAL)
		fail(o, 400, "a key is for messages to topics of nats_stream alone, or to others alone; for several messages it has up to 250 bytes there");
	else if (why == EEXIST)
		fail(o, 422, "this message_id was used with another message");
	else
		fail(o, 413, "more than the server's ring can take at once (ring_bytes)");
	if (c->stalled)
		o->kind = OUTCOME_LATER;
}

void request_publish(struct service *service, struct cursor *c, const struct request *req, struct outcome *o)
{
	const char *error = NULL;
	int r = 0;

	if (!waiting_begin(service, c, req->everywhere ? &req->names.one : NULL, req->answered && has_stream(service), &error)) {
		publish_batch_drop(service);
		*o = outcome_nothing(service, c);
		if (error)
			fail(o, 503, error);
		else
			o->kind = OUTCOME_LATER;
		return;
	}
	if (service->item_count > 0)
		r = publish_batch_answered(service, c, &req->key);
	if (r < 0) {
		publish_failed(service, c, errno, o);
		return;
	}
	*o = outcome_nothing(service, c);
	o->published = service->items;
	o->count = service->item_count;
	o->repeated = r > 0;
	hold(service, c, req->everywhere, o);
}

bool request_has_published(struct service *service, struct cursor *c, const struct request *req, struct outcome *o)
{
	const struct waiting_shm *w = waiting_of(service, c);
	struct question_answer others;
	const char *error;
	bool before;

	if (!w || !atomic_load_explicit(&w->published, memory_order_relaxed))
		return false;
	o->kind = OUTCOME_LATER;
	if (waiting_goes_on(service, c, w))
		return true;
	*o = outcome_nothing(service, c);
	error = waiting_items(service, w, service->items, &before);
	if (error) {
		fail(o, 503, error);
		return true;
	}
	others = waiting_nodes(service, w);
	service->items->subscribers += others.subscribers;
	o->published = service->items;
	o->count = service->item_count = w->count;
	o->repeated = before && req->key.len > 0;	/* (What had to be given to the stream again it knows, too: nobody has repeated that.) */
	if (req->everywhere)
		outcome_count_nodes(o, &others);
	return true;
}

/* Adds a publish that is not answered to the batch, which is published first if it is full. */
static enum outcome_kind add_to_batch(struct service *service, struct cursor *c, const struct request *req)
{
	if (!request_add(service, c, req)) {
		if (!publish_batch_begin(service, c))
			return OUTCOME_LATER;
		request_add(service, c, req);
	}
	if (req->flags & SESSION_CLOSE)
		c->stop = true;
	return OUTCOME_BATCHED;
}

/* ---- subscriptions ---- */

/* The request's next name, after `number` others. False: there are no more. */
static bool next_name(const struct request_names *names, unsigned number, struct topic_name *name)
{
	if (names->next)
		return names->next(names->from, name);
	if (number == 0)
		*name = names->one;
	return number == 0;
}

/*
 * Subscribes a session that becomes a stream to what goes to everybody, if `broadcast` is on. But not a page, which counts the messages of its one
 * topic. NULL, or why not.
 */
static const char *subscribe_everybody(struct service *service, struct cursor *c, struct session_state_shm *st, struct replay *replay)
{
	struct topic_name everybody = subscribe_everybody_name();

	if (!service->base->settings->broadcast || transport_has(st->transport, TRANSPORT_OWN_FRAMES))
		return NULL;
	return subscribe_add(service, c->sid, st, &everybody, replay);
}

static uint32_t first_subscription(const struct base *base, session_id sid)
{
	return atomic_load_explicit(&session(base, sid)->subscriptions, memory_order_relaxed);
}

/* Takes away what was subscribed since `first` was the session's first subscription: new ones are put ahead of it. */
static void unsubscribe_new(struct service *service, session_id sid, uint32_t first, struct session_state_shm *st)
{
	struct topic_name name;
	uint32_t sub;

	while ((sub = first_subscription(service->base, sid)) != first) {
		name = subscribe_name_of(service->base, sub);
		subscribe_remove(service, sid, st, &name);
	}
}

/* ---- attaching ---- */

/*
 * Finds the session that the request's token names. What that means for the request:
 */
enum found {
	FOUND_NOT,			/* there is none */
	FOUND,				/* *from is it */
	FOUND_LATER,			/* the request is read again: by another worker, or when a frame is sent whole */
	FOUND_WRONG,			/* it can't be attached to: *o says why */
};

static enum found find_session(struct service *service, struct cursor *c, const struct request *req, session_id *from, struct outcome *o)
{
	enum attach_where where;

	if (!req->has_token)
		return FOUND_NOT;
	if (subscribe_has_own(service->base, c->sid)) {
		fail(o, 409, "attach comes before anything is subscribed on a connection");
		return FOUND_WRONG;
	}
	if (token_is(req->token, (uint8_t[TOKEN_BYTES]){ 0 }))
		return FOUND_NOT;
	where = attach_locate(service, c, req->token, from);
	if (where == ATTACH_FULL) {
		fail(o, 503, ATTACH_NO_ROOM);
		return FOUND_WRONG;
	}
	if (where != ATTACH_HERE)
		return where == ATTACH_ELSEWHERE ? FOUND_LATER : FOUND_NOT;
	if (*from == c->sid) {
		fail(o, 409, "this connection has that session already");
		return FOUND_WRONG;
	}
	if (session(service->base, c->sid)->state.flags & SESSION_CUT) {
		session_mark(service->base, c->sid, MARK_OUTPUT_BLOCKED);
		c->stop = c->waits = true;
		return FOUND_LATER;
	}
	return FOUND;
}

/* What the session has that the other one has, too, comes from where that one is. (It has what goes to everybody, and what its token names: subscribe_has_own().) */
static void leave_same(struct service *service, struct cursor *c, session_id from)
{
	struct session_state_shm st = session(service->base, c->sid)->state;
	const struct resume none = { .kind = RESUME_NOT };
	struct resume since;
	struct topic_name name;
	struct attach a;

	if (session(service->base, c->sid)->count == 0)
		return;
	attach_begin(&a, service->base, from, &none, &since);
	while (attach_next(&a, &name))
		subscribe_remove(service, c->sid, &st, &name);
	session_commit(service->base, c->sid, &st);
}

/* What names are subscribed with. */
struct joining {
	struct service *service;
	struct cursor *c;
	struct outcome *o;
	struct replay *replay;		/* what of the past is asked for, */
	struct replay *denied;		/* and for names of which that may not be had: nothing */
	bool owed;			/* all of the past that is asked for is what the server owes: that takes no right to what is kept */
	bool lists;			/* lists of who is there are owed */
	bool free;			/* they are no subscriptions of subscribe_rate: another session had them, or the token has */
	unsigned taken;			/* of subscribe_rate, by this request */
};

/*
 * The right to subscribe is not one to what is kept. Who asks for the last messages without it is refused; who goes on from a position goes on with what
 * comes, and is told that he may have missed something.
 */
static bool subscribe_name(struct joining *j, const struct topic_name *name)
{
	struct service *service = j->service;
	session_id sid = j->c->sid;
	enum resume_kind past = j->replay->resume->kind;
	struct replay *replay = j->replay;
	const char *error = NULL;
	unsigned status;

	status = access_refuses(service, sid, RIGHT_SUBSCRIBE, name, &error);
	if (!status && past == RESUME_LAST)
		status = access_refuses(service, sid, RIGHT_HISTORY, name, &error);
	if (!status && !j->free) {
		status = quota_take(service, sid, CLIENT_SUBSCRIBES, 1, &error);
		if (status && quota_too_many(service, sid, CLIENT_SUBSCRIBES, j->taken + 1, &error))
			status = 413;
		j->taken++;
	}
	if (status) {
		fail(j->o, status, error);
		return false;
	}
	if (past == RESUME_SINCE && !j->owed && !access_gives(service, sid, access_rights(service, sid), RIGHT_HISTORY, name)) {
		j->replay->recovered = false;
		replay = j->denied;
	}
	error = presence_watch(service->presence, name->bytes, name->len);
	if (!error)
		error = subscribe_add(service, sid, &j->o->state, name, replay);
	if (error)
		fail(j->o, 503, error);
	else
		j->lists |= presence_owe(service->presence, sid, name->bytes, name->len);
	return !error;
}

/* One of those that a token has subscribed at once. Nobody has asked for its last messages: who has no right to these begins with what comes. */
static bool subscribe_at_once(void *with, const char *topic, size_t len)
{
	struct joining *j = with;
	struct replay *asked = j->replay;
	const char *error = web_name_error(NAME_OF_TOPICS, topic, len);
	struct topic_name name;
	bool done;

	if (error) {
		fail(j->o, 400, error);
		return false;
	}
	name = subscribe_topic_name(false, topic, len);
	if (asked->resume->kind == RESUME_LAST && !access_gives(j->service, j->c->sid, access_rights(j->service, j->c->sid), RIGHT_HISTORY, &name))
		j->replay = j->denied;
	done = subscribe_name(j, &name);
	j->replay = asked;
	return done;
}

/* The session becomes what the request asks for: its rights are those that it has shown, and it counts for its user; or neither. */
static void become(struct service *service, struct cursor *c, const struct rights *shown, struct outcome *o)
{
	uint32_t was = BUFFER_NONE;
	const char *error;

	if (shown && session_change_rights(service->base, c->sid, shown, &was) < 0) {
		fail(o, 503, "out of memory");
		return;
	}
	error = quota_become(service, c->sid, shown);
	if (error) {
		fail(o, 429, error);
		if (shown)
			session_restore_rights(service->base, c->sid, was);
	} else {
		pool_give(&service->base->pool, was);
		if (shown)
			tell_who(service->base, c->sid, shown);
	}
}

/*
 * Subscribes the session to all names of the request, and to those that its token names, if it is to begin with these. If that fails, a session that was to become a stream subscribes nothing. Not
 * `anew`: names are those of another session, with what the server owes it, or none. False: the request has to wait.
 */
static bool subscribe_names(struct service *service, struct cursor *c, const struct request *req, bool anew, struct outcome *o)
{
	const struct resume none = { .kind = RESUME_NOT };
	struct replay replay, live = { .resume = &none, .begin = UINT64_MAX };	/* of the names; of what is live from here on */
	struct joining joining = { .service = service, .c = c, .o = o, .replay = &replay, .denied = &live, .owed = !anew, .free = service->base->held != 0 };
	const struct rights *shown = access_rights(service, c->sid);
	struct topic_name name;
	const char *error = NULL;

	if (!replay_begin(service, c, &req->resume, &replay))
		return false;
	*o = outcome_nothing(service, c);
	if (req->becomes) {
		o->state.transport = req->transport;
		error = anew ? subscribe_everybody(service, c, &o->state, &live) : NULL;
		if (error)
			fail(o, 503, error);
	}
	for (unsigned n = 0; !o->error && next_name(&req->names, n, &name); n++)
		subscribe_name(&joining, &name);
	if (!anew)
		joining.replay = &live;		/* (what a token names was not among them) */
	/* (A page counts the messages of its one topic.) */
	joining.free = true;
	if (!o->error && shown && (req->becomes ? !transport_has(req->transport, TRANSPORT_OWN_FRAMES) : !anew))
		rights_at_once(shown, subscribe_at_once, &joining);
	if (!o->error && req->becomes)
		become(service, c, shown, o);
	replay_end(&replay, &o->state);
	/* (A page counts its messages, and a list is none.) */
	if (joining.lists && !transport_has(o->state.transport, TRANSPORT_OWN_FRAMES))
		o->state.flags |= SESSION_LISTS;
	if (!o->error) {
		outcome_starts_now(service, o);
		if (replay.begin <= o->position || live.begin <= o->position)
			o->position = (replay.begin < live.begin ? replay.begin : live.begin) - 1;
		o->stream = replay_in_stream(&replay, &live);
		o->resumed = req->resume.kind == RESUME_SINCE;
		o->recovered = replay.recovered;
		o->missing = replay.missing;
		return true;
	}
	if (req->becomes) {
		leave_all(service->topics, service->multi_topic, c->sid, req->transport);
		o->state = session(service->base, c->sid)->state;
	}
	return true;
}

/* Whether the client is to be told its session's token, which it then knows. */
static bool tells_token(struct service *service, struct cursor *c, const struct request *req)
{
	struct session_shm *s = session(service->base, c->sid);
	bool talks = transport_has(req->becomes ? req->transport : s->state.transport, TRANSPORT_TALKS);
	bool told = s->state.transport != TRANSPORT_HTTP && s->until != 0;

	if (told || service->base->settings->session_linger == 0 || (!talks && !req->has_token)) {
		s->until = told ? s->until : 0;
		return false;
	}
	s->until = service->base->now;
	return !req->becomes || !talks;		/* (the greeting of /ws says it) */
}

/*
 * Whether the client may have all that the other session has, by his own rights. Of what of it may not be had from a position of the client's choice, as
 * that is a right of its own, all goes on from where the server has it. False: *o says why not, and nothing has happened.
 */
static bool may_attach(struct service *service, struct cursor *c, session_id from, struct resume *asked, struct outcome *o)
{
	const struct rights *shown = access_rights(service, c->sid);
	struct resume since;
	struct topic_name name;
	struct attach a;
	const char *error;
	unsigned status;

	attach_begin(&a, service->base, from, asked, &since);
	while (attach_next(&a, &name)) {
		status = access_refuses(service, c->sid, RIGHT_SUBSCRIBE, &name, &error);
		if (status) {
			fail(o, status, error);
			return false;
		}
		if (asked->kind == RESUME_SINCE && !access_gives(service, c->sid, shown, RIGHT_HISTORY, &name))
			asked->kind = RESUME_NOT;
	}
	return true;
}

/* The session goes on with what the other one has. */
static bool attach(struct service *service, struct cursor *c, const struct request *req, session_id from, struct outcome *o)
{
	struct request all = *req;
	struct resume asked = req->resume;
	struct session_state_shm st;
	struct attach a;
	uint32_t first;
	bool later;

	attach_settle(service->base, from, &asked);
	if (!may_attach(service, c, from, &asked, o))
		return true;
	if (!session_parked(service->base, from))
		service->base->park(service->base->above, from);
	leave_same(service, c, from);
	first = first_subscription(service->base, c->sid);
	attach_begin(&a, service->base, from, &asked, &all.resume);
	all.names = (struct request_names){ .next = attach_next, .from = &a };
	service->base->held = from + 1;
	later = !subscribe_names(service, c, &all, false, o);
	service->base->held = 0;
	if (later)
		return false;
	if (o->error) {
		st = session(service->base, c->sid)->state;
		st.flags |= o->state.flags & SESSION_BEHIND;
		unsubscribe_new(service, c->sid, first, &st);
		session_commit(service->base, c->sid, &st);
		subscribe_join_everybody(service, c->sid, 0);
		subscribe_join_channels(service, c->sid, 0);
		o->state = session(service->base, c->sid)->state;
		return true;
	}
	if (req->resume.kind != asked.kind)
		o->recovered = false;
	/* Without `since` nobody knows what was on its way when the connection broke: only that something is missing can be said then. */
	o->resumed = req->resume.kind == RESUME_SINCE || !o->recovered;
	o->attached = from + 1;
	o->token = session(service->base, from)->token;
	return true;
}

static bool subscribe(struct service *service, struct cursor *c, const struct request *req, struct outcome *o)
{
	session_id from;

	switch (find_session(service, c, req, &from, o)) {
	case FOUND_LATER:
		return false;
	case FOUND_WRONG:
		return true;
	case FOUND:
		return attach(service, c, req, from, o);
	case FOUND_NOT:
		break;
	}
	if (req->kind == REQUEST_ATTACH) {
		fail(o, 404, ATTACH_NO_SESSION);
		return true;
	}
	if (!subscribe_names(service, c, req, true, o))
		return false;
	if (!o->error && tells_token(service, c, req))
		o->token = session(service->base, c->sid)->token;
	return true;
}

static void unsubscribe(struct service *service, struct cursor *c, const struct request *req, struct outcome *o)
{
	struct topic_name name;

	for (unsigned n = 0; next_name(&req->names, n, &name); n++)
		subscribe_remove(service, c->sid, &o->state, &name);
}

/* ---- showing a token ---- */

/* Whether what is shown gives all that the session has subscribed. */
static bool keeps_subscriptions(struct service *service, session_id sid, const struct rights *shown)
{
	const struct base *base = service->base;
	struct topic_name name;

	for (uint32_t sub = first_subscription(base, sid); sub; sub = atomic_load_explicit(&base->slot.subscriptions[sub].next, memory_order_relaxed)) {
		name = subscribe_name_of(base, sub);
		if (!access_gives(service, sid, shown, RIGHT_SUBSCRIBE, &name))
			return false;
	}
	return true;
}

static bool no_name(void *from, struct topic_name *name)
{
	(void)from;
	(void)name;
	return false;
}

/*
 * The session's rights are those of what is shown from here on, what its token names is subscribed, and it counts for its user; or, if anything of that can't be, all is as it was. Rights come first, as
 * there is never a subscription that they do not give: so who dies in between leaves the new ones, of a token that was good, and the request is dealt with again.
 */
static void auth(struct service *service, struct cursor *c, const struct request *req, struct outcome *o)
{
	uint32_t first = first_subscription(service->base, c->sid), was;
	struct request none = *req;
	const struct rights *shown;
	const char *error;

	if (!access_is_on(service, c->sid))
		return;			/* everything may be done: nobody looks at it */
	shown = access_verify(service, c->sid, req->shown, req->shown_len, &error);
	if (!shown)
		fail(o, 401, error);
	else if (!keeps_subscriptions(service, c->sid, shown))
		fail(o, 403, "the token does not give all that is subscribed: unsubscribe that first");
	else if (session_change_rights(service->base, c->sid, shown, &was) < 0)
		fail(o, 503, "out of memory");
	if (o->error)
		return;
	none.names.next = no_name;
	none.resume.kind = RESUME_NOT;		/* (so it need not wait) */
	subscribe_names(service, c, &none, false, o);
	if (!o->error && (error = quota_become(service, c->sid, shown)) != NULL)
		fail(o, 429, error);
	if (o->error) {
		unsubscribe_new(service, c->sid, first, &o->state);
		session_restore_rights(service->base, c->sid, was);
		return;
	}
	pool_give(&service->base->pool, was);
	tell_who(service->base, c->sid, shown);
	o->expires = shown->expires;
}

/* ---- requests ---- */

/* Whether the request can't be served, as far as that can be told without trying. *o says why. */
static bool refuse(struct service *service, const struct cursor *c, const struct request *req, struct outcome *o)
{
	char from[ACCESS_FROM_MAX];

	o->error = NULL;
	o->status = 0;
	if (req->error)
		fail(o, req->status, req->error);
	else if (publishes(req) && req->body.size + access_from(service, c->sid, from) > publish_batch_record_max(service->base))
		fail(o, 413, "the message is too long with its quotes and control characters escaped (max_frame)");
	else if (publishes(req)) {
		o->status = access_refuses(service, c->sid, RIGHT_PUBLISH, &req->names.one, &o->error);
		if (!o->status)
			o->status = quota_take(service, c->sid, CLIENT_PUBLISHES, 1, &o->error);
		if (!o->status)
			o->error = NULL;
	}
	return o->error != NULL;
}

static void publish_one(struct service *service, struct cursor *c, const struct request *req, struct outcome *o)
{
	if (!req->answered && req->key.len == 0) {
		o->kind = add_to_batch(service, c, req);
		return;
	}
	o->kind = OUTCOME_LATER;
	if (!publish_batch_begin(service, c))
		return;
	request_add(service, c, req);
	request_publish(service, c, req, o);
}

void request_serve(struct service *service, struct cursor *c, const struct request *req, struct outcome *o)
{
	struct outcome done;
	bool refused, publish;

	if (request_has_published(service, c, req, o))
		return;
	refused = refuse(service, c, req, o);
	publish = publishes(req) && !refused;

	if (publish) {
		publish_one(service, c, req, o);
		if (o->kind == OUTCOME_LATER && !c->waits)
			quota_give(service, c->sid, CLIENT_PUBLISHES, 1);
		return;
	}
	o->kind = OUTCOME_LATER;
	if (!publish_batch_begin(service, c) || cursor_yields(c))
		return;
	done = outcome_nothing(service, c);
	if (refused)
		fail(&done, o->status, o->error);
	else if (req->kind == REQUEST_AUTH)
		auth(service, c, req, &done);
	else if ((req->kind == REQUEST_SUBSCRIBE || req->kind == REQUEST_LOGIN || req->kind == REQUEST_ATTACH) && !subscribe(service, c, req, &done))
		return;
	else if (req->kind == REQUEST_UNSUBSCRIBE || req->kind == REQUEST_LOGOUT)
		unsubscribe(service, c, req, &done);
	*o = done;
}

struct outcome outcome_nothing(const struct service *service, const struct cursor *c)
{
	return (struct outcome){ .kind = OUTCOME_ANSWER, .state = session(service->base, c->sid)->state };
}

void outcome_starts_now(const struct service *service, struct outcome *o)
{
	o->has_position = true;
	o->position = ring_tail(&service->base->hub.ring) - 1;
}

void outcome_count_nodes(struct outcome *o, const struct question_answer *others)
{
	o->nodes = 1 + others->answered;
	o->nodes_known = 1 + others->nodes;
}

void outcome_put_nodes(struct sink *s, const struct outcome *o)
{
	if (o->nodes == 0)
		return;
	sink_literal(s, ",\"nodes\":");
	sink_number(s, o->nodes);
	sink_literal(s, ",\"nodes_known\":");
	sink_number(s, o->nodes_known);
}

const struct position_epoch *outcome_epoch(const struct service *service, const struct publish_item *item, struct position_epoch *stream)
{
	if (!item->to_stream)
		return &service->base->epoch;
	*stream = position_epoch(atomic_load_explicit(&service->base->hub.shm->nodes.stream.epoch, memory_order_relaxed));
	return stream;
}

const struct position_start *outcome_start(const struct service *service, const struct outcome *o, struct position_start *start)
{
	*start = (struct position_start){
		.epoch = &service->base->epoch,
		.seq = o->position,
		.stream = o->stream,
		.resumed = o->resumed,
		.recovered = o->recovered,
		.missing = o->missing,
		.token = o->token,
	};
	return o->has_position ? start : NULL;
}

bool outcome_commit(struct service *service, struct cursor *c, struct outcome *o, uint64_t after, const void *answer, size_t len, uint32_t flags)
{
	bool room = !len || session_append(service->base, c->sid, &o->state, answer, len) == 0;

	if (room) {
		o->state.parsed = after;
		o->state.flags |= flags;
		if (o->attached)
			attach_note(service->base, c->sid, o->attached - 1);
		session_commit(service->base, c->sid, &o->state);
		if (o->attached)
			attach_finish(service->base, c->sid, o->attached - 1);
	} else {
		/* What it has subscribed as the stream that it does not become, nobody would find. */
		if (o->state.transport != session(service->base, c->sid)->state.transport)
			leave_all(service->topics, service->multi_topic, c->sid, o->state.transport);
		session_abort(service->base, c->sid, COUNTER_no_buffer);
	}
	replay_done(service, c->sid);
	if (!room || flags & SESSION_CLOSE)
		c->stop = true;
	if (o->count > 0)
		publish_batch_end(service);
	return room;
}
