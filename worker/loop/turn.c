/*
 * Which sessions are served in a turn of the loop, and which in a later one. Input that the kernel reports in the first milliseconds of a turn is
 * dealt with at once. Sessions whose input is reported later, and all sessions behind that can be sent to, wait in one list, in the order in which
 * they came. The list is served for some milliseconds a turn. So a turn stays short however many sessions have something to do, and new messages
 * come first.
 *
 * A session in the list is marked (MARK_READABLE, MARK_WRITABLE). An entry whose session has no such mark is out of date: the session was closed,
 * or served.
 */
#include "worker/loop/turn.h"

#include <string.h>
#include <sys/epoll.h>

#include "shm/log.h"
#include "worker/delivery/output.h"
#include "worker/loop/connection.h"
#include "worker/protocol/input.h"
#include "worker/session/watch.h"

#define INPUT_US 10000		/* microseconds from a turn's beginning, in which input is dealt with as it is reported */
#define SERVE_US 5000		/* microseconds of each turn for the list */
#define REPORTS 512		/* sessions that are reported in one turn */

static void serve(struct worker *w, session_id sid, int events)
{
	if (events & EV_WRITE) {
		base_on(&w->base, sid);
		if (output_run(&w->output, sid))
			input_stall(&w->protocols, sid);
		session_watch(&w->base, sid);
		base_on(&w->base, -1);
	}
	if (events & EV_READ && session(&w->base, sid)->status == SESSION_OPEN && session_wants(&w->base, sid) & EV_READ)
		input_ready(&w->protocols, sid);
}

static void take(struct worker *w, session_id sid, int events)
{
	uint64_t marks = (events & EV_READ ? MARK_READABLE : 0) | (events & EV_WRITE ? MARK_WRITABLE : 0);
	bool waits = session_has(&w->base, sid, MARK_READABLE | MARK_WRITABLE);

	if (!waits && !(events & EV_WRITE) && base_clock() - w->turn_began < INPUT_US) {
		serve(w, sid, events);
		return;
	}
	if (waits || base_push(&w->ready, &w->ready_count, &w->ready_room, sid) == 0)
		session_mark(&w->base, sid, marks);
	else
		serve(w, sid, events);	/* no memory for the list */
}

/* Everything is registered anew. (All sessions of a slot, but that is not to happen.) */
static void renew(struct worker *w)
{
	uint32_t end = atomic_load_explicit(&w->base.slot.shm->fd_end, memory_order_relaxed);

	log_warning("an epoll set of connections is made anew, as what is no connection's can't be taken out of it");
	ev_io_stop(w->base.loop, &w->sessions_io);
	if (watch_renew(&w->base.slot) < 0)
		log_warning_limited("epoll: %m");
	turn_start(w);
	for (session_id sid = 0; sid < (session_id)end; sid++)
		if (session(&w->base, sid)->status == SESSION_OPEN)
			session_watch(&w->base, sid);
}

/* A number that is nobody's. False: it is not in the set either, as far as the kernel can be told. */
static bool take_out(struct worker *w, int fd)
{
	return (uint32_t)fd < w->base.slot.shm->sessions_max && watch_end(&w->base.slot, fd) == 0;
}

/* An error or the end of both directions is reported whatever is waited for, and found by reading or writing. */
static int events_of(uint32_t epoll)
{
	return (epoll & (EPOLLIN | EPOLLERR | EPOLLHUP) ? EV_READ : 0) | (epoll & (EPOLLOUT | EPOLLERR | EPOLLHUP) ? EV_WRITE : 0);
}

/* What the kernel reports of a session, also if nobody waits for it. False: it could not be told what is waited for. */
static bool reported(struct worker *w, session_id sid, uint32_t epoll)
{
	int wants = session_wants(&w->base, sid), events = events_of(epoll) & wants;
	bool told = watch_heed(&w->base.slot, session_fd(&w->base, sid), epoll, wants) == 0;

	if (events)
		take(w, sid, events);
	return told;
}

/*
 * In between sessions end, and none begins: a number that is reported is still that session's, or nobody's, as that one has lost its connection just now. But if it is reported again the next
 * time, a file that is closed here is open elsewhere, which nothing but another set gets rid of.
 */
static void on_sessions(struct ev_loop *loop, struct ev_io *io, int events)
{
	static struct epoll_event found[REPORTS];
	struct worker *w = ev_userdata(loop);
	int count = epoll_wait(io->fd, found, REPORTS, 0), stray = 0;

	(void)events;
	for (int i = 0; i < count; i++) {
		int fd = (int)found[i].data.u64;

		if (connection_is_open(w, fd) ? reported(w, fd, found[i].events) : take_out(w, fd))
			continue;
		if (fd + 1 == w->stray) {
			renew(w);
			stray = 0;
			break;
		}
		stray = stray ? stray : fd + 1;
	}
	w->stray = stray;
}

void turn_start(struct worker *w)
{
	ev_io_init(&w->sessions_io, on_sessions, watch_set(&w->base.slot), EV_READ);
	ev_io_start(w->base.loop, &w->sessions_io);
}

bool turn_run(struct worker *w)
{
	uint64_t since = base_clock();

	if (w->ready_count == 0)
		return false;
	while (w->ready_at < w->ready_count && base_clock() - since < SERVE_US) {
		session_id sid = w->ready[w->ready_at++], events = 0;

		if (session_unmark(&w->base, sid, MARK_READABLE))
			events |= EV_READ;
		if (session_unmark(&w->base, sid, MARK_WRITABLE))
			events |= EV_WRITE;
		/* The session may no longer wait for this: it may be closing, say, or not be behind any more. */
		serve(w, sid, events & session_wants(&w->base, sid));
	}
	if (2 * w->ready_at >= w->ready_count) {
		w->ready_count -= w->ready_at;
		memmove(w->ready, w->ready + w->ready_at, w->ready_count * sizeof(*w->ready));
		w->ready_at = 0;
	}
	return w->ready_count > 0;
}
