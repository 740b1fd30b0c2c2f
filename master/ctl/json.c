/*
 * janusctl's output for programs: one JSON object on one line.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "master/ctl/ctl.h"
#include "proto/sink.h"
#include "shm/gauges.h"
#include "shm/metrics.h"

/* A JSON string. Names of files may be any bytes: what is not UTF-8 becomes question marks. */
void ctl_json_string(const char *text)
{
	static char escaped[6 * sizeof(((struct control_status *)0)->file)];	/* the longest of them, as are settings */
	struct sink s = { .dst = escaped, .room = sizeof(escaped) };

	sink_json(&s, text, strlen(text));
	printf("\"%.*s\"", (int)sink_end(&s), escaped);
}

void ctl_json_pair(const char *key, const char *value)
{
	printf("\"%s\":", key);
	ctl_json_string(value);
}

/* A member of the status and a comma: null if nobody says what it is. */
static void print_known(const char *key, const char *value, bool known)
{
	if (known)
		ctl_json_pair(key, value);
	else
		printf("\"%s\":null", key);
	printf(",");
}

void ctl_json_status(const struct control_status *status)
{
	bool answered = ctl_status_answered(status);

	printf("{");
	print_known("version", status->version, answered);
	if (answered || status->pid)
		printf("\"pid\":%" PRIu32 ",\"revived\":%s,", status->pid, status->revived ? "true" : "false");
	else
		printf("\"pid\":null,\"no_master_since\":%" PRIu64 ",\"ends\":%" PRIu64 ",", status->gone / 1000000, status->until / 1000000);
	printf("\"started\":%" PRIu64 ",", status->started);
	print_known("file", status->file, answered);
	print_known("runtime_dir", status->runtime_dir, answered);
	print_known("data", status->data, answered);
	print_known("data_error", status->data_error, true);
	print_known("nodes", status->nodes, true);
	printf(answered ? "\"listen\":[" : "\"listen\":null,");
	for (unsigned i = 0; i < status->listeners; i++) {
		printf(i ? "," : "");
		ctl_json_string(status->listen[i]);
	}
	printf(answered ? "]," : "");
	print_known("admin", status->admin, answered);
	printf(answered ? "\"connections_max\":%" PRIu64 : "\"connections_max\":null", status->connections_max);
	printf(",\"buffered\":%" PRIu64 ",\"buffered_max\":%" PRIu64 ",\"by_transport\":{", status->buffered, status->buffered_max);
	for (unsigned i = 0; i < TRANSPORT_GROUPS; i++)
		printf("%s\"%s\":%" PRIu64, i ? "," : "", transport_group_key(i), status->by_transport[i]);
	printf("},\"workers\":[");
	for (unsigned i = 0; i < status->workers; i++) {
		const struct control_worker *w = &status->worker[i];

		printf("%s{\"slot\":%" PRIu32 ",\"state\":\"%s\",\"keeper\":%" PRIu32 ",\"worker\":%" PRIu32, i ? "," : "", w->slot,
		       control_state_name(w->state), w->keeper, w->worker);
		printf(",\"connections\":%" PRIu64 ",\"restarts\":%" PRIu64 ",\"generation\":%" PRIu64 "}", w->connections,
		       w->restarts, w->generation);
	}
	printf("]}\n");
}

/* The slot's; of all together if there is no such slot. (Connections by transport are in the status.) */
static void print_gauges(const struct hub *hub, unsigned slot)
{
	const char *comma = "";

	printf(",\"gauges\":{");
	for (const struct gauge_info *g = gauges; g < gauges + GAUGES; g++) {
		char value[32];
		struct sink s = { .dst = value, .room = sizeof(value) };

		if (slot < INDEX_SLOTS_MAX && g->of != GAUGE_OF_WORKER)
			continue;
		metrics_put_value(&s, slot < INDEX_SLOTS_MAX ? g->value(hub, slot, 0) : gauge_total(g, hub), g->unit);
		sink_byte(&s, '\0');
		printf("%s\"%s\":%s", comma, g->name, value);
		comma = ",";
	}
	printf("}");
}

static void print_slot(const struct hub *hub, unsigned i)
{
	const struct hub_slot_shm *slot = &hub->shm->slot[i];

#define RELAXED(field) atomic_load_explicit(&slot->field, memory_order_relaxed)
	printf("{\"slot\":%u,\"state\":\"%s\",\"keeper\":%" PRIu32 ",\"worker\":%" PRIu32, i, ctl_stats_state(hub, i),
	       RELAXED(keeper), RELAXED(worker));
	printf(",\"generation\":%" PRIu32 ",\"restarts\":%" PRIu32 ",\"emptied\":%" PRIu32, RELAXED(generation), RELAXED(restarts),
	       RELAXED(emptied));
	printf(",\"started\":%" PRIu64 ",\"paused\":%" PRIu64 ",\"sleeping\":%s", RELAXED(started), RELAXED(paused),
	       RELAXED(sleeping) ? "true" : "false");
	printf(",\"delivered_before\":%" PRIu64 ",\"connections\":%" PRIu32, RELAXED(delivered), RELAXED(connections));
	printf(",\"parked\":%" PRIu32, RELAXED(parked));
	printf(",\"behind\":%" PRIu32 ",\"subscriptions\":%" PRIu32 ",\"buffered\":%" PRIu64 ",\"counters\":{", RELAXED(behind),
	       RELAXED(subscriptions), RELAXED(buffered));
#undef RELAXED
	for (unsigned c = 0; c < COUNTERS; c++)
		printf("%s\"%s\":%" PRIu64, c ? "," : "", counters[c].name, hub_counter(hub, i, counters[c].number));
	printf("}");
	print_gauges(hub, i);
	printf("}");
}

static void print_journal(const struct journal_shm *j)
{
	static const char *const states[] = { "off", "reading", "good", "failing" };
	uint32_t state = atomic_load(&j->state);

	printf(",\"journal\":{\"state\":\"%s\",\"since\":%" PRIu64 ",\"bytes\":%" PRIu64, states[state], atomic_load(&j->since), atomic_load(&j->end));
	printf(",\"written_before\":%" PRIu64 ",\"synced_before\":%" PRIu64 ",", atomic_load(&j->next), atomic_load(&j->synced));
	ctl_json_pair("error", state == JOURNAL_FAILING ? strerror((int)atomic_load(&j->error)) : "");
	printf("}");
}

void ctl_json_stats(const struct hub *hub)
{
	struct history_use use = history_use(&hub->history);
	const char *comma = "";

	printf("{\"epoch\":%" PRIu64 ",\"ring\":{\"oldest\":%" PRIu64 ",\"tail\":%" PRIu64 "}", hub->shm->epoch,
	       ring_oldest(&hub->ring), ring_tail(&hub->ring));
	printf(",\"history\":{\"messages\":%" PRIu64 ",\"topics\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"pages\":%" PRIu64 ",\"pages_max\":%" PRIu64 "}",
	       use.messages, use.topics, use.bytes, use.pages, use.pages_max);
	print_journal(&hub->shm->journal);
	printf(",\"buffered\":%" PRIu64 ",\"buffered_max\":%" PRIu64 ",\"subscriptions\":%" PRIu64 ",\"subscriptions_max\":%" PRIu64
	       ",\"counters\":{", hub_buffered(hub), hub->shm->buffered_max, hub_subscriptions(hub), hub->shm->subscriptions_max);
	for (unsigned c = 0; c < COUNTERS; c++)
		printf("%s\"%s\":%" PRIu64, c ? "," : "", counters[c].name, hub_counter_total(hub, counters[c].number));
	printf("}");
	print_gauges(hub, INDEX_SLOTS_MAX);
	printf(",\"slots\":[");
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		if (!hub_slot_used(hub, i))
			continue;
		printf("%s", comma);
		print_slot(hub, i);
		comma = ",";
	}
	printf("]}\n");
}
