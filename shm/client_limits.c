/*
 * What all workers know together of clients. See client_limits.h.
 */
#include "shm/client_limits.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "shm/siphash.h"

#define SECOND 1000000000ull
#define LOOKED_AT 256		/* cells, for one that can be given up */

size_t client_limits_size(void)
{
	return sizeof(struct client_limits_shm) + (CLIENT_CELLS + 1ull) * sizeof(struct client_cell_shm);
}

int client_limits_format(void *mem)
{
	struct client_limits_shm *shm = mem;

	return getrandom(shm->key, sizeof(shm->key), 0) == (ssize_t)sizeof(shm->key) ? 0 : -1;
}

int client_limits_attach(struct client_limits *l, void *mem, size_t size)
{
	if (size < client_limits_size()) {
		errno = EPROTO;
		return -1;
	}
	l->shm = mem;
	l->cell = (struct client_cell_shm *)(l->shm + 1);
	return 0;
}

/* ---- what it is about ---- */

static uint64_t hash_of(const struct client_limits *l, const void *bytes, size_t len)
{
	uint64_t hash[2];

	siphash(l->shm->key, bytes, len, hash);
	return hash[0];
}

uint64_t client_limits_address(const struct client_limits *l, uint8_t family, const uint8_t address[16])
{
	uint8_t bytes[9] = { family };
	size_t len = family == 6 ? 8 : 4;

	memcpy(bytes + 1, address, len);
	return hash_of(l, bytes, 1 + len);
}

uint64_t client_limits_sub(const struct client_limits *l, const char *sub, size_t len)
{
	char bytes[256] = "s";	/* no family of addresses */

	if (len > sizeof(bytes) - 1)
		len = sizeof(bytes) - 1;
	memcpy(bytes + 1, sub, len);
	return hash_of(l, bytes, 1 + len);
}

/* ---- cells ---- */

static _Atomic uint32_t *head_of(const struct client_limits *l, uint64_t hash)
{
	return &l->shm->head[hash % CLIENT_CELLS];
}

static uint32_t follow(const _Atomic uint32_t *link)
{
	return atomic_load_explicit(link, memory_order_relaxed);
}

static bool is_unused(const struct client_limits *l, uint32_t cell, uint64_t now)
{
	for (unsigned i = 0; i < CLIENT_RATES; i++)
		if (atomic_load_explicit(&l->cell[cell].rate[i], memory_order_relaxed) > now)
			return false;
	return client_limits_connections(l, cell) == 0;
}

/* (It may be in none, after a death.) */
static void unlink_cell(struct client_limits *l, uint32_t cell)
{
	_Atomic uint32_t *link = head_of(l, l->cell[cell].hash);

	while (follow(link) && follow(link) != cell)
		link = &l->cell[follow(link)].next;
	if (follow(link))	/* release: the list is whole at each moment */
		atomic_store_explicit(link, follow(&l->cell[cell].next), memory_order_release);
}

/* A cell that is in no list. 0: there is none. */
static uint32_t take_cell(struct client_limits *l, uint64_t now)
{
	struct client_limits_shm *shm = l->shm;
	uint32_t high = follow(&shm->high);

	if (high < CLIENT_CELLS) {
		atomic_store_explicit(&shm->high, high + 1, memory_order_relaxed);
		return high + 1;
	}
	for (unsigned i = 0; i < LOOKED_AT; i++) {
		shm->hand = shm->hand % CLIENT_CELLS + 1;
		if (is_unused(l, shm->hand, now)) {
			unlink_cell(l, shm->hand);
			return shm->hand;
		}
	}
	return 0;
}

uint32_t client_limits_cell(struct client_limits *l, uint64_t hash, uint64_t now)
{
	_Atomic uint32_t *head = head_of(l, hash);
	struct client_cell_shm *c;
	uint32_t cell;

	for (cell = follow(head); cell; cell = follow(&l->cell[cell].next))
		if (l->cell[cell].hash == hash)
			return cell;
	cell = take_cell(l, now);
	if (!cell)
		return 0;
	c = &l->cell[cell];
	c->hash = hash;
	for (unsigned i = 0; i < CLIENT_RATES; i++)
		atomic_store_explicit(&c->rate[i], 0, memory_order_relaxed);
	atomic_store_explicit(&c->next, follow(head), memory_order_relaxed);
	/* release: the cell is whole when the list names it */
	atomic_store_explicit(head, cell, memory_order_release);
	return cell;
}

/* ---- connections ---- */

uint64_t client_limits_connections(const struct client_limits *l, uint32_t cell)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		n += atomic_load_explicit(&l->cell[cell].connections[i], memory_order_relaxed);
	return n;
}

void client_limits_join(struct client_limits *l, uint32_t cell, unsigned slot)
{
	atomic_fetch_add_explicit(&l->cell[cell].connections[slot], 1, memory_order_relaxed);
}

void client_limits_leave(struct client_limits *l, uint32_t cell, unsigned slot)
{
	atomic_fetch_sub_explicit(&l->cell[cell].connections[slot], 1, memory_order_relaxed);
}

void client_limits_clear(struct client_limits *l, unsigned slot)
{
	uint32_t high = follow(&l->shm->high);

	for (uint32_t i = 1; i <= high && i <= CLIENT_CELLS; i++)
		if (follow(&l->cell[i].connections[slot]))
			atomic_store_explicit(&l->cell[i].connections[slot], 0, memory_order_relaxed);
}

/* ---- rates ---- */

bool client_rate_take(_Atomic uint64_t *rate, uint64_t a_second, uint64_t n, uint64_t now)
{
	uint64_t was = atomic_load_explicit(rate, memory_order_relaxed), empty;

	do {
		empty = was > now ? was : now;
		/* (Who asks for more than there ever is may have it out of an unused bucket.) */
		if (empty - now + SECOND / a_second * (n < a_second ? n : a_second) > SECOND)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(rate, &was, empty + SECOND / a_second * n, memory_order_relaxed, memory_order_relaxed));
	return true;
}

void client_rate_give(_Atomic uint64_t *rate, uint64_t a_second, uint64_t n)
{
	atomic_fetch_sub_explicit(rate, SECOND / a_second * n, memory_order_relaxed);
}
