/*
 * What each connection has sent in this second. See flood.h.
 */
#include "worker/service/flood.h"

/* The session's counts of this second. NULL: nothing is counted, as neither limit is set. */
static struct flood *flood_of(struct service *service, session_id sid)
{
	struct flood *f = service->flood ? &service->flood[sid] : NULL;

	if (f && f->second != service->base->now)
		*f = (struct flood){ .second = service->base->now };
	return f;
}

bool flood_has(struct service *service, session_id sid, unsigned messages)
{
	const struct flood *f = flood_of(service, sid);

	return f && service->base->settings->flood_messages && f->messages + (uint64_t)messages > (uint64_t)service->base->settings->flood_messages;
}

bool flood_bytes(struct service *service, session_id sid, size_t bytes)
{
	struct flood *f = flood_of(service, sid);

	if (!f)
		return false;
	f->bytes += bytes;
	return service->base->settings->flood_bytes && f->bytes > (uint64_t)service->base->settings->flood_bytes;
}

void flood_messages(struct service *service, session_id sid, unsigned messages)
{
	struct flood *f = flood_of(service, sid);

	if (f)
		f->messages += messages;
}

void flood_again(struct service *service, session_id sid, unsigned messages)
{
	if (service->flood)
		service->flood[sid].messages -= messages;
}
