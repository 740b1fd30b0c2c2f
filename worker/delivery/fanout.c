/*
 * Delivery from the ring to this worker's subscribers.
 *
 * fanout_poll() looks through the records that are new since the last time. A record of a topic with subscribers here puts the topic into a queue.
 * fanout_run() takes topics from the queue in turn and serves each a slice of its subscribers, so a topic with few subscribers does not wait for
 * one with many. A pass over a topic's subscribers covers a fixed run of its records, and each subscriber gets them with one send. Records that
 * come meanwhile belong to the next pass.
 *
 * A session with several topics gets them in ring order, and is served apart (multi_topic.c).
 */
#include "worker/delivery/fanout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shm/crash.h"
#include "worker/delivery/frame.h"
#include "worker/delivery/landed.h"
#include "worker/delivery/subscription_list.h"
#include "worker/delivery/local_topics.h"
#include "worker/delivery/multi_topic.h"

#define PASS_BYTES (128 * 1024)		/* bytes of a pass's frames; a larger frame is a pass of its own */
#define PASS_RECORDS 2048
#define TURN_SENDS 256			/* sends in a turn of the loop, about */
_Static_assert(PASSES_ENDED_MAX >= TURN_SENDS, "each pass that is noted has a send");
#define TURN_US 10000			/* microseconds of a turn, about; looked at every BATCH_BYTES */
#define BATCH_BYTES (2 * 1024 * 1024)
#define POLL_RECORDS 65536		/* records looked through in a turn */
#define QUEUE_SHORT 64			/* a queue of at most this many topics is walked every turn */
#define LAG_SMALL 32			/* of 1024 parts of the ring: with a lag below that, `delivered` need not be exact */
#define KEPT 4				/* passes whose frames stay from slice to slice */

/*
 * A pass's frames. They are made once. Those of a pass of one slice are made in the batch's arena; those of a pass of several slices in memory of
 * their own, where they stay for the next slice. (If more than KEPT of these are under way at a time, frames are now and then made again.)
 */
struct frames {
	uint64_t pass;			/* local_topic.pass of the pass; 0: they are in the arena */
	char *bytes;
	size_t room;			/* of `bytes`, if they are not in the arena */
	uint32_t count;
	uint32_t skipped;		/* records passed over, as they can't be made into frames */
	uint64_t skip[SKIP_MAX];	/* the ids of the first of these */
	uint64_t end;			/* the sequence behind the pass */
	uint64_t time;			/* of its first record, microseconds since 1970 */
	uint64_t id[PASS_RECORDS];
	uint32_t at[PASS_RECORDS + 1];	/* where each begins in `bytes`, and where the last one ends */
};

int fanout_init(struct fanout *fanout)
{
	fanout->once = calloc(1 + KEPT, sizeof(*fanout->once));
	return fanout->once ? 0 : -1;
}

static void enqueue(struct fanout *fanout, struct local_topic *t)
{
	t->queued = true;
	t->queued_next = NULL;
	*fanout->topics->queue_end = t;
	fanout->topics->queue_end = &t->queued_next;
	fanout->topics->queued++;
}

static struct local_topic *dequeue(struct fanout *fanout)
{
	struct local_topic *t = fanout->topics->queue;

	fanout->topics->queue = t->queued_next;
	if (!fanout->topics->queue)
		fanout->topics->queue_end = &fanout->topics->queue;
	t->queued = false;
	fanout->topics->queued--;
	return t;
}

/* Queues the topic for a pass that begins with its record `seq`, unless it is queued already. */
static void queue_from(struct fanout *fanout, struct local_topic *t, uint64_t seq)
{
	if (t->queued)
		return;
	t->first = t->hint = seq;
	t->end = t->pass = 0;
	t->at = 0;
	enqueue(fanout, t);
}

/* Whether there is somebody whom a pass would serve. Those who are behind, and come back later, have had what lies before `scanned`. */
static bool is_served(const struct local_topic *t)
{
	return !t->is_apart && t->live > 0;
}

/*
 * The worker slept while the ring went round. Nothing is lost, as a record of a topic with subscribers here would have woken it. But for the
 * records that have come to its topics since, it must look topic by topic.
 */
static void poll_topics(struct fanout *fanout, uint64_t tail)
{
	for (uint32_t i = 1; i <= fanout->base->hub.index.shm->topics_max && index_topic(&fanout->base->hub.index, i)->generation; i++) {
		struct local_topic *t = fanout->topics->of[i];
		struct ring_record rec;

		if (!t || ring_seek(&fanout->base->hub.ring, i, t->generation, fanout->topics->scanned, tail, 0, &rec) < 0)
			continue;
		for (; t; t = t->sibling)
			if (is_served(t))
				queue_from(fanout, t, rec.seq);
	}
}

/* Has those who poll sessions that subscribe this topic look again (service/session_query.h): few are polled, or few subscribe it. */
static void wake_polled(struct fanout *fanout, const struct local_topic *t)
{
	struct base *base = fanout->base;

	if (t->count <= base->polled_count) {
		for (uint32_t i = 0; i < t->count; i++)
			session_wake_polled(base, t->apart[i].sid);
		return;
	}
	for (uint32_t i = base->polled_count; i-- > 0;)		/* (the last one takes the place of one that is woken) */
		if (subscription_list_find(fanout->topics, base->polled[i], t->topic))
			session_wake_polled(base, base->polled[i]);
}

bool fanout_poll(struct fanout *fanout)
{
	uint64_t tail = ring_tail(&fanout->base->hub.ring), from = fanout->topics->scanned;
	uint64_t end = tail - from > POLL_RECORDS ? from + POLL_RECORDS : tail;
	struct ring_record rec;

	/* A message is looked at with all its records: `scanned` becomes sessions' `pos`, and is an id, too. */
	while (end < tail && ring_message_of(&fanout->base->hub.ring, end) < end)
		end++;
	for (uint64_t seq = fanout->topics->scanned; seq < end; seq++) {
		struct local_topic *t;

		if (ring_read(&fanout->base->hub.ring, seq, &rec) < 0 || FAIL_POINT("poll-overtaken")) {
			poll_topics(fanout, tail);
			end = tail;
			break;
		}
		for (t = topics_find(fanout->topics, rec.topic); t && t->generation == rec.generation; t = t->sibling)
			if (is_served(t))
				queue_from(fanout, t, seq);
			else if (t->transport == TOPICS_PARKED && fanout->base->polled_count > 0)
				wake_polled(fanout, t);
	}
	fanout->topics->scanned = end;
	return end < tail;
}

/* Room for `bytes` of frames of the pass, from its first frame on. NULL: no memory. */
static char *frames_room(struct fanout *fanout, struct frames *f, size_t bytes)
{
	if (!f->pass)
		return batch_room(fanout->batch, bytes);
	if (f->room < bytes) {
		free(f->bytes);
		f->bytes = malloc(bytes);
		f->room = f->bytes ? bytes : 0;
	}
	return f->bytes;
}

/* Whether the session is live, and has not had everything before `end`. */
static bool is_owed(const struct session_shm *s, uint64_t end)
{
	return !(s->state.flags & (SESSION_BEHIND | SESSION_CLOSE)) && s->state.pos < end;
}

/* How many of the records passed over are new to a session that has had everything before `pos`. */
static uint32_t skipped_from(const struct frames *f, uint64_t pos)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < f->skipped && i < SKIP_MAX; i++)
		n += f->skip[i] >= pos;
	return n;
}

/*
 * None of the records that the session still lacks of the pass can be made into a frame: it is moved behind the pass, without a send.
 */
static void pass_by(struct fanout *fanout, session_id sid, const struct frames *f)
{
	struct session_state_shm st = session(fanout->base, sid)->state;
	uint32_t skipped = skipped_from(f, st.pos);

	st.pos = f->end;
	slot_commit(&fanout->base->slot, sid, &st);
	base_count(fanout->base, COUNTER_dropped_unencodable, skipped);
}

/* No record of the pass can be made into a frame: the subscribers from t->at on are moved behind it, without a send. */
static void pass_over(struct fanout *fanout, const struct local_topic *t, const struct frames *f)
{
	batch_flush(fanout->batch);		/* pending sends are recorded before their sessions' states change */
	for (uint32_t i = t->at; i < t->live; i++)
		if (is_owed(session(fanout->base, t->subscribers[i]), f->end))
			pass_by(fanout, t->subscribers[i], f);
}

/*
 * Makes the frames of the pass. For its first slice, these are all there are, up to the limits. If they are made again for a later slice, they are
 * the same. 0; -1: there are none.
 */
static int make_frames(struct fanout *fanout, struct local_topic *t, struct frames *f)
{
	uint64_t below = t->end ? t->end : fanout->topics->scanned;
	struct ring_record rec;
	uint64_t hint = 0;
	size_t used = 0;

	f->count = f->skipped = 0;
	f->at[0] = 0;
	f->bytes = frames_room(fanout, f, PASS_BYTES);
	f->end = t->first;
	while (f->count < PASS_RECORDS) {
		size_t size;

		if (ring_seek(&fanout->base->hub.ring, t->topic, t->generation, f->end, below, f->count ? hint : t->hint, &rec) < 0) {
			f->end = f->count ? f->end : below;	/* if all were passed over, the pass ends behind everything */
			break;
		}

		if (frame_skipped(fanout->base, t->transport, rec.id)) {
			if (f->skipped < SKIP_MAX)
				f->skip[f->skipped] = rec.id;
			f->skipped++;
			f->end = rec.seq + 1;
			continue;
		}
		size = frame_size(fanout->base, t->transport, 0, &rec);
		if (used + size > PASS_BYTES) {
			if (f->count > 0)
				break;
			f->bytes = frames_room(fanout, f, size);
		}
		if (!size || !f->bytes || frame_write(fanout->base, t->transport, 0, &rec, f->bytes + used, size) < 0)
			break;
		used += size;
		if (f->count == 0)
			f->time = rec.time;
		f->id[f->count++] = rec.id;
		hint = rec.seq;
		f->at[f->count] = (uint32_t)used;
		f->end = rec.seq + 1;
	}
	if (!f->pass)
		batch_use(fanout->batch, used);
	if (!f->count && f->skipped)
		pass_over(fanout, t, f);
	return f->count ? 0 : -1;
}

/* The frames of the topic's pass, which begins now if none is under way. NULL: there are none. */
static const struct frames *pass_frames(struct fanout *fanout, struct local_topic *t)
{
	struct frames *f = fanout->once, *kept = fanout->once + 1;

	if (t->pass)
		for (int i = 0; i < KEPT; i++)
			if (kept[i].pass == t->pass)
				return &kept[i];
	if (t->end || t->live > (uint32_t)fanout->base->settings->fanout_slice) {
		f = &kept[fanout->passes % KEPT];
		batch_flush(fanout->batch);		/* sends that wait may have their bytes in `f` */
		f->pass = t->pass = ++fanout->passes;
	}
	if (make_frames(fanout, t, f) == 0)
		return f;
	f->pass = 0;
	return NULL;
}

/* Adds a send of those frames that the session has not had yet. */
static void serve(struct fanout *fanout, session_id sid, const struct frames *f)
{
	const struct session_shm *s = session(fanout->base, sid);
	uint32_t i = 0;

	if (!is_owed(s, f->end))
		return;
	/* It may have had all frames already, as a pass can end with records that are passed over. */
	while (i < f->count && f->id[i] < s->state.pos)
		i++;
	if (i == f->count) {
		pass_by(fanout, sid, f);
		return;
	}
	batch_add(fanout->batch, sid, f->bytes + f->at[i], f->at[f->count] - f->at[i], f->end, f->count - i, skipped_from(f, s->state.pos));
}

/*
 * There are no frames for the pass: there was no memory, or the records were overwritten. (Flow control is to prevent that.) Subscribers that are
 * not served yet are put behind, and get what there is along their own streams.
 */
static void defer_rest(struct fanout *fanout, struct local_topic *t)
{
	batch_flush(fanout->batch);		/* pending sends are recorded before their sessions' states change */
	while (t->at < t->live) {
		session_id sid = t->subscribers[t->at++];	/* (t->at goes back if it falls behind) */

		if (is_owed(session(fanout->base, sid), t->end ? t->end : fanout->topics->scanned))
			landed_defer(fanout->streams, sid);
	}
}

/* Those who poll are sent nothing here: their requests are dealt with again, and find the records. */
static uint32_t wake_polls(struct fanout *fanout, struct local_topic *t)
{
	for (; t->at < t->live; t->at++)
		fanout->base->go_on(fanout->base->above, t->subscribers[t->at]);
	t->end = fanout->topics->scanned;
	return 0;
}

/*
 * Serves one slice of the topic's subscribers, or as much of it as there is time for. Returns how many sends that took, about. Some of them may fall
 * behind with each flush, and then stand before neither t->at nor t->live.
 */
static uint32_t serve_slice(struct fanout *fanout, struct local_topic *t, uint64_t began)
{
	const struct frames *f;
	uint32_t slice = (uint32_t)fanout->base->settings->fanout_slice, served = 0, batch;

	if (t->transport == TRANSPORT_HTTP)
		return wake_polls(fanout, t);
	f = t->at < t->live ? pass_frames(fanout, t) : NULL;	/* (they may all have fallen behind since it was queued) */
	if (!f) {
		defer_rest(fanout, t);
		if (!t->end)
			t->end = fanout->topics->scanned;
		return 0;
	}
	t->end = f->end;
	batch = 1 + BATCH_BYTES / f->at[f->count];
	while (t->at < t->live && served < slice) {
		if (t->at + 8 < t->live)
			__builtin_prefetch(session(fanout->base, t->subscribers[t->at + 8]));
		serve(fanout, t->subscribers[t->at++], f);
		if (++served % batch)
			continue;
		batch_flush(fanout->batch);
		if (base_clock() - began > TURN_US)
			break;
	}
	if (t->at >= t->live && served > 0)
		fanout->ended[fanout->ended_count++] = (struct pass_ended){ f->time, t->live };
	return served;
}

/* Ends the topic's pass. True: it has records for another one. */
static bool another_pass(struct fanout *fanout, struct local_topic *t)
{
	struct ring_record rec;

	t->at = 0;
	t->first = t->end;
	t->end = 0;
	t->pass = 0;
	if (ring_seek(&fanout->base->hub.ring, t->topic, t->generation, t->first, fanout->topics->scanned, t->hint, &rec) < 0)
		return false;
	t->first = t->hint = rec.seq;
	return true;
}

/* The sends of all these passes are done. */
static void count_ended(struct fanout *fanout)
{
	uint64_t now = fanout->ended_count > 0 ? hub_now() : 0;

	for (uint32_t i = 0; i < fanout->ended_count; i++)
		latency_add(&fanout->base->self->latency, fanout->ended[i].subscribers, fanout->ended[i].time, now);
	fanout->ended_count = 0;
}

bool fanout_run(struct fanout *fanout)
{
	const struct topics *topics = fanout->topics;
	/* queue_end points to the `queued_next` of the last topic in the queue. */
	struct local_topic *last = topics->queue ? (struct local_topic *)((char *)topics->queue_end - offsetof(struct local_topic, queued_next)) : NULL;
	uint64_t began = base_clock();
	uint32_t sends = 0;

	/* Each topic is served at most once, as a session must not stand in a batch twice. */
	while (fanout->topics->queue && sends < TURN_SENDS && base_clock() - began <= TURN_US) {
		struct local_topic *t = dequeue(fanout);

		sends += serve_slice(fanout, t, began);
		if (t->at < t->live || another_pass(fanout, t))
			enqueue(fanout, t);
		if (t == last)
			break;
	}
	batch_flush(fanout->batch);
	count_ended(fanout);
	return multi_topic_run(fanout->multi_topic) || fanout->topics->queue != NULL;
}

void fanout_publish_delivered(struct fanout *fanout)
{
	uint64_t least = multi_topic_served(fanout->multi_topic);

	/*
	 * What `delivered` says stays true, as passes only move on. So a long queue is not walked every turn, but only if the slot lags, and then
	 * once in several turns.
	 */
	if (fanout->topics->queued > QUEUE_SHORT && (ring_lag(&fanout->base->hub.ring, fanout->base->self->delivered) < LAG_SMALL ||
						     ++fanout->turns_unpublished < fanout->topics->queued / TURN_SENDS))
		return;
	fanout->turns_unpublished = 0;
	for (const struct local_topic *t = fanout->topics->queue; t; t = t->queued_next)
		if (t->first < least)
			least = t->first;
	/* A successor goes on from there, with all records of a message. */
	if (least < fanout->topics->scanned)
		least = ring_message_of(&fanout->base->hub.ring, least);
	/* release: everything below is recorded in the sessions first */
	atomic_store_explicit(&fanout->base->self->delivered, least, memory_order_release);
}
