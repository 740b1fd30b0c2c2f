/*
 * Gauges. See gauges.h, and gauges.def for what there is.
 */
#include "shm/gauges.h"

#include <string.h>

#define RELAXED(field) atomic_load_explicit(&(field), memory_order_relaxed)

static uint64_t ring_use(const struct hub *hub)
{
	unsigned use = ring_lag(&hub->ring, ring_oldest(&hub->ring));

	return use < 1024 ? use : 1024;
}

static uint64_t connections_max(const struct hub *hub)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (RELAXED(hub->shm->slot[i].state) != SLOT_UNUSED)
			n += hub->shm->slot[i].connections_max;
	return n;
}

/* Peers that give signs of life. */
static uint64_t nodes_here(const struct hub *hub)
{
	return (uint64_t)__builtin_popcountll(nodes_shm_here(&hub->shm->nodes));
}

#define GAUGE(name, of, text, unit, expression)							\
	static uint64_t value_of_##name(const struct hub *hub, unsigned slot, unsigned group)	\
	{											\
		const struct hub_slot_shm *s = &hub->shm->slot[slot];				\
												\
		(void)s;									\
		(void)group;									\
		return expression;								\
	}
#define TOTAL GAUGE
#include "shm/gauges.def"
#undef GAUGE

const struct gauge_info gauges[GAUGES] = {
#define GAUGE(name, of, text, unit, expression) { #name, text, unit, GAUGE_OF_##of, false, value_of_##name },
#define TOTAL(name, of, text, unit, expression) { #name, text, unit, GAUGE_OF_##of, true, value_of_##name },
#include "shm/gauges.def"
#undef GAUGE
};

static bool has_word(const struct gauge_info *gauge, const char *word)
{
	return strstr(gauge->name, word) != NULL;
}

uint64_t gauge_total(const struct gauge_info *gauge, const struct hub *hub)
{
	bool most = has_word(gauge, "_ratio") || has_word(gauge, "_seconds") || has_word(gauge, "_lag_");
	unsigned groups = gauge->of == GAUGE_OF_TRANSPORT ? TRANSPORT_GROUPS : 1;
	uint64_t total = 0;

	if (gauge->of == GAUGE_OF_SERVER)
		return gauge->value(hub, 0, 0);
	for (unsigned slot = 0; slot < INDEX_SLOTS_MAX; slot++)
		for (unsigned group = 0; hub_slot_used(hub, slot) && group < groups; group++) {
			uint64_t n = gauge->value(hub, slot, group);

			total = !most ? total + n : n > total ? n : total;
		}
	return total;
}
