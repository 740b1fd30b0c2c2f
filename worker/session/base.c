/*
 * The clock, and lists of sessions. See base.h.
 */
#include "worker/session/base.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

void *base_reserve(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int base_push(int **list, uint32_t *count, uint32_t *room, session_id sid)
{
	if (*count == *room) {
		uint32_t more = *room ? 2 * *room : 64;
		int *p = realloc(*list, more * sizeof(*p));

		if (!p)
			return -1;
		*list = p;
		*room = more;
	}
	(*list)[(*count)++] = sid;
	return 0;
}

static uint64_t milliseconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t base_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* The keeper kills a worker that gives no sign of life for hang_limit. */
void base_beat(struct base *base)
{
	uint64_t now = milliseconds();

	base->now = (uint32_t)(now / 1000);
	base->now_ms = now;
	atomic_store_explicit(&base->self->worker_beat, now, memory_order_relaxed);
}

struct version_now base_has(const struct base *base)
{
	return (struct version_now){
		.broadcast = base->settings->broadcast, .once = once_is_on(&base->hub.once), .sessions = base->settings->session_linger > 0,
		.presence = members_is_on(&base->hub.members),
	};
}
