/*
 * Who may put something into a slot's queue. See gate.h.
 */
#include "worker/io/gate.h"

#include <sys/socket.h>

bool gate_pass(const struct base *base, unsigned slot)
{
	uint64_t bit = UINT64_C(1) << slot, before;

	/* seq_cst, here and there: gate_is_quiet() sees that we give, or we see that the gate is closed */
	before = atomic_fetch_or(&base->self->giving, bit);
	if (!gate_is_closed(base, slot))
		return true;
	if (!(before & bit))
		atomic_fetch_and(&base->self->giving, ~bit);
	return false;
}

void gate_leave(const struct base *base, unsigned slot)
{
	atomic_fetch_and(&base->self->giving, ~(UINT64_C(1) << slot));
}

void gate_leave_all(const struct base *base)
{
	atomic_store(&base->self->giving, 0);
}

void gate_open(const struct base *base)
{
	atomic_store(&base->self->gate, 0);
}

void gate_close(const struct base *base)
{
	atomic_store(&base->self->gate, 1);
}

bool gate_is_closed(const struct base *base, unsigned slot)
{
	return atomic_load(&base->hub.shm->slot[slot].gate);
}

bool gate_queue_is_empty(int queue)
{
	char byte;

	return recv(queue, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
}

bool gate_is_passed(const struct base *base)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (atomic_load(&base->hub.shm->slot[i].giving) >> base->number & 1)
			return true;
	return false;
}

bool gate_is_quiet(const struct base *base, int queue)
{
	return !gate_is_passed(base) && (queue < 0 || gate_queue_is_empty(queue));
}
