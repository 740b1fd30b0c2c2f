/*
 * Limits. See limits.h.
 */
#include "master/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "master/config.h"
#include "master/privileges.h"
#include "shm/memory.h"

/* Descriptors of a slot that are no connections: eventfds, the worker's own, listen sockets, and those of an order that replaces them. */
#define RESERVED (2 * INDEX_SLOTS_MAX + 2 * LISTENERS_OPEN_MAX + 32)
#define BUFFERED_LEAST (4ull * 1024 * 1024)
#define SUBSCRIPTIONS_LEAST (1ull << 20)
#define SUBSCRIPTIONS_MOST (1ull << 28)

uint64_t limits_buffered(const struct settings *settings)
{
	uint64_t all = memory_there_is(), ring = (uint64_t)settings->ring_bytes, least = config_buffered_least(settings);
	uint64_t n = (all > 2 * ring ? all - ring : all / 2) / 4;

	if (settings->max_buffered)
		return (uint64_t)settings->max_buffered;
	if (least < BUFFERED_LEAST)
		least = BUFFERED_LEAST;
	return n > least ? n : least;
}

uint64_t limits_subscriptions(const struct settings *settings, uint32_t sessions_max)
{
	uint64_t n = (uint64_t)settings->workers * sessions_max * SLOT_SHARE;

	if (settings->max_subscriptions_total)
		return (uint64_t)settings->max_subscriptions_total;
	return n < SUBSCRIPTIONS_LEAST ? SUBSCRIPTIONS_LEAST : n > SUBSCRIPTIONS_MOST ? SUBSCRIPTIONS_MOST : n;
}

struct slot_size limits_slot(const struct hub *hub, const struct settings *settings, uint32_t sessions_max)
{
	return (struct slot_size){
		.sessions = sessions_max,
		.frame = (uint32_t)settings->max_frame,
		.buffered = hub->shm->buffered_max,
		.subscriptions = hub->shm->subscriptions_max,
	};
}

uint32_t limits_slot_connections(uint32_t descriptors)
{
	return descriptors > RESERVED ? descriptors - RESERVED : 0;
}

int limits_connections(const struct settings *settings, uint32_t descriptors, char *error, size_t size)
{
	uint64_t workers = (uint64_t)settings->workers, wanted = (uint64_t)settings->max_connections;
	uint64_t room = workers * limits_slot_connections(descriptors), needed = (wanted + workers - 1) / workers + RESERVED;

	if (wanted <= room)
		return 0;
	if (needed > DESCRIPTORS_MAX)
		snprintf(error, size, "max_connections = %llu: there is room for %llu, %llu too few; %llu workers can't have so many: set workers = %llu or more, and ulimit -n to %u",
			 (unsigned long long)wanted, (unsigned long long)room, (unsigned long long)(wanted - room), (unsigned long long)workers,
			 (unsigned long long)((wanted + DESCRIPTORS_MAX - RESERVED - 1) / (DESCRIPTORS_MAX - RESERVED)), DESCRIPTORS_MAX);
	else
		snprintf(error, size, "max_connections = %llu: there is room for %llu, %llu too few, as each of %llu workers may have %u descriptors; it takes "
			 "`ulimit -n %llu` before the start (in the systemd unit: LimitNOFILE=%llu)", (unsigned long long)wanted, (unsigned long long)room,
			 (unsigned long long)(wanted - room), (unsigned long long)workers, descriptors, (unsigned long long)needed, (unsigned long long)needed);
	return -1;
}

int limits_try(const struct settings *settings, uint32_t sessions_max, char *error, size_t size)
{
	struct hub hub = { 0 };
	struct slot slot = { 0 };
	const char *what = "the hub", *why = "ring_bytes, ring_messages, max_topics or history_bytes";
	int hub_fd = hub_create(settings), slot_fd = -1, r = -1;

	if (hub_fd >= 0 && hub_attach(&hub, hub_fd, true) == 0) {
		struct slot_size slot_size;

		hub.shm->buffered_max = limits_buffered(settings);
		hub.shm->subscriptions_max = limits_subscriptions(settings, sessions_max);
		slot_size = limits_slot(&hub, settings, sessions_max);
		what = "a worker's connections";
		why = "max_buffered, max_subscriptions_total or the descriptors (ulimit -n)";
		slot_fd = slot_create("janus-slot", &slot_size);
		if (slot_fd >= 0)
			r = slot_attach(&slot, slot_fd, true);
	}
	if (r < 0)
		snprintf(error, size, "shared memory for %s can't be had: %s; less of it is needed with a smaller %s", what, strerror(errno), why);
	slot_detach(&slot);
	hub_detach(&hub);
	if (slot_fd >= 0)
		close(slot_fd);
	if (hub_fd >= 0)
		close(hub_fd);
	return r;
}
