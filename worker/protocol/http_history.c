/*
 * GET /history/TOPIC?limit=&since=&before=: what is kept of a topic.
 * GET /poll/TOPIC?since=&limit=&wait=: what came behind a position, as soon as there is something.
 */
#include <string.h>

#include "proto/sink.h"
#include "worker/protocol/http_routes.h"
#include "worker/service/history_query.h"
#include "worker/service/poll.h"

#define ANSWER_BYTES (256 * 1024)	/* of messages, about */
#define ANSWER_REST 256			/* ahead of them and behind them, at most */
#define NO_TOPIC "no topic: GET /history/TOPIC or /history?topic=TOPIC"

/* A position in the query. False: answered with an error. */
bool history_read_position(const struct exchange *x, enum member name, struct resume *resume)
{
	char value[PARAMETER_MAX];
	int len = parameter_read(x, name, value);

	if (len == PARAMETER_BAD)
		return false;
	if (len == PARAMETER_NONE)
		return true;
	if (resume_since(resume, value, (size_t)len) == NULL)
		return true;
	exchange_error(x, 400, NULL, name == MEMBER_SINCE ? "since is no position: it is the id of a message, or the position of an answer"
							  : "before is no position: it is the id of a message, or the position of an answer");
	return false;
}

bool history_read_limit(const struct exchange *x, unsigned *limit)
{
	*limit = HISTORY_LIMIT;
	return parameter_number(x, MEMBER_LIMIT, 1, HISTORY_LIMIT_MAX, "limit is a number of messages, 1 to 1000", limit);
}

/* {"position":...,"more":...,"messages":[ and, behind the messages, ]} */
static size_t put_head(const struct exchange *x, bool resumed, const struct history_result *result, char *dst)
{
	struct position_start start = {
		.epoch = &x->protocols->base->epoch,
		.seq = result->position,
		.stream = result->stream,
		.resumed = resumed,
		.recovered = result->replay.recovered,
		.missing = result->replay.missing,
	};
	struct sink s = { .dst = dst, .room = ANSWER_REST };

	sink_byte(&s, '{');
	position_put_members(&s, &start);
	sink_text(&s, result->more ? ",\"more\":true,\"messages\":[" : ",\"more\":false,\"messages\":[");
	return s.len;
}

/* In the upper half of the scratch, as the answer is made in the lower one. */
char *history_room(const struct exchange *x, size_t *room, size_t *most)
{
	size_t half = x->protocols->base->scratch_room / 2;

	*room = half - 2 * ANSWER_REST;
	*most = half / 2 < ANSWER_BYTES ? half / 2 : ANSWER_BYTES;
	return x->protocols->base->scratch + half + ANSWER_REST;
}

static size_t make_body(const struct exchange *x, const struct history_query *query, struct history_result *result)
{
	size_t room, most;
	char *at = history_room(x, &room, &most);

	return history_query(x->protocols->service, query, at, room, most, result);
}

void history_answer(const struct exchange *x, bool resumed, const struct history_result *result, size_t len)
{
	struct http_answer answer = exchange_answer(x, 200, HTTP_JSON);
	struct outcome o = outcome_nothing(x->protocols->service, x->c);
	char begin[ANSWER_REST], *at;
	size_t head = put_head(x, resumed, result, begin), room, most;

	at = history_room(x, &room, &most) - head;
	memcpy(at, begin, head);
	memcpy(at + head + len, "]}\n", 3);
	answer.fields = "Cache-Control: no-store\r\n";
	exchange_reply(x, &o, &answer, at, head + len + 3);
}

void get_history(const struct exchange *x, struct http_text path)
{
	struct history_query query = { 0 };
	struct history_result result;

	if (names_one(x, path, false, NO_TOPIC, &query.name) && exchange_may(x, RIGHT_HISTORY, &query.name) && history_read_limit(x, &query.limit) && history_read_position(x, MEMBER_SINCE, &query.since) &&
	    history_read_position(x, MEMBER_BEFORE, &query.before))
		history_answer(x, query.since.kind != RESUME_NOT, &result, make_body(x, &query, &result));
}

/* Where a poll goes on that says no `since`: at what comes next. */
static void since_now(const struct exchange *x, struct resume *since)
{
	*since = (struct resume){ .kind = RESUME_SINCE };
	since->since.epoch = x->protocols->base->hub.shm->epoch / 1000;
	since->since.seq = poll_from(x->protocols->service, x->c->sid) - 1;
}

void get_poll(const struct exchange *x, struct http_text path)
{
	struct service *service = x->protocols->service;
	bool waited = session(x->protocols->base, x->c->sid)->count > 0, now;
	struct history_query query = { 0 };
	struct history_result result;
	unsigned wait = POLL_WAIT;
	const char *error;
	size_t len;

	if (!names_one(x, path, false, NO_TOPIC, &query.name) || !history_read_limit(x, &query.limit) || !history_read_position(x, MEMBER_SINCE, &query.since) ||
	    !parameter_number(x, MEMBER_WAIT, 0, POLL_WAIT_MAX, "wait is a number of seconds, 0 to 300", &wait))
		return;
	now = query.since.kind == RESUME_NOT;
	if (!exchange_may(x, now ? RIGHT_SUBSCRIBE : RIGHT_SUBSCRIBE | RIGHT_HISTORY, &query.name))
		return;
	/* First it subscribes, so nothing gets lost between looking and waiting. */
	error = waited ? NULL : poll_begin(service, x->c->sid, &query.name, wait);
	if (error) {
		exchange_error(x, 503, NULL, error);
		return;
	}
	if (now)
		since_now(x, &query.since);
	len = make_body(x, &query, &result);
	if (result.count == 0 && result.replay.recovered && !poll_is_over(x->protocols->base, x->c->sid)) {
		poll_wait(x->c);
		return;
	}
	poll_end(service, x->c->sid);
	history_answer(x, query.since.kind != RESUME_NOT, &result, len);
}
