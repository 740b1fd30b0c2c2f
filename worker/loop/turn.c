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

#include "worker/delivery/output.h"
#include "worker/protocol/input.h"

#define INPUT_US 10000		/* microseconds from a turn's beginning, in which input is dealt with as it is reported */
#define SERVE_US 5000		/* microseconds of each turn for the list */

static void serve(struct worker *w, session_id sid, int events)
{
	if (events & EV_WRITE) {
		base_on(&w->base, sid);
		if (output_run(&w->output, sid))
			input_stall(&w->protocols, sid);
		session_watch(&w->base, sid);
		base_on(&w->base, -1);
	}
	if (events & EV_READ && ev_is_active(&w->base.io[sid]) && session(&w->base, sid)->status == SESSION_OPEN)
		input_ready(&w->protocols, sid);
}

void turn_take(struct worker *w, session_id sid, int events)
{
	uintptr_t marks = (events & EV_READ ? MARK_READABLE : 0) | (events & EV_WRITE ? MARK_WRITABLE : 0);
	bool waits = (uintptr_t)w->base.io[sid].data & (MARK_READABLE | MARK_WRITABLE);

	if (!waits && !(events & EV_WRITE) && base_clock() - w->turn_began < INPUT_US) {
		serve(w, sid, events);
		return;
	}
	if (waits || base_push(&w->ready, &w->ready_count, &w->ready_room, sid) == 0)
		session_mark(&w->base, sid, marks);
	else
		serve(w, sid, events);	/* no memory for the list */
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
		serve(w, sid, events & w->base.io[sid].events);
	}
	if (2 * w->ready_at >= w->ready_count) {
		w->ready_count -= w->ready_at;
		memmove(w->ready, w->ready + w->ready_at, w->ready_count * sizeof(*w->ready));
		w->ready_at = 0;
	}
	return w->ready_count > 0;
}
