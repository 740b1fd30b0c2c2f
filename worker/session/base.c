/*
 * The turn's clock, and lists. See base.h.
 */
#include "worker/session/base.h"

#include <stdlib.h>
#include <time.h>

int worker_push(int **list, uint32_t *count, uint32_t *room, int fd)
{
	if (*count == *room) {
		uint32_t more = *room ? 2 * *room : 64;
		int *p = realloc(*list, more * sizeof(*p));

		if (!p)
			return -1;
		*list = p;
		*room = more;
	}
	(*list)[(*count)++] = fd;
	return 0;
}

static uint64_t milliseconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t worker_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* A sign of life, once a turn of the loop or a piece of a longer work: the keeper kills a worker that gives none. */
void worker_beat(struct worker *w)
{
	uint64_t now = milliseconds();

	w->now = (uint32_t)(now / 1000);
	w->now_ms = now;
	atomic_store_explicit(&w->self->worker_beat, now, memory_order_relaxed);
}
