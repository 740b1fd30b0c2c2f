/*
 * GET /history/TOPIC?limit=&since=&before=: what is kept of a topic.
 */
#include <string.h>

#include "proto/sink.h"
#include "worker/protocol/http_routes.h"
#include "worker/service/history_query.h"

#define ANSWER_BYTES (256 * 1024)	/* of messages, about */
#define ANSWER_REST 256			/* what stands around them, at most */

/* A position in the query. False: answered with an error. */
static bool read_position(const struct exchange *x, enum member name, struct resume *resume)
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

static bool read_limit(const struct exchange *x, unsigned *limit)
{
	char value[PARAMETER_MAX];
	int len = parameter_read(x, MEMBER_LIMIT, value);
	struct resume count = { 0 };

	*limit = HISTORY_LIMIT;
	if (len == PARAMETER_BAD)
		return false;
	if (len == PARAMETER_NONE)
		return true;
	if (resume_last_text(&count, value, (size_t)len) != NULL) {
		exchange_error(x, 400, NULL, "limit is a number of messages, 1 to 1000");
		return false;
	}
	*limit = count.last;
	return true;
}

/* Reads the request's one topic. False: answered with an error. */
static bool read_topic(const struct exchange *x, struct http_text path, struct topic_name *topic)
{
	struct names names = { .path = path, .query = x->req->query, .key = "topic" };
	struct topic_name second;
	const char *error = NULL;
	int r;

	if (names_twice(x, &names))
		return false;
	r = names_next(&names, topic, &error);
	if (r > 0 && (r = names_next(&names, &second, &error)) > 0)
		error = "one topic: a comma in it is written %2C";
	else if (r == 0 && topic->len == 0)
		error = "no topic: GET /history/TOPIC or /history?topic=TOPIC";
	if (error)
		exchange_error(x, 400, NULL, error);
	return !error;
}

/* {"position":...,"more":...,"messages":[ and, behind the messages, ]} */
static size_t put_head(const struct exchange *x, const struct history_query *query, const struct history_result *result, char *dst)
{
	struct position_start start = {
		.epoch = &x->protocols->base->epoch,
		.seq = result->position,
		.resumed = query->since.kind != RESUME_NOT,
		.recovered = result->replay.recovered,
		.missing = result->replay.missing,
	};
	struct sink s = { .dst = dst, .room = ANSWER_REST };

	sink_byte(&s, '{');
	position_put_members(&s, &start);
	sink_text(&s, result->more ? ",\"more\":true,\"messages\":[" : ",\"more\":false,\"messages\":[");
	return s.len;
}

void get_history(const struct exchange *x, struct http_text path)
{
	struct http_answer answer = exchange_answer(x, 200, HTTP_JSON);
	struct outcome o = outcome_nothing(x->protocols->service, x->c);
	/* The body in the upper half of the scratch; the answer is made in the lower one. */
	size_t room = x->protocols->base->scratch_room / 2, len, head;
	char *body = x->protocols->base->scratch + room, begin[ANSWER_REST];
	struct history_query query = { 0 };
	struct history_result result;

	if (!read_topic(x, path, &query.name) || !read_limit(x, &query.limit) || !read_position(x, MEMBER_SINCE, &query.since) ||
	    !read_position(x, MEMBER_BEFORE, &query.before))
		return;
	len = history_query(x->protocols->service, &query, body + ANSWER_REST, room - 2 * ANSWER_REST,
			    room / 2 < ANSWER_BYTES ? room / 2 : ANSWER_BYTES, &result);
	head = put_head(x, &query, &result, begin);
	body += ANSWER_REST - head;
	memcpy(body, begin, head);
	memcpy(body + head + len, "]}\n", 3);
	answer.fields = "Cache-Control: no-store\r\n";
	exchange_reply(x, &o, &answer, body, head + len + 3);
}
