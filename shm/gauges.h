/*
 * Gauges: what gauges.def says of the hub. Any process that has it mapped, read-only or not, may ask; it takes no lock.
 */
#ifndef SHM_GAUGES_H
#define SHM_GAUGES_H

#include "shm/hub.h"

enum gauge_of { GAUGE_OF_SERVER, GAUGE_OF_WORKER, GAUGE_OF_TRANSPORT };

#define GAUGE(...) + 1
#define TOTAL(...) + 1
enum { GAUGES = 0
#include "shm/gauges.def"
};
#undef GAUGE

extern const struct gauge_info {
	const char *name, *text;
	const char *unit;			/* NULL, "bytes", "microseconds", "1024ths" */
	enum gauge_of of;
	bool total;				/* it only grows */
	uint64_t (*value)(const struct hub *hub, unsigned slot, unsigned group);	/* what it is not of does not matter */
} gauges[GAUGES];

/* Of all slots and transports together, what that means: their sum, or of ratios, times and lags the greatest. */
uint64_t gauge_total(const struct gauge_info *gauge, const struct hub *hub);

#endif
