/*
 * GET /session/TOKEN: what there is of a session, and whether it has a connection. Asked for by whoever knows its token, which is its client.
 *
 * The worker that has it answers: the request's connection goes there, if it is another one (worker/service/attach.h).
 */
#include "proto/sink.h"
#include "worker/protocol/http_routes.h"

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

void get_session(const struct exchange *x, struct http_text path)
{
	struct http_answer answer = exchange_answer(x, 200, HTTP_JSON);
	struct outcome o = outcome_nothing(x->protocols->service, x->c);
	uint8_t token[TOKEN_BYTES];
	const char *error = token_read(token, path.p, path.len);
	char text[ANSWER_MAX];
	session_id sid;

	if (error) {
		exchange_error(x, 400, NULL, error);
		return;
	}
	switch (attach_locate(x->protocols->service, x->c, token, &sid)) {
	case ATTACH_ELSEWHERE:
		break;
	case ATTACH_NOWHERE:
		exchange_error(x, 404, NULL, "no such session: it has ended, or stayed for longer than session_linger");
		break;
	case ATTACH_HERE:
		answer.fields = "Cache-Control: no-store\r\n";
		exchange_reply(x, &o, &answer, text, put_session(x, sid, text));
	}
}
