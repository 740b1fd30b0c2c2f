/*
 * What those ask who watch the server, not its clients.
 *
 * GET /healthz: whoever gets an answer knows that a worker lives.
 * GET /readyz: whether all workers do, and none is on its way out; and, with nats_stream, whether what other nodes have kept is here.
 * GET /metrics: what there is to count, for Prometheus (admin listeners).
 *
 * Any worker answers for all of them, from the hub segment, without a lock.
 */
#include "shm/metrics.h"
#include "shm/nodes.h"
#include "worker/protocol/http_routes.h"

#define SAID_MAX 16		/* workers that are not ready: an error is a line */
#define FIELDS "Cache-Control: no-store\r\n"

static void answer(const struct exchange *x, const char *type, const char *text, size_t len)
{
	struct http_answer answer = exchange_answer(x, 200, type);
	struct outcome o = outcome_nothing(x->protocols->service, x->c);

	answer.fields = FIELDS;
	exchange_reply(x, &o, &answer, text, len);
}

void get_healthz(const struct exchange *x, struct http_text path)
{
	(void)path;
	answer(x, HTTP_JSON, "{\"ok\":true}\n", sizeof("{\"ok\":true}\n") - 1);
}

/* NULL: it serves. */
static const char *why_not(const struct hub_slot_shm *s)
{
	switch (atomic_load_explicit(&s->state, memory_order_relaxed)) {
	case SLOT_LIVE:
		return atomic_load_explicit(&s->draining, memory_order_relaxed) || atomic_load_explicit(&s->drain, memory_order_relaxed) ? "is draining" : NULL;
	case SLOT_QUIESCED:
		return "is being upgraded";
	default:
		return "is starting";
	}
}

void get_readyz(const struct exchange *x, struct http_text path)
{
	const struct hub *hub = &x->protocols->base->hub;
	char text[(SAID_MAX + 1) * 32];
	struct sink s = { .dst = text, .room = sizeof(text) };
	unsigned said = 0;

	(void)path;
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		const struct hub_slot_shm *slot = &hub->shm->slot[i];
		const char *why = atomic_load_explicit(&slot->state, memory_order_relaxed) == SLOT_UNUSED ? NULL : why_not(slot);

		if (!why)
			continue;
		if (said++ >= SAID_MAX)
			continue;
		sink_text(&s, s.len ? ", worker " : "worker ");
		sink_number(&s, i);
		sink_byte(&s, ' ');
		sink_text(&s, why);
	}
	if (s.len == 0 && nodes_stream(hub) == STREAM_FILLING)
		sink_literal(&s, "what other servers have kept is being read (nats_stream)");
	if (s.len == 0) {
		answer(x, HTTP_JSON, "{\"ready\":true}\n", sizeof("{\"ready\":true}\n") - 1);
		return;
	}
	if (said > SAID_MAX) {
		sink_text(&s, ", and ");
		sink_number(&s, said - SAID_MAX);
		sink_text(&s, " more");
	}
	sink_byte(&s, '\0');
	exchange_error(x, 503, FIELDS, text);
}

void get_metrics(const struct exchange *x, struct http_text path)
{
	size_t room = x->protocols->base->scratch_room / 2;	/* the upper half, as the answer is made in the lower one */
	struct sink s = { .dst = x->protocols->base->scratch + room, .room = room - HTTP_ANSWER_MAX };

	(void)path;
	metrics_put(&s, &x->protocols->base->hub);
	answer(x, METRICS_TYPE, s.dst, sink_end(&s));
}
