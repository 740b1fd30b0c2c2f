/*
 * janusctl workers: what each worker does, read from the hub segment and from /proc without asking anyone.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "master/ctl/ctl.h"

#define SAMPLE_MS 250		/* in which CPU time is measured */

/* Milliseconds of CPU that the process has taken, -1: it is not there, or can't be seen. */
static int64_t cpu_of(uint32_t pid)
{
	unsigned long user, system;
	char path[32], line[1024];
	const char *after;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/stat", pid);
	f = pid ? fopen(path, "re") : NULL;
	if (!f)
		return -1;
	n = fread(line, 1, sizeof(line) - 1, f);
	fclose(f);
	line[n] = '\0';
	after = strrchr(line, ')');		/* (the name may have blanks) */
	if (!after || sscanf(after, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
		return -1;
	return (int64_t)(user + system) * 1000 / sysconf(_SC_CLK_TCK);
}

struct worker_line {
	bool used;
	uint32_t pid;
	int64_t cpu;			/* milliseconds, -1 unknown */
	double percent;			/* of one CPU, lately; -1 unknown */
};

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Nanoseconds that the process ran for, which is finer than clock ticks; 0: unknown. */
static uint64_t run_of(uint32_t pid)
{
	char path[48];
	uint64_t ns = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/schedstat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%" SCNu64, &ns) != 1)
		ns = 0;
	fclose(f);
	return ns;
}

static void measure(const struct hub *hub, struct worker_line lines[INDEX_SLOTS_MAX])
{
	uint64_t before[INDEX_SLOTS_MAX] = { 0 }, since = now_us(), took;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		lines[i].used = atomic_load_explicit(&hub->shm->slot[i].state, memory_order_relaxed) != SLOT_UNUSED;
		lines[i].pid = atomic_load_explicit(&hub->shm->slot[i].worker, memory_order_relaxed);
		before[i] = lines[i].used ? run_of(lines[i].pid) : 0;
	}
	nanosleep(&(struct timespec){ .tv_nsec = SAMPLE_MS * 1000000 }, NULL);
	took = now_us() - since;
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		uint64_t after = lines[i].used ? run_of(lines[i].pid) : 0;

		lines[i].cpu = cpu_of(lines[i].pid);
		lines[i].percent = before[i] && after >= before[i] ? (double)(after - before[i]) / 10 / (double)took : -1;
	}
}

#define LOAD(field) atomic_load_explicit(&s->field, memory_order_relaxed)

static void print_text(const struct hub *hub, unsigned slot, const struct worker_line *line)
{
	const struct hub_slot_shm *s = &hub->shm->slot[slot];
	uint64_t now = hub_now() / 1000000, started = LOAD(started) / 1000000;
	char percent[16] = "-", cpu[24] = "-", moved[48];

	if (line->percent >= 0)
		snprintf(percent, sizeof(percent), "%.0f%%", line->percent);
	if (line->cpu >= 0)
		snprintf(cpu, sizeof(cpu), "%" PRId64 ".%" PRId64, line->cpu / 1000, line->cpu % 1000 / 100);
	snprintf(moved, sizeof(moved), "+%" PRIu64 " -%" PRIu64, hub_counter(hub, slot, COUNTER_moved_in), hub_counter(hub, slot, COUNTER_moved_out));
	printf("%4u  %8" PRIu32 "  %-8s  %8" PRIu64 "  %8" PRIu32 "  %11" PRIu32 "  %6" PRIu32 "  %11s  %6" PRIu32 "  %8" PRIu64 "  %5s  %8s\n", slot, line->pid,
	       ctl_stats_state(hub, slot), line->pid && now > started ? now - started : 0, LOAD(restarts), LOAD(connections), LOAD(parked), moved, LOAD(behind),
	       hub_slot_lag(hub, slot), percent, cpu);
}

static void print_json(const struct hub *hub, unsigned slot, const struct worker_line *line)
{
	const struct hub_slot_shm *s = &hub->shm->slot[slot];

	printf("{\"slot\":%u,\"pid\":%" PRIu32 ",\"keeper\":%" PRIu32 ",\"spare\":%" PRIu32 ",\"state\":\"%s\",\"started\":%" PRIu64 ",\"restarts\":%" PRIu32, slot, line->pid,
	       LOAD(keeper), LOAD(spare), ctl_stats_state(hub, slot), LOAD(started), LOAD(restarts));
	printf(",\"connections\":%" PRIu32 ",\"parked\":%" PRIu32 ",\"behind\":%" PRIu32 ",\"lag\":%" PRIu64, LOAD(connections), LOAD(parked), LOAD(behind),
	       hub_slot_lag(hub, slot));
	printf(",\"moved_in\":%" PRIu64 ",\"moved_out\":%" PRIu64, hub_counter(hub, slot, COUNTER_moved_in), hub_counter(hub, slot, COUNTER_moved_out));
	if (line->percent >= 0)
		printf(",\"cpu_percent\":%.1f", line->percent);
	if (line->cpu >= 0)
		printf(",\"cpu_seconds\":%" PRId64 ".%03" PRId64, line->cpu / 1000, line->cpu % 1000);
	printf("}");
}

int ctl_workers(const struct ctl_arguments *args)
{
	struct worker_line lines[INDEX_SLOTS_MAX] = { 0 };
	const char *comma = "";
	struct hub hub;
	int rc = ctl_open_hub(args, &hub);

	if (rc)
		return rc;
	measure(&hub, lines);
	if (args->json)
		printf("{\"workers\":[");
	else
		printf("%4s  %8s  %-8s  %8s  %8s  %11s  %6s  %11s  %6s  %8s  %5s  %8s\n", "SLOT", "PID", "STATE", "UP (s)", "RESTARTS", "CONNECTIONS", "PARKED",
		       "MOVED", "BEHIND", "LAG", "CPU", "CPU (s)");
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		if (!lines[i].used)
			continue;
		if (args->json) {
			printf("%s", comma);
			print_json(&hub, i, &lines[i]);
			comma = ",";
		} else {
			print_text(&hub, i, &lines[i]);
		}
	}
	if (args->json)
		printf("]}\n");
	hub_detach(&hub);
	return EXIT_DONE;
}
