/*
 * Messages by their ids in the stream. See nodes_ids.h.
 */
#include "shm/nodes_ids.h"

#include "proto/message_view.h"

struct position nodes_id_of(const struct hub *hub, const struct ring_record *rec)
{
	char head[MESSAGE_STREAM_EXTRA];
	struct ring_record front = *rec;

	if (front.len > sizeof(head))
		front.len = sizeof(head);
	if (rec->place.page)
		history_copy(&hub->history, &front, head);
	else if (ring_copy(&hub->ring, &front, head) < 0)
		return (struct position){ 0 };
	return message_stream_id(head, front.len);
}

static void set_had(struct nodes_place *place, const struct ring_record *rec, struct position id)
{
	place->is_had = true;
	place->had = *rec;
	place->had_id = id;
}

static void set_next(struct nodes_place *place, const struct ring_record *rec)
{
	place->is_next = true;
	place->next = *rec;
}

/* Back along the ring's links, as far as they go, or to the newest one at or before the place. */
static void look_in_ring(const struct hub *hub, uint32_t topic, uint32_t generation, uint64_t last, struct position at, struct nodes_place *place)
{
	struct ring_record rec, behind = { 0 };

	for (uint64_t seq = last; seq != 0; seq = rec.prev) {
		struct position id;

		if (ring_read(&hub->ring, seq, &rec) < 0 || rec.topic != topic || rec.generation != generation || rec.prev >= seq)
			return;
		id = nodes_id_of(hub, &rec);
		if (!ring_holds(&hub->ring, seq))
			return;
		if (nodes_id_is_had(id, at)) {
			set_had(place, &rec, id);
			if (behind.seq)
				set_next(place, &behind);	/* (it need not be of the stream) */
			return;
		}
		if (id.epoch)
			set_next(place, &rec);
		behind = rec;
	}
}

/* The newest page whose first message is at or before the place; without one, the topic's first page. */
static struct history_place page_of(const struct hub *hub, const struct history_topic_shm *s, uint32_t topic, struct position at)
{
	const struct history *h = &hub->history;
	struct history_place best = { s->first, history_page(h, s->first)->begins, s->last, s->end }, place = best;
	struct ring_record rec;

	for (uint32_t n = 1; n < s->pages && place.page != s->last; n++) {
		struct position id;

		place.page = history_page(h, place.page)->next;
		place.offset = history_begins(h, place.page, s->last, s->end);
		if (place.offset == 0)
			continue;
		history_at(h, topic, s->generation, place, &rec);
		id = nodes_id_of(hub, &rec);
		if (id.epoch && !nodes_id_is_had(id, at))
			break;
		if (id.epoch)
			best = place;
	}
	return best;
}

/* On from there, as far as messages are at or before the place, and one further. What is there lies before what the ring has. */
static void look_in_history(const struct hub *hub, uint32_t owner, uint32_t topic, uint32_t generation, struct position at, struct nodes_place *place)
{
	const struct history *h = &hub->history;
	struct history_topic_shm s;
	struct ring_record rec;
	struct position id;
	bool is_next = false;

	lock_acquire(h->lock, owner);
	s = h->topics[topic];
	lock_release(h->lock, owner);
	if (s.generation != generation || s.first == 0)
		return;
	history_at(h, topic, generation, page_of(hub, &s, topic, at), &rec);
	do {
		id = nodes_id_of(hub, &rec);
		if (nodes_id_is_had(id, at)) {
			set_had(place, &rec, id);
			is_next = false;
		} else if (!is_next && (id.epoch || place->is_had)) {
			set_next(place, &rec);
			is_next = true;
		}
	} while ((!id.epoch || nodes_id_is_had(id, at)) && history_next(h, &rec) == 0);
}

void nodes_find_id(const struct hub *hub, uint32_t owner, uint32_t topic, uint32_t generation, uint64_t last, struct position at, struct nodes_place *place)
{
	*place = (struct nodes_place){ 0 };
	look_in_ring(hub, topic, generation, last, at, place);
	if (!place->is_had && index_is_kept(&hub->index, topic))
		look_in_history(hub, owner, topic, generation, at, place);
}
