/*
 * janusctl's output for people.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "master/ctl/ctl.h"
#include "shm/gauges.h"
#include "shm/metrics.h"

/* Seconds as the two largest units of them. */
static void print_span(uint64_t s)
{
	if (s >= 86400)
		printf("%" PRIu64 " d %" PRIu64 " h", s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		printf("%" PRIu64 " h %" PRIu64 " min", s / 3600, s / 60 % 60);
	else if (s >= 60)
		printf("%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
	else
		printf("%" PRIu64 " s", s);
}

static void print_up(uint64_t started)
{
	uint64_t now = (uint64_t)time(NULL);

	printf("up ");
	print_span(now > started ? now - started : 0);
	printf("\n");
}

/* In the largest unit of which there is one. */
static void print_bytes(uint64_t n)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB" };
	unsigned u = 0;

	for (; n >= 1024 && u < 3; u++)
		n = (n + 512) / 1024;
	printf("%" PRIu64 " %s", n, units[u]);
}

/* Those that there are; no line when there are none. */
static void print_transports(const struct control_status *status)
{
	const char *before = "by transport    ", *after = "";

	for (unsigned i = 0; i < TRANSPORT_GROUPS; i++) {
		if (!status->by_transport[i])
			continue;
		printf("%s%s %" PRIu64, before, transport_group_text(i), status->by_transport[i]);
		before = ", ";
		after = "\n";
	}
	printf("%s", after);
}

static void print_no_master(const struct control_status *status)
{
	uint64_t now = hub_now(), left = status->until > now ? status->until - now : 0;

	printf("janus, WITHOUT A MASTER");
	if (status->gone) {
		printf(" since ");
		print_span(now > status->gone ? (now - status->gone) / 1000000 : 0);
	}
	printf(", ");
	print_up(status->started);
	printf("It serves on. It ends ");
	if (left)
		printf("in ");
	if (left)
		print_span(left / 1000000);
	else
		printf("soon");
	printf(" unless a master comes, which takes it over: systemctl start janus\n");
}

void ctl_text_status(const struct control_status *status)
{
	uint64_t connections = 0;

	for (unsigned i = 0; i < status->workers; i++)
		connections += status->worker[i].connections;
	if (ctl_status_answered(status) || status->pid) {
		printf("janus%s%s, process %u%s%s, ", status->version[0] ? " " : "", status->version, status->pid,
		       ctl_status_answered(status) ? "" : " (which does not answer)", status->revived ? " (started by a keeper, as the one before had died)" : "");
		print_up(status->started);
	} else {
		print_no_master(status);
	}
	if (ctl_status_answered(status)) {
		printf("configuration   %s\n", status->file[0] ? status->file : "no file");
		printf("runtime folder  %s\n", status->runtime_dir);
	}
	if (status->data[0] || status->data_error[0])
		printf("data            %s%s%s%s\n", status->data, status->data[0] && status->data_error[0] ? ": " : "",
		       status->data_error[0] ? "CAN'T BE WRITTEN: " : "", status->data_error);
	if (status->nodes[0])
		printf("node            %s\n", status->nodes);
	for (unsigned i = 0; i < status->listeners; i++)
		printf("%-16s%s\n", i == 0 ? "listening on" : "", status->listen[i]);
	if (status->admin[0])
		printf("for janusctl    %s\n", status->admin);
	printf("connections     %" PRIu64, connections);
	if (status->connections_max)
		printf(" of %" PRIu64, status->connections_max);
	printf("\nbuffered        ");
	print_bytes(status->buffered);
	printf(" of ");
	print_bytes(status->buffered_max);
	printf("\n");
	print_transports(status);
	printf("\n%4s  %-8s  %8s  %8s  %11s  %8s  %10s\n", "SLOT", "STATE", "KEEPER", "WORKER", "CONNECTIONS", "RESTARTS",
	       "GENERATION");
	for (unsigned i = 0; i < status->workers; i++) {
		const struct control_worker *w = &status->worker[i];

		printf("%4u  %-8s  %8u  %8u  %11" PRIu64 "  %8" PRIu64 "  %10" PRIu64 "\n", w->slot,
		       control_state_name(w->state), w->keeper, w->worker, w->connections, w->restarts, w->generation);
	}
}

/* What is kept beyond the ring; no line when there is nothing. */
static void print_history(const struct hub *hub)
{
	struct history_use use = history_use(&hub->history);

	if (use.topics == 0)
		return;
	printf("history: %" PRIu64 " messages of %" PRIu64 " topics, ", use.messages, use.topics);
	print_bytes(use.bytes);
	printf("; in use ");
	print_bytes(use.pages * HISTORY_PAGE);
	printf(" of ");
	print_bytes(use.pages_max * HISTORY_PAGE);
	printf("\n");
}

static void print_journal(const struct hub *hub)
{
	const struct journal_shm *j = &hub->shm->journal;
	uint64_t now = hub_now(), since = atomic_load(&j->since);

	if (atomic_load(&j->state) == JOURNAL_OFF)
		return;
	printf("journal: ");
	print_bytes(atomic_load(&j->end));
	printf("; written before %" PRIu64 ", on the disk before %" PRIu64 "\n", atomic_load(&j->next), atomic_load(&j->synced));
	if (atomic_load(&j->state) != JOURNAL_FAILING)
		return;
	printf("journal: CAN'T BE WRITTEN since ");
	print_span(now > since ? (now - since) / 1000000 : 0);
	printf(": %s\n", strerror((int)atomic_load(&j->error)));
}

/* As it is now, of all workers together. */
static void print_gauges(const struct hub *hub)
{
	for (const struct gauge_info *g = gauges; g < gauges + GAUGES; g++) {
		char value[32];
		struct sink s = { .dst = value, .room = sizeof(value) };

		metrics_put_value(&s, gauge_total(g, hub), g->unit);
		sink_byte(&s, '\0');
		printf("%-25s %17s  %s\n", g->name, value, g->text);
	}
}

void ctl_text_stats(const struct hub *hub)
{
	uint64_t tail = ring_tail(&hub->ring), oldest = ring_oldest(&hub->ring);

	print_up(hub->shm->started / 1000000);
	printf("ring: messages %" PRIu64 " to before %" PRIu64 "\n", oldest, tail);
	printf("buffered: ");
	print_bytes(hub_buffered(hub));
	printf(" of ");
	print_bytes(hub->shm->buffered_max);
	printf("; subscriptions: %" PRIu64 " of %" PRIu64 "\n", hub_subscriptions(hub), hub->shm->subscriptions_max);
	printf("sessions without a connection: %" PRIu64 "\n", hub_parked(hub));
	print_history(hub);
	print_journal(hub);
	printf("\n");
	print_gauges(hub);
	printf("\n");
	for (unsigned i = 0; i < COUNTERS; i++)
		printf("%-18s %14" PRIu64 "  %s\n", counters[i].name, hub_counter_total(hub, counters[i].number), counters[i].text);
	printf("\n%4s  %-8s  %11s  %13s  %8s  %12s  %14s\n", "SLOT", "STATE", "CONNECTIONS", "SUBSCRIPTIONS", "BEHIND", "PUBLISHED",
	       "DELIVERED");
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		const struct hub_slot_shm *slot = &hub->shm->slot[i];

		if (!hub_slot_used(hub, i))
			continue;
		printf("%4u  %-8s  %11" PRIu32 "  %13" PRIu32 "  %8" PRIu32 "  %12" PRIu64 "  %14" PRIu64 "\n", i,
		       ctl_stats_state(hub, i), atomic_load_explicit(&slot->connections, memory_order_relaxed),
		       atomic_load_explicit(&slot->subscriptions, memory_order_relaxed),
		       atomic_load_explicit(&slot->behind, memory_order_relaxed),
		       hub_counter(hub, i, COUNTER_published), hub_counter(hub, i, COUNTER_delivered));
	}
}
