/*
 * Subscribing with a past. See replay.h.
 */
#include "worker/service/replay.h"

#include "shm/crash.h"
#include "shm/nodes.h"
#include "shm/nodes_ids.h"
#include "worker/delivery/landed.h"
#include "worker/delivery/stream.h"

void joined_find_stream(const struct hub *hub, const char *name, size_t len, struct joined *joined)
{
	joined->shared = HISTORY_NONE;
	joined->stream = (struct position){ 0 };
	if (nodes_stream(hub) == STREAM_OFF || presence_in(name, len))
		return;
	joined->shared = history_rules_reach(hub->history.rules, name, len);
	joined->stream = nodes_stream_last(hub);
}

void joined_fill(const struct hub *hub, struct joined *joined)
{
	const struct topic_shm *topic = index_topic(&hub->index, joined->topic);

	joined->generation = topic->generation;
	joined->next = topic->published + 1;
	joined->last = atomic_load_explicit(&topic->last, memory_order_relaxed);
	joined->since = topic->since;
	joined->ruled = history_rules_find(hub->history.rules, topic->name, topic->name_len) != NULL;
	joined->everybody = *topic->name == NAME_EVERYBODY;
	joined_find_stream(hub, topic->name, topic->name_len, joined);
}

/* What it has of the past, its topics had before `pos`: they don't get it again when `pos` moves back. */
static void mark_from(struct service *service, session_id sid)
{
	const struct session_shm *s = session(service->base, sid);
	uint64_t pos = ring_message_from(&service->base->hub.ring, s->state.pos);

	for (uint32_t i = atomic_load_explicit(&s->subscriptions, memory_order_relaxed); i;
	     i = atomic_load_explicit(&service->base->slot.subscriptions[i].next, memory_order_relaxed))
		if (service->base->slot.subscriptions[i].from < pos)
			service->base->slot.subscriptions[i].from = pos;
}

bool replay_begin(struct service *service, struct cursor *c, const struct resume *resume, struct replay *replay)
{
	const struct session_shm *s = session(service->base, c->sid);
	struct slot_shm *slot = service->base->slot.shm;

	*replay = (struct replay){ .resume = resume, .begin = UINT64_MAX, .recovered = true };
	if (resume->kind == RESUME_NOT)
		return true;
	if (s->state.flags & SESSION_CUT) {
		session_mark(service->base, c->sid, MARK_OUTPUT_BLOCKED);
		c->stop = c->waits = true;
		return false;
	}
	if (s->count > 0) {
		if (!(s->state.flags & SESSION_BEHIND))
			landed_defer(service->streams, c->sid);
		mark_from(service, c->sid);
	}
	slot->opening_parsed = s->state.parsed;
	/* release: whoever finds the note finds all of it */
	atomic_store_explicit(&slot->opening, OPENING(c->sid, atomic_load_explicit(&s->subscriptions, memory_order_relaxed)), memory_order_release);
	CRASH_POINT("replay-begun");
	return true;
}

/* The topic's oldest record in [from, tail). */
static bool find(struct service *service, const struct joined *j, uint64_t from, struct ring_record *rec)
{
	return stream_seek(service->base, j->topic, j->generation, from, j->tail, 0, rec) == 0;
}

/* Whether the topic has had no record at or behind `from`, where messages behind `seq` begin, but before `rec`; NULL: before the tail. */
static bool is_next(struct service *service, const struct joined *j, uint64_t seq, uint64_t from, const struct ring_record *rec)
{
	if (seq + 1 < j->since)
		return false;		/* nobody counted then what was published */
	if (!rec)
		return j->last < from;
	if (!rec->place.page)
		return rec->prev < from;
	return history_from(&service->base->hub.history, service->base->number + 1, j->topic, j->generation) <= seq + 1;
}

bool replay_is_of_stream(const struct base *base, const struct position *position)
{
	uint64_t epoch = atomic_load(&base->hub.shm->nodes.stream.epoch);

	return epoch != 0 && position->epoch == epoch && epoch != base->hub.shm->epoch / 1000;
}

/*
 * Whether all of the stream's messages behind `at` that are the topic's are in the ring or in history: all of the stream has come since, the topic has no others, and nothing of it has gone since a message at or before `at`, or
 * since the stream began to come.
 */
static bool has_all_behind(struct service *service, const struct joined *j, struct position at, const struct nodes_place *place)
{
	const struct hub *hub = &service->base->hub;
	const struct stream_shm *stream = &hub->shm->nodes.stream;
	uint64_t first = atomic_load(&stream->first), begun = atomic_load(&stream->begun), from = j->since;

	if (j->shared != HISTORY_ALL || first == 0 || first > at.seq + 1)
		return false;
	if (place->is_had && place->had_id.epoch == at.epoch)
		return true;
	if (j->topic != TOPIC_NONE)
		from = history_from(&hub->history, service->base->number + 1, j->topic, j->generation);
	return from <= begun && replay_is_of_stream(service->base, &at);	/* (still: then `first` was this stream's) */
}

/* What is no topic of the stream has nothing behind a message of the stream that anybody could know: it goes on with what comes. */
static bool since_of_stream(struct service *service, struct replay *replay, const struct joined *j, struct ring_record *rec)
{
	const struct position at = replay->resume->since;
	struct nodes_place place;

	if (j->shared == HISTORY_NONE) {
		replay->recovered = false;
		return false;
	}
	nodes_find_id(&service->base->hub, service->base->number + 1, j->topic, j->generation, j->last, at, &place);
	*rec = place.next;
	replay->recovered &= has_all_behind(service, j, at, &place);
	return place.is_next && rec->seq < j->tail;
}

static bool since_of_hub(struct service *service, struct replay *replay, const struct joined *j, struct ring_record *rec)
{
	const struct position *since = &replay->resume->since;
	bool ours = since->epoch == service->base->hub.shm->epoch / 1000, to_come = ours && since->seq >= j->tail;
	uint64_t seq = ours ? since->seq : 0;	/* of another epoch: all of this one came later */
	uint64_t from = ring_message_from(&service->base->hub.ring, seq + 1);
	bool found = !to_come && find(service, j, from, rec);
	bool whole = ours && !to_come && is_next(service, j, seq, from, found ? rec : NULL);

	if (whole && seq + 1 >= service->base->hub.index.shm->unknown)
		return found;
	replay->recovered = false;
	if (whole)
		return found;		/* nothing is known to be missing, and nobody can know */
	if (ours && seq + 1 >= j->since)
		replay->missing += !to_come;
	else
		replay->missing += (found ? rec->number : j->next) - 1;
	return found;
}

bool replay_since(struct service *service, struct replay *replay, const struct joined *j, struct ring_record *rec)
{
	if (replay_is_of_stream(service->base, &replay->resume->since))
		return since_of_stream(service, replay, j, rec);
	return since_of_hub(service, replay, j, rec);
}

bool replay_had_nothing(struct service *service, const struct position *since, const struct joined *j)
{
	if (replay_is_of_stream(service->base, since))
		return has_all_behind(service, j, *since, &(struct nodes_place){ 0 });
	return since->epoch == service->base->hub.shm->epoch / 1000 && since->seq < j->tail && since->seq + 1 >= j->since;
}

/* Back along the ring's links. */
static bool last_of_ring(const struct hub *hub, const struct joined *j, uint64_t number, struct ring_record *rec)
{
	struct ring_record at;
	bool found = false;

	for (uint64_t seq = j->last; seq && ring_read(&hub->ring, seq, &at) == 0 && at.topic == j->topic && at.generation == j->generation; seq = at.prev) {
		*rec = at;
		found = true;
		if (at.number <= number || at.prev >= seq)
			break;
	}
	return found;
}

/* (A topic that history keeps has there what it is to have; the ring may have some more, which is older than it should be.) */
bool replay_last(struct service *service, const struct joined *j, uint64_t number, struct ring_record *rec)
{
	const struct hub *hub = &service->base->hub;
	bool found = j->ruled ? history_seek_number(&hub->history, service->base->number + 1, j->topic, j->generation, number, rec) == 0
			      : last_of_ring(hub, j, number, rec);

	return found && rec->seq < j->tail;
}

/* Where the subscription begins in the stream: before this record; NULL: behind all that has come. Pinned. */
static void note_in_stream(struct service *service, struct replay *replay, const struct joined *j, const struct ring_record *rec)
{
	struct position before = rec ? nodes_id_of(&service->base->hub, rec) : j->stream;

	if (j->everybody)
		return;
	if (rec && before.epoch)
		before.seq--;
	if (j->shared != HISTORY_ALL || before.epoch == 0 || (replay->stream.epoch != 0 && replay->stream.epoch != before.epoch))
		replay->apart = true;
	else if (replay->stream.epoch == 0 || before.seq < replay->stream.seq)
		replay->stream = before;
}

struct position replay_in_stream(const struct replay *a, const struct replay *b)
{
	const struct position *p = &a->stream, *q = &b->stream;

	if (a->apart || b->apart || (p->epoch && q->epoch && p->epoch != q->epoch))
		return (struct position){ 0 };
	return p->epoch == 0 || (q->epoch && q->seq < p->seq) ? *q : *p;
}

/* The client has had what nobody here knows to be in the stream: it comes from a node that is ahead, or the stream has lost its end, and gives its numbers again. */
static bool is_ahead(const struct service *service, const struct replay *replay)
{
	const struct stream_shm *stream = &service->base->hub.shm->nodes.stream;
	const struct position *since = &replay->resume->since;

	return replay_is_of_stream(service->base, since) && since->seq > atomic_load(&stream->last) && since->seq > atomic_load(&stream->end);
}

void replay_start(struct service *service, struct replay *replay, const struct joined *j, uint64_t *from, uint32_t *number)
{
	struct hub *hub = &service->base->hub;
	struct ring_record rec;
	bool found = false;
	uint64_t begins;

	if (replay->resume->kind != RESUME_NOT)
		hub_pin(hub, service->base->number);
	if (replay->resume->kind == RESUME_SINCE) {
		found = replay_since(service, replay, j, &rec);
		replay->recovered &= !is_ahead(service, replay);
	} else if (replay->resume->kind == RESUME_LAST) {
		found = replay_last(service, j, j->next > replay->resume->last ? j->next - replay->resume->last : 1, &rec);
	}
	note_in_stream(service, replay, j, found ? &rec : NULL);
	if (replay->resume->kind != RESUME_NOT)
		hub_unpin(hub, service->base->number);
	begins = found ? rec.id : j->tail;
	*from = found ? rec.seq : j->tail;
	*number = (uint32_t)(found ? rec.number : j->next);
	if (begins < replay->begin)
		replay->begin = begins;
}

/* Whether the subscription was linked for this request already: a name may stand twice. */
static bool is_new(struct service *service, session_id sid, uint32_t subscription)
{
	uint32_t i = atomic_load_explicit(&session(service->base, sid)->subscriptions, memory_order_relaxed);
	uint32_t first = (uint32_t)atomic_load_explicit(&service->base->slot.shm->opening, memory_order_relaxed);

	while (i && i != first && i != subscription)
		i = atomic_load_explicit(&service->base->slot.subscriptions[i].next, memory_order_relaxed);
	return i != first && i == subscription;
}

void replay_had(struct service *service, session_id sid, struct replay *replay, const struct session_state_shm *st, uint32_t subscription)
{
	const struct subscription_shm *sub = &service->base->slot.subscriptions[subscription];
	uint64_t begins = stream_begins(service->base, sub), from = begins > st->pos ? begins : st->pos;

	if (replay->resume->kind != RESUME_NOT && is_new(service, sid, subscription))
		return;
	replay->recovered = false;
	replay->apart = true;
	if (from < replay->begin)
		replay->begin = from;
}

void replay_end(const struct replay *replay, struct session_state_shm *st)
{
	if (replay->resume->kind == RESUME_NOT || replay->begin == UINT64_MAX)
		return;
	if (replay->begin < st->pos)
		st->pos = replay->begin;
	st->flags |= SESSION_BEHIND;
}

void replay_done(struct service *service, session_id sid)
{
	struct slot_shm *slot = service->base->slot.shm;

	CRASH_POINT("replay-committed");
	/* release: behind the commit */
	if (atomic_load_explicit(&slot->opening, memory_order_relaxed) >> 32 == (uint32_t)sid + 1)
		atomic_store_explicit(&slot->opening, 0, memory_order_release);
}

void replay_undo(const struct slot *slot, session_id sid)
{
	uint64_t opening = atomic_load_explicit(&slot->shm->opening, memory_order_acquire);
	struct session_shm *s = slot_session(slot, sid);

	if (opening >> 32 == (uint32_t)sid + 1 && s->state.parsed == slot->shm->opening_parsed)
		atomic_store_explicit(&s->subscriptions, (uint32_t)opening, memory_order_release);
}
