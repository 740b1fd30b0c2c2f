/*
 * What connections send in a second.
 */
#include "worker/service/flood.h"

/* What a connection has sent in this second; NULL: nobody counts. */
static struct flood *flood_of(struct worker *w, int fd)
{
	struct flood *f = w->flood ? &w->flood[fd] : NULL;

	if (f && f->second != w->base.now)
		*f = (struct flood){ .second = w->base.now };
	return f;
}

bool cursor_floods(struct worker *w, const struct cursor *c, unsigned messages)
{
	const struct flood *f = flood_of(w, c->fd);

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

void flood_count(struct worker *w, struct cursor *c)
{
	struct flood *f = flood_of(w, c->fd);

	if (f)
		f->messages += c->units;
	c->units = 0;
}
