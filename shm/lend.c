/*
 * Lent buffers. See lend.h.
 */
#include "shm/lend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CLASS_SHIFT 30
#define PLACE_MASK ((1u << CLASS_SHIFT) - 1)
#define KEEP_WARM 16		/* free buffers of the large classes that keep their pages */

static unsigned ref_class(uint32_t ref)
{
	return ref >> CLASS_SHIFT;
}

static uint32_t ref_place(uint32_t ref)
{
	return (ref & PLACE_MASK) - 1;
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

int lend_init(struct lend *lend, const struct slot *slot)
{
	memset(lend, 0, sizeof(*lend));
	lend->slot = slot;
	for (int i = 0; i < LEND_CLASSES; i++) {
		lend->class[i].taken = calloc(slot->shm->lend[i].count / 8 + 1, 1);
		if (!lend->class[i].taken) {
			lend_fini(lend);
			errno = ENOMEM;
			return -1;
		}
	}
	return 0;
}

int lend_claim(struct lend *lend, uint32_t ref)
{
	unsigned c = ref_class(ref);
	uint32_t place = ref_place(ref);

	if ((ref & PLACE_MASK) == 0 || place >= lend->slot->shm->lend[c].count ||
	    (lend->class[c].taken[place / 8] & (1u << (place % 8)))) {
		errno = EINVAL;
		return -1;
	}
	lend->class[c].taken[place / 8] |= (uint8_t)(1u << (place % 8));
	if (place >= lend->class[c].fresh)
		lend->class[c].fresh = place + 1;
	return 0;
}

void lend_unclaim(struct lend *lend, uint32_t ref)
{
	uint32_t place = ref_place(ref);

	lend->class[ref_class(ref)].taken[place / 8] &= (uint8_t)~(1u << (place % 8));
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
			if (!(lend->class[c].taken[place / 8] & (1u << (place % 8))) && push(lend, c, place) < 0)
				return -1;
		free(lend->class[c].taken);
		lend->class[c].taken = NULL;
	}
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

uint32_t lend_take(struct lend *lend, size_t bytes)
{
	for (unsigned c = 0; c < LEND_CLASSES; c++) {
		const struct lend_class_shm *class = &lend->slot->shm->lend[c];
		uint32_t place, ref;

		if (bytes + sizeof(struct lent_shm) > class->size)
			continue;
		if (lend->class[c].frees > 0)
			place = lend->class[c].free[--lend->class[c].frees];
		else if (lend->class[c].fresh < class->count)
			place = lend->class[c].fresh++;
		else
			continue;
		ref = ((uint32_t)c << CLASS_SHIFT) | (place + 1);
		memset(lend_header(lend->slot, ref), 0, sizeof(struct lent_shm));
		return ref;
	}
	errno = ENOMEM;
	return LENT_NONE;
}

void lend_give(struct lend *lend, uint32_t ref)
{
	unsigned c = ref_class(ref);

	if (ref == LENT_NONE)
		return;
	/* Without memory for the list the buffer is lost until the next worker, which beats failing here. */
	if (push(lend, c, ref_place(ref)) < 0)
		return;
	if (lend->slot->shm->lend[c].size > 4096 && lend->class[c].frees > KEEP_WARM) {
		uintptr_t start = ((uintptr_t)lend_header(lend->slot, ref) + 4095) & ~(uintptr_t)4095;
		uintptr_t end = ((uintptr_t)lend_header(lend->slot, ref) + lend->slot->shm->lend[c].size) & ~(uintptr_t)4095;

		madvise((void *)start, end - start, MADV_REMOVE);
	}
}
