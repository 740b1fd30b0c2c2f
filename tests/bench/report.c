#include "tests/bench/report.h"

#include <math.h>

#include "tests/bench/clock.h"

#define ROWS_MIN 4
#define ROWS_MAX 20
#define PAUSES_SHOWN 20u

static double ms(uint64_t ns)
{
	return (double)ns / (double)CLOCK_MS;
}

static uint64_t row_of(double width, uint64_t ns)
{
	return (uint64_t)ceil(ms(ns) / width);
}

/* 500, 250, 100, 50, 25, ...: each step is 1, 2.5 or 5 times a power of ten. */
static double step(double width, int up)
{
	double digit = width / pow(10, floor(log10(width) + 1e-9));

	if (up)
		return digit < 2 ? width * 2.5 : width * 2;
	return digit > 2 && digit < 4 ? width / 2.5 : width / 2;
}

static double choose_width(const struct distribution *d, double width)
{
	while (width > 0.0011 && row_of(width, d->h.max) - row_of(width, d->h.min) + 1 < ROWS_MIN)
		width = step(width, 0);
	while (row_of(width, d->h.max) - row_of(width, d->h.min) + 1 > ROWS_MAX)
		width = step(width, 1);
	return width;
}

/* A row is an upper edge and how many lie between it and the edge before. */
static void histogram(FILE *out, const struct results *r)
{
	const struct distribution *d = r->each;
	double width;
	uint64_t last, below = 0;

	if (!d->h.count)
		return;
	width = choose_width(d, r->opt->histogram_ms);
	last = row_of(width, d->h.max);
	fprintf(out, "%10.4fms | min\n", ms(d->h.min));
	for (uint64_t row = row_of(width, d->h.min); row <= last; row++) {
		double edge = (double)row * width;
		uint64_t upto = row == last ? d->h.count : distribution_upto(d, (uint64_t)(edge * (double)CLOCK_MS));

		fprintf(out, "%10.4fms | %-6llu - %6.2f%%\n", edge, (unsigned long long)(upto - below),
			100.0 * (double)(upto - below) / (double)d->h.count);
		below = upto;
	}
	fprintf(out, "%10.4fms | max\n", ms(d->h.max));
}

static void spread(FILE *out, const char *what, const struct distribution *d, const char *of)
{
	if (d->h.count)
		fprintf(out, "%-19s min %.3f ms, median %.3f ms, p99 %.3f ms, max %.3f ms (of %llu %s)\n", what, ms(d->h.min),
			ms(distribution_quantile(d, 0.5)), ms(distribution_quantile(d, 0.99)), ms(d->h.max),
			(unsigned long long)d->h.count, of);
}

static void server(FILE *out, const struct results *r)
{
	if (!r->server_seen) {
		fprintf(out, "server:             no process found, so neither CPU nor memory was measured\n");
		return;
	}
	fprintf(out, "server:             %u processes, CPU", r->server_processes);
	if (r->deliveries)
		fprintf(out, " %.2f us a delivery,", (double)r->run_cpu / 1000 / (double)r->deliveries);
	if (r->good)
		fprintf(out, " %.2f us an accept and subscribe; %.0f bytes of user memory a connection (Pss %llu to %llu KiB)",
			(double)r->setup_cpu / 1000 / (double)r->good,
			((double)r->pss_after - (double)r->pss_before) / (double)r->good,
			(unsigned long long)(r->pss_before >> 10), (unsigned long long)(r->pss_after >> 10));
	fputc('\n', out);
}

static void gaps(FILE *out, const struct results *r, const char *who, const struct gaps_shm *g, int show)
{
	uint32_t n = g->count, shown = n < GAPS_MAX ? n : GAPS_MAX;

	fprintf(out, "pauses, %-11s %u of %g ms or more, longest %.3f ms\n", who, n, ms(options_pause_ns(r->opt, false)),
		ms(g->longest));
	if (!show)
		return;
	for (uint32_t i = 0; i < shown && i < PAUSES_SHOWN; i++)
		fprintf(out, "%20s%.3f ms at %.3f s\n", "", ms(g->list[i].to - g->list[i].from),
			(double)(int64_t)(g->list[i].from - r->first_publish) / (double)CLOCK_S);
	if (n > PAUSES_SHOWN)
		fprintf(out, "%20sand %u more\n", "", n - PAUSES_SHOWN);
}

static void pauses(FILE *out, const struct results *r)
{
	char who[32];

	if (r->opt->running_s <= 0 || r->opt->reconnect_s > 0)
		return;
	gaps(out, r, "overall:", &r->shm->gaps, 1);
	for (uint32_t i = 0; r->opt->processes > 1 && i < r->opt->processes; i++) {
		snprintf(who, sizeof(who), "process %u:", i);
		gaps(out, r, who, &r->shm->member[i].gaps, 0);
	}
	fprintf(out, "pauses, subscriber: %llu of %g ms or more", (unsigned long long)r->waits.count, ms(options_pause_ns(r->opt, true)));
	if (r->waits.count)
		fprintf(out, ", longest %.3f ms", ms(r->waits.max));
	fputc('\n', out);
	struct distribution d = { .h = r->waits };
	uint64_t below = 0;

	for (double edge = 2 * ms(options_pause_ns(r->opt, true)); below < d.h.count; edge *= 2) {
		uint64_t upto = distribution_upto(&d, (uint64_t)(edge * (double)CLOCK_MS));

		if (upto > below)
			fprintf(out, "%10.4fms | %-6llu - %6.2f%%\n", edge, (unsigned long long)(upto - below),
				100.0 * (double)(upto - below) / (double)d.h.count);
		below = upto;
	}
}

static void slow(FILE *out, const struct results *r)
{
	if (r->opt->slow)
		fprintf(out, "slow:               %u stopped reading for %g s, %llu had everything then; %llu messages, %llu connections "
			"lost that may be\n", r->opt->slow, r->opt->slow_s, (unsigned long long)r->slow_caught_up,
			(unsigned long long)r->slow_lost, (unsigned long long)r->slow_gone);
	if (r->opt->churn > 0)
		fprintf(out, "churn:              %llu came, subscribed and went\n", (unsigned long long)r->churned);
}

static void reconnects(FILE *out, const struct results *r)
{
	const struct reconnects_shm *c = &r->reconnects;
	struct distribution answered = { .h = c->answered };

	if (r->opt->reconnect_s <= 0)
		return;
	fprintf(out, "dropped:            %llu connections: %llu by FIN, %llu by RST, %llu in silence\n",
		(unsigned long long)(c->dropped[DROP_FIN] + c->dropped[DROP_RST] + c->dropped[DROP_SILENT]), (unsigned long long)c->dropped[DROP_FIN],
		(unsigned long long)c->dropped[DROP_RST], (unsigned long long)c->dropped[DROP_SILENT]);
	fprintf(out, "resumed:            %llu: recovered %llu, not %llu; missing and told %llu messages; silent losses %llu, repeats %llu\n",
		(unsigned long long)c->resumed, (unsigned long long)c->recovered, (unsigned long long)c->not_recovered, (unsigned long long)c->told,
		(unsigned long long)r->faults[FAULT_LOST], (unsigned long long)r->faults[FAULT_DOUBLED]);
	if (r->opt->attach)
		fprintf(out, "attached:           %llu, %llu of them while the last connection stood; %llu sessions gone, %llu taken by a late attach\n",
			(unsigned long long)c->attached, (unsigned long long)c->standing, (unsigned long long)c->gone, (unsigned long long)c->taken);
	spread(out, "  from connect():", &answered, "answers");
}

static void transports(FILE *out, const struct results *r)
{
	char what[32];

	for (uint32_t t = 0; r->opt->transports > 1 && t < r->opt->transports; t++) {
		const struct results_transport *by = &r->by[t];
		const char *name = r->opt->transport[t].speak->name;

		if (r->opt->nodes > 1)
			snprintf(what, sizeof(what), "%s@%u:", name, r->opt->transport[t].node);
		else
			snprintf(what, sizeof(what), "%s:", name);
		fprintf(out, "%-19s %llu subscribers, %llu delivered\n", what, (unsigned long long)by->good,
			(unsigned long long)by->deliveries);
		spread(out, "  to the last:", by->last, "messages");
	}
}

static void heading(FILE *out, const struct options *opt)
{
	for (uint32_t t = 0; t < opt->transports; t++) {
		if (opt->transports > 1)
			fprintf(out, "%s%s at ", t ? ", " : "", opt->transport[t].speak->name);
		fputs(opt->transport[t].target, out);
	}
	fprintf(out, ": %u subscribers in %u processes, %u topics, %u rounds of %u messages of %u bytes to each, %u publishers by %s%s\n",
		opt->subscribers, opt->processes, opt->topics, opt->rounds, opt->messages, opt->size, opt->publishers,
		opt->publish[0].speak->name, opt->classic ? ", classic" : "");
}

void report_text(FILE *out, const struct results *r)
{
	const struct options *opt = r->opt;

	heading(out, opt);
	fprintf(out, "setup: %.2fms, good: %llu, bad: %llu, run: %.2fms\n", ms(r->setup_ns), (unsigned long long)r->good,
		(unsigned long long)r->bad, ms(r->run_ns));
	histogram(out, r);
	spread(out, "to each subscriber:", r->each, "deliveries");
	spread(out, "to the last:", r->last, "messages");
	if (opt->messages > 1)
		spread(out, "round:", r->round, "rounds, first publish to last delivery");
	transports(out, r);
	fprintf(out, "published:          %llu messages\n", (unsigned long long)r->published);
	fprintf(out, "delivered:          %llu", (unsigned long long)r->deliveries);
	if (r->busy_ns)
		fprintf(out, ", %.0f a second", (double)r->deliveries * (double)CLOCK_S / (double)r->busy_ns);
	fprintf(out, "; %llu PINGs answered\n", (unsigned long long)r->pings);
	server(out, r);
	pauses(out, r);
	reconnects(out, r);
	slow(out, r);
	if (r->interrupted)
		fprintf(out, "interrupted after %u of %u rounds: what is above is what there was\n", r->rounds, opt->rounds);
	else if (!r->fault_sum)
		fprintf(out, "faults:             none\n");
}

void report_faults(FILE *out, const struct results *r)
{
	static const char *const name[] = {
#define X(n, key, text) #key,
		FAULTS(X)
#undef X
	};
	static const char *const meaning[] = {
#define X(n, key, text) text,
		FAULTS(X)
#undef X
	};

	for (int f = 0; f < FAULT_COUNT; f++)
		if (r->faults[f])
			fprintf(out, "FAULT %s: %llu %s\n", name[f], (unsigned long long)r->faults[f], meaning[f]);
	if (r->late)
		fprintf(out, "a round was ended before everything had come: deadline, or nothing came any more\n");
	for (uint32_t i = 0; i < r->shm->members; i++)
		for (uint32_t n = 0; n < r->shm->member[i].notes; n++)
			fprintf(out, "  process %u: %s\n", i, r->shm->member[i].note[n]);
}
