/*
 * A hub that keeps history, in a few pages. Messages say what they are: their bytes follow from topic, number and length.
 */
#ifndef UNIT_HISTORY_FIXTURE_H
#define UNIT_HISTORY_FIXTURE_H

#define setup hub_setup		/* (that of the hub's fixture makes a hub without rules) */
#include "tests/unit/hub_fixture.h"
#undef setup

#define PAGES 256u		/* as few as the setting allows */
#define PAGE_ROOM (sizeof(((struct history_page_shm *)0)->bytes))
#define HEAD sizeof(struct history_head_shm)

static inline int begin_with(struct fixture *f, const char *rules, uint32_t pages)
{
	struct settings settings;

	settings_defaults(&settings);
	settings.ring_bytes = RING_BYTES;
	settings.ring_messages = RING_MESSAGES;
	settings.max_topics = TOPICS_MAX;
	settings.history_bytes = pages * HISTORY_PAGE;
	snprintf(settings.history, sizeof(settings.history), "%s", rules);
	f->fd = hub_create(&settings);
	assert_int_equal(hub_attach(&f->hub, f->fd, true), 0);
	hub_keep(&f->hub, &settings);
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		f->wake[i] = eventfd(0, EFD_NONBLOCK);
	f->hub.wake = f->wake;
	return 0;
}

/* Other rules, as after a reload. */
static inline void rule(struct fixture *f, const char *rules)
{
	struct settings settings;

	settings_defaults(&settings);
	snprintf(settings.history, sizeof(settings.history), "%s", rules);
	hub_keep(&f->hub, &settings);
}

static inline int setup(void **state)
{
	struct fixture *f = *state = calloc(1, sizeof(*f));

	return begin_with(f, "", PAGES);
}

static inline uint8_t byte_of(uint64_t number, uint32_t i)
{
	return (uint8_t)(number * 31 + i * 7 + (i >> 8));
}

static inline void check_history(const struct fixture *f)
{
	const char *why;

	check(f);
	if (history_check(&f->hub.history, &why) < 0)
		fail_msg("history_check: %s", why);
}

/* Writes a record without its being published or followed; the topic is kept if it has a rule. Its sequence. */
static inline uint64_t write_record(struct fixture *f, struct ring_batch *batch, const char *name, uint32_t len, uint64_t now)
{
	uint32_t topic = find(f, name);
	uint8_t *dst;

	if (topic == TOPIC_NONE)
		topic = index_keep(&f->hub.index, index_hash(name, strlen(name)), name, strlen(name), ring_tail(&f->hub.ring));
	dst = ring_add(&f->hub.ring, batch, topic, len, 0, now);
	assert_non_null(dst);
	for (uint32_t i = 0; i < len; i++)
		dst[i] = byte_of(index_topic(&f->hub.index, topic)->published, i);
	return batch->next - 1;
}

static inline uint64_t say_at(struct fixture *f, const char *name, uint32_t len, uint64_t now)
{
	struct ring_batch batch;
	uint64_t seq;

	lock_acquire(&f->hub.shm->lock, 1);
	ring_begin(&f->hub.ring, &batch);
	seq = write_record(f, &batch, name, len, now);
	ring_commit(&f->hub.ring, &batch);
	hub_follow(&f->hub);
	lock_release(&f->hub.shm->lock, 1);
	check_history(f);
	return seq;
}

static inline uint64_t say(struct fixture *f, const char *name, uint32_t len)
{
	return say_at(f, name, len, hub_now());
}

static inline const struct history_topic_shm *kept(const struct fixture *f, const char *name)
{
	return &f->hub.history.topics[find(f, name)];
}

static inline uint32_t generation_of(const struct fixture *f, const char *name)
{
	return index_topic(&f->hub.index, find(f, name))->generation;
}

static inline int seek(const struct fixture *f, const char *name, uint64_t from, uint64_t below, struct ring_record *rec)
{
	return history_seek(&f->hub.history, 2, find(f, name), generation_of(f, name), from, below, rec);
}

static inline void check_bytes(const struct fixture *f, const struct ring_record *rec)
{
	uint8_t *bytes = malloc(rec->len);

	history_copy(&f->hub.history, rec, bytes);
	for (uint32_t i = 0; i < rec->len; i++)
		if (bytes[i] != byte_of(rec->number, i))
			fail_msg("message %llu: byte %u of %u is wrong", (unsigned long long)rec->number, i, rec->len);
	free(bytes);
}

/* Reads all of the topic from a sequence on; returns how many messages, *first and *last their numbers. */
static inline unsigned read_from(const struct fixture *f, const char *name, uint64_t from, uint64_t *first, uint64_t *last)
{
	struct ring_record rec;
	unsigned n = 0;
	int r;

	for (r = seek(f, name, from, UINT64_MAX, &rec); r == 0; r = history_next(&f->hub.history, &rec), n++) {
		assert_true(rec.seq >= from);
		if (n == 0)
			*first = rec.number;
		else
			assert_int_equal(rec.number, *last + 1);
		*last = rec.number;
		check_bytes(f, &rec);
	}
	return n;
}

#endif
