/*
 * Lent buffers. See lend.h.
 *
 * Free places are a stack, so what was given back last is lent first. Its lower part, `clean` of them, has no memory; the others above are
 * dirty: their pages are still there, for the next one. More than the WARM of a class are not left so, and those that were not needed for a
 * while lose their pages, too (lend_trim()). What a storm has taken is therefore given back as the storm goes.
 */
#include "shm/lend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CLASS_SHIFT 29
#define PLACE_MASK ((1u << CLASS_SHIFT) - 1)
#define PAGE 4096u
#define WARM (1024u * 1024)	/* bytes of free buffers of a class that keep their pages, but for what one of them is more */
#define TRIM_PLACES 4096	/* looked at in a call of lend_trim(), */
#define TRIM_HOLES 64		/* and system calls made */
_Static_assert(LEND_CLASSES <= 1u << (32 - CLASS_SHIFT), "a class has room in a reference");

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

struct lent_shm *lend_header(const struct slot *slot, uint32_t ref)
{
	const struct lend_class_shm *c = &slot->shm->lend[ref_class(ref)];

	return (struct lent_shm *)((uint8_t *)slot->shm + c->at + (uint64_t)c->size * ref_place(ref));
}

uint8_t *lend_bytes(const struct slot *slot, uint32_t ref)
{
	return (uint8_t *)(lend_header(slot, ref) + 1);
}

uint32_t lend_room(const struct slot *slot, uint32_t ref)
{
	return slot->shm->lend[ref_class(ref)].size - (uint32_t)sizeof(struct lent_shm);
}

uint32_t lend_room_max(const struct slot *slot)
{
	return slot->shm->lend[LEND_CLASSES - 1].size - (uint32_t)sizeof(struct lent_shm);
}

static bool is_taken(const struct lend *lend, unsigned c, uint32_t place)
{
	return lend->class[c].taken[place / 64] & (1ull << (place % 64));
}

static void set_taken(struct lend *lend, unsigned c, uint32_t place, bool taken)
{
	uint64_t bit = 1ull << (place % 64);

	if (taken)
		lend->class[c].taken[place / 64] |= bit;
	else
		lend->class[c].taken[place / 64] &= ~bit;
}

int lend_init(struct lend *lend, const struct slot *slot)
{
	memset(lend, 0, sizeof(*lend));
	lend->slot = slot;
	for (int i = 0; i < LEND_CLASSES; i++) {
		lend->class[i].taken = calloc(slot->shm->lend[i].count / 64 + 1, sizeof(uint64_t));
		if (!lend->class[i].taken) {
			lend_fini(lend);
			errno = ENOMEM;
			return -1;
		}
	}
	return 0;
}

void lend_charge_to(struct lend *lend, const struct hub *hub, unsigned slot)
{
	lend->hub = hub;
	lend->number = slot;
}

/* ---- the account ---- */

static void add(struct lend *lend, uint64_t bytes)
{
	lend->held += bytes;
	lend->spare = lend->spare > bytes ? lend->spare - bytes : 0;
	if (lend->hub)
		atomic_store_explicit(&lend->hub->shm->slot[lend->number].buffered, lend->held, memory_order_relaxed);
}

static void subtract(struct lend *lend, uint64_t bytes)
{
	lend->held -= bytes;
	if (lend->hub)
		atomic_store_explicit(&lend->hub->shm->slot[lend->number].buffered, lend->held, memory_order_relaxed);
}

/* What a buffer counts for of which `bytes` are used: its pages. */
static uint32_t charge(const struct lend *lend, unsigned c, size_t bytes)
{
	uint32_t size = lend->slot->shm->lend[c].size;

	bytes = (bytes + sizeof(struct lent_shm) + PAGE - 1) / PAGE * PAGE;
	return bytes < size ? (uint32_t)bytes : size;
}

/*
 * A quarter of the limit is divided evenly among the slots, each of which has its share of it whatever the others hold; the rest is for who
 * comes. So the sum stays within the limit, though each looks only at what the others say: of what is left over, one takes half its
 * part before it looks again.
 */
static void look(struct lend *lend)
{
	const struct hub_shm *hub = lend->hub->shm;
	uint64_t others = 0, open = hub->buffered_max - hub->buffered_max / 4, slots = 0;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		if (atomic_load_explicit(&hub->slot[i].state, memory_order_relaxed) == SLOT_UNUSED)
			continue;
		if (i != lend->number)
			others += atomic_load_explicit(&hub->slot[i].buffered, memory_order_relaxed);
		slots++;
	}
	lend->share = hub->buffered_max / 4 / (slots ? slots : 1);
	lend->common = others < open ? open - others : 0;
	lend->spare = lend->held < lend->common ? (lend->common - lend->held) / 2 / (slots ? slots : 1) : 0;
}

bool lend_allows(struct lend *lend, size_t bytes)
{
	return !lend->hub || bytes <= lend->spare || lend_could_allow(lend, lend->held, bytes);
}

bool lend_could_allow(struct lend *lend, uint64_t kept, size_t bytes)
{
	if (!lend->hub)
		return true;
	look(lend);
	return kept + bytes <= lend->share || kept + bytes <= lend->common;
}

int lend_grow(struct lend *lend, uint32_t ref, size_t bytes)
{
	struct lent_shm *head = lend_header(lend->slot, ref);
	uint32_t more = charge(lend, ref_class(ref), bytes);

	if (more <= head->charged)
		return 0;
	if (!lend_allows(lend, more - head->charged)) {
		errno = ENOMEM;
		return -1;
	}
	add(lend, more - head->charged);
	head->charged = more;
	return 0;
}

void lend_settle(struct lend *lend, uint32_t ref, size_t bytes)
{
	struct lent_shm *head = lend_header(lend->slot, ref);
	uint32_t less = charge(lend, ref_class(ref), bytes);

	if (less < head->charged) {
		subtract(lend, head->charged - less);
		head->charged = less;
	}
}

/* ---- giving memory back ---- */

/* Whether any of the places that share memory with page `page` of the class is lent. */
static bool page_in_use(const struct lend *lend, unsigned c, uint64_t page)
{
	const struct lend_class_shm *class = &lend->slot->shm->lend[c];
	uint64_t first = page * PAGE / class->size, last = (page * PAGE + PAGE - 1) / class->size;

	for (uint64_t place = first; place <= last && place < class->count; place++)
		if (is_taken(lend, c, (uint32_t)place))
			return true;
	return false;
}

/* A hole where free places first..last lie, but for pages that they share with others that are lent. */
static void punch(const struct lend *lend, unsigned c, uint32_t first, uint32_t last)
{
	const struct lend_class_shm *class = &lend->slot->shm->lend[c];
	uint64_t begin = (uint64_t)class->size * first / PAGE, end = ((uint64_t)class->size * (last + 1ull) + PAGE - 1) / PAGE;

	while (begin < end && page_in_use(lend, c, begin))
		begin++;
	while (begin < end && page_in_use(lend, c, end - 1))
		end--;
	if (begin < end)
		madvise((uint8_t *)lend->slot->shm + class->at + begin * PAGE, (end - begin) * PAGE, MADV_REMOVE);
}

/* The oldest dirty ones, at most `places` of them, in at most `holes` holes: those that lie side by side are one. */
static void clean(struct lend *lend, unsigned c, uint32_t places, unsigned holes)
{
	uint32_t at = lend->class[c].clean, end = at + places;
	const uint32_t *place = lend->class[c].free;

	while (at < end && holes-- > 0) {
		uint32_t first = place[at];

		while (at + 1 < end && place[at + 1] == place[at] + 1)
			at++;
		punch(lend, c, first, place[at]);
		at++;
	}
	lend->class[c].clean = at;
}

/* ---- taking over ---- */

int lend_claim(struct lend *lend, uint32_t ref)
{
	unsigned c = ref_class(ref);
	uint32_t place = ref_place(ref);
	struct lent_shm *head;

	if ((ref & PLACE_MASK) == 0 || place >= lend->slot->shm->lend[c].count || is_taken(lend, c, place)) {
		errno = EINVAL;
		return -1;
	}
	set_taken(lend, c, place, true);
	if (place >= lend->class[c].fresh)
		lend->class[c].fresh = place + 1;
	head = lend_header(lend->slot, ref);
	if (head->charged == 0 || head->charged > lend->slot->shm->lend[c].size)
		head->charged = lend->slot->shm->lend[c].size;
	lend->held += head->charged;
	return 0;
}

void lend_unclaim(struct lend *lend, uint32_t ref)
{
	set_taken(lend, ref_class(ref), ref_place(ref), false);
	lend->held -= lend_header(lend->slot, ref)->charged;
}

static int push(struct lend *lend, unsigned c, uint32_t place)
{
	if (lend->class[c].frees == lend->class[c].room) {
		uint32_t room = lend->class[c].room ? 2 * lend->class[c].room : 64;
		uint32_t *p = realloc(lend->class[c].free, room * sizeof(*p));

		if (!p)
			return -1;
		lend->class[c].free = p;
		lend->class[c].room = room;
	}
	lend->class[c].free[lend->class[c].frees++] = place;
	return 0;
}

int lend_ready(struct lend *lend)
{
	for (unsigned c = 0; c < LEND_CLASSES; c++) {
		for (uint32_t place = 0; place < lend->class[c].fresh; place++)
			if (!is_taken(lend, c, place) && push(lend, c, place) < 0)
				return -1;
		lend->class[c].low = lend->class[c].frees;	/* (Which of them are clean nobody knows.) */
		if (lend->class[c].fresh < lend->slot->shm->lend[c].count)
			punch(lend, c, lend->class[c].fresh, lend->slot->shm->lend[c].count - 1);	/* the last worker's */
	}
	add(lend, 0);
	return 0;
}

void lend_fini(struct lend *lend)
{
	for (int i = 0; i < LEND_CLASSES; i++) {
		free(lend->class[i].free);
		free(lend->class[i].taken);
	}
	memset(lend, 0, sizeof(*lend));
}

static uint32_t warm(const struct lend *lend, unsigned c)
{
	return 1 + WARM / lend->slot->shm->lend[c].size;
}

void lend_trim(struct lend *lend)
{
	for (unsigned c = 0; c < LEND_CLASSES; c++) {
		uint32_t idle = lend->class[c].low;

		if (idle > 0)
			clean(lend, c, idle < TRIM_PLACES ? idle : TRIM_PLACES, TRIM_HOLES);
		lend->class[c].low = lend->class[c].frees - lend->class[c].clean;
	}
	lend->spare = 0;	/* others may have taken it */
}

/* ---- lending ---- */

/* A free place of the class; false: there is none. */
static bool pop(struct lend *lend, unsigned c, uint32_t *place)
{
	if (lend->class[c].frees > 0) {
		*place = lend->class[c].free[--lend->class[c].frees];
		if (lend->class[c].frees < lend->class[c].clean)
			lend->class[c].clean = lend->class[c].frees;
		if (lend->class[c].frees - lend->class[c].clean < lend->class[c].low)
			lend->class[c].low = lend->class[c].frees - lend->class[c].clean;
		return true;
	}
	if (lend->class[c].fresh == lend->slot->shm->lend[c].count)
		return false;
	*place = lend->class[c].fresh++;
	return true;
}

uint32_t lend_take(struct lend *lend, size_t bytes)
{
	for (unsigned c = 0; c < LEND_CLASSES; c++) {
		struct lent_shm *head;
		uint32_t place, counts;

		if (bytes + sizeof(struct lent_shm) > lend->slot->shm->lend[c].size)
			continue;
		counts = charge(lend, c, bytes);
		if (!lend_allows(lend, counts))
			break;
		if (!pop(lend, c, &place))
			continue;
		set_taken(lend, c, place, true);
		head = lend_header(lend->slot, make_ref(c, place));
		*head = (struct lent_shm){ .charged = counts };
		add(lend, counts);
		return make_ref(c, place);
	}
	errno = ENOMEM;
	return LENT_NONE;
}

void lend_give(struct lend *lend, uint32_t ref)
{
	unsigned c = ref_class(ref);
	uint32_t dirty;

	if (ref == LENT_NONE)
		return;
	subtract(lend, lend_header(lend->slot, ref)->charged);
	set_taken(lend, c, ref_place(ref), false);
	/* Without memory for the list the place is lost until the next worker, which beats failing here; but not its memory. */
	if (push(lend, c, ref_place(ref)) < 0) {
		punch(lend, c, ref_place(ref), ref_place(ref));
		return;
	}
	dirty = lend->class[c].frees - lend->class[c].clean;
	if (dirty > warm(lend, c))
		clean(lend, c, 1, 1);
}

uint32_t lend_next(const struct lend *lend, uint32_t after)
{
	unsigned c = after ? ref_class(after) : 0;
	uint32_t place = after ? ref_place(after) + 1 : 0;

	for (; c < LEND_CLASSES; c++, place = 0)
		while (place < lend->class[c].fresh) {
			uint64_t word = lend->class[c].taken[place / 64] >> (place % 64);

			if (word) {
				place += (uint32_t)__builtin_ctzll(word);
				return place < lend->class[c].fresh ? make_ref(c, place) : LENT_NONE;
			}
			place = (place / 64 + 1) * 64;
		}
	return LENT_NONE;
}
