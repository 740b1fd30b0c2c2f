/*
 * The keys of TLS session tickets. See tickets.h.
 */
#include "shm/tickets.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "shm/segment.h"

int tickets_create(void)
{
	return segment_create_struct("janus-tickets", sizeof(struct tickets_shm), TICKETS_MAGIC);
}

struct tickets_shm *tickets_map(int fd, bool writable)
{
	struct tickets_shm *t = segment_map_struct(fd, writable, sizeof(*t), TICKETS_MAGIC);

	if (t)
		(void)!mlock(t, sizeof(*t));
	return t;
}

void tickets_unmap(struct tickets_shm *t)
{
	segment_unmap(t, sizeof(*t));
}

int tickets_renew(struct tickets_shm *t, uint64_t now, uint64_t lifetime)
{
	uint32_t current = atomic_load_explicit(&t->current, memory_order_relaxed);
	struct ticket_key_shm *next = &t->key[(current + 1) % TICKET_KEYS];

	if (current && now - t->since < lifetime)
		return 0;
	if (getrandom(next, sizeof(*next), 0) != sizeof(*next))
		return -1;
	/* release: pairs with the acquire in key_at(). (It has 2^32 lifetimes until it is 0 again.) */
	atomic_store_explicit(&t->current, current + 1, memory_order_release);
	/* (Behind that: if we die between, another key follows soon. No key is used for longer.) */
	t->since = now;
	return 0;
}

/* The key so many before the current one. NULL: there is none. */
static const struct ticket_key_shm *key_at(const struct tickets_shm *t, uint32_t before)
{
	uint32_t current = atomic_load_explicit(&t->current, memory_order_acquire);

	return current > before ? &t->key[(current - before) % TICKET_KEYS] : NULL;
}

bool tickets_current(const struct tickets_shm *t, struct ticket_key_shm *key)
{
	const struct ticket_key_shm *current = key_at(t, 0);

	if (current)
		*key = *current;
	return current != NULL;
}

bool tickets_find(const struct tickets_shm *t, const uint8_t name[TICKET_NAME], struct ticket_key_shm *key, bool *old)
{
	for (uint32_t before = 0; before < TICKET_KEYS - 1; before++) {
		const struct ticket_key_shm *k = key_at(t, before);

		if (!k || memcmp(k->name, name, TICKET_NAME) != 0)
			continue;
		*key = *k;
		*old = before > 0;
		return true;
	}
	return false;
}
