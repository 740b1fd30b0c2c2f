/*
 * Partial frames. See partial_frame.h.
 */
#include "worker/delivery/partial_frame.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>

#include <bsd/sys/tree.h>

#include "shm/crash.h"
#include "worker/delivery/frame.h"
#include "worker/io/send_batch.h"

#define KEEP_LAG 192		/* of 1024 parts of the ring: see partial_frame.h */
#define LARGE (64 * 1024)	/* bytes; a larger frame is kept, and not made again for every piece */
#define PROTECT_US 5000		/* microseconds of a turn, for keeping frames */
#define IDLE_MAX 64		/* places in partial_frames.idle */

/* A frame that a session is in the middle of, or that is kept. */
struct partial_frame {
	uint64_t seq;			/* the message's id */
	uint32_t transport, page_base;
	uint32_t sessions;		/* how many sessions are in the middle of it */
	uint32_t ref;			/* its buffer; 0: it is not kept */
	bool idle;			/* it is in partial_frames.idle */
	bool doomed;			/* its sessions are to be disconnected */
	RB_ENTRY(partial_frame) node;
	TAILQ_ENTRY(partial_frame) link;	/* for kept frames: in the order of the slot segment's list */
};

RB_HEAD(partial_tree, partial_frame);
TAILQ_HEAD(partial_list, partial_frame);

struct partial_frames {
	struct base *base;
	struct batch *batch;
	struct partial_tree loose, kept;	/* frames that are not kept, and kept ones, by sequence */
	struct partial_list list;	/* the kept ones, as the slot segment links them */
	struct partial_frame *idle[IDLE_MAX];	/* frames that may have no session any more */
	uint32_t idle_count;
	struct partial_frame *free;		/* unused entries of `frames`, linked by RB_LEFT() */
	uint32_t used_end, max;		/* entries from `used_end` on were never used; `max`: all of them */
	struct partial_frame frames[];
};

static int compare(const struct partial_frame *a, const struct partial_frame *b)
{
	if (a->seq != b->seq)
		return a->seq < b->seq ? -1 : 1;
	if (a->transport != b->transport)
		return a->transport < b->transport ? -1 : 1;
	return a->page_base < b->page_base ? -1 : a->page_base > b->page_base;
}

RB_GENERATE_INTERNAL(partial_tree, partial_frame, node, compare, static __attribute__((unused)))

struct partial_frames *partial_create(struct base *base, struct batch *batch, uint32_t sessions_max)
{
	/*
	 * Entries for the frames of all sessions, and as many for frames that the last worker has kept: if memory is damaged, these may be of no
	 * session.
	 */
	uint32_t max = 2 * sessions_max + IDLE_MAX;
	struct partial_frames *all = mmap(NULL, sizeof(*all) + max * sizeof(all->frames[0]), PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (all == MAP_FAILED)
		return NULL;
	all->base = base;
	all->batch = batch;
	RB_INIT(&all->loose);
	RB_INIT(&all->kept);
	TAILQ_INIT(&all->list);
	all->max = max;
	return all;
}

/* ---- the frames ---- */

/* What the session's frames depend on beside record and transport; 0: nothing. (Of those whose frames do not, that member means something else.) */
static uint32_t page_base_of(const struct partial_frames *partial, session_id sid, uint32_t transport)
{
	return transport_has(transport, TRANSPORT_OWN_FRAMES) ? session(partial->base, sid)->page_base : 0;
}

/* The key of the frame that the session is in the middle of, in the state `st`. */
static struct partial_frame key_of(const struct partial_frames *partial, session_id sid, const struct session_state_shm *st)
{
	return (struct partial_frame){ .seq = st->pos, .transport = st->transport, .page_base = page_base_of(partial, sid, st->transport) };
}

/* The key of a kept frame. */
static struct partial_frame key_of_kept(const struct buffer_shm *head)
{
	return (struct partial_frame){ .seq = head->base, .transport = head->scan[BUFFER_TRANSPORT], .page_base = head->scan[BUFFER_PAGE_BASE] };
}

static struct partial_frame *find(const struct partial_frames *partial, const struct partial_frame *key)
{
	struct partial_frame *p = RB_FIND(partial_tree, (struct partial_tree *)&partial->loose, (struct partial_frame *)key);

	return p ? p : RB_FIND(partial_tree, (struct partial_tree *)&partial->kept, (struct partial_frame *)key);
}

/* No session is in the middle of the frame: partial_trim() will look at it. */
static void note_idle(struct partial_frames *partial, struct partial_frame *p)
{
	if (p->idle)
		return;
	if (partial->idle_count == IDLE_MAX)
		partial_trim(partial);
	p->idle = true;
	partial->idle[partial->idle_count++] = p;
}

static struct partial_frame *find_or_make(struct partial_frames *partial, const struct partial_frame *key)
{
	struct partial_frame *p = find(partial, key);

	if (p)
		return p;
	if (partial->free) {
		p = partial->free;
		partial->free = RB_LEFT(p, node);
	} else {
		assert(partial->used_end < partial->max);	/* a session is in the middle of one frame at most */
		p = &partial->frames[partial->used_end++];
	}
	*p = (struct partial_frame){ .seq = key->seq, .transport = key->transport, .page_base = key->page_base };
	RB_INSERT(partial_tree, &partial->loose, p);
	return p;
}

/* What links the kept frame in the slot segment: the frame before it, or slot_shm.kept. */
static _Atomic uint32_t *link_to(const struct partial_frames *partial, const struct partial_frame *p)
{
	const struct partial_frame *before = TAILQ_PREV(p, partial_list, link);

	return before ? &pool_header(&partial->base->slot, before->ref)->next : &partial->base->slot.shm->kept;
}

/* Removes the frame. A kept one is unlinked first: after a death behind that, its buffer is free, as nothing names it. */
static void forget(struct partial_frames *partial, struct partial_frame *p)
{

	if (p->ref) {
		uint32_t next = atomic_load_explicit(&pool_header(&partial->base->slot, p->ref)->next, memory_order_relaxed);

		atomic_store_explicit(link_to(partial, p), next, memory_order_release);
		CRASH_POINT("partial-unlinked");
		TAILQ_REMOVE(&partial->list, p, link);
		pool_give(&partial->base->pool, p->ref);
	}
	RB_REMOVE(partial_tree, p->ref ? &partial->kept : &partial->loose, p);
	RB_LEFT(p, node) = partial->free;
	partial->free = p;
}

void partial_trim(struct partial_frames *partial)
{

	for (uint32_t i = 0; i < partial->idle_count; i++) {
		struct partial_frame *p = partial->idle[i];

		p->idle = false;
		if (p->sessions == 0)
			forget(partial, p);
	}
	partial->idle_count = 0;
}

void partial_join(struct partial_frames *partial, session_id sid, const struct session_state_shm *st)
{
	struct partial_frame key = key_of(partial, sid, st);

	find_or_make(partial, &key)->sessions++;
}

void partial_leave(struct partial_frames *partial, session_id sid, const struct session_state_shm *st)
{
	struct partial_frame key = key_of(partial, sid, st), *p = find(partial, &key);

	assert(p && p->sessions > 0);
	if (--p->sessions == 0)
		note_idle(partial, p);
}

void partial_moved(struct partial_frames *partial, session_id sid, const struct session_state_shm *from, const struct session_state_shm *to)
{
	if (from->flags & to->flags & SESSION_CUT && from->pos == to->pos && from->transport == to->transport)
		return;
	if (to->flags & SESSION_CUT)
		partial_join(partial, sid, to);
	if (from->flags & SESSION_CUT)
		partial_leave(partial, sid, from);
}

/* ---- keeping ---- */

/* Links the frame, which stands whole in the buffer `ref` with its `size` bytes: from now on it is kept. */
static void link_frame(struct partial_frames *partial, struct partial_frame *p, uint32_t ref, size_t size)
{
	struct buffer_shm *head = pool_header(&partial->base->slot, ref);

	head->owner = 0;
	head->base = p->seq;
	head->len = (uint32_t)size;
	head->since = partial->base->now;
	head->scan[BUFFER_TRANSPORT] = p->transport;
	head->scan[BUFFER_PAGE_BASE] = p->page_base;
	atomic_store_explicit(&head->next, atomic_load_explicit(&partial->base->slot.shm->kept, memory_order_relaxed), memory_order_relaxed);
	CRASH_POINT("partial-filled");
	/* release: the frame is whole when it is linked */
	atomic_store_explicit(&partial->base->slot.shm->kept, ref, memory_order_release);
	CRASH_POINT("partial-linked");
	RB_REMOVE(partial_tree, &partial->loose, p);
	p->ref = ref;
	RB_INSERT(partial_tree, &partial->kept, p);
	TAILQ_INSERT_HEAD(&partial->list, p, link);
	base_count(partial->base, COUNTER_frames_kept, 1);
}

/* Sets *rec to the frame's record: `of`, or what the ring has. Returns the frame's length; 0 with ESTALE: it can't be made any more. */
static size_t measure(const struct partial_frames *partial, const struct partial_frame *key, const struct ring_record *of, struct ring_record *rec)
{
	size_t size = 0;
	bool there = of || ring_read(&partial->base->hub.ring, key->seq, rec) == 0;

	if (of)
		*rec = *of;
	if (there && !frame_skipped(partial->base, key->transport, key->seq))
		size = frame_size(partial->base, key->transport, key->page_base, rec);
	if (!size)
		errno = ESTALE;
	return size;
}

/*
 * Keeps the frame, for session `sid` (-1: for none in particular). `rec` is its record; NULL: it is read from the ring. With `must`, other sessions are disconnected if there is no room, so the state of
 * any session but `sid` may have changed afterwards. Returns the frame; NULL with errno: ENOMEM, there is no room; ESTALE, it can't be made any
 * more.
 */
static struct partial_frame *keep(struct partial_frames *partial, const struct partial_frame *key, const struct ring_record *of, session_id sid,
				  bool must)
{
	struct partial_frame *p = find(partial, key);
	struct ring_record rec;
	uint32_t ref;
	size_t size;

	if (p && p->ref)
		return p;
	size = measure(partial, key, of, &rec);
	if (!size)
		return NULL;
	ref = must ? session_buffer(partial->base, sid, size) : pool_take(&partial->base->pool, size);
	if (ref == BUFFER_NONE) {
		errno = ENOMEM;
		return NULL;
	}
	if (frame_write(partial->base, key->transport, key->page_base, &rec, (char *)pool_bytes(&partial->base->slot, ref), size) < 0) {
		pool_give(&partial->base->pool, ref);
		errno = ESTALE;
		return NULL;
	}
	/* Looked up only now, as making room may have removed the entry. */
	p = find_or_make(partial, key);
	link_frame(partial, p, ref, size);
	if (p->sessions == 0)
		note_idle(partial, p);
	return p;
}

bool partial_must_keep(const struct partial_frames *partial, uint64_t seq)
{
	return ring_lag(&partial->base->hub.ring, seq) > KEEP_LAG;
}

/* Ends the sessions in the middle of doomed frames. */
static void close_doomed(struct partial_frames *partial)
{
	uint32_t end = atomic_load_explicit(&partial->base->slot.shm->fd_end, memory_order_relaxed);

	for (session_id sid = 0; sid < (int)end; sid++)
		if (partial_is_doomed(partial, sid)) {
			session_forfeit(partial->base, sid);		/* the frame loses this session */
			session_abort(partial->base, sid, COUNTER_closed_slow);
		}
}

/*
 * The frame could not be kept, though the ring may overwrite its record: ends its sessions. If there was no room, there is none either for other
 * frames in danger that are as large, and their sessions end with them.
 */
static void give_up(struct partial_frames *partial, struct partial_frame *p, bool no_room)
{
	struct ring_record rec;
	size_t lacked = no_room ? measure(partial, p, NULL, &rec) : 0;

	p->doomed = true;
	if (lacked)
		while ((p = RB_NEXT(partial_tree, &partial->loose, p)) != NULL && partial_must_keep(partial, p->seq))
			p->doomed = measure(partial, p, NULL, &rec) >= lacked;
	close_doomed(partial);
	partial_trim(partial);
}

bool partial_protect(struct partial_frames *partial)
{
	uint64_t since = 0;
	struct partial_frame *p;

	while ((p = RB_MIN(partial_tree, &partial->loose)) != NULL && partial_must_keep(partial, p->seq)) {
		struct partial_frame key = *p;

		if (!since)
			since = base_clock();
		else if (base_clock() - since > PROTECT_US)
			return false;
		if (p->sessions == 0)
			partial_trim(partial);
		else if (!keep(partial, &key, NULL, -1, true)) {
			bool no_room = errno == ENOMEM;

			p = find(partial, &key);
			if (p)
				give_up(partial, p, no_room);
		}
	}
	return true;
}

void partial_keep_all(struct partial_frames *partial)
{
	struct partial_frame *p, *next;

	partial_trim(partial);
	for (p = RB_MIN(partial_tree, &partial->loose); p; p = next) {
		struct partial_frame key = *p;

		next = RB_NEXT(partial_tree, &partial->loose, p);
		keep(partial, &key, NULL, -1, false);	/* if that fails, the other program makes it from the ring */
		base_beat(partial->base);
	}
}

void partial_hold(struct partial_frames *partial, session_id sid, const struct session_state_shm *st)
{
	struct partial_frame key;

	if (!(st->flags & SESSION_CUT))
		return;
	key = key_of(partial, sid, st);
	keep(partial, &key, NULL, sid, false);
}

int partial_begin(struct partial_frames *partial, session_id sid, const struct session_state_shm *st, const struct ring_record *rec, bool must)
{
	struct partial_frame key = key_of(partial, sid, st);

	key.seq = rec->id;
	return keep(partial, &key, rec, sid, must) ? 0 : -1;
}

/* ---- sending ---- */

uint64_t partial_size(const struct partial_frames *partial, session_id sid, const struct session_state_shm *st)
{
	struct partial_frame key = key_of(partial, sid, st), *p = find(partial, &key);
	struct ring_record rec;

	if (p && p->ref)
		return pool_header(&partial->base->slot, p->ref)->len;
	if (frame_skipped(partial->base, st->transport, st->pos) || ring_read(&partial->base->hub.ring, st->pos, &rec) < 0)
		return 0;
	return frame_size_sent(partial->base, st->transport, key.page_base, &rec);
}

/* The bytes of the frame that the session is in the middle of, *size of them. NULL: they can't be had any more. */
static const char *frame_of(struct partial_frames *partial, session_id sid, const struct session_state_shm *st, size_t *size)
{
	struct partial_frame key = key_of(partial, sid, st), *p = find(partial, &key);
	struct ring_record rec;

	if (!(p && p->ref)) {
		*size = measure(partial, &key, NULL, &rec);
		if (*size <= st->cut)
			return NULL;
		p = *size > LARGE ? keep(partial, &key, &rec, sid, false) : NULL;
	}
	if (p && p->ref) {
		*size = pool_header(&partial->base->slot, p->ref)->len;
		return *size > st->cut ? (const char *)pool_bytes(&partial->base->slot, p->ref) : NULL;
	}
	if (*size > partial->base->scratch_room || frame_write(partial->base, st->transport, key.page_base, &rec, partial->base->scratch, *size) < 0)
		return NULL;
	return partial->base->scratch;
}

const char *partial_bytes(const struct partial_frames *partial, session_id sid, const struct session_state_shm *st, size_t *size)
{
	struct partial_frame key = key_of(partial, sid, st), *p = find(partial, &key);
	struct base *base = partial->base;
	struct ring_record rec;

	if (p && p->ref) {
		*size = pool_header(&base->slot, p->ref)->len;
		return (const char *)pool_bytes(&base->slot, p->ref);
	}
	*size = measure(partial, &key, NULL, &rec);
	if (*size == 0 || *size > base->scratch_room || frame_write_sent(base, st->transport, key.page_base, &rec, base->scratch, *size) < 0)
		return NULL;
	return base->scratch;
}

/* A part of the frame was sent. If it is kept, its age begins anew (memory_limit.c). */
static void touch(struct partial_frames *partial, session_id sid, const struct session_state_shm *st)
{
	struct partial_frame key = key_of(partial, sid, st), *p = find(partial, &key);

	if (p && p->ref)
		pool_header(&partial->base->slot, p->ref)->since = partial->base->now;
}

int partial_send(struct partial_frames *partial, session_id sid, struct session_state_shm *st)
{
	uint64_t share = st->sent + SESSION_SHARE;

	while (st->flags & SESSION_CUT) {
		const char *frame;
		size_t size;
		long n;

		if (st->sent >= share)
			return 0;
		frame = frame_of(partial, sid, st, &size);
		if (!frame) {
			session_abort(partial->base, sid, COUNTER_closed_slow);
			return -1;
		}
		n = batch_send(partial->batch, sid, frame + st->cut, size - st->cut);
		if (n > 0) {
			touch(partial, sid, st);
			st->sent += (uint64_t)n;
			st->cut += (uint32_t)n;
			st->last_out = partial->base->now;
			if (st->cut == size) {
				st->cut = 0;
				st->flags &= ~(uint32_t)SESSION_CUT;
				st->pos++;
			}
			session_commit(partial->base, sid, st);
			if (!(st->flags & SESSION_CUT))
				base_count(partial->base, COUNTER_delivered, 1);
		}
		batch_landed(partial->batch);
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
	}
	return 1;
}

/* ---- room for others ---- */

bool partial_doom(struct partial_frames *partial, uint32_t ref, bool really)
{
	const struct buffer_shm *head = pool_header(&partial->base->slot, ref);
	struct partial_frame key = key_of_kept(head), *p = find(partial, &key);

	if (head->owner != 0 || !p || p->ref != ref || p->sessions == 0)
		return false;
	p->doomed |= really;
	return true;
}

bool partial_holds(const struct partial_frames *partial, session_id sid, uint32_t ref)
{
	const struct session_shm *s = session(partial->base, sid);
	const struct buffer_shm *head = pool_header(&partial->base->slot, ref);

	return s->status == SESSION_OPEN && s->state.flags & SESSION_CUT && head->owner == 0 && head->base == s->state.pos &&
	       head->scan[BUFFER_TRANSPORT] == s->state.transport && head->scan[BUFFER_PAGE_BASE] == page_base_of(partial, sid, s->state.transport);
}

bool partial_is_doomed(const struct partial_frames *partial, session_id sid)
{
	const struct session_shm *s = session(partial->base, sid);
	struct partial_frame key, *p;

	if (s->status != SESSION_OPEN || !(s->state.flags & SESSION_CUT))
		return false;
	key = key_of(partial, sid, &s->state);
	p = find(partial, &key);
	return p && p->doomed;
}

/* ---- taking over ---- */

void partial_take_over(struct partial_frames *partial)
{
	_Atomic uint32_t *link = &partial->base->slot.shm->kept;
	uint32_t ref;

	while ((ref = atomic_load_explicit(link, memory_order_acquire)) != BUFFER_NONE) {
		struct buffer_shm *head;
		struct partial_frame key, *p;

		if (pool_claim(&partial->base->pool, ref) < 0) {
			/* Damaged: the list ends here. Frames that it had behind this are made from the ring, if the ring still has them. */
			atomic_store_explicit(link, BUFFER_NONE, memory_order_relaxed);
			return;
		}
		head = pool_header(&partial->base->slot, ref);
		key = key_of_kept(head);
		if (head->len > pool_room(&partial->base->slot, ref) || partial->used_end >= partial->max / 2 || find(partial, &key)) {
			pool_unclaim(&partial->base->pool, ref);
			atomic_store_explicit(link, BUFFER_NONE, memory_order_relaxed);
			return;
		}
		p = find_or_make(partial, &key);
		RB_REMOVE(partial_tree, &partial->loose, p);
		p->ref = ref;
		RB_INSERT(partial_tree, &partial->kept, p);
		TAILQ_INSERT_TAIL(&partial->list, p, link);
		link = &head->next;
	}
}

void partial_settle(struct partial_frames *partial)
{
	struct partial_frame *p, *next;

	for (p = TAILQ_FIRST(&partial->list); p; p = next) {
		next = TAILQ_NEXT(p, link);
		if (p->sessions == 0)
			forget(partial, p);
	}
}
