/*
 * What the service manager is told, if there is one (notify.h): that the server is ready, when all its workers are live; that it reloads, and is ready
 * again; how it is; that it stops; and, if it wants to know, that it is alive. A reload executes a program in the master's place, so what follows a reload
 * is the new program's to say, and it begins with not having said anything.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "master/master.h"
#include "master/notify.h"
#include "shm/log.h"

#define SOON 0.01		/* seconds between looks whether all is ready */
#define TICK_MS 1000u		/* and later */
#define STATUS_MS 2000		/* between two lines of how it is, at least */
#define SILENT_MS 30000		/* a worker without a sign of life, if hang_limit says nothing */
#define MORE_MS 5000		/* beyond twice hang_limit, when its keeper should have replaced it */

static __attribute__((format(printf, 1, 2))) bool tell(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (notify_send(text) == 0)
		return true;
	log_warning_limited("$NOTIFY_SOCKET: %s", strerror(errno));
	return false;
}

static bool all_live(const struct master *m)
{
	for (unsigned i = 0; i < (unsigned)m->config.settings.workers; i++)
		if (atomic_load(&m->hub.shm->slot[i].state) != SLOT_LIVE)
			return false;
	return true;
}

static void write_status(const struct master *m, char *dst, size_t size)
{
	unsigned live = 0, used = 0;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		used += m->h.slots[i].used;
		live += m->h.slots[i].used && atomic_load(&m->hub.shm->slot[i].state) == SLOT_LIVE;
	}
	if (live == used)
		snprintf(dst, size, "%llu connections, %u workers", (unsigned long long)hub_connections(&m->hub), used);
	else
		snprintf(dst, size, "%llu connections, %u of %u workers", (unsigned long long)hub_connections(&m->hub), live, used);
}

static void tell_status(struct master *m, uint64_t now)
{
	char text[sizeof(m->service.status)];

	if (m->stopping || now - m->service.status_at < STATUS_MS)
		return;
	write_status(m, text, sizeof(text));
	if (strcmp(text, m->service.status) == 0 || !tell("STATUS=%s", text))
		return;
	m->service.status_at = now;
	memcpy(m->service.status, text, sizeof(text));
}

/*
 * The master's loop turns, or this would not run. A worker that hangs is its keeper's to replace, and a keeper that hangs the master's; if neither has
 * happened in time, the service manager is to see to it. (One that has given no sign of life in this hub yet is watched by its keeper alone.)
 */
bool service_healthy(const struct master *m, uint64_t now)
{
	uint64_t hang = (uint64_t)m->config.settings.hang_limit, limit = hang ? 2 * hang + MORE_MS : SILENT_MS, beat;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		beat = atomic_load_explicit(&m->hub.shm->slot[i].worker_beat, memory_order_relaxed);
		if (m->h.slots[i].used && !m->stopping && beat && now > beat && now - beat > limit)
			return false;
	}
	return true;
}

static void tell_alive(struct master *m, uint64_t now)
{
	uint64_t watchdog = notify_watchdog_ms();

	if (!watchdog || now - m->service.alive_at < watchdog / 2 - watchdog / 8)
		return;
	if (!service_healthy(m, now))
		log_warning_limited("a worker gives no sign of life, and nobody has replaced it: the service manager is told of none, either");
	else if (tell("WATCHDOG=1"))
		m->service.alive_at = now;
}

/* False: it is ready, and that could not be told. */
static bool tell_ready(struct master *m, uint64_t now)
{
	if (m->service.ready || m->reloading || m->rolling || m->stopping || !(m->service.follows || all_live(m)))
		return true;
	write_status(m, m->service.status, sizeof(m->service.status));
	m->service.ready = m->service.follows = tell("READY=1\nMAINPID=%d\nSTATUS=%s", (int)getpid(), m->service.status);
	m->service.status_at = now;
	return m->service.ready;
}

static void on_tick(struct ev_loop *loop, struct ev_timer *t, int events)
{
	struct master *m = ev_userdata(loop);
	uint64_t now = restarts_now(), ms = TICK_MS, watchdog = notify_watchdog_ms();

	bool told;

	(void)events;
	told = tell_ready(m, now);
	tell_alive(m, now);
	if (m->service.ready)
		tell_status(m, now);
	if (watchdog && watchdog / 4 < ms)
		ms = watchdog / 4;
	t->repeat = m->service.ready || m->stopping || !told ? (double)ms / 1000 : SOON;
	ev_timer_again(loop, t);
}

void service_start(struct master *m, bool follows)
{
	m->service.follows = follows;
	ev_timer_init(&m->service.timer, on_tick, 0, SOON);
	if (notify_wanted())
		ev_timer_start(m->loop, &m->service.timer);
}

void service_reloading(struct master *m)
{
	struct timespec now;

	if (!notify_wanted())
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	tell("RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reloading", (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
	m->service.ready = false;
	m->service.timer.repeat = SOON;
	ev_timer_again(m->loop, &m->service.timer);
}

void service_stopping(void)
{
	if (notify_wanted())
		tell("STOPPING=1\nSTATUS=stopping");
}
