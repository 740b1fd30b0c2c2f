#include "tests/bench/gaps.h"

void gaps_heard(struct gaps_shm *gaps, uint64_t now, uint64_t pause)
{
	uint64_t before = atomic_exchange_explicit(&gaps->heard, now, memory_order_relaxed), longest;

	if (!before || now <= before)
		return;		/* two processes' clock readings may arrive here the other way round */
	longest = atomic_load_explicit(&gaps->longest, memory_order_relaxed);
	while (now - before > longest &&
	       !atomic_compare_exchange_weak_explicit(&gaps->longest, &longest, now - before, memory_order_relaxed,
						      memory_order_relaxed))
		;
	if (now - before >= pause) {
		uint32_t i = atomic_fetch_add_explicit(&gaps->count, 1, memory_order_relaxed);

		if (i < GAPS_MAX)
			gaps->list[i] = (struct gap_shm){ before, now };
	}
}

void gaps_forget(struct gaps_shm *gaps)
{
	atomic_store_explicit(&gaps->heard, 0, memory_order_relaxed);
}
