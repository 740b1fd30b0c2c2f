/*
 * The keepers that a master finds when it starts, and what they say that they have (adopt.h).
 */
#ifndef MASTER_KIN_H
#define MASTER_KIN_H

#include <unistd.h>

#include "master/adopt.h"
#include "master/master.h"

/* A keeper, as far as it is known. */
struct kept {
	int orders;			/* -1: nobody is there */
	bool whole;			/* it has said all */
	struct adopt_told told;
	int program;
	struct handover h;
};

struct kin {
	struct master *m;
	struct kept *slot[INDEX_SLOTS_MAX];
	struct kept *first;		/* that has said all: of what all have, this one's descriptors are used */
};

/* Connects to those that have a door with somebody behind it. 0, or -1 with errno. */
int kin_find(struct kin *kin);

/* Asks them, until all have said what they have, or have gone, or it takes too long. */
void kin_ask(struct kin *kin);

/* How many are there and have not said all. */
unsigned kin_untold(const struct kin *kin);

/* A descriptor of theirs; -1: none. */
static inline void kin_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

#endif
