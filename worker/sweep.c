/*
 * What time brings: heartbeats, and the end of those who do not end themselves. The session table is swept a slice a tick, all of it
 * once a second: a timer a connection would cost more memory than the session.
 */
#include "proto/flash.h"
#include "worker/worker.h"

#define TICKS_A_SECOND 10
#define LINGER 3		/* seconds that a peer has to close after we have */

static void heartbeat(struct worker *w, int fd)
{
	struct session_state_shm st = session(w, fd)->state;

	if (st.flags || st.out != LENT_NONE)
		return;		/* it has something to be sent already */
	if (session_answer(w, fd, st.parsed, FLASH_PING, sizeof(FLASH_PING) - 1)) {
		worker_count(w, COUNTER_heartbeats, 1);
		session_flush(w, fd);
	}
}

static void look_at(struct worker *w, int fd)
{
	const struct session_state_shm *st = &session(w, fd)->state;

	if (st->flags & SESSION_LINGER) {
		if (w->now - st->last_out >= LINGER)
			session_close(w, fd);
	} else if ((w->now - st->last_out) * 1000ll < w->settings->heartbeat) {
		return;
	} else if (!(st->flags & SESSION_BEHIND)) {
		heartbeat(w, fd);
	} else if (w->settings->slow == SLOW_DISCONNECT && st->pos < ring_oldest(&w->hub.ring)) {
		catchup_check(w, fd);
	}
}

void sweep(struct worker *w)
{
	uint32_t end = atomic_load_explicit(&w->slot.shm->fd_end, memory_order_relaxed);
	uint32_t slice = end / TICKS_A_SECOND + 1;

	if (w->sweep_at >= end)
		w->sweep_at = 0;
	for (uint32_t i = 0; i < slice && w->sweep_at < end; i++, w->sweep_at++)
		if (session(w, (int)w->sweep_at)->status == SESSION_OPEN)
			look_at(w, (int)w->sweep_at);
}
