/*
 * janusctl reload, config and log: what the server was told, and what it made of it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "master/ctl/ctl.h"
#include "proto/control_report.h"

static uint8_t packet[CONTROL_PACKET_MAX];

static int bad_answer(enum control_command command)
{
	fprintf(stderr, "janusctl: %s: the server's answer can't be understood\n", control_command_name(command));
	return EXIT_REFUSED;
}

/* ---- reload ---- */

static void json_changes(const char *key, const struct control_change *change, unsigned count, const char *old, const char *now)
{
	printf(",\"%s\":[", key);
	for (unsigned i = 0; i < count; i++) {
		printf("%s{", i ? "," : "");
		ctl_json_pair("name", change[i].name);
		printf(",");
		ctl_json_pair(old, change[i].old);
		printf(",");
		ctl_json_pair(now, change[i].now);
		printf("}");
	}
	printf("]");
}

static void json_urls(const char *key, const char (*url)[128], unsigned count)
{
	printf(",\"%s\":[", key);
	for (unsigned i = 0; i < count; i++) {
		printf("%s", i ? "," : "");
		ctl_json_string(url[i]);
	}
	printf("]");
}

static void json_report(const struct control_report *r, const struct control_reply *reply)
{
	printf("{\"ok\":%s,", reply->ok ? "true" : "false");
	if (!reply->ok) {
		ctl_json_pair("error", reply->error);
		printf(",");
	}
	ctl_json_pair("file", r->file);
	printf(",\"since\":%" PRIu64, r->since);
	json_changes("changed", r->changed, r->changes, "old", "new");
	json_changes("waiting", r->waiting, r->waits, "in_force", "wanted");
	json_urls("opened", r->opened, r->opens);
	json_urls("closed", r->closed, r->closes);
	printf(",\"workers\":{\"renewed\":%" PRIu64 ",\"added\":%" PRIu64 ",\"draining\":%" PRIu64 "}", r->renewed, r->added, r->draining);
	printf(",\"connections\":{\"kept\":%" PRIu64 ",\"moved\":%" PRIu64 ",\"lost\":%" PRIu64 "},\"slots\":[", r->kept, r->moved, r->lost);
	for (unsigned i = 0; i < r->slots; i++)
		printf("%s{\"slot\":%" PRIu32 ",\"connections\":%" PRIu64 ",\"paused_ms\":%.3f}", i ? "," : "", r->slot[i].slot, r->slot[i].connections,
		       (double)r->slot[i].paused / 1000);
	printf("]}\n");
}

static void text_waiting(FILE *to, const struct control_report *r)
{
	for (unsigned i = 0; i < r->waits; i++)
		fprintf(to, "waits for a restart  %s = %s (in force: %s)\n", r->waiting[i].name, r->waiting[i].now, r->waiting[i].old);
}

static void text_report(const struct control_report *r)
{
	printf("reloaded\n");
	for (unsigned i = 0; i < r->changes; i++)
		printf("taken up             %s = %s (was %s)\n", r->changed[i].name, r->changed[i].now, r->changed[i].old);
	text_waiting(stdout, r);
	for (unsigned i = 0; i < r->opens; i++)
		printf("listening            %s\n", r->opened[i]);
	for (unsigned i = 0; i < r->closes; i++)
		printf("no longer listening  %s\n", r->closed[i]);
	printf("workers              %" PRIu64 " renewed", r->renewed);
	if (r->added)
		printf(", %" PRIu64 " new", r->added);
	if (r->draining)
		printf(", %" PRIu64 " draining", r->draining);
	printf("\nconnections          %" PRIu64 " kept", r->kept);
	if (r->moved)
		printf(", %" PRIu64 " moved to other workers", r->moved);
	printf(", %" PRIu64 " lost\n", r->lost);
	for (unsigned i = 0; i < r->slots; i++)
		printf("slot %-3" PRIu32 "             paused %.1f ms, %" PRIu64 " connections\n", r->slot[i].slot, (double)r->slot[i].paused / 1000,
		       r->slot[i].connections);
}

/* What one wants to know at night: is the server as it was? */
static void text_refusal(const struct control_report *r, const struct control_reply *reply)
{
	char when[32] = "its start";
	time_t since = (time_t)r->since;
	struct tm tm;

	fprintf(stderr, "janusctl: reload: %s\n", reply->error);
	if (!since || !gmtime_r(&since, &tm))
		return;
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	fprintf(stderr, "janusctl: in force is what %s said at %s (janusctl config)\n", r->file[0] ? r->file : "the command line", when);
	text_waiting(stderr, r);
}

int ctl_reload(const struct ctl_arguments *args)
{
	static struct control_report report;
	struct control_reply reply;
	size_t len;
	int rc = ctl_ask_packet(args, CONTROL_RELOAD, "", packet, &len, &reply);

	if (rc)
		return rc;
	if (control_report_unpack(packet, len, &report) < 0)
		return bad_answer(CONTROL_RELOAD);
	if (args->json)
		json_report(&report, &reply);
	else if (reply.ok)
		text_report(&report);
	if (reply.ok)
		return EXIT_DONE;
	if (args->json)
		fprintf(stderr, "janusctl: reload: %s\n", reply.error);
	else
		text_refusal(&report, &reply);
	return EXIT_REFUSED;
}

/* ---- config ---- */

struct listing {
	const char *only;		/* a setting's name, NULL: all */
	const char *file;
	bool json;
	unsigned shown;
};

static const char *place_text(const struct listing *l, int64_t line)
{
	static char text[4096 + 32];

	if (line > 0)
		snprintf(text, sizeof(text), "%s:%" PRId64, l->file, line);
	else
		snprintf(text, sizeof(text), "%s", line == CONTROL_LINE_OPTION ? "-o" : line == CONTROL_LINE_LOG ? "janusctl log" : "default");
	return text;
}

static void json_setting(const struct listing *l, const struct control_setting *s)
{
	printf("%s{", l->shown ? "," : "");
	ctl_json_pair("name", s->name);
	printf(",");
	ctl_json_pair("value", s->value);
	printf(",");
	ctl_json_pair("from", place_text(l, s->line));
	printf(",\"restart\":%s", s->restart ? "true" : "false");
	if (s->waits) {
		printf(",\"waiting\":{");
		ctl_json_pair("value", s->wanted);
		printf(",");
		ctl_json_pair("from", place_text(l, s->wanted_line));
		printf("}");
	}
	printf("}");
}

/* As it would stand in the file, but for what begins with #. */
static void text_setting(const struct listing *l, const struct control_setting *s)
{
	printf("%s = %s\t# %s\n", s->name, s->value, place_text(l, s->line));
	if (s->waits)
		printf("\t# waits for a restart: %s = %s, %s\n", s->name, s->wanted, place_text(l, s->wanted_line));
}

static void take_setting(void *arg, const struct control_setting *s)
{
	struct listing *l = arg;

	if (l->only && strcmp(l->only, s->name) != 0)
		return;
	if (l->json)
		json_setting(l, s);
	else
		text_setting(l, s);
	l->shown++;
}

int ctl_config(const struct ctl_arguments *args)
{
	static char file[4096];
	struct listing l = { .only = args->operands ? args->operand[0] : NULL, .file = file, .json = args->json };
	struct control_reply reply;
	uint64_t since;
	size_t len;
	int rc = ctl_ask_packet(args, CONTROL_CONFIG, "", packet, &len, &reply);

	if (rc)
		return rc;
	if (!reply.ok) {
		fprintf(stderr, "janusctl: config: %s\n", reply.error);
		return EXIT_REFUSED;
	}
	if (l.json)
		printf("[");
	rc = control_config_unpack(packet, len, file, &since, take_setting, &l);
	if (l.json)
		printf("]\n");
	if (rc < 0)
		return bad_answer(CONTROL_CONFIG);
	if (l.shown)
		return EXIT_DONE;
	fprintf(stderr, "janusctl: config: there is no setting `%s`\n", l.only);
	return EXIT_REFUSED;
}

/* ---- log ---- */

int ctl_log_level(const struct ctl_arguments *args)
{
	struct control_reply reply;
	size_t len;
	int rc = ctl_ask_packet(args, CONTROL_LOG, args->operand[0], packet, &len, &reply);

	if (rc)
		return rc;
	if (!reply.ok) {
		fprintf(stderr, "janusctl: log: %s\n", reply.error);
		return EXIT_REFUSED;
	}
	if (args->json)
		printf("{\"ok\":true}\n");
	return EXIT_DONE;
}
