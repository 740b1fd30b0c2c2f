#include "tests/bench/clock.h"
#include "tests/bench/report.h"

static double ms(uint64_t ns)
{
	return (double)ns / (double)CLOCK_MS;
}

static void spread(FILE *out, const char *key, const struct distribution *d)
{
	fprintf(out, ",\"%s\":", key);
	if (!d->h.count)
		fputs("null", out);
	else
		fprintf(out, "{\"count\":%llu,\"min\":%.6f,\"median\":%.6f,\"p99\":%.6f,\"max\":%.6f}", (unsigned long long)d->h.count,
			ms(d->h.min), ms(distribution_quantile(d, 0.5)), ms(distribution_quantile(d, 0.99)), ms(d->h.max));
}

static void transports(FILE *out, const struct results *r)
{
	fputs(",\"transports\":{", out);
	for (uint32_t t = 0; t < r->opt->transports; t++) {
		const struct transport *at = &r->opt->transport[t];

		fprintf(out, "%s\"%s", t ? "," : "", at->speak->name);
		if (r->opt->nodes > 1)
			fprintf(out, "@%u", at->node);
		fprintf(out, "\":{\"subscribers\":%llu,\"deliveries\":%llu", (unsigned long long)r->by[t].good, (unsigned long long)r->by[t].deliveries);
		spread(out, "last_ms", r->by[t].last);
		fputc('}', out);
	}
	fputc('}', out);
}

static void number(FILE *out, const char *key, uint64_t v)
{
	fprintf(out, ",\"%s\":%llu", key, (unsigned long long)v);
}

/* A figure that there may be none of. */
static void figure(FILE *out, const char *key, int is, double v)
{
	if (is)
		fprintf(out, ",\"%s\":%.6f", key, v);
	else
		fprintf(out, ",\"%s\":null", key);
}

static void options(FILE *out, const struct options *opt)
{
	fprintf(out, "{\"subscribers\":%u,\"processes\":%u,\"topics\":%u,\"messages\":%u,\"rounds\":%u,\"size\":%u,\"publishers\":%u,"
		"\"classic\":%s,\"publish\":\"%s\",\"rate\":%.3f,\"burst\":%u", opt->subscribers, opt->processes, opt->topics, opt->messages, opt->rounds,
		opt->size, opt->publishers, opt->classic ? "true" : "false", opt->publish[0].speak->name, opt->rate, opt->burst);
}

static void server(FILE *out, const struct results *r)
{
	int seen = r->server_seen;

	number(out, "server_processes", r->server_processes);
	figure(out, "server_cpu_us_per_delivery", seen && r->deliveries, (double)r->run_cpu / 1000 / (double)r->deliveries);
	figure(out, "server_cpu_us_per_setup", seen && r->good, (double)r->setup_cpu / 1000 / (double)r->good);
	figure(out, "server_bytes_per_connection", seen && r->good,
	       ((double)r->pss_after - (double)r->pss_before) / (double)r->good);
	number(out, "server_pss_before", r->pss_before);
	number(out, "server_pss_after", r->pss_after);
}

static void gaps(FILE *out, const struct results *r, const struct gaps_shm *g)
{
	uint32_t n = g->count < GAPS_MAX ? g->count : GAPS_MAX;

	fprintf(out, "{\"longest_ms\":%.6f,\"count\":%u,\"list\":[", ms(g->longest), g->count);
	for (uint32_t i = 0; i < n; i++)
		fprintf(out, "%s{\"at_s\":%.6f,\"ms\":%.6f}", i ? "," : "",
			(double)(int64_t)(g->list[i].from - r->first_publish) / (double)CLOCK_S, ms(g->list[i].to - g->list[i].from));
	fputs("]}", out);
}

static void pauses(FILE *out, const struct results *r)
{
	if (r->opt->running_s <= 0 || r->opt->reconnect_s > 0)
		return;
	fprintf(out, ",\"pauses\":{\"pause_ms\":%.3f,\"overall\":", ms(options_pause_ns(r->opt, false)));
	gaps(out, r, &r->shm->gaps);
	fputs(",\"processes\":[", out);
	for (uint32_t i = 0; i < r->opt->processes; i++) {
		fputs(i ? "," : "", out);
		gaps(out, r, &r->shm->member[i].gaps);
	}
	fprintf(out, "],\"subscribers\":{\"count\":%llu,\"longest_ms\":%.6f}}", (unsigned long long)r->waits.count, ms(r->waits.max));
}

static void reconnects(FILE *out, const struct results *r)
{
	const struct reconnects_shm *c = &r->reconnects;
	struct distribution answered = { .h = c->answered };

	if (r->opt->reconnect_s <= 0)
		return;
	fprintf(out, ",\"reconnects\":{\"fin\":%llu,\"rst\":%llu,\"silent\":%llu,\"resumed\":%llu,\"recovered\":%llu,\"not_recovered\":%llu,\"said\":%llu,"
		"\"told\":%llu,\"silent_losses\":%llu,\"repeats\":%llu,\"attached\":%llu,\"standing\":%llu,\"gone\":%llu,\"taken\":%llu", (unsigned long long)c->dropped[DROP_FIN],
		(unsigned long long)c->dropped[DROP_RST], (unsigned long long)c->dropped[DROP_SILENT], (unsigned long long)c->resumed,
		(unsigned long long)c->recovered, (unsigned long long)c->not_recovered, (unsigned long long)c->said, (unsigned long long)c->told,
		(unsigned long long)r->faults[FAULT_LOST], (unsigned long long)r->faults[FAULT_DOUBLED], (unsigned long long)c->attached,
		(unsigned long long)c->standing, (unsigned long long)c->gone, (unsigned long long)c->taken);
	spread(out, "answered_ms", &answered);
	fputc('}', out);
}

static void faults(FILE *out, const struct results *r)
{
	static const char *const key[] = {
#define X(n, k, text) #k,
		FAULTS(X)
#undef X
	};

	fputs(",\"faults\":{", out);
	for (int f = 0; f < FAULT_COUNT; f++)
		fprintf(out, "%s\"%s\":%llu", f ? "," : "", key[f], (unsigned long long)r->faults[f]);
	fprintf(out, "},\"fault_sum\":%llu", (unsigned long long)r->fault_sum);
}

void report_json(FILE *out, const struct results *r)
{
	options(out, r->opt);
	fprintf(out, ",\"setup_ms\":%.6f,\"run_ms\":%.6f", ms(r->setup_ns), ms(r->run_ns));
	number(out, "good", r->good);
	number(out, "bad", r->bad);
	number(out, "rounds_done", r->rounds);
	number(out, "published", r->published);
	number(out, "deliveries", r->deliveries);
	number(out, "pings", r->pings);
	number(out, "bytes", r->bytes);
	figure(out, "deliveries_per_s", r->busy_ns > 0, (double)r->deliveries * (double)CLOCK_S / (double)r->busy_ns);
	spread(out, "delivery_ms", r->each);
	spread(out, "last_ms", r->last);
	spread(out, "round_ms", r->round);
	transports(out, r);
	server(out, r);
	pauses(out, r);
	reconnects(out, r);
	number(out, "slow_caught_up", r->slow_caught_up);
	number(out, "slow_lost", r->slow_lost);
	number(out, "slow_gone", r->slow_gone);
	number(out, "churned", r->churned);
	faults(out, r);
	fprintf(out, ",\"late\":%s,\"interrupted\":%s}\n", r->late ? "true" : "false", r->interrupted ? "true" : "false");
}
