#include "tests/bench/results.h"

#define EXACT_MAX (4u << 20)	/* values kept one by one */

static size_t few(uint64_t n)
{
	return n < EXACT_MAX ? (size_t)n : EXACT_MAX;
}

int results_init(struct results *r, const struct options *opt, const struct bench_shm *shm)
{
	uint64_t messages = (uint64_t)opt->topics * opt->messages * opt->rounds;

	*r = (struct results){ .opt = opt, .shm = shm };
	histogram_init(&r->waits);
	histogram_init(&r->reconnects.answered);
	r->each = distribution_create(opt->messages == 1 ? (size_t)opt->subscribers * opt->rounds : 0);
	r->last = distribution_create(few(messages));
	r->round = distribution_create(opt->rounds);
	for (uint32_t t = 0; t < opt->transports; t++)
		if (!(r->by[t].last = distribution_create(few(messages))))
			goto err;
	if (r->each && r->last && r->round)
		return 0;
err:
	results_fini(r);
	return -1;
}

void results_fini(struct results *r)
{
	distribution_destroy(r->each);
	distribution_destroy(r->last);
	distribution_destroy(r->round);
	for (uint32_t t = 0; t < r->opt->transports; t++)
		distribution_destroy(r->by[t].last);
}

/* The message's last delivery over all transports, 0 none. */
static uint64_t take_last(struct results *r, size_t message, size_t messages, uint64_t sent)
{
	uint64_t end = 0;

	for (uint32_t t = 0; t < r->opt->transports; t++) {
		uint64_t last = atomic_load_explicit(&r->shm->last[t * messages + message], memory_order_relaxed);

		if (sent && last > sent)
			distribution_add(r->by[t].last, last - sent);
		if (last > end)
			end = last;
	}
	return end;
}

void results_round(struct results *r)
{
	size_t messages = (size_t)r->opt->topics * r->opt->messages;
	uint64_t first = UINT64_MAX, end = 0;

	for (size_t i = 0; i < messages; i++) {
		uint64_t sent = atomic_load_explicit(&r->shm->sent[i], memory_order_relaxed);
		uint64_t last = take_last(r, i, messages, sent);

		if (sent && sent < first)
			first = sent;
		if (last > end)
			end = last;
		if (sent && last > sent)
			distribution_add(r->last, last - sent);
	}
	if (!r->first_publish && first != UINT64_MAX)
		r->first_publish = first;
	if (end > first) {
		distribution_add(r->round, end - first);
		r->busy_ns += end - first;
	}
	if (end)
		r->run_ns = end - r->shm->base;
	r->rounds++;
}

static void sum_reconnects(struct reconnects_shm *sum, const struct reconnects_shm *me)
{
	for (int way = 0; way < DROPS; way++)
		sum->dropped[way] += me->dropped[way];
	sum->resumed += me->resumed;
	sum->recovered += me->recovered;
	sum->not_recovered += me->not_recovered;
	sum->said += me->said;
	sum->told += me->told;
	sum->attached += me->attached;
	sum->standing += me->standing;
	sum->gone += me->gone;
	sum->taken += me->taken;
	histogram_merge(&sum->answered, &me->answered);
}

static void sum_subscribers(struct results *r, const struct member_shm *me)
{
	r->good += me->good;
	r->deliveries += me->deliveries;
	r->bytes += me->bytes;
	for (uint32_t t = 0; t < r->opt->transports; t++) {
		r->by[t].good += me->by[t].good;
		r->by[t].deliveries += me->by[t].deliveries;
	}
	r->slow_lost += me->slow_lost;
	r->slow_gone += me->slow_gone;
	r->slow_caught_up += me->slow_caught_up;
	distribution_merge(r->each, &me->latency, me->exact, me->exact_count);
	histogram_merge(&r->waits, &me->waits);
	sum_reconnects(&r->reconnects, &me->reconnects);
}

void results_sum(struct results *r)
{
	uint32_t publisher = r->opt->processes;

	for (uint32_t i = 0; i < r->shm->members; i++) {
		const struct member_shm *me = &r->shm->member[i];

		r->pings += me->pings;
		for (int f = 0; f < FAULT_COUNT; f++)
			r->faults[f] += me->faults[f];
		if (i < publisher) {
			r->bad += me->faults[FAULT_BAD];
			sum_subscribers(r, me);
		} else if (i == publisher) {
			r->published = me->deliveries;
		} else {
			r->churned = me->good;
		}
	}
	for (int f = 0; f < FAULT_COUNT; f++)
		r->fault_sum += r->faults[f];
	distribution_sort(r->each);
	distribution_sort(r->last);
	distribution_sort(r->round);
	for (uint32_t t = 0; t < r->opt->transports; t++)
		distribution_sort(r->by[t].last);
}
