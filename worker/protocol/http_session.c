/*
 * GET /session/TOKEN: what there is of a session, and whether it has a connection. Asked for by whoever knows its token, which is its client.
 * GET /session/TOKEN/messages?since=&limit=&wait=: what it is owed, while it has none.
 *
 * The worker that has it answers: the request's connection goes there, if it is another one (worker/service/attach.h).
 */
#include <errno.h>
#include <string.h>

#include "proto/sink.h"
#include "worker/protocol/http_routes.h"
#include "worker/service/poll.h"
#include "worker/service/session_query.h"

#define ANSWER_MAX 512

static void put_number(struct sink *s, const char *name, uint64_t number)
{
	sink_text(s, name);
	sink_number(s, number);
}

/* {"attached":false,"transport":"websocket","subscriptions":2,"position":"...","since":12,"expires":48}: seconds. `since`: that it has had a connection, or none */
static size_t put_session(const struct exchange *x, session_id sid, char dst[ANSWER_MAX])
{
	const struct base *base = x->protocols->base;
	const struct session_shm *s = session(base, sid);
	bool parked = session_parked(base, sid);
	uint32_t since = base->now - (parked ? s->state.last_out : s->until), linger = (uint32_t)(base->settings->session_linger / 1000);
	struct sink sink = { .dst = dst, .room = ANSWER_MAX };

	sink_text(&sink, parked ? "{\"attached\":false,\"transport\":\"" : "{\"attached\":true,\"transport\":\"");
	sink_text(&sink, transport_table[s->state.transport].word);
	put_number(&sink, "\",\"subscriptions\":", s->count);
	put_number(&sink, ",\"since\":", since);
	if (parked)
		put_number(&sink, ",\"expires\":", since < linger ? linger - since : 0);
	sink_literal(&sink, "}\n");
	return sink.len;
}

static void answer(const struct exchange *x, const char *body, size_t len)
{
	struct http_answer answer = exchange_answer(x, 200, HTTP_JSON);
	struct outcome o = outcome_nothing(x->protocols->service, x->c);

	answer.fields = "Cache-Control: no-store\r\n";
	exchange_reply(x, &o, &answer, body, len);
}

/* The session of the token in the path. False: the request is answered, or goes to another worker. */
static bool find(const struct exchange *x, struct http_text text, session_id *sid)
{
	uint8_t token[TOKEN_BYTES];
	const char *error = token_read(token, text.p, text.len);

	if (error) {
		exchange_error(x, 400, NULL, error);
		return false;
	}
	switch (attach_locate(x->protocols->service, x->c, token, sid)) {
	case ATTACH_HERE:
		return true;
	case ATTACH_ELSEWHERE:
		return false;
	case ATTACH_FULL:
		exchange_error(x, 503, NULL, ATTACH_NO_ROOM);
		return false;
	case ATTACH_NOWHERE:
		break;
	}
	exchange_error(x, 404, NULL, ATTACH_NO_SESSION);
	return false;
}

/* Whether the request's client may have all that the session has subscribed, and what of it is kept, if he says from where. False: answered. */
static bool may_have(const struct exchange *x, session_id from, const struct resume *since)
{
	unsigned rights = since->kind == RESUME_NOT ? RIGHT_SUBSCRIBE : RIGHT_SUBSCRIBE | RIGHT_HISTORY;
	struct resume each;
	struct topic_name name;
	struct attach a;

	attach_begin(&a, x->protocols->base, from, since, &each);
	while (attach_next(&a, &name))
		if (*name.bytes != NAME_EVERYBODY && !exchange_may(x, rights, &name))
			return false;
	return true;
}

static void get_messages(const struct exchange *x, session_id from)
{
	struct service *service = x->protocols->service;
	size_t room, most;
	char *at = history_room(x, &room, &most);
	struct history_result result;
	struct resume since = { 0 };
	unsigned wait = 0, limit;
	ssize_t len;

	if (!history_read_limit(x, &limit) || !history_read_position(x, MEMBER_SINCE, &since) ||
	    !parameter_number(x, MEMBER_WAIT, 0, POLL_WAIT_MAX, "wait is a number of seconds, 0 to 300", &wait))
		return;
	if (!session_parked(x->protocols->base, from)) {
		exchange_error(x, 409, NULL, "the session has a connection, which gets its messages");
		return;
	}
	if (!may_have(x, from, &since))
		return;
	len = session_query(service, from, &since, limit, at, room, most, &result);
	if (len < 0) {
		exchange_error(x, errno == E2BIG ? 409 : 503, NULL, errno == E2BIG ? "the session has too many subscriptions to be polled" : "out of memory");
		return;
	}
	x->protocols->base->touch(x->protocols->base->above, from);
	if (result.count == 0 && result.replay.recovered && wait > 0 && session_query_wait(service, x->c->sid, from, wait)) {
		poll_wait(x->c);
		return;
	}
	poll_end(service, x->c->sid);
	history_answer(x, since.kind != RESUME_NOT, &result, (size_t)len);
}

void get_session(const struct exchange *x, struct http_text path)
{
	struct http_text token = { 0 }, what = path;
	char text[ANSWER_MAX];
	session_id sid;

	http_list_next(&what, '/', &token);
	if (what.p && !(what.len == sizeof("messages") - 1 && memcmp(what.p, "messages", what.len) == 0)) {
		exchange_error(x, 404, NULL, "no such path: GET /session/TOKEN, /session/TOKEN/messages");
		return;
	}
	if (!find(x, token, &sid))
		return;
	if (what.p)
		get_messages(x, sid);
	else
		answer(x, text, put_session(x, sid, text));
}
