/*
 * A hub in a segment of its own, with topics that slots have joined, and eventfds for its slots.
 */
#ifndef UNIT_HUB_FIXTURE_H
#define UNIT_HUB_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shm/hub.h"

#define TOPICS_MAX 16
#ifndef RING_BYTES
#define RING_BYTES 65536
#endif
#define RING_MESSAGES 128

struct fixture {
	struct hub hub;
	int fd;
	int wake[INDEX_SLOTS_MAX];
};

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct settings settings;

	settings_defaults(&settings);
	settings.ring_bytes = RING_BYTES;
	settings.ring_messages = RING_MESSAGES;
	settings.max_topics = TOPICS_MAX;
	f->fd = hub_create(&settings);
	assert_int_equal(hub_attach(&f->hub, f->fd, true), 0);
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		f->wake[i] = eventfd(0, EFD_NONBLOCK);
	f->hub.wake = f->wake;
	f->hub.once.keep = (uint64_t)settings.once_time;
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	hub_detach(&f->hub);
	close(f->fd);
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		close(f->wake[i]);
	free(f);
	return 0;
}

static inline struct hub_slot_shm *slot_of(const struct fixture *f, unsigned slot)
{
	return &f->hub.shm->slot[slot];
}

static inline uint32_t find(const struct fixture *f, const char *name)
{
	return index_find(&f->hub.index, index_hash(name, strlen(name)), name, strlen(name));
}

/* The slot joins the topic, with so many subscribers. Its number. */
static inline uint32_t join(struct fixture *f, unsigned slot, const char *name, uint32_t subscribers)
{
	uint32_t topic = index_join(&f->hub.index, slot, index_hash(name, strlen(name)), name, strlen(name), ring_tail(&f->hub.ring));

	assert_int_not_equal(topic, TOPIC_NONE);
	atomic_store(hub_count_of(&f->hub, slot, topic), subscribers);
	return topic;
}

/* The slot's worker runs, and has delivered all. */
static inline void go_live(struct fixture *f, unsigned slot, bool sleeping)
{
	atomic_store(&slot_of(f, slot)->state, SLOT_LIVE);
	atomic_store(&slot_of(f, slot)->delivered, ring_tail(&f->hub.ring));
	atomic_store(&slot_of(f, slot)->sleeping, sleeping);
}

/* Wake-ups since it was last asked. */
static inline uint64_t woken(struct fixture *f, unsigned slot)
{
	uint64_t n;

	return read(f->wake[slot], &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* All is in order, and nobody holds the lock. */
static inline void check(const struct fixture *f)
{
	const char *why;

	assert_int_equal(lock_owner(&f->hub.shm->lock), 0);
	if (index_check(&f->hub.index, &why) < 0)
		fail_msg("index_check: %s", why);
	if (ring_check(&f->hub.ring, &why) < 0)
		fail_msg("ring_check: %s", why);
	if (once_check(&f->hub.once, &why) < 0)
		fail_msg("once_check: %s", why);
}

#endif
