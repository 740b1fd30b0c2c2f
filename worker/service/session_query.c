/*
 * Polling a session. See session_query.h.
 *
 * The session has no connection, so the room for its marks is free: there stands whose request waits for its messages, + 1. That session may have ended
 * since, and its number be another's: who is told so for nothing looks again, and that is all.
 */
#include "worker/service/session_query.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "worker/delivery/frame.h"
#include "worker/delivery/stream.h"
#include "worker/service/attach.h"
#include "worker/service/poll.h"

/* One of its topics, and the next message of it, if there is one. */
struct held {
	struct joined joined;
	enum message_to to;
	struct resume since;
	struct ring_record next;
	bool some;
};

struct query {
	struct service *service;
	struct held *held;
	unsigned count;
};

/* Those that it has, all as they are at one moment. */
static void look_up(struct query *q, session_id from, const struct resume *asked)
{
	struct hub *hub = &q->service->base->hub;
	struct topic_name name;
	struct resume since;
	struct attach a;

	attach_begin(&a, q->service->base, from, asked, &since);
	lock_acquire(&hub->shm->lock, q->service->base->number + 1);
	for (uint32_t sub = a.next; attach_next(&a, &name); sub = a.next) {
		struct held *h = &q->held[q->count++];

		h->joined = (struct joined){ .topic = q->service->base->slot.subscriptions[sub].topic, .tail = ring_tail(&hub->ring) };
		joined_fill(hub, &h->joined);
		h->to = *name.bytes == NAME_INBOX ? MESSAGE_TO_USER : *name.bytes == NAME_EVERYBODY ? MESSAGE_TO_ALL : MESSAGE_TO_TOPIC;
		h->since = since;
	}
	lock_release(&hub->shm->lock, q->service->base->number + 1);
}

static void find_first(struct query *q, struct replay *replay)
{
	for (unsigned i = 0; i < q->count; i++) {
		struct held *h = &q->held[i];

		replay->resume = &h->since;
		h->some = replay_since(q->service, replay, &h->joined, &h->next);
	}
}

static struct held *least(const struct query *q)
{
	struct held *found = NULL;

	for (unsigned i = 0; i < q->count; i++)
		if (q->held[i].some && (!found || q->held[i].next.id < found->next.id))
			found = &q->held[i];
	return found;
}

/* All that have this message: it is written once. */
static void step(const struct query *q, uint64_t id)
{
	for (unsigned i = 0; i < q->count; i++) {
		struct held *h = &q->held[i];
		uint64_t seq = h->next.seq;

		if (h->some && h->next.id == id)
			h->some = stream_seek(q->service->base, h->joined.topic, h->joined.generation, seq + 1, h->joined.tail, seq, &h->next) == 0;
	}
}

static size_t write_messages(struct query *q, unsigned limit, char *dst, size_t room, size_t most, struct history_result *result)
{
	struct held *h;
	size_t len = 0;

	for (; (h = least(q)) != NULL; step(q, h->next.id)) {
		size_t size;

		if (result->count == limit || (result->count > 0 && len > most)) {
			result->more = true;
			break;
		}
		size = history_put(q->service->base, h->to, &h->next, result->count > 0, dst + len, room - len);
		if (!size && !h->next.place.page && !ring_holds(&q->service->base->hub.ring, h->next.seq)) {
			result->replay.recovered = false;	/* (it may be in history by now, and is there with the next request) */
			result->replay.missing++;
		}
		if (!size)
			continue;
		len += size;
		result->position = h->next.id;
		result->count++;
	}
	return len;
}

ssize_t session_query(struct service *service, session_id from, const struct resume *since, unsigned limit, char *dst, size_t room, size_t most,
		      struct history_result *result)
{
	struct query q = { .service = service };
	struct resume asked = *since;
	uint32_t count = session(service->base, from)->count;
	size_t len;

	*result = (struct history_result){ .replay = { .recovered = true } };
	if (count > SESSION_TOPICS_MAX) {
		errno = E2BIG;
		return -1;
	}
	q.held = calloc(count, sizeof(*q.held));
	if (!q.held) {
		errno = ENOMEM;
		return -1;
	}
	hub_pin(&service->base->hub, service->base->number);
	attach_settle(service->base, from, &asked);
	look_up(&q, from, &asked);
	result->position = q.count > 0 ? q.held[0].joined.tail - 1 : 0;
	find_first(&q, &result->replay);
	len = write_messages(&q, limit, dst, room, most, result);
	hub_unpin(&service->base->hub, service->base->number);
	free(q.held);
	return (ssize_t)len;
}

bool session_query_wait(struct service *service, session_id sid, session_id from, uint32_t wait)
{
	struct base *base = service->base;
	bool again = session_polls(base, sid);
	session_id other = session_polled_by(base, from);

	if (again && (poll_is_over(base, sid) || (other >= 0 && other != sid)))
		return false;
	if (other >= 0)
		session_wake_polled(base, from);	/* that one is answered: it finds this one waiting */
	if (!session_is_polled(base, from) && base_push(&base->polled, &base->polled_count, &base->polled_room, from) < 0)
		return false;
	if (!again)
		poll_note(service, sid, wait);
	session_poll_by(base, from, sid);
	return true;
}
