/*
 * Restart intensity. See restarts.h.
 */
#include "master/restarts.h"

#include <time.h>

uint64_t restarts_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

enum restart_verdict restarts_note(struct restarts *r, const struct settings *settings)
{
	return restarts_note_at(r, settings, restarts_now());
}

enum restart_verdict restarts_note_at(struct restarts *r, const struct settings *settings, uint64_t now)
{
	uint64_t limit = (uint64_t)settings->restart_limit, window = (uint64_t)settings->restart_window;
	uint64_t oldest;

	r->at[r->count++ % RESTARTS_KEPT] = now;
	if (limit >= RESTARTS_KEPT || r->count <= limit)
		return RESTART;
	/* The limit + 1 last ones: do they lie within the window? */
	oldest = r->at[(r->count - 1 - limit) % RESTARTS_KEPT];
	if (now - oldest > window)
		return RESTART;
	r->count = 0;
	if (r->emptied && now - r->emptied <= 2 * window)
		return RESTART_NEVER;
	r->emptied = now;
	return RESTART_EMPTY;
}
