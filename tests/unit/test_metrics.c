/*
 * What Prometheus reads: that it is of the format, has all that the tables have, and that numbers are where they belong.
 */
#include "tests/unit/hub_fixture.h"

#include <ctype.h>

#include "shm/gauges.h"
#include "shm/metrics.h"

static char text[METRICS_MAX + 1];

static const char *write_all(const struct fixture *f)
{
	struct sink s = { .dst = text, .room = METRICS_MAX };

	metrics_put(&s, &f->hub);
	assert_true(sink_end(&s) > 0);
	text[s.len] = '\0';
	return text;
}

/* The sample's value as it stands there. */
static const char *value(const char *all, const char *sample)
{
	static char found[64];
	char line[256];
	const char *at;

	snprintf(line, sizeof(line), "\n%s ", sample);
	at = strstr(all, line);
	if (!at)
		fail_msg("no %s", sample);
	at += strlen(line);
	snprintf(found, sizeof(found), "%.*s", (int)strcspn(at, "\n"), at);
	assert_null(strstr(at, line));
	return found;
}

static void every_line_is_of_the_format(void **state)
{
	struct fixture *f = *state;
	char family[128] = "", *save, *copy = strdup(write_all(f));
	unsigned samples = 0, families = 0;

	assert_int_equal(copy[strlen(copy) - 1], '\n');
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		size_t name = strspn(line, "abcdefghijklmnopqrstuvwxyz_0123456789");
		char *end, type[16];

		if (strncmp(line, "# HELP ", 7) == 0) {
			assert_int_equal(sscanf(line + 7, "%127s", family), 1);
			assert_true(strlen(line) > strlen(family) + 12);
			line = strtok_r(NULL, "\n", &save);
			assert_int_equal(strncmp(line, "# TYPE ", 7), 0);
			assert_int_equal(strncmp(line + 7, family, strlen(family)), 0);
			assert_int_equal(sscanf(line + 7 + strlen(family), " %15s", type), 1);
			assert_int_equal(strcmp(type, "counter") == 0, strlen(family) > 6 && strcmp(family + strlen(family) - 6, "_total") == 0);
			families++;
			continue;
		}
		assert_int_equal(strncmp(line, family, strlen(family)), 0);	/* a family's samples stand behind its head */
		assert_int_equal(strncmp(line, "janus_", 6), 0);
		if (line[name] == '{') {
			name += strcspn(line + name, "}") + 1;
			assert_int_equal(line[name - 2], '"');
		}
		assert_int_equal(line[name], ' ');
		assert_true(isdigit((unsigned char)line[name + 1]));
		strtod(line + name + 1, &end);
		assert_int_equal(*end, '\0');
		samples++;
	}
	free(copy);
	assert_true(families > GAUGES && samples > COUNTERS);
}

/* Whatever another one adds to the tables. */
static void all_are_there_once(void **state)
{
	struct fixture *f = *state;
	const char *all = write_all(f);
	char name[256];

	for (unsigned i = 0; i < COUNTERS; i++) {
		const struct counter_info *c = &counters[i];

		snprintf(name, sizeof(name), "janus_%s_total%s%s%s", c->family ? c->family : c->name, c->labels ? "{" : "", c->labels ? c->labels : "", c->labels ? "}" : "");
		value(all, name);
		assert_true(!c->labels || hub_family(c->family));
	}
	for (unsigned i = 0; i < GAUGES; i++) {
		snprintf(name, sizeof(name), "# TYPE janus_%s%s", gauges[i].name, gauges[i].total ? "_total" : "");
		value(all, name);
	}
}

static void numbers_are_where_they_belong(void **state)
{
	struct fixture *f = *state;
	struct hub_slot_shm *a = slot_of(f, 2), *b = slot_of(f, 63);

	atomic_store(&a->state, SLOT_LIVE);
	atomic_store(&b->state, SLOT_STARTING);
	hub_count(&f->hub, 2, COUNTER_published, 5);
	hub_count(&f->hub, 63, COUNTER_published, UINT32_MAX);
	hub_count(&f->hub, 2, COUNTER_closed_idle, 3);
	hub_count(&f->hub, 63, COUNTER_paused_time, 1500000);
	atomic_store(&a->by_transport[GROUP_SSE], 7);
	atomic_store(&a->restarts, 4);
	atomic_store(&b->paused, 20);
	atomic_store(&slot_of(f, 3)->generation, 1);	/* it was there, and a reload wanted fewer */
	assert_string_equal(value(write_all(f), "janus_messages_published_total"), "4294967300");
	assert_string_equal(value(text, "janus_connections_closed_by_server_total{reason=\"idle\"}"), "3");
	assert_string_equal(value(text, "janus_worker_pause_seconds_total"), "1.5");
	assert_string_equal(value(text, "janus_connections{worker=\"2\",transport=\"sse\"}"), "7");
	assert_string_equal(value(text, "janus_worker_restarts_total{worker=\"2\"}"), "4");
	assert_string_equal(value(text, "janus_worker_live{worker=\"2\"}"), "1");
	assert_string_equal(value(text, "janus_worker_live{worker=\"63\"}"), "0");
	assert_string_equal(value(text, "janus_worker_last_pause_seconds{worker=\"63\"}"), "0.00002");
	assert_null(strstr(text, "worker=\"1\""));
	assert_string_equal(value(text, "janus_worker_restarts_total{worker=\"3\"}"), "0");
	assert_null(strstr(text, "janus_worker_live{worker=\"3\"}"));
	assert_null(strstr(text, "janus_connections{worker=\"3\""));
}

/* All slots, every number at its greatest: there is room. */
static void there_is_room(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		struct hub_slot_shm *s = slot_of(f, i);

		atomic_store(&s->state, SLOT_LIVE);
		atomic_store(&s->started, UINT64_MAX / 2);
		atomic_store(&s->paused, UINT64_MAX / 2);
		atomic_store(&s->buffered, UINT64_MAX);
		atomic_store(&s->segment_used, UINT64_MAX);
		for (unsigned g = 0; g < TRANSPORT_GROUPS; g++)
			atomic_store(&s->by_transport[g], UINT32_MAX);
	}
	for (unsigned c = 0; c < COUNTERS_MAX; c++)
		atomic_store(&slot_of(f, 0)->counters[c], UINT64_MAX);
	for (unsigned c = 0; c < LATENCY_CLASSES; c++)
		atomic_store(&slot_of(f, 0)->latency.count[c][0], UINT64_MAX);
	assert_true(strlen(write_all(f)) < METRICS_MAX / 2);
}

static void units(void **state)
{
	static const struct {
		uint64_t n;
		const char *unit, *text;
	} cases[] = {
		{ 7, NULL, "7" }, { UINT64_MAX, "bytes", "18446744073709551615" }, { 1, "microseconds", "0.000001" }, { 1000000, "microseconds", "1" },
		{ 1234500, "microseconds", "1.2345" }, { 512, "1024ths", "0.500" }, { 1024, "1024ths", "1.000" }, { 1, "1024ths", "0.000" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char got[64];
		struct sink s = { .dst = got, .room = sizeof(got) };

		metrics_put_value(&s, cases[i].n, cases[i].unit);
		sink_byte(&s, '\0');
		assert_string_equal(got, cases[i].text);
	}
}

static void latency(void **state)
{
	struct fixture *f = *state;
	struct latency_shm *l = &slot_of(f, 1)->latency;

	latency_add(l, 1, 1000, 1100);		/* 100 us: a bound belongs to its bucket */
	latency_add(l, 1, 1000, 1101);
	latency_add(l, 2, 1000, 900);		/* the clock was set back */
	latency_add(l, 10, 0, 10000000);
	latency_add(l, 11, 0, 10000001);
	latency_add(l, 1000000, 0, UINT64_MAX / 2);
	latency_add(&slot_of(f, 2)->latency, 1, 0, 1);
	write_all(f);
	assert_string_equal(value(text, "janus_fanout_duration_seconds_bucket{subscribers=\"1\",le=\"0.0001\"}"), "2");
	assert_string_equal(value(text, "janus_fanout_duration_seconds_bucket{subscribers=\"1\",le=\"0.00025\"}"), "3");
	assert_string_equal(value(text, "janus_fanout_duration_seconds_bucket{subscribers=\"1\",le=\"+Inf\"}"), "3");
	assert_string_equal(value(text, "janus_fanout_duration_seconds_count{subscribers=\"1\"}"), "3");
	assert_string_equal(value(text, "janus_fanout_duration_seconds_sum{subscribers=\"1\"}"), "0.000202");
	assert_string_equal(value(text, "janus_fanout_duration_seconds_bucket{subscribers=\"10\",le=\"0.0001\"}"), "1");
	assert_string_equal(value(text, "janus_fanout_duration_seconds_bucket{subscribers=\"10\",le=\"10\"}"), "2");
	assert_string_equal(value(text, "janus_fanout_duration_seconds_sum{subscribers=\"10\"}"), "10");
	assert_string_equal(value(text, "janus_fanout_duration_seconds_bucket{subscribers=\"100\",le=\"10\"}"), "0");
	assert_string_equal(value(text, "janus_fanout_duration_seconds_bucket{subscribers=\"100\",le=\"+Inf\"}"), "1");
	assert_string_equal(value(text, "janus_fanout_duration_seconds_count{subscribers=\"+Inf\"}"), "1");
	for (unsigned c = 0; c < LATENCY_CLASSES; c++)
		assert_int_equal(latency_class(latency_class_most(c)), c);
	for (unsigned b = 0; b < LATENCY_BUCKETS; b++)
		assert_int_equal(latency_bucket(latency_bound(b)), b);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_line_is_of_the_format), TEST(all_are_there_once), TEST(numbers_are_where_they_belong), TEST(there_is_room), TEST(units), TEST(latency),
	};

	alarm(60);
	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
