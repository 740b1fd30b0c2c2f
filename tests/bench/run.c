#include "tests/bench/run.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/bench/clock.h"
#include "tests/bench/procstat.h"

#define TICK_MS 100
#define QUIET (10 * CLOCK_S)	/* all is published, and nothing has come for so long: nothing will */
#define SETTLE_MS 50		/* after a round: time for a repeat to show */
#define BAR 40

static bool has_progress(const struct crew *crew)
{
	return !crew->opt->quiet && isatty(STDERR_FILENO);
}

static void show_progress(const struct crew *crew, const char *what, uint64_t done, uint64_t all)
{
	int filled = all ? (int)(BAR * (done < all ? done : all) / all) : BAR;

	if (has_progress(crew))
		fprintf(stderr, "\r%-10s [%.*s%*s] %llu/%llu\033[K", what, filled, "########################################",
			BAR - filled, "", (unsigned long long)done, (unsigned long long)all);
}

static void hide_progress(const struct crew *crew)
{
	if (has_progress(crew))
		fputs("\r\033[K", stderr);
}

enum counter { GOOD, DELIVERIES, BYTES };

static uint64_t total(const struct crew *crew, enum counter counter)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < crew->opt->processes; i++) {
		const struct member_shm *me = &crew->shm->member[i];

		sum += counter == GOOD ? me->good : counter == DELIVERIES ? me->deliveries : me->bytes;
	}
	return sum;
}

/* Sleeps a tick for the last order. Returns whether all is well: neither interrupted nor a member lost. */
static bool tick(struct crew *crew, struct results *r, bool *done)
{
	switch (crew_wait(crew, TICK_MS)) {
	case CREW_DONE:
		*done = true;
		return true;
	case CREW_INTERRUPTED:
		r->interrupted = true;
		return false;
	case CREW_DIED:
		r->faults[FAULT_CLIENTS]++;
		return false;
	default:
		return true;
	}
}

/* An order that takes no time to speak of. */
static bool obeyed(struct crew *crew, struct results *r, enum order order)
{
	bool done = false;

	crew_order(crew, order);
	while (!done)
		if (!tick(crew, r, &done))
			return false;
	return true;
}

/* --hold: until somebody says by a line on standard input, or by its end, that messages may come. */
static bool released(struct crew *crew, struct results *r)
{
	struct pollfd fd = { .fd = STDIN_FILENO, .events = POLLIN };
	bool done = false;
	char c = 0;

	fputs("ready\n", stderr);
	while (c != '\n') {
		if (!tick(crew, r, &done))
			return false;
		if (poll(&fd, 1, TICK_MS) > 0 && read(STDIN_FILENO, &c, 1) <= 0)
			break;
	}
	return true;
}

static bool set_up(struct crew *crew, struct results *r)
{
	struct procstat before, after;
	uint64_t start;
	bool done = false, well = true;

	r->server_seen = procstat_read(crew->opt, true, &before) == 0;
	start = crew->shm->base = clock_now();
	crew_order(crew, ORDER_SETUP);
	while (well && !done) {
		well = tick(crew, r, &done);
		show_progress(crew, "set-up", total(crew, GOOD), crew->opt->subscribers);
	}
	hide_progress(crew);
	r->setup_ns = r->run_ns = clock_now() - start;
	r->server_seen = r->server_seen && procstat_read(crew->opt, true, &after) == 0;
	if (r->server_seen) {
		r->server_processes = after.processes;
		r->setup_cpu = after.cpu > before.cpu ? after.cpu - before.cpu : 0;
		r->pss_before = before.pss;
		r->pss_after = after.pss;
	}
	return well;
}

/* Waits for the round's end: everything has come, or it won't. */
static bool await_round(struct crew *crew, struct results *r, uint64_t want)
{
	const struct options *opt = crew->opt;
	uint64_t slow = opt->slow ? (uint64_t)(opt->slow_s * (double)CLOCK_S) : 0, now = clock_now(), bytes, seen = 0, heard = now;
	uint64_t deadline = now + options_publish_ns(opt) + slow + (uint64_t)(opt->timeout_s * (double)CLOCK_S);
	const struct member_shm *publisher = &crew->shm->member[opt->processes];
	uint64_t from = total(crew, DELIVERIES);
	bool done = false;

	while (!done) {
		if (!tick(crew, r, &done))
			return false;
		show_progress(crew, "deliveries", total(crew, DELIVERIES) - from, want);
		now = clock_now();
		bytes = total(crew, BYTES);
		if (bytes != seen || publisher->done != crew->shm->order)
			heard = now;
		seen = bytes;
		if (!done && (now >= deadline || now - heard >= QUIET + slow)) {
			r->late = true;
			break;
		}
	}
	return true;
}

static bool play_round(struct crew *crew, struct results *r, uint32_t round)
{
	const struct options *opt = crew->opt;
	size_t messages = (size_t)opt->topics * opt->messages;
	struct procstat before, after;
	bool well;

	crew->shm->round = round;
	for (size_t i = 0; i < messages; i++)
		atomic_store_explicit(&crew->shm->sent[i], 0, memory_order_relaxed);
	for (size_t i = 0; i < opt->transports * messages; i++)
		atomic_store_explicit(&crew->shm->last[i], 0, memory_order_relaxed);
	for (uint32_t i = 0; i < opt->nodes * opt->topics; i++)
		atomic_store_explicit(&crew->shm->order_hash[i], 0, memory_order_relaxed);
	atomic_store(&crew->shm->gaps.heard, 0);
	if (!obeyed(crew, r, ORDER_ARM))
		return false;
	if (r->server_seen)
		r->server_seen = procstat_read(opt, false, &before) == 0;
	crew_order(crew, ORDER_RUN);
	well = await_round(crew, r, total(crew, GOOD) * opt->messages);
	hide_progress(crew);
	if (r->server_seen && (r->server_seen = procstat_read(opt, false, &after) == 0))
		r->run_cpu += after.cpu > before.cpu ? after.cpu - before.cpu : 0;
	if (well)
		poll(NULL, 0, SETTLE_MS);
	well = well && obeyed(crew, r, ORDER_COUNT);
	if (well)
		results_round(r);
	return well;
}

void run_all(struct crew *crew, struct results *r)
{
	bool well = set_up(crew, r) && total(crew, GOOD) > 0;

	if (crew->shm->member[crew->opt->processes].faults[FAULT_BAD])
		well = false;	/* without all publishers every message of theirs would count as lost */
	if (crew->opt->hold)
		well = well && total(crew, GOOD) == crew->opt->subscribers && released(crew, r);

	for (uint32_t round = 1; well && round <= crew->opt->rounds; round++)
		well = play_round(crew, r, round);
	crew_stop(crew);
	results_sum(r);
}
