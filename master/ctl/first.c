/*
 * The first of many. See first.h.
 */
#include "master/ctl/first.h"

#include <stdlib.h>
#include <string.h>

int first_init(struct first *first, size_t each, size_t most, int (*order)(const void *, const void *))
{
	*first = (struct first){ .each = each, .most = most, .order = order, .list = calloc(2 * most, each) };
	return first->list ? 0 : -1;
}

void first_fini(struct first *first)
{
	free(first->list);
}

size_t first_found(struct first *first)
{
	qsort(first->list, first->count, first->each, first->order);
	if (first->count > first->most)
		first->count = first->most;
	return first->count;
}

void first_offer(struct first *first, const void *thing)
{
	if (first->last && first->order(first->last, thing) <= 0)
		return;
	memcpy((char *)first->list + first->count++ * first->each, thing, first->each);
	if (first->count == 2 * first->most) {
		first_found(first);
		first->last = (char *)first->list + (first->most - 1) * first->each;
	}
}
