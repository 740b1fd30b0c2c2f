/*
 * A process' signs of life, as another one looks at them now and then: how long there was none. Counted is the time in which the one who looks was run itself: when a container is paused,
 * or a machine suspended, nobody is silent.
 */
#ifndef MASTER_SILENCE_H
#define MASTER_SILENCE_H

#include <stdbool.h>
#include <stdint.h>

struct silence {
	uint64_t beat;			/* the last sign of life seen */
	uint64_t looked;		/* when it was looked for, milliseconds */
	uint64_t silent;		/* milliseconds without another one */
};

#define SILENCE_LOOK_MOST_MS 2000	/* what counts of the time between two looks */

/* A look at `now`. True: at this moment there was none for `limit` milliseconds; said once, until there is one. */
static inline bool silence_look(struct silence *s, uint64_t beat, uint64_t now, uint64_t limit)
{
	uint64_t passed = now - s->looked, before = s->silent;

	s->looked = now;
	if (beat != s->beat) {
		s->beat = beat;
		s->silent = 0;
		return false;
	}
	s->silent += passed < SILENCE_LOOK_MOST_MS ? passed : SILENCE_LOOK_MOST_MS;
	return before < limit && s->silent >= limit;
}

#endif
