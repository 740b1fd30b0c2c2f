/*
 * Publish once. See once.h for what is kept, and in which order. As in index.c, what a process that has been reaped has stored is all there for
 * whoever reaped it: only the order in which the compiler emits stores matters.
 */
#include "shm/once.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "shm/siphash.h"

#define CELLS_MIN 128u		/* more than a request of ONCE_MESSAGES_MAX takes */
#define CELLS_MAX (1u << 24)
#define BEFORE_WRAP 3		/* numbers start so many before a multiple of `cells`, so that the first entries already wrap */
#define PLACE_BITS 16
#define SUBSCRIBERS_MOST (UINT64_MAX >> PLACE_BITS)
_Static_assert(ONCE_MESSAGES_MAX < 1u << PLACE_BITS, "a record's place has room");
_Static_assert(1 + (ONCE_MESSAGES_MAX + 6) / 8 <= CELLS_MIN, "every entry has room");

static void in_order(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

/* ---- layout ---- */

static uint32_t cell_count(uint32_t keys)
{
	uint32_t n = CELLS_MIN;

	if (keys == 0)
		return 0;
	while (n < keys && n < CELLS_MAX)
		n *= 2;
	return n;
}

static size_t size_of(uint32_t cells)
{
	return sizeof(struct once_shm) + (size_t)cells * (sizeof(uint64_t) + sizeof(union once_cell_shm));
}

size_t once_size(uint32_t keys)
{
	return size_of(cell_count(keys));
}

void once_format(void *mem, uint32_t keys)
{
	struct once_shm *shm = mem;
	uint64_t start;

	shm->cells = cell_count(keys);
	start = shm->cells - BEFORE_WRAP;
	if (getrandom(shm->secret, sizeof shm->secret, GRND_NONBLOCK) != sizeof shm->secret)
		shm->secret[0] = (uint64_t)(uintptr_t)mem;	/* early at boot there is none: this works, and is only easier to guess */
	atomic_store_explicit(&shm->oldest, start, memory_order_relaxed);
	atomic_store_explicit(&shm->end, start, memory_order_relaxed);
	atomic_store_explicit(&shm->staged, start, memory_order_relaxed);
}

int once_attach(struct once *o, void *mem, size_t size)
{
	struct once_shm *shm = mem;

	if (size < sizeof *shm || shm->cells != cell_count(shm->cells) || size < size_of(shm->cells)) {
		errno = EINVAL;
		return -1;
	}
	o->shm = shm;
	o->heads = (_Atomic uint64_t *)(shm + 1);
	o->cells = (union once_cell_shm *)(o->heads + shm->cells);
	return 0;
}

/* ---- what identifies a publish ---- */

uint64_t once_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void once_id(const struct once *o, const char *name, size_t name_len, const char *key, size_t len, struct once_id *id)
{
	uint8_t text[1 + UINT8_MAX + ONCE_KEY_MAX];

	assert(name_len <= UINT8_MAX && len > 0 && len <= ONCE_KEY_MAX);
	text[0] = (uint8_t)name_len;	/* so that what is name and what is key can't be mistaken */
	memcpy(text + 1, name, name_len);
	memcpy(text + 1 + name_len, key, len);
	siphash(o->shm->secret, text, 1 + name_len + len, id->key);
	id->digest = 0;
}

/* The hash of those before, and the secret, are the key of the next one's. */
void once_add_message(const struct once *o, struct once_id *id, const void *bytes, size_t len)
{
	uint64_t hash[2];

	siphash((uint64_t[]){ o->shm->secret[0], o->shm->secret[1] ^ id->digest }, bytes, len, hash);
	id->digest = hash[0];
}

/* ---- under the hub lock ---- */

static uint64_t load(const _Atomic uint64_t *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
}

static void store(_Atomic uint64_t *p, uint64_t value)
{
	in_order();
	atomic_store_explicit(p, value, memory_order_relaxed);
	in_order();
}

static union once_cell_shm *cell_of(const struct once *o, uint64_t number)
{
	return &o->cells[number & (o->shm->cells - 1)];
}

static _Atomic uint64_t *head_of(const struct once *o, const uint64_t key[2])
{
	return &o->heads[key[0] & (o->shm->cells - 1)];
}

static uint64_t cells_for(uint64_t count)
{
	return 1 + (count + 6) / 8;
}

uint64_t once_behind(const struct once *o, uint64_t number)
{
	return number + cells_for(cell_of(o, number)->entry.count);
}

/* Whether the entry's key counts still. */
static bool counts(const struct once *o, uint64_t number, uint64_t now)
{
	uint64_t time = cell_of(o, number)->entry.time;

	return now < time || now - time < o->keep;
}

uint64_t once_find(const struct once *o, const struct once_id *id, uint64_t now)
{
	uint64_t oldest = load(&o->shm->oldest), number = load(head_of(o, id->key));

	while (number >= oldest) {
		const union once_cell_shm *c = cell_of(o, number);

		if (c->entry.key[0] == id->key[0] && c->entry.key[1] == id->key[1])
			return counts(o, number, now) ? number : 0;
		number = c->entry.next;
	}
	return 0;
}

bool once_is_same(const struct once *o, uint64_t number, const struct once_id *id)
{
	return cell_of(o, number)->entry.digest == id->digest;
}

uint64_t once_count(const struct once *o, uint64_t number)
{
	return cell_of(o, number)->entry.count;
}

static uint64_t *answer_of(const struct once *o, uint64_t number, unsigned i)
{
	return i == 0 ? &cell_of(o, number)->entry.answer : &cell_of(o, number + 1 + (i - 1) / 8)->answer[(i - 1) % 8];
}

void once_answer(const struct once *o, uint64_t number, unsigned i, uint64_t *seq, uint64_t *subscribers)
{
	uint64_t answer = *answer_of(o, number, i), place = answer & ((1u << PLACE_BITS) - 1);

	*seq = place ? cell_of(o, number)->entry.first + place - 1 : 0;
	*subscribers = answer >> PLACE_BITS;
}

void once_put_answer(struct once *o, uint64_t number, unsigned i, uint64_t seq, uint64_t subscribers)
{
	uint64_t place = seq ? seq - cell_of(o, number)->entry.first + 1 : 0;

	assert(i < once_count(o, number) && place <= ONCE_MESSAGES_MAX);
	*answer_of(o, number, i) = (subscribers < SUBSCRIBERS_MOST ? subscribers : SUBSCRIBERS_MOST) << PLACE_BITS | place;
}

uint64_t once_write(struct once *o, const struct once_id *id, uint64_t now, uint64_t first, unsigned count, unsigned *evicted)
{
	uint64_t number = load(&o->shm->end), oldest = load(&o->shm->oldest), need = cells_for(count);

	assert(once_is_on(o) && count > 0 && count <= ONCE_MESSAGES_MAX);
	for (*evicted = 0; number + need - oldest > o->shm->cells; oldest = once_behind(o, oldest))
		*evicted += counts(o, oldest, now);
	/* before a cell of those is overwritten */
	store(&o->shm->oldest, oldest);
	*cell_of(o, number) = (union once_cell_shm){ .entry = {
		.key = { id->key[0], id->key[1] }, .digest = id->digest, .time = now, .first = first, .count = count,
	} };
	return number;
}

void once_stage(struct once *o, uint64_t number, uint64_t needs)
{
	assert(number == load(&o->shm->end));
	o->shm->needs = needs;
	store(&o->shm->staged, once_behind(o, number));
}

void once_commit(struct once *o)
{
	uint64_t number = load(&o->shm->end);
	union once_cell_shm *c = cell_of(o, number);
	_Atomic uint64_t *head = head_of(o, c->entry.key);

	if (load(head) != number) {
		c->entry.next = load(head);
		store(head, number);
	}
	store(&o->shm->end, load(&o->shm->staged));
}

bool once_is_staged(const struct once *o, uint64_t behind)
{
	return load(&o->shm->staged) == behind;
}

void once_repair(struct once *o, uint64_t tail)
{
	if (load(&o->shm->staged) == load(&o->shm->end))
		return;
	if (tail >= o->shm->needs)
		once_commit(o);
	else
		store(&o->shm->staged, load(&o->shm->end));
}

/* ---- all of them ---- */

uint64_t once_first(const struct once *o)
{
	uint64_t oldest = load(&o->shm->oldest);

	return oldest < load(&o->shm->end) ? oldest : 0;
}

uint64_t once_next(const struct once *o, uint64_t number)
{
	number = once_behind(o, number);
	return number < load(&o->shm->end) ? number : 0;
}

static const char *check_entry(const struct once *o, uint64_t number)
{
	const union once_cell_shm *c = cell_of(o, number);
	uint64_t at;

	if (c->entry.count == 0 || c->entry.count > ONCE_MESSAGES_MAX || once_behind(o, number) > load(&o->shm->end))
		return "an entry of impossible size";
	if (c->entry.next >= number)
		return "a chain does not go from newer to older";
	for (at = load(head_of(o, c->entry.key)); at > number; at = cell_of(o, at)->entry.next)
		;
	return at == number ? NULL : "an entry is not in its chain";
}

int once_check(const struct once *o, const char **why)
{
	uint64_t oldest = load(&o->shm->oldest), end = load(&o->shm->end);

	*why = NULL;
	if (load(&o->shm->staged) != end)
		*why = "an entry is staged";
	else if (oldest > end || end - oldest > o->shm->cells)
		*why = "oldest and end do not fit";
	for (uint64_t n = once_first(o); !*why && n; n = once_next(o, n))
		*why = check_entry(o, n);
	return *why ? -1 : 0;
}
