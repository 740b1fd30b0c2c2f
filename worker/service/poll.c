/*
 * Long polling. See poll.h.
 */
#include "worker/service/poll.h"

#include "worker/delivery/leave.h"

const char *poll_begin(struct service *service, session_id sid, const struct topic_name *topic, uint32_t wait)
{
	struct session_state_shm st = session(service->base, sid)->state;

	session(service->base, sid)->until = service->base->now + wait;
	return subscribe_add(service, sid, &st, topic, NULL);
}

uint64_t poll_from(const struct service *service, session_id sid)
{
	uint32_t i = atomic_load_explicit(&session(service->base, sid)->subscriptions, memory_order_relaxed);

	return service->base->slot.subscriptions[i].from;
}

void poll_wait(struct cursor *c)
{
	c->stop = c->waits = true;
}

void poll_end(struct service *service, session_id sid)
{
	if (poll_waits(service->base, sid))
		leave_all(service->topics, service->multi_topic, sid, TRANSPORT_HTTP);
}
