/*
 * What patterns cost a publish: publish() into a hub of its own, without clients. `patterns [COUNT]`, make bench-patterns.
 *
 * The cases are measured in turn, round after round, so that all of them have the same machine; of each the median round counts. Each message goes to
 * one of COUNT topics, which differs from message to message, as caches are part of what is measured.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shm/publish.h"

#define ROUNDS 15
#define MESSAGES 20000			/* a round */
#define TEXT 100			/* bytes of a message */

struct place {
	const char *what;
	const char *topic, *pattern;	/* what is subscribed: A.NUMBER.C.d.e.f, for each number below COUNT, by its A and C; NULL: nothing */
	bool shapes;			/* there are as many shapes as there may be */
	struct hub hub;
	double ns[2][ROUNDS];		/* a message: published by itself; in batches */
};

#define TOPIC "ac"
#define PATTERN "a*"

static struct place places[] = {
	{ .what = "a topic, and no patterns", .topic = TOPIC },
	{ .what = "a topic, beside patterns that do not fit", .topic = TOPIC, .pattern = "x*" },
	{ .what = "no topic, one pattern fits", .pattern = PATTERN },
	{ .what = "a topic, and one pattern fits", .topic = TOPIC, .pattern = PATTERN },
	{ .what = "no topic, one pattern fits, 64 shapes are tried", .pattern = PATTERN, .shapes = true },
};
#define PLACES (sizeof(places) / sizeof(places[0]))

static unsigned count = 100000;

static void join(struct hub *hub, const char *name)
{
	uint32_t topic = index_join(&hub->index, 0, index_hash(name, strlen(name)), name, strlen(name), 1);

	if (topic == TOPIC_NONE) {
		fprintf(stderr, "patterns: %s: %m\n", name);
		exit(1);
	}
	atomic_store(hub_count_of(hub, 0, topic), 1);
}

static void write_name(char name[32], const char *which, unsigned number)
{
	snprintf(name, 32, "%c.%u.%c.d.e.f", which[0], number, which[1]);
}

static void join_all(struct hub *hub, const char *which)
{
	char name[32];

	for (unsigned i = 0; which && i < count; i++) {
		write_name(name, which, i);
		join(hub, name);
	}
}

/* A pattern of each other shape that is looked up for a topic of six parts, up to INDEX_SHAPES_MAX. They fit none. */
static void join_shapes(struct hub *hub)
{
	static const char *const words[] = { "nobody", "*" };

	for (unsigned stars = 1; stars < 63; stars++) {
		char name[64];

		snprintf(name, sizeof(name), "%s.%s.%s.%s.%s.%s", words[stars & 1], words[stars >> 1 & 1], words[stars >> 2 & 1], words[stars >> 3 & 1],
			 words[stars >> 4 & 1], words[stars >> 5 & 1]);
		join(hub, name);
	}
	join(hub, "nobody.>");
	join(hub, "*.nobody.>");
}

static void make(struct place *p)
{
	struct settings settings;
	int fd;

	settings_defaults(&settings);
	settings.max_topics = 2 * count + 100;
	settings.max_patterns_total = count + 100;
	settings.max_pattern_shapes = INDEX_SHAPES_MAX;
	settings.ring_bytes = 16 << 20;
	fd = hub_create(&settings);
	if (fd < 0 || hub_attach(&p->hub, fd, true) < 0) {
		perror("patterns: hub");
		exit(1);
	}
	close(fd);
	/* As many entries in all places: else those that have fewer would find them sooner. */
	join_all(&p->hub, p->topic ? p->topic : "yc");
	join_all(&p->hub, p->pattern ? p->pattern : "zc");
	if (p->shapes)
		join_shapes(&p->hub);
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Publishes MESSAGES, `batch` at a time. Nanoseconds a message. */
static double run(struct place *p, unsigned batch)
{
	static char message[TEXT], names[PUBLISH_BATCH_MAX][32];
	static struct publish_item items[PUBLISH_BATCH_MAX];
	uint32_t random = 1;
	double spent = 0;

	for (unsigned done = 0; done < MESSAGES; done += batch) {
		double began;

		for (unsigned i = 0; i < batch; i++) {
			random = random * 1103515245 + 12345;
			write_name(names[i], TOPIC, (random >> 8) % count);
			items[i] = (struct publish_item){ .topic = names[i], .topic_len = (uint8_t)strlen(names[i]), .message = message, .len = TEXT };
		}
		began = seconds();
		for (unsigned i = 0; i < batch; i++)	/* (it is part of what a publish costs) */
			items[i].hash = index_hash(items[i].topic, items[i].topic_len);
		if (publish(&p->hub, 0, 0, items, batch) != batch) {
			perror("patterns: publish");
			exit(1);
		}
		publish_done(&p->hub, 0);
		spent += seconds() - began;
	}
	return spent / MESSAGES * 1e9;
}

static int by_value(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static double median(double *ns)
{
	qsort(ns, ROUNDS, sizeof(*ns), by_value);
	return ns[ROUNDS / 2];
}

int main(int argc, char **argv)
{
	double plain[2];

	if (argc > 1 && atoi(argv[1]) > 0)
		count = (unsigned)atoi(argv[1]);
	for (unsigned i = 0; i < PLACES; i++)
		make(&places[i]);
	for (unsigned round = 0; round < ROUNDS; round++)
		for (unsigned i = 0; i < PLACES; i++) {
			places[i].ns[0][round] = run(&places[i], 1);
			places[i].ns[1][round] = run(&places[i], 100);
		}
	printf("nanoseconds a message, of %u topics or patterns       one by one   in batches of 100\n", count);
	for (unsigned i = 0; i < PLACES; i++) {
		double one = median(places[i].ns[0]), many = median(places[i].ns[1]);

		if (i == 0)
			plain[0] = one, plain[1] = many;
		printf("%-48s %9.0f %5.2fx %9.0f %5.2fx\n", places[i].what, one, one / plain[0], many, many / plain[1]);
	}
	return 0;
}
