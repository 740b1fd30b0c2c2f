/*
 * POST /kick?id= | ?topic= | ?user= | ?sub=, &reason=: ends those clients' connections. On admin listeners alone.
 *
 * The order is put into all slots' queues, and the answer says no more than that (202): a worker waits for no other. What was done is counted (`kicked`).
 */
#include <errno.h>
#include <string.h>

#include "proto/sink.h"
#include "worker/protocol/http_routes.h"
#include "worker/service/order.h"

#define ANSWER_MAX 128

/* *text: the parameter's value, in dst, terminated; NULL: it is not there. False: answered with an error. */
static bool read_text(const struct exchange *x, enum member name, char dst[PARAMETER_MAX + 1], const char **text)
{
	int len = parameter_read(x, name, dst);

	*text = len >= 0 ? dst : NULL;
	if (len < 0)
		return len == PARAMETER_NONE;
	dst[len] = '\0';
	if (!memchr(dst, '\0', (size_t)len))
		return true;
	exchange_error(x, 400, NULL, "a parameter has a NUL in it");
	return false;
}

static void answer(const struct exchange *x, uint64_t slots)
{
	struct http_answer answer = exchange_answer(x, 202, HTTP_JSON);
	struct outcome o = outcome_nothing(x->protocols->service, x->c);
	char text[ANSWER_MAX];
	struct sink s = { .dst = text, .room = sizeof(text) };

	sink_literal(&s, "{\"ok\":true,\"workers\":");
	sink_number(&s, (uint64_t)__builtin_popcountll(slots));
	sink_literal(&s, "}\n");
	exchange_reply(x, &o, &answer, text, s.len);
}

void post_kick(const struct exchange *x, struct http_text path)
{
	char id[PARAMETER_MAX + 1], topic[PARAMETER_MAX + 1], user[PARAMETER_MAX + 1], sub[PARAMETER_MAX + 1], reason[PARAMETER_MAX + 1];
	struct order_who who;
	const char *why, *error;
	struct client_order order;
	unsigned slot;
	uint64_t slots;

	(void)path;
	if (!read_text(x, MEMBER_ID, id, &who.id) || !read_text(x, MEMBER_TOPIC, topic, &who.topic) || !read_text(x, MEMBER_USER, user, &who.user) ||
	    !read_text(x, MEMBER_SUB, sub, &who.sub) || !read_text(x, MEMBER_REASON, reason, &why))
		return;
	error = order_read(&order, &slot, &who, why);
	if (error)
		exchange_error(x, 400, NULL, error);
	else if (order_send(&x->protocols->base->hub, x->protocols->service->queue, &order, slot, &slots) == 0)
		answer(x, slots);
	else if (errno == ESRCH)
		exchange_error(x, 404, NULL, "no such client is there");
	else
		exchange_error(x, 503, NULL, "too many such orders wait to be dealt with: try again");
}
