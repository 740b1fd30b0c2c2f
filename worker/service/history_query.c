/*
 * What is kept of a topic. See history_query.h.
 *
 * Nobody subscribes the topic for it, so it may go at any time, and its entry in the index may become another topic's. All that is read names the
 * topic's generation, as it was when the topic was found, so nothing of another topic is ever taken for its.
 */
#include "worker/service/history_query.h"

#include "shm/nodes_ids.h"
#include "worker/delivery/frame.h"
#include "worker/delivery/stream.h"

/* The topic as it is now. TOPIC_NONE: there is none. */
static struct joined look_up(struct service *service, const struct topic_name *name)
{
	struct hub *hub = &service->base->hub;
	struct joined j = { 0 };

	lock_acquire(&hub->shm->lock, service->base->number + 1);
	j.tail = ring_tail(&hub->ring);
	j.topic = index_find(&hub->index, index_hash(name->bytes, name->len), name->bytes, name->len);
	j.since = hub_counted_since(hub, name->bytes, name->len);
	if (j.topic != TOPIC_NONE)
		joined_fill(hub, &j);
	else
		joined_find_stream(hub, name->bytes, name->len, &j);
	lock_release(&hub->shm->lock, service->base->number + 1);
	return j;
}

/* The sequence of the topic's first record that is not before the message of the stream. */
static uint64_t end_in_stream(const struct service *service, const struct joined *j, struct position before)
{
	struct nodes_place place = { 0 };

	before.seq--;
	if (j->topic != TOPIC_NONE)
		nodes_find_id(&service->base->hub, service->base->number + 1, j->topic, j->generation, j->last, before, &place);
	return place.is_next ? place.next.seq : j->tail;
}

/* The sequence at which the answer ends: `before`, or the tail. Of another epoch, all of this one came later. */
static uint64_t end_of(const struct service *service, const struct history_query *query, const struct joined *j)
{
	const struct position *before = &query->before.since;
	uint64_t tail = j->tail;

	if (query->before.kind == RESUME_NOT)
		return tail;
	if (j->shared == HISTORY_ALL && before->seq > 0 && replay_is_of_stream(service->base, before))
		return end_in_stream(service, j, *before);
	if (before->epoch != service->base->hub.shm->epoch / 1000)
		return 0;
	return before->seq < tail ? before->seq : tail;
}

/* The number of the topic's first record at or after `end`. */
static uint64_t number_at(struct service *service, const struct joined *j, uint64_t end)
{
	struct ring_record rec;

	return end < j->tail && stream_seek(service->base, j->topic, j->generation, end, j->tail, 0, &rec) == 0 ? rec.number : j->next;
}

/* The answer's first record. */
static bool first(struct service *service, const struct history_query *query, const struct joined *j, uint64_t end, struct replay *replay,
		  struct ring_record *rec)
{
	uint64_t number;

	if (query->since.kind != RESUME_NOT)
		return replay_since(service, replay, j, rec) && rec->seq < end;
	number = number_at(service, j, end);
	return replay_last(service, j, number > query->limit ? number - query->limit : 1, rec) && rec->seq < end;
}

/* *rec becomes the topic's next record before `end`. */
static bool next(struct service *service, const struct joined *j, uint64_t end, struct ring_record *rec)
{
	uint64_t seq = rec->seq;

	if (!rec->place.page || history_next(&service->base->hub.history, rec) < 0)
		return stream_seek(service->base, j->topic, j->generation, seq + 1, end, seq, rec) == 0;
	return rec->seq < end;
}

size_t history_put(const struct base *base, enum message_to to, const struct ring_record *rec, bool comma, char *dst, size_t room)
{
	size_t size = frame_object(base, to, rec, dst + comma, room - comma);

	if (comma)
		*dst = ',';
	return size ? comma + size - 1 : 0;	/* without the line feed */
}

/*
 * If the ring has overwritten the record while it was read, history has it now, or it is gone: *rec becomes the topic's first one from there on. False:
 * there is none.
 */
static bool look_again(struct service *service, const struct joined *j, uint64_t end, struct ring_record *rec, struct replay *replay)
{
	uint64_t seq = rec->seq;

	if (rec->place.page || ring_holds(&service->base->hub.ring, seq))
		return true;
	if (stream_seek(service->base, j->topic, j->generation, seq, end, 0, rec) == 0 && rec->seq == seq)
		return true;
	replay->recovered = false;
	replay->missing++;
	return rec->seq > seq;
}

static size_t query_topic(struct service *service, const struct history_query *query, const struct joined *j, uint64_t end, char *dst, size_t room,
			  size_t most, struct history_result *result)
{
	struct ring_record rec;
	size_t len = 0;

	for (bool some = first(service, query, j, end, &result->replay, &rec); some; some = next(service, j, end, &rec)) {
		size_t size;

		if (result->count == query->limit || (result->count > 0 && len > most)) {
			result->more = true;
			break;
		}
		size = history_put(service->base, MESSAGE_TO_TOPIC, &rec, result->count > 0, dst + len, room - len);
		if (!size) {
			if (!look_again(service, j, end, &rec, &result->replay))
				break;
			size = history_put(service->base, MESSAGE_TO_TOPIC, &rec, result->count > 0, dst + len, room - len);
		}
		if (!size)
			continue;	/* it is not to be made into frames */
		len += size;
		result->position = rec.seq;
		result->stream = nodes_id_of(&service->base->hub, &rec);
		result->count++;
	}
	return len;
}

/* Where the stream is, of which there is nothing to be said; or where the client is, who may have come from a node that is ahead of this one. */
static struct position stream_position(const struct service *service, const struct resume *since, const struct joined *j)
{
	bool ahead = since->kind != RESUME_NOT && replay_is_of_stream(service->base, &since->since) && since->since.seq > j->stream.seq;

	return ahead ? since->since : j->stream;
}

size_t history_query(struct service *service, const struct history_query *query, char *dst, size_t room, size_t most, struct history_result *result)
{
	struct joined j = look_up(service, &query->name);
	size_t len = 0;
	uint64_t end;

	*result = (struct history_result){ .replay = { .resume = &query->since, .recovered = true } };
	if (query->before.kind == RESUME_NOT && j.shared == HISTORY_ALL)
		result->stream = stream_position(service, &query->since, &j);
	hub_pin(&service->base->hub, service->base->number);
	end = end_of(service, query, &j);
	result->position = end > 0 ? end - 1 : 0;
	if (j.topic == TOPIC_NONE)
		result->replay.recovered = replay_had_nothing(service, &query->since.since, &j);
	else
		len = query_topic(service, query, &j, end, dst, room, most, result);
	hub_unpin(&service->base->hub, service->base->number);
	return len;
}
