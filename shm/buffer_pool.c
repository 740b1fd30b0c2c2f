/*
 * The buffer pool. See buffer_pool.h.
 *
 * Free places are a stack, so what was given back last is taken first. The lower part of the stack, `clean` places, has no memory. The places above
 * are dirty: they still have their pages, for the next who takes them. When more than WARM bytes of a class are dirty, the oldest lose their
 * pages, and so do those that were not needed for a while (pool_trim()). So the memory that a burst of input took goes back soon after it.
 */
#include "shm/buffer_pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CLASS_SHIFT 29
#define PLACE_MASK ((1u << CLASS_SHIFT) - 1)
#define PAGE 4096u
#define WARM (1024u * 1024)	/* bytes of free buffers of a class that keep their pages, but for what one of them is more */
#define TRIM_PLACES 4096	/* looked at in a call of pool_trim(), */
#define TRIM_HOLES 64		/* and system calls made */
_Static_assert(BUFFER_CLASSES <= 1u << (32 - CLASS_SHIFT), "a class has room in a reference");

static unsigned ref_class(uint32_t ref)
{
	return ref >> CLASS_SHIFT;
}

static uint32_t ref_place(uint32_t ref)
{
	return (ref & PLACE_MASK) - 1;
}

static uint32_t make_ref(unsigned c, uint32_t place)
{
	return ((uint32_t)c << CLASS_SHIFT) | (place + 1);
}

bool pool_is_ref(const struct slot *slot, uint32_t ref)
{
	return (ref & PLACE_MASK) != 0 && ref_place(ref) < slot->shm->buffer_class[ref_class(ref)].count;
}

struct buffer_shm *pool_header(const struct slot *slot, uint32_t ref)
{
	const struct buffer_class_shm *c = &slot->shm->buffer_class[ref_class(ref)];

	return (struct buffer_shm *)((uint8_t *)slot->shm + c->at + (uint64_t)c->size * ref_place(ref));
}

uint8_t *pool_bytes(const struct slot *slot, uint32_t ref)
{
	return (uint8_t *)(pool_header(slot, ref) + 1);
}

uint32_t pool_room(const struct slot *slot, uint32_t ref)
{
	return slot->shm->buffer_class[ref_class(ref)].size - (uint32_t)sizeof(struct buffer_shm);
}

uint32_t pool_room_max(const struct slot *slot)
{
	return slot->shm->buffer_class[BUFFER_CLASSES - 1].size - (uint32_t)sizeof(struct buffer_shm);
}

static bool is_taken(const struct buffer_pool *pool, unsigned c, uint32_t place)
{
	return pool->class[c].taken[place / 64] & (1ull << (place % 64));
}

static void set_taken(struct buffer_pool *pool, unsigned c, uint32_t place, bool taken)
{
	uint64_t bit = 1ull << (place % 64);

	if (taken)
		pool->class[c].taken[place / 64] |= bit;
	else
		pool->class[c].taken[place / 64] &= ~bit;
}

int pool_init(struct buffer_pool *pool, const struct slot *slot)
{
	memset(pool, 0, sizeof(*pool));
	pool->slot = slot;
	for (int i = 0; i < BUFFER_CLASSES; i++) {
		pool->class[i].taken = calloc(slot->shm->buffer_class[i].count / 64 + 1, sizeof(uint64_t));
		if (!pool->class[i].taken) {
			pool_fini(pool);
			errno = ENOMEM;
			return -1;
		}
	}
	return 0;
}

void pool_charge_to(struct buffer_pool *pool, const struct hub *hub, unsigned slot)
{
	pool->hub = hub;
	pool->number = slot;
}

/* ---- the account ---- */

static void add(struct buffer_pool *pool, uint64_t bytes)
{
	pool->held += bytes;
	pool->spare = pool->spare > bytes ? pool->spare - bytes : 0;
	if (pool->hub)
		atomic_store_explicit(&pool->hub->shm->slot[pool->number].buffered, pool->held, memory_order_relaxed);
}

static void subtract(struct buffer_pool *pool, uint64_t bytes)
{
	pool->held -= bytes;
	if (pool->hub)
		atomic_store_explicit(&pool->hub->shm->slot[pool->number].buffered, pool->held, memory_order_relaxed);
}

/* What a buffer counts for of which `bytes` are used: its pages. */
static uint32_t charge(const struct buffer_pool *pool, unsigned c, size_t bytes)
{
	uint32_t size = pool->slot->shm->buffer_class[c].size;

	bytes = (bytes + sizeof(struct buffer_shm) + PAGE - 1) / PAGE * PAGE;
	return bytes < size ? (uint32_t)bytes : size;
}

/*
 * A quarter of the limit is divided evenly among the slots: each has its share of it, whatever the others hold. The rest is common to all. Nobody
 * locks anything to take some of it: a slot adds up what the others say that they hold, and then takes no more than half of its part of what
 * is left before it looks again. So the sum stays within the limit, though others take some at the same time.
 */
static void look(struct buffer_pool *pool)
{
	const struct hub_shm *hub = pool->hub->shm;
	uint64_t others = 0, open = hub->buffered_max - hub->buffered_max / 4, slots = 0;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		if (atomic_load_explicit(&hub->slot[i].state, memory_order_relaxed) == SLOT_UNUSED)
			continue;
		if (i != pool->number)
			others += atomic_load_explicit(&hub->slot[i].buffered, memory_order_relaxed);
		slots++;
	}
	pool->share = hub->buffered_max / 4 / (slots ? slots : 1);
	pool->common = others < open ? open - others : 0;
	pool->spare = pool->held < pool->common ? (pool->common - pool->held) / 2 / (slots ? slots : 1) : 0;
}

bool pool_allows(struct buffer_pool *pool, size_t bytes)
{
	return !pool->hub || bytes <= pool->spare || pool_could_allow(pool, pool->held, bytes);
}

bool pool_could_allow(struct buffer_pool *pool, uint64_t kept, size_t bytes)
{
	if (!pool->hub)
		return true;
	look(pool);
	return kept + bytes <= pool->share || kept + bytes <= pool->common;
}

int pool_grow(struct buffer_pool *pool, uint32_t ref, size_t bytes)
{
	struct buffer_shm *head = pool_header(pool->slot, ref);
	uint32_t more = charge(pool, ref_class(ref), bytes);

	if (more <= head->charged)
		return 0;
	if (!pool_allows(pool, more - head->charged)) {
		errno = ENOMEM;
		return -1;
	}
	add(pool, more - head->charged);
	head->charged = more;
	return 0;
}

void pool_shrink(struct buffer_pool *pool, uint32_t ref, size_t bytes)
{
	struct buffer_shm *head = pool_header(pool->slot, ref);
	uint32_t less = charge(pool, ref_class(ref), bytes);

	if (less < head->charged) {
		subtract(pool, head->charged - less);
		head->charged = less;
	}
}

/* ---- giving memory back ---- */

/* Whether any of the places that share memory with page `page` of the class is taken. */
static bool page_in_use(const struct buffer_pool *pool, unsigned c, uint64_t page)
{
	const struct buffer_class_shm *class = &pool->slot->shm->buffer_class[c];
	uint64_t first = page * PAGE / class->size, last = (page * PAGE + PAGE - 1) / class->size;

	for (uint64_t place = first; place <= last && place < class->count; place++)
		if (is_taken(pool, c, (uint32_t)place))
			return true;
	return false;
}

/* Frees the memory of free places first..last, but for pages that they share with others that are taken. */
static void punch(const struct buffer_pool *pool, unsigned c, uint32_t first, uint32_t last)
{
	const struct buffer_class_shm *class = &pool->slot->shm->buffer_class[c];
	uint64_t begin = (uint64_t)class->size * first / PAGE, end = ((uint64_t)class->size * (last + 1ull) + PAGE - 1) / PAGE;

	while (begin < end && page_in_use(pool, c, begin))
		begin++;
	while (begin < end && page_in_use(pool, c, end - 1))
		end--;
	if (begin < end)
		madvise((uint8_t *)pool->slot->shm + class->at + begin * PAGE, (end - begin) * PAGE, MADV_REMOVE);
}

/* The oldest dirty ones, at most `places` of them, in at most `holes` holes: those that lie side by side are one. */
static void clean(struct buffer_pool *pool, unsigned c, uint32_t places, unsigned holes)
{
	uint32_t at = pool->class[c].clean, end = at + places;
	const uint32_t *place = pool->class[c].free;

	while (at < end && holes-- > 0) {
		uint32_t first = place[at];

		while (at + 1 < end && place[at + 1] == place[at] + 1)
			at++;
		punch(pool, c, first, place[at]);
		at++;
	}
	pool->class[c].clean = at;
}

/* ---- a new worker ---- */

int pool_claim(struct buffer_pool *pool, uint32_t ref)
{
	unsigned c = ref_class(ref);
	uint32_t place = ref_place(ref);
	struct buffer_shm *head;

	if (!pool_is_ref(pool->slot, ref) || is_taken(pool, c, place)) {
		errno = EINVAL;
		return -1;
	}
	set_taken(pool, c, place, true);
	if (place >= pool->class[c].used_end)
		pool->class[c].used_end = place + 1;
	head = pool_header(pool->slot, ref);
	if (head->charged == 0 || head->charged > pool->slot->shm->buffer_class[c].size)
		head->charged = pool->slot->shm->buffer_class[c].size;
	pool->held += head->charged;
	return 0;
}

void pool_unclaim(struct buffer_pool *pool, uint32_t ref)
{
	set_taken(pool, ref_class(ref), ref_place(ref), false);
	pool->held -= pool_header(pool->slot, ref)->charged;
}

static int push(struct buffer_pool *pool, unsigned c, uint32_t place)
{
	if (pool->class[c].frees == pool->class[c].room) {
		uint32_t room = pool->class[c].room ? 2 * pool->class[c].room : 64;
		uint32_t *p = realloc(pool->class[c].free, room * sizeof(*p));

		if (!p)
			return -1;
		pool->class[c].free = p;
		pool->class[c].room = room;
	}
	pool->class[c].free[pool->class[c].frees++] = place;
	return 0;
}

int pool_ready(struct buffer_pool *pool)
{
	for (unsigned c = 0; c < BUFFER_CLASSES; c++) {
		for (uint32_t place = 0; place < pool->class[c].used_end; place++)
			if (!is_taken(pool, c, place) && push(pool, c, place) < 0)
				return -1;
		pool->class[c].low = pool->class[c].frees;	/* (Which of them are clean nobody knows.) */
		if (pool->class[c].used_end < pool->slot->shm->buffer_class[c].count)
			punch(pool, c, pool->class[c].used_end, pool->slot->shm->buffer_class[c].count - 1);	/* the last worker's */
	}
	add(pool, 0);
	return 0;
}

void pool_fini(struct buffer_pool *pool)
{
	for (int i = 0; i < BUFFER_CLASSES; i++) {
		free(pool->class[i].free);
		free(pool->class[i].taken);
	}
	memset(pool, 0, sizeof(*pool));
}

static uint32_t warm(const struct buffer_pool *pool, unsigned c)
{
	return 1 + WARM / pool->slot->shm->buffer_class[c].size;
}

void pool_trim(struct buffer_pool *pool)
{
	for (unsigned c = 0; c < BUFFER_CLASSES; c++) {
		uint32_t idle = pool->class[c].low;

		if (idle > 0)
			clean(pool, c, idle < TRIM_PLACES ? idle : TRIM_PLACES, TRIM_HOLES);
		pool->class[c].low = pool->class[c].frees - pool->class[c].clean;
	}
	pool->spare = 0;	/* others may have taken it */
}

/* ---- taking and giving back ---- */

/* A free place of the class; false: there is none. */
static bool pop(struct buffer_pool *pool, unsigned c, uint32_t *place)
{
	if (pool->class[c].frees > 0) {
		*place = pool->class[c].free[--pool->class[c].frees];
		if (pool->class[c].frees < pool->class[c].clean)
			pool->class[c].clean = pool->class[c].frees;
		if (pool->class[c].frees - pool->class[c].clean < pool->class[c].low)
			pool->class[c].low = pool->class[c].frees - pool->class[c].clean;
		return true;
	}
	if (pool->class[c].used_end == pool->slot->shm->buffer_class[c].count)
		return false;
	*place = pool->class[c].used_end++;
	return true;
}

static uint32_t take(struct buffer_pool *pool, size_t bytes, bool anyway)
{
	for (unsigned c = 0; c < BUFFER_CLASSES; c++) {
		struct buffer_shm *head;
		uint32_t place, counts;

		if (bytes + sizeof(struct buffer_shm) > pool->slot->shm->buffer_class[c].size)
			continue;
		counts = charge(pool, c, bytes);
		if (!anyway && !pool_allows(pool, counts))
			break;
		if (!pop(pool, c, &place))
			continue;
		set_taken(pool, c, place, true);
		head = pool_header(pool->slot, make_ref(c, place));
		*head = (struct buffer_shm){ .charged = counts };
		add(pool, counts);
		return make_ref(c, place);
	}
	errno = ENOMEM;
	return BUFFER_NONE;
}

uint32_t pool_take(struct buffer_pool *pool, size_t bytes)
{
	return take(pool, bytes, false);
}

uint32_t pool_take_anyway(struct buffer_pool *pool, size_t bytes)
{
	return take(pool, bytes, true);
}

void pool_give(struct buffer_pool *pool, uint32_t ref)
{
	unsigned c = ref_class(ref);
	uint32_t dirty;

	if (ref == BUFFER_NONE)
		return;
	subtract(pool, pool_header(pool->slot, ref)->charged);
	set_taken(pool, c, ref_place(ref), false);
	/* Without memory for the list the place is lost until the next worker, which beats failing here; but not its memory. */
	if (push(pool, c, ref_place(ref)) < 0) {
		punch(pool, c, ref_place(ref), ref_place(ref));
		return;
	}
	dirty = pool->class[c].frees - pool->class[c].clean;
	if (dirty > warm(pool, c))
		clean(pool, c, 1, 1);
}

uint32_t pool_next(const struct buffer_pool *pool, uint32_t after)
{
	unsigned c = after ? ref_class(after) : 0;
	uint32_t place = after ? ref_place(after) + 1 : 0;

	for (; c < BUFFER_CLASSES; c++, place = 0)
		while (place < pool->class[c].used_end) {
			uint64_t word = pool->class[c].taken[place / 64] >> (place % 64);

			if (word) {
				place += (uint32_t)__builtin_ctzll(word);
				return place < pool->class[c].used_end ? make_ref(c, place) : BUFFER_NONE;
			}
			place = (place / 64 + 1) * 64;
		}
	return BUFFER_NONE;
}
