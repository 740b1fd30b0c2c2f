/*
 * Messages on their way into the ring. Those that are not answered are gathered while the input is parsed and published as one batch;
 * a request that wants to know what became of its own is published by itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shm/crash.h"
#include "worker/service/flood.h"
#include "worker/service/publish_batch.h"

int publish_batch_init(struct worker *w)
{
	size_t least = publish_batch_record_max(w) + TOPIC_NAME_MAX;

	w->item_room = publish_bytes_max(&w->base.hub) < 256 * 1024 ? publish_bytes_max(&w->base.hub) : 256 * 1024;
	if (w->item_room < least)
		w->item_room = least;
	w->items = malloc(PUBLISH_BATCH_MAX * sizeof(*w->items));
	w->item_text = malloc(w->item_room);
	return w->items && w->item_text ? 0 : -1;
}

size_t publish_batch_record_max(const struct worker *w)
{
	size_t least = (size_t)w->base.settings->max_frame + 4096, most = 6 * (size_t)w->base.settings->max_frame;
	size_t ring = publish_bytes_max(&w->base.hub);

	if (most > ring)
		most = ring;
	return most > least ? most : least;
}

char *publish_batch_add(struct worker *w, struct cursor *c, const char *name, uint8_t len, size_t size, uint64_t parsed, uint32_t flags)
{
	char *text = w->item_text + w->item_used;

	if (w->item_count == PUBLISH_BATCH_MAX || w->item_used + len + size > w->item_room)
		return NULL;
	if (w->item_count == 0)
		c->batch_from = c->at;
	memcpy(text, name, len);
	w->item_used += len + size;
	w->items[w->item_count++] = (struct publish_item){
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

static void put_off(struct worker *w, struct cursor *c, uint64_t at, bool heavy)
{
	c->at = at;
	cursor_clear_scan(c);
	cursor_stall(c);
	if (heavy)
		session_mark(&w->base, c->fd, MARK_HEAVY);
	base_count(&w->base, COUNTER_publish_deferred, 1);
}

void publish_batch_publish(struct worker *w, struct cursor *c)
{
	unsigned done = 0;
	bool heavy = false;

	while (done < w->item_count) {
		unsigned n = publish(&w->base.hub, w->base.number, c->fd, w->items + done, w->item_count - done);
		struct session_state_shm st = session(&w->base, c->fd)->state;

		if (n == 0) {
			heavy = errno == EBUSY;
			break;
		}
		done += n;
		st.parsed = w->items[done - 1].parsed;
		st.flags |= w->items[done - 1].flags;
		CRASH_POINT("publish-unmarked");
		session_commit(&w->base, c->fd, &st);
		CRASH_POINT("publish-marked");
		publish_done(&w->base.hub, w->base.number);
	}
	if (done < w->item_count) {
		flood_again(w, c->fd, w->item_count - done);
		put_off(w, c, done ? w->items[done - 1].parsed : c->batch_from, heavy);
	}
	publish_batch_drop(w);
}

bool publish_batch_begin(struct worker *w, struct cursor *c)
{
	publish_batch_publish(w, c);
	return !c->stalled;
}

int publish_batch_answered(struct worker *w, struct cursor *c)
{
	int why;

	if (publish_answered(&w->base.hub, w->base.number, c->fd, w->items, w->item_count) == 0) {
		CRASH_POINT("answer-unwritten");
		return 0;
	}
	why = errno;
	publish_batch_drop(w);
	if (why == EAGAIN || why == EBUSY)
		put_off(w, c, c->at, why == EBUSY);
	errno = why == EBUSY ? EAGAIN : why;
	return -1;
}

void publish_batch_end(struct worker *w)
{
	CRASH_POINT("answer-written");
	publish_done(&w->base.hub, w->base.number);
	publish_batch_drop(w);
}

void publish_batch_drop(struct worker *w)
{
	w->item_count = 0;
	w->item_used = 0;
}
