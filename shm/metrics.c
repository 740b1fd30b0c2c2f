/*
 * The text that Prometheus reads. See metrics.h. A family's samples stand together, behind what it is: so counters of one family are looked for through the table.
 */
#include "shm/metrics.h"

#include "proto/version.h"
#include "shm/gauges.h"
#include "shm/latency.h"

#define LATENCY "fanout_duration_seconds"

/* ---- the format ---- */

/* A help text ends with its line. (Names and labels are the tables', and need no escapes.) */
static void put_help(struct sink *s, const char *text)
{
	for (; *text; text++)
		if (*text == '\\')
			sink_literal(s, "\\\\");
		else
			sink_byte(s, *text);
}

static void put_family(struct sink *s, const char *family, const char *suffix, const char *type, const char *text)
{
	sink_literal(s, "# HELP janus_");
	sink_text(s, family);
	sink_text(s, suffix);
	sink_byte(s, ' ');
	put_help(s, text);
	sink_literal(s, "\n# TYPE janus_");
	sink_text(s, family);
	sink_text(s, suffix);
	sink_byte(s, ' ');
	sink_text(s, type);
	sink_byte(s, '\n');
}

static void put_seconds(struct sink *s, uint64_t microseconds)
{
	unsigned rest = (unsigned)(microseconds % 1000000), digits = 6;

	sink_number(s, microseconds / 1000000);
	if (rest == 0)
		return;
	for (; rest % 10 == 0; rest /= 10)
		digits--;
	sink_byte(s, '.');
	sink_digits(s, rest, digits);
}

void metrics_put_value(struct sink *s, uint64_t n, const char *unit)
{
	if (unit && strcmp(unit, "microseconds") == 0) {
		put_seconds(s, n);
	} else if (unit && strcmp(unit, "1024ths") == 0) {
		sink_number(s, n / 1024);
		sink_byte(s, '.');
		sink_digits(s, (unsigned)(n % 1024 * 1000 / 1024), 3);
	} else {
		sink_number(s, n);
	}
}

/* A sample's name, with its labels; "" none. */
static void put_name(struct sink *s, const char *family, const char *suffix, const char *labels)
{
	sink_literal(s, "janus_");
	sink_text(s, family);
	sink_text(s, suffix);
	if (*labels) {
		sink_byte(s, '{');
		sink_text(s, labels);
		sink_byte(s, '}');
	}
	sink_byte(s, ' ');
}

static void put_sample(struct sink *s, const char *family, const char *suffix, const char *labels, uint64_t n, const char *unit)
{
	put_name(s, family, suffix, labels);
	metrics_put_value(s, n, unit);
	sink_byte(s, '\n');
}

/* ---- counters ---- */

static const char *family_of(const struct counter_info *c)
{
	return c->family ? c->family : c->name;
}

static bool is_first(unsigned i)
{
	for (unsigned j = 0; j < i; j++)
		if (strcmp(family_of(&counters[j]), family_of(&counters[i])) == 0)
			return false;
	return true;
}

static void put_counters(struct sink *s, const struct hub *hub)
{
	for (unsigned i = 0; i < COUNTERS; i++) {
		const char *family = family_of(&counters[i]), *text = hub_family(family);

		if (!is_first(i))
			continue;
		put_family(s, family, "_total", "counter", text ? text : counters[i].text);
		for (unsigned j = i; j < COUNTERS; j++) {
			const struct counter_info *c = &counters[j];

			if (strcmp(family_of(c), family) == 0)
				put_sample(s, family, "_total", c->labels ? c->labels : "", hub_counter_total(hub, c->number), c->unit);
		}
	}
}

/* ---- gauges ---- */

static void put_worker_gauge(struct sink *s, const struct hub *hub, const struct gauge_info *g, unsigned slot)
{
	unsigned groups = g->of == GAUGE_OF_TRANSPORT ? TRANSPORT_GROUPS : 1;

	for (unsigned group = 0; group < groups; group++) {
		char labels[64];
		struct sink l = { .dst = labels, .room = sizeof(labels) };

		sink_literal(&l, "worker=\"");
		sink_number(&l, slot);
		if (g->of == GAUGE_OF_TRANSPORT) {
			sink_literal(&l, "\",transport=\"");
			sink_text(&l, transport_group_key(group));
		}
		sink_text(&l, "\"");
		sink_byte(&l, '\0');
		put_sample(s, g->name, g->total ? "_total" : "", labels, g->value(hub, slot, group), g->unit);
	}
}

/* Of a slot that is no more, as a reload wanted fewer, what it has done counts, and nothing is. */
static bool is_shown(const struct hub *hub, const struct gauge_info *g, unsigned slot)
{
	return g->total ? hub_slot_used(hub, slot) : atomic_load_explicit(&hub->shm->slot[slot].state, memory_order_relaxed) != SLOT_UNUSED;
}

static void put_gauges(struct sink *s, const struct hub *hub)
{
	for (const struct gauge_info *g = gauges; g < gauges + GAUGES; g++) {
		put_family(s, g->name, g->total ? "_total" : "", g->total ? "counter" : "gauge", g->text);
		if (g->of == GAUGE_OF_SERVER)
			put_sample(s, g->name, g->total ? "_total" : "", "", g->value(hub, 0, 0), g->unit);
		for (unsigned slot = 0; g->of != GAUGE_OF_SERVER && slot < INDEX_SLOTS_MAX; slot++)
			if (is_shown(hub, g, slot))
				put_worker_gauge(s, hub, g, slot);
	}
}

static void put_build(struct sink *s)
{
	put_family(s, "build_info", "", "gauge", "what runs here");
	put_name(s, "build_info", "", "version=\"" JANUS_VERSION "\"");
	sink_literal(s, "1\n");
}

/* ---- the histogram ---- */

static uint64_t latency_sum(const struct hub *hub, unsigned class, unsigned bucket)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		const struct latency_shm *l = &hub->shm->slot[i].latency;

		n += atomic_load_explicit(bucket < LATENCY_BUCKETS ? &l->count[class][bucket] : &l->sum[class], memory_order_relaxed);
	}
	return n;
}

static void put_class(struct sink *s, uint64_t most)
{
	sink_literal(s, "subscribers=\"");
	if (most == UINT64_MAX)
		sink_literal(s, "+Inf");
	else
		sink_number(s, most);
	sink_byte(s, '"');
}

static void put_latency_class(struct sink *s, const struct hub *hub, unsigned class)
{
	uint64_t n = 0;
	char labels[64];
	struct sink l = { .dst = labels, .room = sizeof(labels) };

	put_class(&l, latency_class_most(class));
	sink_byte(&l, '\0');
	for (unsigned b = 0; b < LATENCY_BUCKETS; b++) {
		sink_literal(s, "janus_" LATENCY "_bucket{");
		sink_text(s, labels);
		sink_literal(s, ",le=\"");
		if (latency_bound(b) == UINT64_MAX)
			sink_literal(s, "+Inf");
		else
			put_seconds(s, latency_bound(b));
		sink_literal(s, "\"} ");
		n += latency_sum(hub, class, b);
		sink_number(s, n);
		sink_byte(s, '\n');
	}
	put_sample(s, LATENCY, "_sum", labels, latency_sum(hub, class, LATENCY_BUCKETS), "microseconds");
	put_sample(s, LATENCY, "_count", labels, n, NULL);
}

static void put_latency(struct sink *s, const struct hub *hub)
{
	put_family(s, LATENCY, "", "histogram", "From a message's time to when a worker had sent it to the last of its subscribers there that keep up, by how many "
		   "these are at most; of messages that were sent together, the oldest");
	for (unsigned class = 0; class < LATENCY_CLASSES; class++)
		put_latency_class(s, hub, class);
}

void metrics_put(struct sink *s, const struct hub *hub)
{
	put_build(s);
	put_gauges(s, hub);
	put_counters(s, hub);
	put_latency(s, hub);
}
