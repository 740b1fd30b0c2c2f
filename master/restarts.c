/*
 * Crash loops. See restarts.h.
 */
#include "master/restarts.h"

#include <time.h>

#define PAUSE_LEAST 10		/* milliseconds */
#define PAUSE_DOUBLED 9		/* times at most: about 5 s */

uint64_t restarts_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

enum restart_verdict restarts_note(struct restarts *r, const struct settings *settings, uint64_t now)
{
	if (r->count > 0 && now - r->last > (uint64_t)settings->restart_window)
		r->count = 0;
	r->last = now;
	if (++r->count <= (uint64_t)settings->restart_limit)
		return RESTART;
	r->count = 0;
	if (r->emptied)
		return RESTART_NEVER;
	r->emptied = true;
	return RESTART_EMPTY;
}

void restarts_progress(struct restarts *r)
{
	r->count = 0;
	r->emptied = false;
}

unsigned restarts_pause(struct restarts *r)
{
	unsigned doubled = r->pauses < PAUSE_DOUBLED ? r->pauses : PAUSE_DOUBLED;

	r->pauses++;
	return PAUSE_LEAST << doubled;
}

void restarts_ready(struct restarts *r)
{
	r->pauses = 0;
}
