/*
 * What each connection has sent in this second. See flood.h.
 */
#include "worker/service/flood.h"

/* NULL: nobody counts. */
static struct flood *flood_of(struct worker *w, int fd)
{
	struct flood *f = w->flood ? &w->flood[fd] : NULL;

	if (f && f->second != w->base.now)
		*f = (struct flood){ .second = w->base.now };
	return f;
}

bool flood_has(struct worker *w, int fd, unsigned messages)
{
	const struct flood *f = flood_of(w, fd);

	return f && w->base.settings->flood_messages && f->messages + (uint64_t)messages > (uint64_t)w->base.settings->flood_messages;
}

bool flood_bytes(struct worker *w, int fd, size_t bytes)
{
	struct flood *f = flood_of(w, fd);

	if (!f)
		return false;
	f->bytes += bytes;
	return w->base.settings->flood_bytes && f->bytes > (uint64_t)w->base.settings->flood_bytes;
}

void flood_messages(struct worker *w, int fd, unsigned messages)
{
	struct flood *f = flood_of(w, fd);

	if (f)
		f->messages += messages;
}

void flood_again(struct worker *w, int fd, unsigned messages)
{
	if (w->flood)
		w->flood[fd].messages -= messages;
}
