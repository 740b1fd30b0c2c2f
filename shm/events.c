/*
 * Events. See events.h.
 */
#include "shm/events.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "shm/crash.h"
#include "shm/hub.h"
#include "shm/segment.h"

_Static_assert(offsetof(struct hub_shm, events_size) == 48, "janusctl of any version finds events by it");
_Static_assert(COUNTERS_MAX > EVENT_WHY_PEER, "a counter's number is a reason, below those that are none");
#define COUNTER(number, ...) _Static_assert((number) < EVENT_WHY_PEER, "the same");
#include "shm/counters.def"
#undef COUNTER

/* A case label that is there twice is an error: an event's number is its own. */
static inline void event_numbers_differ(unsigned number)
{
	switch (number) {
#define EVENT(number, name, word, text) case number:
#include "shm/event.def"
#undef EVENT
		break;
	}
}

size_t events_size(void)
{
	return sizeof(struct events_shm) + EVENT_RINGS * (sizeof(struct event_ring_shm) + EVENTS_KEPT * sizeof(struct event_shm));
}

void events_format(void *mem)
{
	struct events_shm *shm = mem;
	struct event_ring_shm *ring = (struct event_ring_shm *)(shm + 1);

	*shm = (struct events_shm){
		.magic = EVENTS_MAGIC, .version = EVENTS_VERSION, .rings = EVENT_RINGS, .kept = EVENTS_KEPT, .size = sizeof(struct event_shm),
	};
	for (unsigned i = 0; i < EVENT_RINGS; i++)
		atomic_store_explicit(&ring[i].next, 1, memory_order_relaxed);
}

int events_attach(struct events *e, void *mem, size_t size)
{
	struct events_shm *shm = mem;

	if (size < events_size() || shm->magic != EVENTS_MAGIC || shm->version != EVENTS_VERSION || shm->rings != EVENT_RINGS ||
	    shm->kept != EVENTS_KEPT || shm->size != sizeof(struct event_shm)) {
		errno = EPROTO;
		return -1;
	}
	e->shm = shm;
	e->ring = (struct event_ring_shm *)(shm + 1);
	e->event = (struct event_shm *)(e->ring + EVENT_RINGS);
	return 0;
}

static struct event_shm *place_of(const struct events *e, unsigned ring, uint64_t seq)
{
	return &e->event[(size_t)ring * EVENTS_KEPT + (seq & (EVENTS_KEPT - 1))];
}

/* ---- writers ---- */

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static uint8_t put(char **to, const char *text, size_t len)
{
	if (len)
		memcpy(*to, text, len);
	*to += len;
	return (uint8_t)len;
}

/* The texts share what there is: who it is keeps his first EVENT_SUB bytes, what it was about as many, and the first text what these two leave. */
static void fill_texts(struct event_shm *dst, const struct event *event)
{
	size_t text = event->text ? event->text_len : 0, about = event->about_text ? event->about_len : 0, sub = event->sub ? event->sub_len : 0;
	char *to = dst->text;

	sub = least(sub, text || about ? EVENT_SUB : EVENT_TEXT);
	text = least(text, EVENT_TEXT - sub - least(about, EVENT_SUB));
	about = least(about, EVENT_TEXT - sub - text);
	dst->text_len = put(&to, event->text, text);
	dst->about_len = put(&to, event->about_text, about);
	dst->sub_len = put(&to, event->sub, sub);
	dst->about = (uint8_t)event->about;
}

static void fill(struct event_shm *dst, const struct event *event)
{
	dst->time = hub_now();
	dst->n = event->n;
	dst->session = event->session;
	dst->check = event->check;
	dst->family = EVENT_NOWHERE;
	if (event->peer) {
		memcpy(dst->address, event->peer->address, sizeof(dst->address));
		dst->port = event->peer->port;
		dst->family = event->peer->family;
	}
	dst->kind = event->kind;
	dst->why = event->why;
	dst->transport = event->transport;
	dst->slot = event->slot;
	fill_texts(dst, event);
}

void events_write(const struct events *e, unsigned ring, const struct event *event)
{
	struct event_ring_shm *r = &e->ring[ring];
	uint64_t seq = atomic_load_explicit(&r->next, memory_order_relaxed);
	struct event_shm *dst = place_of(e, ring, seq);

	atomic_store_explicit(&dst->seq, 0, memory_order_relaxed);
	/* release fence: who finds anything of the new event also finds that the old one's number is gone */
	atomic_thread_fence(memory_order_release);
	fill(dst, event);
	CRASH_POINT("event-filled");
	/* release: the event is whole when its number is there */
	atomic_store_explicit(&dst->seq, seq, memory_order_release);
	CRASH_POINT("event-numbered");
	/* release: pairs with the acquire in events_next() */
	atomic_store_explicit(&r->next, seq + 1, memory_order_release);
}

void events_say(const struct events *e, unsigned ring, enum event_kind kind, uint64_t n, const char *format, ...)
{
	struct event event = EVENT_OF_PROCESS(kind, ring < SLOT_BRIDGE ? ring : 255);
	char text[EVENT_TEXT + 1];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	event.n = n;
	event.text = text;
	event.text_len = strlen(text);
	events_write(e, ring, &event);
}

void events_beat(const struct events *e, unsigned ring, uint64_t now_ms)
{
	atomic_store_explicit(&e->ring[ring].beat, now_ms, memory_order_relaxed);
}

/* ---- readers ---- */

int events_map(struct events_map *map, int fd)
{
	const struct hub_shm *shm;

	*map = (struct events_map){ 0 };
	shm = map->mem = segment_map(fd, 0, &map->size);
	if (!shm)
		return -1;
	/* acquire: pairs with the release in hub_create() */
	if (map->size < sizeof(struct hub_shm) || atomic_load_explicit(&shm->magic, memory_order_acquire) != HUB_MAGIC || shm->layout < 11 ||
	    shm->events_at > map->size || shm->events_size > map->size - shm->events_at ||
	    events_attach(&map->events, (uint8_t *)map->mem + shm->events_at, shm->events_size) < 0) {
		events_unmap(map);
		errno = EPROTO;
		return -1;
	}
	map->started = shm->started;
	return 0;
}

void events_unmap(struct events_map *map)
{
	if (map->mem)
		segment_unmap(map->mem, map->size);
	*map = (struct events_map){ 0 };
}

static bool texts_fit(const struct event_shm *event)
{
	return event->text_len + event->about_len + event->sub_len <= EVENT_TEXT;
}

const char *event_about_text(const struct event_shm *event)
{
	return event->about_len && texts_fit(event) ? event->text + event->text_len : NULL;
}

const char *event_about_name(unsigned about)
{
	return about == EVENT_ABOUT_TOPIC ? "topic" : about == EVENT_ABOUT_USER ? "user" : "path";
}

const char *event_sub(const struct event_shm *event)
{
	return event->sub_len && texts_fit(event) ? event->text + event->text_len + event->about_len : NULL;
}

uint64_t events_next(const struct events *e, unsigned ring)
{
	/* acquire: pairs with the release in events_write() */
	return atomic_load_explicit(&e->ring[ring].next, memory_order_acquire);
}

uint64_t events_oldest(const struct events *e, unsigned ring)
{
	uint64_t next = events_next(e, ring);

	return next > EVENTS_KEPT ? next - EVENTS_KEPT : 1;
}

/* Copies it. False: another one has taken its place. */
static bool copy_event(const struct events *e, unsigned ring, uint64_t seq, struct event_shm *copy)
{
	const struct event_shm *src = place_of(e, ring, seq);

	/* acquire: pairs with the release of its number */
	if (atomic_load_explicit(&src->seq, memory_order_acquire) != seq)
		return false;
	memcpy(copy, src, sizeof(*copy));
	/* acquire fence: what was copied was read before; pairs with the fence in events_write() */
	atomic_thread_fence(memory_order_acquire);
	if (copy->text_len > EVENT_TEXT)
		copy->text_len = EVENT_TEXT;
	return atomic_load_explicit(&src->seq, memory_order_relaxed) == seq;
}

bool events_read(const struct events *e, unsigned ring, uint64_t *next, struct event_shm *copy, uint64_t *lost)
{
	while (*next < events_next(e, ring)) {
		uint64_t oldest = events_oldest(e, ring), seq;

		if (*next < oldest) {
			*lost += oldest - *next;
			*next = oldest;
		}
		seq = (*next)++;
		if (copy_event(e, ring, seq, copy))
			return true;
		(*lost)++;
	}
	return false;
}

uint64_t events_newest_beat(const struct events *e)
{
	uint64_t newest = 0;

	for (unsigned i = 0; i < EVENT_RINGS; i++) {
		uint64_t beat = atomic_load_explicit(&e->ring[i].beat, memory_order_relaxed);

		newest = beat > newest ? beat : newest;
	}
	return newest;
}
