#include "tests/bench/member.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/bench/account.h"

uint32_t member_order(struct member *m)
{
	uint64_t ignored;
	uint32_t word;

	if (read(m->wake, &ignored, sizeof(ignored)) < 0)
		return 0;
	/* acquire: pairs with the release in crew_order(); what the order is about is visible */
	word = atomic_load_explicit(&m->shm->order, memory_order_acquire);
	if (word == m->taken)
		return 0;
	m->taken = word;
	return word;
}

void member_done(struct member *m)
{
	uint64_t one = 1;

	if (atomic_load_explicit(&m->me->done, memory_order_relaxed) == m->taken)
		return;
	/* release: pairs with the acquire in crew_done(); all that was counted is visible */
	atomic_store_explicit(&m->me->done, m->taken, memory_order_release);
	if (write(m->news, &one, sizeof(one)) < 0)
		_exit(3);	/* an eventfd that can't be written to: nobody is there to tell */
}

void member_fault(struct member *m, enum fault fault, uint64_t n)
{
	if (n)
		member_count(&m->me->faults[fault], n);
}

void member_note(struct member *m, const char *format, ...)
{
	uint32_t n = atomic_load_explicit(&m->me->notes, memory_order_relaxed);
	va_list ap;

	if (n == NOTES_MAX)
		return;
	va_start(ap, format);
	vsnprintf(m->me->note[n], NOTE_SIZE, format, ap);
	va_end(ap);
	atomic_store_explicit(&m->me->notes, n + 1, memory_order_release);
}

void member_delivered(struct member *m, uint32_t transport, const struct payload *p, uint64_t when)
{
	const struct options *opt = m->opt;
	size_t stream = (size_t)transport * opt->topics + p->topic;
	_Atomic uint64_t *last = &m->shm->last[stream * opt->messages + account_index(p->publisher, p->seq, opt->publishers)];
	uint64_t seen = atomic_load_explicit(last, memory_order_relaxed);

	while (when > seen &&
	       !atomic_compare_exchange_weak_explicit(last, &seen, when, memory_order_relaxed, memory_order_relaxed))
		;
}

bool member_same_order(struct member *m, uint32_t transport, uint32_t topic, uint64_t hash)
{
	const struct options *opt = m->opt;
	_Atomic uint64_t *of = &m->shm->order_hash[(size_t)opt->transport[transport].node * opt->topics + topic];
	uint64_t first = 0;

	return atomic_compare_exchange_strong(of, &first, hash) || first == hash;
}
