/*
 * The first of many: what comes first in an order, of however much is offered, in memory for twice as much as is wanted. Once there is enough,
 * what comes behind the last one wanted is dropped with one comparison.
 */
#ifndef MASTER_CTL_FIRST_H
#define MASTER_CTL_FIRST_H

#include <stddef.h>

struct first {
	void *list;
	size_t each, most, count;
	int (*order)(const void *one, const void *other);	/* as qsort() takes it; of two that differ it says which comes first */
	const void *last;			/* wanted so far; NULL: there is not enough yet */
};

/* The first `most` (1 or more) of things of `each` bytes. 0, or -1 with errno. first_fini() in the end. */
int first_init(struct first *first, size_t each, size_t most, int (*order)(const void *, const void *));
void first_fini(struct first *first);

/* Offers a thing, of which a copy is kept if it may be one of the first. */
void first_offer(struct first *first, const void *thing);

/* How many there are, `most` at most, in order, in first->list: when all was offered. */
size_t first_found(struct first *first);

#endif
