/*
 * What a reload did, and the configuration: there and back, at their largest, with keys that are absent or wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "master/config.h"
#include "proto/control_report.h"

static uint8_t packet[CONTROL_PACKET_MAX];
static struct control_report report, got;
static struct control_reply reply;

static void fill(char *dst, size_t size)
{
	memset(dst, 'x', size - 1);
	dst[size - 1] = '\0';
}

static void check(const char *error)
{
	size_t len = control_report_pack(packet, &report, error);

	assert_true(len <= CONTROL_PACKET_MAX);
	assert_int_equal(control_reply_unpack(packet, len, &reply, NULL), 0);
	assert_int_equal(reply.ok, !error);
	assert_string_equal(reply.error, error ? error : "");
	memset(&got, 0x5a, sizeof(got));
	assert_int_equal(control_report_unpack(packet, len, &got), 0);
	assert_memory_equal(&got, &report, sizeof(report));
	/* cut anywhere it is no report */
	for (size_t cut = 0; cut < len; cut += 1 + len / 97)
		assert_int_equal(control_report_unpack(packet, cut, &got), -1);
}

static void small_report(void **state)
{
	(void)state;
	memset(&report, 0, sizeof(report));
	check(NULL);
	check("no");
	strcpy(report.file, "/etc/janus/janus.ini");
	report.since = 1700000000;
	report.changed[report.changes++] = (struct control_change){ "heartbeat", "15s", "1s" };
	report.waiting[report.waits++] = (struct control_change){ "ring_bytes", "4M", "8M" };
	report.waiting[report.waits++] = (struct control_change){ "user", "", "janus" };
	strcpy(report.opened[report.opens++], "http://127.0.0.1:1");
	strcpy(report.closed[report.closes++], "http://127.0.0.1:2");
	report.renewed = 2;
	report.added = 1;
	report.draining = 3;
	report.kept = 1000;
	report.moved = 250;
	report.lost = 4;
	report.slot[report.slots++] = (struct control_pause){ 0, 600, 1234 };
	report.slot[report.slots++] = (struct control_pause){ 63, 400, UINT64_MAX };
	check(NULL);
	check("slot 1 could not follow");
}

/* As much as a master can have to say: each setting, and each address, changed once. */
static void large_report(void **state)
{
	(void)state;
	memset(&report, 0, sizeof(report));
	fill(report.file, sizeof(report.file));
	for (; report.changes < SETTINGS + 1; report.changes++) {
		struct control_change *c = &report.changed[report.changes];

		fill(c->name, sizeof(c->name));
		fill(c->old, sizeof(c->old));
		fill(c->now, sizeof(c->now));
	}
	for (; report.opens < CONTROL_LISTEN_MAX; report.opens++)
		fill(report.opened[report.opens], sizeof(report.opened[0]));
	for (; report.closes < CONTROL_LISTEN_MAX; report.closes++)
		fill(report.closed[report.closes], sizeof(report.closed[0]));
	for (; report.slots < CONTROL_WORKERS_MAX; report.slots++)
		report.slot[report.slots] = (struct control_pause){ UINT32_MAX, UINT64_MAX, UINT64_MAX };
	check(NULL);
}

static const struct control_setting settings[] = {
	{ "heartbeat", "15s", "", false, false, CONTROL_LINE_DEFAULT, 0 },
	{ "ring_bytes", "4M", "8M", true, true, 3, 5 },
	{ "user", "janus", "", true, true, CONTROL_LINE_OPTION, CONTROL_LINE_DEFAULT },
	{ "log_level", "debug", "", false, false, CONTROL_LINE_LOG, 0 },
};
#define COUNT (sizeof(settings) / sizeof(settings[0]))

static void get(void *arg, unsigned i, struct control_setting *s)
{
	(void)arg;
	*s = settings[i];
}

static void take(void *arg, const struct control_setting *s)
{
	unsigned *i = arg;

	assert_true(*i < COUNT);
	assert_string_equal(s->name, settings[*i].name);
	assert_string_equal(s->value, settings[*i].value);
	assert_string_equal(s->wanted, settings[*i].wanted);
	assert_int_equal(s->waits, settings[*i].waits);
	assert_int_equal(s->restart, settings[*i].restart);
	assert_int_equal(s->line, settings[*i].line);
	assert_int_equal(s->wanted_line, settings[*i].wanted_line);
	++*i;
}

static void configuration(void **state)
{
	size_t len = control_config_pack(packet, "/etc/janus/janus.ini", 1700000000, COUNT, get, NULL);
	unsigned count = 0;
	char file[4096];
	uint64_t since;

	(void)state;
	assert_int_equal(control_config_unpack(packet, len, file, &since, take, &count), 0);
	assert_int_equal(count, COUNT);
	assert_string_equal(file, "/etc/janus/janus.ini");
	assert_int_equal(since, 1700000000);
	for (size_t cut = 0; cut < len; cut++) {
		count = 0;
		errno = 0;
		assert_int_equal(control_config_unpack(packet, cut, file, &since, take, &count), -1);
		assert_int_equal(errno, EBADMSG);
	}
}

/* An answer of a program that knew none of this says nothing, and is no error. */
static void earlier_version(void **state)
{
	size_t len = control_reply_pack(packet, NULL);
	unsigned count = 0;
	char file[4096];
	uint64_t since;

	(void)state;
	memset(&report, 0, sizeof(report));
	assert_int_equal(control_report_unpack(packet, len, &got), 0);
	assert_memory_equal(&got, &report, sizeof(report));
	assert_int_equal(control_config_unpack(packet, len, file, &since, take, &count), 0);
	assert_int_equal(count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_report),
		cmocka_unit_test(large_report),
		cmocka_unit_test(configuration),
		cmocka_unit_test(earlier_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
