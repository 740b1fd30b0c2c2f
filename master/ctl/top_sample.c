/*
 * A sample of the hub, and what has changed since the one before. See top.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/ctl/top.h"
#include "proto/sink.h"

#define LOOKED_AT 1024			/* of the ring's newest records: at a million topics each is another page */
#define PLACES 4096			/* of topics found there: a power of two, more than that */

static uint64_t counted(const struct hub *hub, unsigned slot, enum top_rate rate)
{
	switch (rate) {
	case RATE_ACCEPTED: return hub_counter(hub, slot, COUNTER_accepted) + hub_counter(hub, slot, COUNTER_adopted);
	case RATE_CLOSED: return hub_counter(hub, slot, COUNTER_closed);
	case RATE_PUBLISHED: return hub_counter(hub, slot, COUNTER_published);
	case RATE_DELIVERED: return hub_counter(hub, slot, COUNTER_delivered);
	case RATE_DROPPED:
		return hub_counter(hub, slot, COUNTER_dropped_overtaken) + hub_counter(hub, slot, COUNTER_dropped_latest) +
		       hub_counter(hub, slot, COUNTER_dropped_unencodable);
	case RATE_REFUSED: return hub_counter(hub, slot, COUNTER_refused);
	case RATE_IN: return hub_counter(hub, slot, COUNTER_bytes_in);
	case RATE_OUT: return hub_counter(hub, slot, COUNTER_bytes_out);
	case TOP_RATES: break;
	}
	return 0;
}

/* The CPU time of a process in clock ticks, 0: it is not there. */
static uint64_t cpu_of(pid_t pid)
{
	unsigned long user = 0, system = 0;
	char path[64], line[1024], *end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = pid > 0 ? fopen(path, "re") : NULL;
	if (!f)
		return 0;
	/* The process's name may have anything in it but its own end. */
	if (fgets(line, sizeof(line), f) && (end = strrchr(line, ')')) != NULL &&
	    sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
		user = system = 0;
	fclose(f);
	return user + system;
}

static void read_worker(const struct hub *hub, unsigned slot, struct top_worker *w)
{
	const struct hub_slot_shm *shm = &hub->shm->slot[slot];

	*w = (struct top_worker){
		.slot = slot,
		.state = ctl_stats_state(hub, slot),
		.pid = (pid_t)atomic_load_explicit(&shm->worker, memory_order_relaxed),
		.connections = atomic_load_explicit(&shm->connections, memory_order_relaxed),
		.behind = atomic_load_explicit(&shm->behind, memory_order_relaxed),
		.restarts = atomic_load_explicit(&shm->restarts, memory_order_relaxed),
		.lag = ring_lag(&hub->ring, atomic_load_explicit(&shm->delivered, memory_order_acquire)),
	};
	w->cpu = cpu_of(w->pid);
	for (unsigned r = 0; r < TOP_RATES; r++)
		w->total[r] = counted(hub, slot, r);
}

static double per_second(uint64_t before, uint64_t now, double seconds)
{
	return now > before && seconds > 0 ? (double)(now - before) / seconds : 0;
}

static const struct top_worker *worker_before(const struct top_sample *before, unsigned slot)
{
	for (unsigned i = 0; before && i < before->workers; i++)
		if (before->worker[i].slot == slot)
			return &before->worker[i];
	return NULL;
}

static void read_workers(const struct hub *hub, const struct top_sample *before, double seconds, struct top_sample *s)
{
	for (unsigned slot = 0; slot < INDEX_SLOTS_MAX; slot++) {
		const struct top_worker *was = worker_before(before, slot);
		struct top_worker *w = &s->worker[s->workers];

		if (!hub_slot_used(hub, slot))
			continue;
		read_worker(hub, slot, w);
		for (unsigned r = 0; r < TOP_RATES; r++)
			s->total[r] += w->total[r];
		for (unsigned r = 0; was && r < TOP_RATES; r++)
			w->rate[r] = per_second(was->total[r], w->total[r], seconds);
		if (was && was->pid == w->pid)
			w->load = 100 * per_second(was->cpu, w->cpu, seconds) / (double)sysconf(_SC_CLK_TCK);
		s->restarts += w->restarts;
		s->behind += w->behind;
		if (strcmp(w->state, "unused") == 0)
			continue;		/* it was one: its counts stay */
		s->lag = w->lag > s->lag ? w->lag : s->lag;
		s->live += strcmp(w->state, "live") == 0;
		for (unsigned i = 0; i < TRANSPORT_GROUPS; i++)
			s->by_transport[i] += atomic_load_explicit(&hub->shm->slot[slot].by_transport[i], memory_order_relaxed);
		s->workers++;
	}
}

/* ---- topics ---- */

struct seen {
	uint32_t number[PLACES];	/* TOPIC_NONE: a free place */
	uint32_t list[PLACES / 2];
	unsigned count;
};

static void note(struct seen *seen, uint32_t number)
{
	uint32_t at = number * 2654435761u % PLACES;

	if (number == TOPIC_NONE || seen->count == PLACES / 2)
		return;
	while (seen->number[at] != TOPIC_NONE && seen->number[at] != number)
		at = (at + 1) % PLACES;
	if (seen->number[at] == TOPIC_NONE)
		seen->list[seen->count++] = number;
	seen->number[at] = number;
}

static int by_rate(const void *one, const void *other)
{
	const struct top_topic *a = one, *b = other;

	if (a->rate > b->rate || a->rate < b->rate)
		return a->rate < b->rate ? 1 : -1;
	return a->published != b->published ? (a->published < b->published ? 1 : -1) : a->number < b->number ? -1 : a->number > b->number;
}

/* Its rate since the sample before if it was there, else by its own count of the last seconds (index_rate()). */
static double rate_of(const struct topic_info *info, const struct top_sample *before, double seconds)
{
	for (unsigned i = 0; before && i < before->topic_count; i++)
		if (before->topic[i].number == info->number && before->topic[i].generation == info->generation)
			return per_second(before->topic[i].published, info->published, seconds);
	return (double)info->rate / 1000;
}

static void keep(struct top_sample *s, const struct topic_info *info, double rate)
{
	struct top_topic *t;
	struct sink name;

	if (s->topic_count < TOP_TOPICS) {
		t = &s->topic[s->topic_count++];
	} else {
		t = &s->topic[0];
		for (unsigned i = 1; i < TOP_TOPICS; i++)
			if (s->topic[i].rate < t->rate)
				t = &s->topic[i];
		if (t->rate >= rate)
			return;
	}
	*t = (struct top_topic){ .number = info->number, .generation = info->generation, .published = info->published, .subscribers = info->subscribers, .rate = rate };
	name = (struct sink){ .dst = t->name, .room = sizeof(t->name) - 1 };
	sink_json(&name, info->name, info->name_len);
	t->name_len = name.len;
	t->name[name.len] = '\0';
}

static void read_topics(const struct hub *hub, const struct top_sample *before, double seconds, struct top_sample *s)
{
	uint64_t tail = ring_tail(&hub->ring), oldest = ring_oldest(&hub->ring);
	static struct seen seen;

	memset(&seen, 0, sizeof(seen));
	for (unsigned i = 0; before && i < before->topic_count; i++)
		note(&seen, before->topic[i].number);
	for (unsigned i = 0; i < LOOKED_AT && tail > oldest; i++) {
		struct ring_record rec;

		if (ring_read(&hub->ring, --tail, &rec) == 0)
			note(&seen, rec.topic);
	}
	for (unsigned i = 0; i < seen.count; i++) {
		struct topic_info info;

		if (topics_read(hub, seen.list[i], s->time, &info))
			keep(s, &info, rate_of(&info, before, seconds));
	}
	qsort(s->topic, s->topic_count, sizeof(*s->topic), by_rate);
}

/* ---- */

void top_sample(const struct hub *hub, const struct top_sample *before, struct top_sample *s)
{
	uint64_t tail = ring_tail(&hub->ring), oldest = ring_oldest(&hub->ring);
	double seconds;

	*s = (struct top_sample){
		.time = hub_now(),
		.started = hub->shm->started,
		.connections = hub_connections(hub),
		.parked = hub_parked(hub),
		.subscriptions = hub_subscriptions(hub),
		.topics = hub->index.shm->used,
		.buffered = hub_buffered(hub),
		.buffered_max = hub->shm->buffered_max,
		.ring_used = (unsigned)(tail > oldest ? (tail - oldest) * 100 / hub->ring.shm->descs : 0),
	};
	seconds = before ? (double)(s->time - before->time) / 1e6 : 0;
	read_workers(hub, before, seconds, s);
	for (unsigned r = 0; before && r < TOP_RATES; r++)
		s->rate[r] = per_second(before->total[r], s->total[r], seconds);
	read_topics(hub, before, seconds, s);
}

static enum top_sort sort_by;

static int workers_differ(const void *one, const void *other)
{
	const struct top_worker *a = one, *b = other;
	double x = 0, y = 0;

	switch (sort_by) {
	case TOP_BY_CONNECTIONS: x = a->connections; y = b->connections; break;
	case TOP_BY_CPU: x = a->load; y = b->load; break;
	case TOP_BY_LAG: x = a->lag; y = b->lag; break;
	case TOP_BY_DELIVERED: x = a->rate[RATE_DELIVERED]; y = b->rate[RATE_DELIVERED]; break;
	case TOP_BY_SLOT: case TOP_SORTS: break;
	}
	if (x > y || x < y)
		return x < y ? 1 : -1;
	return a->slot < b->slot ? -1 : a->slot > b->slot;
}

void top_sort_workers(struct top_sample *s, enum top_sort by)
{
	sort_by = by;
	qsort(s->worker, s->workers, sizeof(*s->worker), workers_differ);
}
