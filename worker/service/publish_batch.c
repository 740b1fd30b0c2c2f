/*
 * Messages on their way into the ring. Messages that are not answered are gathered while the input is parsed, and published as one batch. A request
 * that is answered with what became of its messages is published by itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shm/crash.h"
#include "worker/service/flood.h"
#include "worker/service/publish_batch.h"

int publish_batch_init(struct service *service)
{
	size_t least = publish_batch_record_max(service->base) + TOPIC_NAME_MAX;

	service->item_room = publish_bytes_max(&service->base->hub) < 256 * 1024 ? publish_bytes_max(&service->base->hub) : 256 * 1024;
	if (service->item_room < least)
		service->item_room = least;
	service->items = malloc(PUBLISH_BATCH_MAX * sizeof(*service->items));
	service->item_text = malloc(service->item_room);
	return service->items && service->item_text ? 0 : -1;
}

size_t publish_batch_record_max(const struct base *base)
{
	size_t least = (size_t)base->settings->max_frame + 4096, most = 6 * (size_t)base->settings->max_frame;
	size_t ring = publish_bytes_max(&base->hub);

	if (most > ring)
		most = ring;
	return most > least ? most : least;
}

char *publish_batch_add(struct service *service, struct cursor *c, const char *name, uint8_t len, size_t size, uint64_t parsed, uint32_t flags)
{
	char *text = service->item_text + service->item_used;

	if (service->item_count == PUBLISH_BATCH_MAX || service->item_used + len + size > service->item_room)
		return NULL;
	if (service->item_count == 0)
		c->batch_from = c->at;
	memcpy(text, name, len);
	service->item_used += len + size;
	service->items[service->item_count++] = (struct publish_item){
		.hash = index_hash(name, len),
		.topic = text,
		.topic_len = len,
		.message = text + len,
		.len = (uint32_t)size,
		.parsed = parsed,
		.flags = flags,
	};
	return text + len;
}

/* Stalls the cursor at the position `at`. `heavy`: the messages are large, and wait until more of the ring is free. */
static void put_off(struct service *service, struct cursor *c, uint64_t at, bool heavy)
{
	c->at = at;
	cursor_clear_scan(c);
	cursor_stall(c);
	if (heavy)
		session_mark(service->base, c->sid, MARK_HEAVY);
	base_count(service->base, COUNTER_publish_deferred, 1);
}

void publish_batch_publish(struct service *service, struct cursor *c)
{
	unsigned done = 0;
	bool heavy = false;

	while (done < service->item_count) {
		unsigned n = publish(&service->base->hub, service->base->number, c->sid, service->items + done, service->item_count - done);
		struct session_state_shm st = session(service->base, c->sid)->state;

		if (n == 0) {
			heavy = errno == EBUSY;
			break;
		}
		done += n;
		st.parsed = service->items[done - 1].parsed;
		st.flags |= service->items[done - 1].flags;
		CRASH_POINT("publish-unmarked");
		session_commit(service->base, c->sid, &st);
		CRASH_POINT("publish-marked");
		publish_done(&service->base->hub, service->base->number);
	}
	if (done < service->item_count) {
		flood_again(service, c->sid, service->item_count - done);
		put_off(service, c, done ? service->items[done - 1].parsed : c->batch_from, heavy);
	}
	publish_batch_drop(service);
}

bool publish_batch_begin(struct service *service, struct cursor *c)
{
	publish_batch_publish(service, c);
	return !c->stalled;
}

/* What the key means with the messages at hand. NULL: there is none, or none is remembered. */
static const struct once_id *identify(struct service *service, const struct publish_key *key, struct once_id *id)
{
	const struct once *once = &service->base->hub.once;
	struct publish_item *items = service->items;

	if (key == NULL || key->len == 0 || !once_is_on(once))
		return NULL;
	once_id(once, items->topic, key->many ? 0 : items->topic_len, key->bytes, key->len, id);
	for (unsigned i = 0; i < service->item_count; i++) {
		once_add_message(once, id, items[i].message, items[i].len);
		items[i].key = key->bytes;
		items[i].key_len = (uint8_t)key->len;
		items[i].key_number = key->many ? (uint16_t)(i + 1) : 0;
	}
	return id;
}

int publish_batch_answered(struct service *service, struct cursor *c, const struct publish_key *key)
{
	struct once_id id;
	int why, r = publish_once(&service->base->hub, service->base->number, c->sid, service->items, service->item_count, identify(service, key, &id));

	if (r >= 0) {
		CRASH_POINT("answer-unwritten");
		return r;
	}
	why = errno;
	publish_batch_drop(service);
	if (why == EAGAIN || why == EBUSY)
		put_off(service, c, c->at, why == EBUSY);
	errno = why == EBUSY ? EAGAIN : why;
	return -1;
}

void publish_batch_end(struct service *service)
{
	CRASH_POINT("answer-written");
	publish_done(&service->base->hub, service->base->number);
	publish_batch_drop(service);
}

void publish_batch_drop(struct service *service)
{
	service->item_count = 0;
	service->item_used = 0;
}
