/*
 * Keys of tokens that were fetched. See fetched_keys.h.
 */
#include "shm/fetched_keys.h"

#include <stdio.h>
#include <string.h>

#include "shm/segment.h"

int fetched_keys_create(void)
{
	return segment_create_struct("janus-fetched-keys", sizeof(struct fetched_keys_shm), FETCHED_KEYS_MAGIC);
}

struct fetched_keys_shm *fetched_keys_map(int fd, bool writable)
{
	return segment_map_struct(fd, writable, sizeof(struct fetched_keys_shm), FETCHED_KEYS_MAGIC);
}

void fetched_keys_unmap(struct fetched_keys_shm *f)
{
	if (f)
		segment_unmap(f, sizeof(*f));
}

void fetched_keys_write(struct fetched_keys_shm *f, const char *url, const void *bytes, size_t len)
{
	uint32_t next = atomic_load_explicit(&f->current, memory_order_relaxed) + 1;
	struct fetched_keys_place_shm *place = &f->place[next % 2];

	snprintf(place->url, sizeof(place->url), "%s", url);
	place->len = (uint32_t)len;
	memcpy(place->bytes, bytes, len);
	/* release: pairs with the acquire in fetched_keys_number() */
	atomic_store_explicit(&f->current, next, memory_order_release);
}

bool fetched_keys_from(const struct fetched_keys_shm *f, const char *url)
{
	return strncmp(f->place[fetched_keys_number(f) % 2].url, url, FETCHED_KEYS_URL - 1) == 0;
}

size_t fetched_keys_copy(const struct fetched_keys_shm *f, void *dst, uint32_t *number)
{
	const struct fetched_keys_place_shm *place;
	uint32_t len;

	do {
		*number = fetched_keys_number(f);
		place = &f->place[*number % 2];
		len = place->len <= FETCHED_KEYS_MAX ? place->len : 0;
		memcpy(dst, place->bytes, len);
		/* What is copied was read before it is looked whether it has become the place that is written. */
		atomic_thread_fence(memory_order_acquire);
	} while (atomic_load_explicit(&f->current, memory_order_relaxed) != *number);
	return len;
}
