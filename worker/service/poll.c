/*
 * Long polling. See poll.h.
 */
#include "worker/service/poll.h"

#include "shm/crash.h"
#include "worker/delivery/leave.h"

void poll_note(struct service *service, session_id sid, uint32_t wait)
{
	struct session_shm *s = session(service->base, sid);

	s->until = 0;
	s->page_base = (uint32_t)s->state.parsed;
	s->until = service->base->now + wait ? service->base->now + wait : 1;
}

const char *poll_begin(struct service *service, session_id sid, const struct topic_name *topic, uint32_t wait)
{
	struct session_shm *s = session(service->base, sid);
	struct session_state_shm st = s->state;
	bool again = session_polls(service->base, sid);
	const char *error = subscribe_add(service, sid, &st, topic, NULL);

	if (error || again)
		return error;
	s->until = 0;		/* what is noted is not of this request any more */
	st.pos = service->base->slot.subscriptions[atomic_load_explicit(&s->subscriptions, memory_order_relaxed)].from;
	session_commit(service->base, sid, &st);
	poll_note(service, sid, wait);
	CRASH_POINT("poll-begun");
	return NULL;
}

uint64_t poll_from(const struct service *service, session_id sid)
{
	return session(service->base, sid)->state.pos;
}

void poll_wait(struct cursor *c)
{
	c->stop = c->waits = true;
}

void poll_end(struct service *service, session_id sid)
{
	if (session(service->base, sid)->count > 0)
		leave_all(service->topics, service->multi_topic, sid, TRANSPORT_HTTP);
}
