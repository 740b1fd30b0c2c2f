/*
 * Frames that were cut in two: a subscriber could take only part of one.
 *
 * Its rest is not copied anywhere: the session remembers how much of the frame of the record at `pos` was sent, and the frame is made again
 * when the session becomes writable. Only before the ring overwrites that record is the rest copied, to the front of the out buffer. So a
 * slow subscriber costs a cursor, and a very slow one the rest of a frame.
 *
 * The look-out is kept by one number, the least `pos` of a cut frame (or less). Why no cut frame is overwritten, in parts of 1024 of the
 * ring, each at most: publishers stop when this worker's `delivered` is 512 behind, and the last batch brings a quarter of the ring and
 * padding, 260 (publish_count_max()). So the ring's end is never more than 772 from `delivered`, dead or alive. Live sessions are sent
 * nothing from before `delivered`. Others are sent frames only of records less than RESCUE_LAG behind; an older one is copied first, then
 * sent (catchup.c). And before `delivered` moves, all cut frames more than RESCUE_LAG behind are copied (rescue()). So one that is left is
 * never more than RESCUE_LAG + 772 behind: less than 1024, for any size of the ring.
 */
#include <errno.h>

#include "worker/worker.h"

#define RESCUE_LAG 192

void rescue_watch(struct worker *w, uint64_t pos)
{
	if (pos < w->oldest_cut)
		w->oldest_cut = pos;
}

/* The frame of the record at st->pos, in w->scratch. Its size, or 0 when the ring no longer has it. */
static size_t make_cut_frame(struct worker *w, int fd, const struct session_state_shm *st)
{
	uint32_t base = session(w, fd)->page_base;
	struct ring_record rec;
	size_t size;

	if (frame_skipped(w, st->transport, st->pos) || ring_read(&w->hub.ring, st->pos, &rec) < 0)
		return 0;
	size = frame_size(w, st->transport, base, &rec);
	if (size <= st->cut || size > w->scratch_room || frame_write(w, st->transport, base, &rec, w->scratch, size) < 0)
		return 0;
	return size;
}

int rescue_send(struct worker *w, int fd, struct session_state_shm *st)
{
	if (st->cut)
		session(w, fd)->rescued = 0;
	while (st->cut) {
		size_t size = make_cut_frame(w, fd, st);
		long n;

		if (!size) {
			session_abort(w, fd, COUNTER_closed_slow);
			return -1;
		}
		n = batch_send(w, fd, w->scratch + st->cut, size - st->cut);
		if (n > 0) {
			st->sent += (uint64_t)n;
			st->cut += (uint32_t)n;
			st->last_out = w->now;
			if (st->cut == size) {
				st->cut = 0;
				st->pos++;
				worker_count(w, COUNTER_delivered, 1);
			}
			session_commit(w, fd, st);
		}
		batch_landed(w);
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
	}
	return 1;
}

void rescue_sent(struct worker *w, int fd, uint64_t from, uint64_t to)
{
	struct session_shm *s = session(w, fd);

	if (s->rescued && s->rescued - (uint32_t)from <= to - from && s->rescued != (uint32_t)from) {
		s->rescued = 0;
		worker_count(w, COUNTER_delivered, 1);
	}
}

bool rescue_must(const struct worker *w, uint64_t seq)
{
	return ring_lag(&w->hub.ring, seq) > RESCUE_LAG;
}

/*
 * Should it not come to the commit: a frame that still is cut, or is to be sent, says that this is not so. (0 means none: then a byte
 * less.)
 */
void rescue_note(struct worker *w, int fd, uint64_t end)
{
	session(w, fd)->rescued = (uint32_t)end;
	if (!session(w, fd)->rescued)
		session(w, fd)->rescued--;
}

bool rescue_session(struct worker *w, int fd)
{
	struct session_state_shm st = session(w, fd)->state, next = st;
	size_t size = make_cut_frame(w, fd, &st);

	if (!size)
		return false;
	next.out = LENT_NONE;
	next.out_start = next.out_end = 0;
	if (session_append(w, fd, &next, w->scratch + st.cut, size - st.cut) < 0)
		return false;
	if (st.out_end > st.out_start &&
	    session_append(w, fd, &next, lend_bytes(&w->slot, st.out) + st.out_start, st.out_end - st.out_start) < 0) {
		lend_give(&w->lend, next.out);
		return false;
	}
	rescue_note(w, fd, st.sent + size - st.cut);
	next.cut = 0;
	next.pos++;
	session_commit(w, fd, &next);
	return true;
}

void rescue_all(struct worker *w, unsigned lag)
{
	uint32_t end = atomic_load_explicit(&w->slot.shm->fd_end, memory_order_relaxed);

	w->oldest_cut = UINT64_MAX;
	for (uint32_t fd = 0; fd < end; fd++) {
		const struct session_shm *s = session(w, (int)fd);

		if (fd % 256 == 0)
			worker_beat(w);
		if (s->status != SESSION_OPEN || !s->state.cut)
			continue;
		if (ring_lag(&w->hub.ring, s->state.pos) > lag && rescue_session(w, (int)fd))
			continue;
		/* One that can't be rescued ends now: else the table would be walked for it every turn. (At a freeze it may come to more.) */
		if (lag > 0 && ring_lag(&w->hub.ring, s->state.pos) > lag) {
			worker_count(w, COUNTER_closed_slow, 1);
			session_close(w, (int)fd);
		} else {
			rescue_watch(w, s->state.pos);
		}
	}
}

void rescue(struct worker *w)
{
	if (w->oldest_cut != UINT64_MAX && rescue_must(w, w->oldest_cut))
		rescue_all(w, RESCUE_LAG * 3 / 4);
}
