/*
 * janusctl log: follows events, and messages of the publish ring if they are wanted. It reads shared memory some times a second, and the server does not
 * know of it.
 *
 * Lines of one look are in the order of their times, whichever slot they come from. An event that is written while the look is taken comes with the next.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/ctl/log.h"

#define LOOK_LEAST_MS 20		/* between looks, while something comes */
#define LOOK_MOST_MS 100

#define GAP "another server's events from here on: it was started anew, or upgraded to another layout of memory; some between may be missing"
#define LOST "events or messages were overwritten before they were read"

struct follow {
	struct log_source source;
	struct log_filter filter;
	struct log_clients *clients;
	struct log_lines lines;
	uint64_t newest;		/* the time of the newest event that was read, lest one is shown twice */
	uint64_t lost_told;
	unsigned long written;
	int unwritten;			/* errno of standard output */
	bool json;
};

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
	(void)number;
	ended = 1;
}

static int by_time(const void *one, const void *other)
{
	const struct log_entry *a = one, *b = other;

	if (a->time != b->time)
		return a->time < b->time ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

struct event_line {
	bool json;
	const struct event_shm *event;
	const struct log_client *client;
};

static void write_event(struct sink *s, const void *of)
{
	const struct event_line *line = of;

	log_line_event(s, line->json, line->event, line->client);
}

/* Of itself, written at once: `what`, which is NULL for nothing. */
static void say(const struct follow *f, const char *what, uint64_t n, const char *text)
{
	char line[512];
	struct sink s = { .dst = line, .room = sizeof(line) };

	log_line_of_itself(&s, f->json, what, n, text);
	printf("%.*s\n", (int)s.len, line);
}

/* Takes all that has come, into f->lines. `learn`: only to know who is who. `after`: events up to this time were seen in another hub. True: there may be more. */
static bool collect(struct follow *f, bool learn, uint64_t after)
{
	struct event_shm event;
	bool more = false;

	for (unsigned ring = 0; ring < EVENT_RINGS; ring++)
		for (unsigned i = 0; i < EVENTS_KEPT && events_read(&f->source.map.events, ring, &f->source.next[ring], &event, &f->source.lost); i++) {
			const struct log_client *client = log_clients_learn(f->clients, &event);
			struct event_line line = { f->json, &event, client };

			if (event.time > f->newest)
				f->newest = event.time;
			if (!learn && event.time > after && log_filter_wants(&f->filter, &event, client))
				log_lines_add(&f->lines, event.time, write_event, &line);
		}
	if (f->filter.publishes)
		more = log_publish_read(&f->source, &f->filter, f->json, &f->lines);
	return more;
}

/* Writes f->lines. False: that was all, as so many were asked for, or nobody reads them any more. */
static bool flush(struct follow *f)
{
	bool goes_on = true;

	if (f->lines.count > 1)
		qsort(f->lines.entry, f->lines.count, sizeof(*f->lines.entry), by_time);
	if (f->source.lost > f->lost_told)
		say(f, "lost", f->source.lost - f->lost_told, LOST);
	f->lost_told = f->source.lost;
	for (size_t i = 0; i < f->lines.count; i++) {
		if (goes_on) {
			if (!f->json)
				ctl_tame(f->lines.entry[i].text);
			puts(f->lines.entry[i].text);
			goes_on = ++f->written != f->filter.count;
		}
		free(f->lines.entry[i].text);
	}
	f->lines.count = 0;
	if (fflush(stdout) != 0 || ferror(stdout)) {
		f->unwritten = errno;
		return false;
	}
	return goes_on;
}

/* Waits until it is time to look again. False: that is not to be, as it was told to end, or nobody reads what it writes. */
static bool wait_ms(int ms)
{
	struct pollfd out = { .fd = STDOUT_FILENO };

	if (poll(&out, 1, ms) > 0 && out.revents & (POLLERR | POLLNVAL))
		return false;
	return !ended;
}

/* What is there, and then what comes. 0, or the status. */
static int follow(struct follow *f, bool once)
{
	bool seen = f->filter.has_since || once;
	uint64_t after = 0, started = f->source.map.started;
	int pause = LOOK_LEAST_MS, r;

	if (f->filter.publishes && seen)
		f->source.next_message = ring_oldest(&f->source.hub.ring);
	collect(f, !seen, 0);
	if (!seen)
		f->source.lost = 0;		/* what was there before it began */
	while (once && f->filter.publishes && collect(f, false, 0))
		;
	while (flush(f) && !once && wait_ms(pause)) {
		bool more = collect(f, false, after);

		pause = more ? 0 : f->lines.count ? LOOK_LEAST_MS : pause < LOOK_MOST_MS ? pause + LOOK_LEAST_MS : LOOK_MOST_MS;
		r = log_source_check(&f->source);
		if (r < 0)
			return EXIT_REFUSED;
		if (r > 0) {
			/* It is the same server, upgraded; or another one, whose clock may even be behind. */
			after = f->source.map.started == started ? f->newest : 0;
			started = f->source.map.started;
			say(f, "gap", 0, GAP);
		}
	}
	return EXIT_DONE;
}

int ctl_log(const struct ctl_arguments *args)
{
	static struct follow f;
	struct sigaction action = { .sa_handler = on_signal };
	int rc;

	if (args->operands)
		return ctl_log_level(args);
	f.json = args->json;
	rc = log_filter_read(&f.filter, args);
	if (rc)
		return rc;
	f.clients = log_clients_create();
	if (!f.clients) {
		fprintf(stderr, "janusctl: log: %s\n", strerror(errno));
		return EXIT_REFUSED;
	}
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	rc = log_source_open(&f.source, args, f.filter.publishes);
	if (rc == 0)
		rc = follow(&f, args->option[CTL_ONCE] != NULL);
	log_source_close(&f.source);
	log_clients_destroy(f.clients);
	free(f.lines.entry);
	if (f.unwritten == EPIPE)
		_exit(EXIT_DONE);		/* whoever read it has enough */
	if (f.unwritten) {
		fprintf(stderr, "janusctl: standard output: %s\n", strerror(f.unwritten));
		return EXIT_REFUSED;
	}
	return rc;
}
