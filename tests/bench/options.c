/*
 * The command line. One table row an option makes the getopt table, the checks and the help.
 */
#include "tests/bench/options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/bench/clock.h"
#include "tests/bench/ledger.h"
#include "tests/bench/payload.h"
#include "tests/bench/wire.h"

#define PER_PROCESS 18000u	/* connections: below RLIMIT_NOFILE as most systems have it, with room for the rest */
#define TOPIC_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
#define SPARE_FILES 64u		/* descriptors of a process that are not subscribers */
#define ABANDONED_EACH 2u	/* connections of a subscriber that it has dropped in silence; see reconnector.c */
#define ROUND_BYTES_MAX (6ull << 30)
#define HELD_FOR (86400 * CLOCK_S)	/* with --hold, a set-up's longest time */

enum option_kind { COUNT, REAL, FLAG, TEXT };

static const struct option_row {
	const char *name;
	char letter;			/* 0: none */
	enum option_kind kind;
	size_t offset;
	double min, max;
	const char *arg, *help;
} rows[] = {
#define AT(member) offsetof(struct options, member)
	{ "subscribers", 'n', COUNT, AT(subscribers), 1, 1000000, "N", "subscribers, each a connection (1000)" },
	{ "topics", 'T', COUNT, AT(topics), 1, 1000000, "T", "topics; subscriber i is on topic i % T (1)" },
	{ "topics-per-subscriber", 0, COUNT, AT(topics_each), 1, 1000000, "K",
	  "each of the T topics is K topics, each subscribed by the same; a message is to one of them (1)" },
	{ "random", 0, FLAG, AT(random), 0, 0, NULL, "publish to the topics in scattered order" },
	{ "patterns", 0, FLAG, AT(patterns), 0, 0, NULL,
	  "each topic is subscribed by a pattern that fits it alone, NAME-7.* for NAME-7.any (Janus' protocols and nats)" },
	{ "topic", 0, TEXT, AT(topic), 0, 0, "NAME", "topics' names start so (bench)" },
	{ "speak", 0, TEXT, AT(speak_names), 0, 0, "LIST",
	  "what subscribers speak, evenly spread: some of flash,ws,actions,sse,json-lines,packet (flash)" },
	{ "publish", 0, TEXT, AT(publish_name), 0, 0, "PROTOCOL",
	  "flash, ws, packet or http (flash if subscribers speak it, else their first, http if it can't)" },
	{ "ca", 0, TEXT, AT(ca), 0, 0, "FILE", "within TLS, the server's certificate must be of an authority in this file (any will do)" },
	{ "messages", 'm', COUNT, AT(messages), 1, PAYLOAD_SEQ_MAX, "M", "messages to each topic in a round (1)" },
	{ "rounds", 'r', COUNT, AT(rounds), 1, PAYLOAD_ROUND_MAX, "R", "rounds (1)" },
	{ "size", 's', COUNT, AT(size), PAYLOAD_HEAD, 1 << 20, "BYTES", "length of a message's data string (100)" },
	{ "size-max", 0, COUNT, AT(size_max), PAYLOAD_HEAD, 1 << 20, "BYTES",
	  "lengths from --size to this, short ones as often as long ones" },
	{ "publishers", 'p', COUNT, AT(publishers), 1, PAYLOAD_PUBLISHER_MAX, "P", "publishing connections (1)" },
	{ "classic", 0, FLAG, AT(classic), 0, 0, NULL,
	  "publish with PUBLISH on a fresh connection a message, P at a time" },
	{ "rate", 0, REAL, AT(rate), 0, 1e8, "MSGS", "messages a second in all; 0 as fast as possible (0)" },
	{ "burst", 'b', COUNT, AT(burst), 1, 1000000, "K", "with --rate, K messages at once, K times as seldom (1)" },
	{ "while-running", 0, REAL, AT(running_s), 0.1, 86400, "S",
	  "publish steadily for S seconds at --rate (100), report pauses" },
	{ "pause-ms", 0, REAL, AT(pause_ms), 0.1, 1e6, "MS", "what counts as a pause, beyond the time between messages (50)" },
	{ "slow", 0, COUNT, AT(slow), 0, 1000000, "K", "subscribers that stop reading in the midst of round 1 (0)" },
	{ "slow-s", 0, REAL, AT(slow_s), 0, 86400, "S", "for how long (3)" },
	{ "slow-again", 0, FLAG, AT(slow_again), 0, 0, NULL, "from the start, again and again; between, they read for nine times as long" },
	{ "small", 0, COUNT, AT(small), 0, 1000000, "K", "subscribers with a small receive buffer that read on at once (0)" },
	{ "slow-may-lose", 0, FLAG, AT(slow_may_lose), 0, 0, NULL, "what slow subscribers lose is no fault" },
	{ "churn", 0, REAL, AT(churn), 0, 100000, "C", "during rounds, C more connections a second subscribe and go (0)" },
	{ "reconnect", 0, REAL, AT(reconnect_s), 0.05, 3600, "S",
	  "each subscriber drops its connection about every S seconds (by FIN, by RST or in silence), comes back and goes on behind the last id that it had" },
	{ "away", 0, REAL, AT(away_s), 0, 3600, "S", "with --reconnect: half of them come back at once, the others within S seconds (1)" },
	{ "attach", 0, COUNT, AT(attach), 0, 100, "PERCENT",
	  "with --reconnect: so many of them go on with their session, by its token (attach; streams: ?token=); the others subscribe anew (0)" },
	{ "processes", 'P', COUNT, AT(processes), 1, 1000, "N", "subscriber processes (as many as it takes)" },
	{ "at-once", 0, COUNT, AT(at_once), 1, 1000000, "N", "connections that a process sets up at a time (256)" },
	{ "resume", 0, FLAG, AT(resume), 0, 0, NULL, "within TLS, each process' first connection has a whole handshake, and the others resume its session" },
	{ "timeout", 0, REAL, AT(timeout_s), 0.1, 86400, "S", "deadline for set-up (but with --hold), and for a round beyond publishing (60)" },
	{ "histogram-ms", 0, REAL, AT(histogram_ms), 0.001, 1e6, "MS", "width of a row; adapts to give 4 to 20 rows (500)" },
	{ "hold", 0, FLAG, AT(hold), 0, 0, NULL,
	  "when all have subscribed, say \"ready\" on standard error, and publish once a line has come on standard input" },
	{ "server-name", 0, TEXT, AT(server_name), 0, 0, "NAME", "the server's processes' names start so (janus)" },
	{ "server-pid", 0, COUNT, AT(server_pid), 1, 4194304, "PID", "the server is this process and its descendants" },
	{ "json", 0, FLAG, AT(json), 0, 0, NULL, "one JSON object on standard output, all else to standard error" },
	{ "quiet", 'q', FLAG, AT(quiet), 0, 0, NULL, "no progress" },
	{ "help", 'h', FLAG, AT(help), 0, 0, NULL, "this text" },
#undef AT
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))
#define ROW_VALUE 1000		/* getopt's value of row 0, past every letter */

void options_help(void)
{
	char left[48];

	puts("Usage: janusbench [OPTION]... [[SCHEME://]HOST:PORT]...\n"
	     "Subscribes, publishes, checks every byte and measures. HOST:PORT is a loopback address (127.0.0.1:8081; [::1]:8081).\n"
	     "SCHEME is flash; http, for ws, actions, sse, json-lines and http; or packet; or, for the same within TLS, flash+tls, https, packet+tls.\n"
	     "An address without is for all that have no other. Several of a kind are nodes that are joined: subscribers and publishers are spread over them.\n");
	for (size_t i = 0; i < ROWS; i++) {
		const struct option_row *r = &rows[i];

		snprintf(left, sizeof(left), "%c%c%s --%s%s%s", r->letter ? '-' : ' ', r->letter ? r->letter : ' ',
			 r->letter ? "," : " ", r->name, r->arg ? " " : "", r->arg ? r->arg : "");
		printf("  %-26s %s\n", left, r->help);
	}
	puts("\n--speak redis, nats, mqtt and nchan (its WebSocket) are for other servers, of that scheme.\n"
	     "Exit status: 0 every message came once, whole and in order; 1 it did not, or a set-up failed; 2 wrong usage;\n"
	     "3 interrupted, or the client could not run.");
}

static int store(struct options *opt, const struct option_row *r, const char *text)
{
	char *field = (char *)opt + r->offset, *end;
	double v;

	if (r->kind == FLAG) {
		*(bool *)field = true;
		return 0;
	}
	if (r->kind == TEXT) {
		*(const char **)field = text;
		return 0;
	}
	errno = 0;
	v = strtod(text, &end);
	if (errno || end == text || *end || !isfinite(v) || v < r->min || v > r->max || (r->kind == COUNT && v != floor(v))) {
		fprintf(stderr, "janusbench: --%s wants %s from %.10g to %.10g, not \"%s\"\n", r->name,
			r->kind == COUNT ? "a whole number" : "a number", r->min, r->max, text);
		return -1;
	}
	if (r->kind == COUNT)
		*(uint32_t *)field = (uint32_t)v;
	else
		*(double *)field = v;
	return 0;
}

static int parse_rows(struct options *opt, int argc, char **argv)
{
	struct option longs[ROWS + 1] = { { 0 } };
	char shorts[2 * ROWS + 1];
	size_t n = 0;
	int c;

	for (size_t i = 0; i < ROWS; i++) {
		longs[i] = (struct option){ rows[i].name, rows[i].kind != FLAG, NULL, ROW_VALUE + (int)i };
		if (rows[i].letter) {
			shorts[n++] = rows[i].letter;
			if (rows[i].kind != FLAG)
				shorts[n++] = ':';
		}
	}
	shorts[n] = 0;
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		size_t row = (size_t)(c - ROW_VALUE);

		if (c < ROW_VALUE)
			for (row = 0; row < ROWS && rows[row].letter != c; row++)
				;
		if (row >= ROWS || store(opt, &rows[row], optarg))	/* getopt_long has said what it did not know */
			return -1;
	}
	return 0;
}

/* Each process can hold so many connections; spread the subscribers evenly over the fewest that do. */
static int choose_processes(struct options *opt)
{
	struct rlimit limit;
	uint32_t each = PER_PROCESS;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return -1;
	if (limit.rlim_max < each + SPARE_FILES)
		each = limit.rlim_max > 2 * SPARE_FILES ? (uint32_t)limit.rlim_max - SPARE_FILES : SPARE_FILES;
	if (opt->reconnect_s > 0)
		each /= 1 + ABANDONED_EACH;
	if (!opt->processes)
		opt->processes = (opt->subscribers + each - 1) / each;
	if (opt->processes > opt->subscribers)
		opt->processes = opt->subscribers;
	if ((opt->subscribers + opt->processes - 1) / opt->processes > each) {
		fprintf(stderr, "janusbench: %u subscribers in %u processes are more than %u each, as RLIMIT_NOFILE has it\n",
			opt->subscribers, opt->processes, each);
		return -1;
	}
	return 0;
}

/* (A subscriber's books are a bit a message; frames are not kept.) */
static int check_reconnect(const struct options *opt)
{
	if (opt->slow || opt->small || opt->classic || opt->resume || opt->rounds > 1) {
		fprintf(stderr, "janusbench: --reconnect is one round, without --slow, --small, --resume and --classic\n");
		return -1;
	}
	if (opt->patterns) {
		fprintf(stderr, "janusbench: --reconnect is without --patterns\n");
		return -1;
	}
	if (opt->publishers > LEDGER_PUBLISHERS_MAX || opt->topics_each > SPEAK_COME_TOPICS_MAX) {
		fprintf(stderr, "janusbench: --reconnect goes with up to %u --publishers and %u --topics-per-subscriber\n", LEDGER_PUBLISHERS_MAX,
			SPEAK_COME_TOPICS_MAX);
		return -1;
	}
	for (uint32_t i = 0; i < opt->transports; i++)
		if (!opt->transport[i].speak->come) {
			fprintf(stderr, "janusbench: with --speak %s nobody can go on where he was\n", opt->transport[i].speak->name);
			return -1;
		}
	return 0;
}

static int check_amounts(struct options *opt)
{
	uint64_t frame = SPEAK_EXTRA + (uint64_t)payload_size_mean(opt->size, options_size_most(opt));

	if (opt->running_s > 0) {
		if (opt->rate <= 0)
			opt->rate = 100;
		double each = ceil(opt->rate * opt->running_s / opt->topics);

		if (each > PAYLOAD_SEQ_MAX) {
			fprintf(stderr, "janusbench: --rate times --while-running is more than %u messages\n", PAYLOAD_SEQ_MAX);
			return -1;
		}
		opt->messages = (uint32_t)each;
	}
	if (opt->slow > opt->subscribers || opt->small > opt->subscribers) {
		fprintf(stderr, "janusbench: --slow or --small is more than --subscribers\n");
		return -1;
	}
	if (opt->size_max && opt->size_max < opt->size) {
		fprintf(stderr, "janusbench: --size-max is less than --size\n");
		return -1;
	}
	/* A round's frames are kept once a process, to compare everything with; see check.c. */
	if (opt->reconnect_s > 0)
		return check_reconnect(opt) || choose_processes(opt) ? -1 : 0;
	if (opt->messages * frame > UINT32_MAX / 2 ||
	    opt->messages * frame * opt->topics * opt->transports * opt->processes > ROUND_BYTES_MAX) {
		fprintf(stderr, "janusbench: a round of %u messages of %u bytes to %u topics is too much to keep: "
			"use fewer --messages and more --rounds\n", opt->messages, options_size_most(opt), opt->topics);
		return -1;
	}
	return choose_processes(opt);
}

const struct transport *options_flash(const struct options *opt)
{
	for (uint32_t i = 0; i < opt->transports; i++)
		if (opt->transport[i].speak == &speak_flash)
			return &opt->transport[i];
	return NULL;
}

bool options_tls(const struct options *opt)
{
	bool any = opt->publish[0].tls;

	for (uint32_t i = 0; i < opt->transports; i++)
		any |= opt->transport[i].tls;
	return any;
}

static int choose_transports(struct options *opt, char *const *addresses, int count)
{
	const char *publish = opt->publish_name;

	if (transport_check(addresses, count, &opt->nodes) ||
	    transport_list(opt->transport, &opt->transports, opt->speak_names, opt->nodes, addresses, count))
		return -1;
	if (!publish)
		publish = options_flash(opt) ? "flash" : opt->transport[0].speak->publish ? opt->transport[0].speak->name : "http";
	for (uint32_t node = 0; node < opt->nodes; node++)
		if (transport_init(&opt->publish[node], publish, node, addresses, count))
			return -1;
	if (!opt->publish[0].speak->publish) {
		fprintf(stderr, "janusbench: --publish %s: to subscribe only\n", publish);
		return -1;
	}
	return 0;
}

static int check_topics_of(const struct options *opt, const struct speak *speak)
{
	if (!speak->topics_max || (uint64_t)opt->topics * opt->topics_each <= speak->topics_max)
		return 0;
	fprintf(stderr, "janusbench: with %s there can be no more than %u topics\n", speak->name, speak->topics_max);
	return -1;
}

static int check_speech(const struct options *opt)
{
	if ((opt->classic && opt->publish[0].speak != &speak_flash) || (opt->churn > 0 && !options_flash(opt))) {
		fprintf(stderr, "janusbench: --classic is for --publish flash, --churn for --speak flash\n");
		return -1;
	}
	for (uint32_t i = 0; i < opt->transports; i++) {
		if (check_topics_of(opt, opt->transport[i].speak))
			return -1;
		if (opt->resume && !opt->transport[i].tls) {
			fprintf(stderr, "janusbench: --resume is for subscribers within TLS\n");
			return -1;
		}
	}
	if (check_topics_of(opt, opt->publish[0].speak))
		return -1;
	if (strlen(opt->topic) >= WIRE_PREFIX_MAX || !*opt->topic || opt->topic[strspn(opt->topic, TOPIC_CHARACTERS)]) {
		fprintf(stderr, "janusbench: --topic wants up to %u letters, digits, - and _\n", WIRE_PREFIX_MAX - 1);
		return -1;
	}
	if ((uint64_t)opt->topics * opt->topics_each > UINT32_MAX) {
		fprintf(stderr, "janusbench: too many topics\n");
		return -1;
	}
	return 0;
}

int options_parse(struct options *opt, int argc, char **argv)
{
	*opt = (struct options){ .subscribers = 1000, .topics = 1, .messages = 1, .rounds = 1, .size = 100, .publishers = 1,
		.burst = 1, .slow_s = 3, .away_s = 1, .timeout_s = 60, .pause_ms = 50, .histogram_ms = 500, .server_name = "janus",
		.speak_names = "flash", .topic = "bench", .topics_each = 1, .at_once = 256 };
	if (parse_rows(opt, argc, argv))
		goto usage;
	if (opt->help)
		return 0;
	if (choose_transports(opt, argv + optind, argc - optind) || check_amounts(opt) || check_speech(opt))
		goto usage;
	wire_init(opt->topic, opt->topics_each, !opt->publish[0].speak->no_message_id);
	wire_use_patterns(opt->patterns);
	return 0;
usage:
	fprintf(stderr, "janusbench: --help says how it is used\n");
	return -1;
}

uint64_t options_setup_ns(const struct options *opt)
{
	return opt->hold ? HELD_FOR : (uint64_t)(opt->timeout_s * (double)CLOCK_S);
}

uint64_t options_publish_ns(const struct options *opt)
{
	if (opt->rate <= 0)
		return 0;
	return (uint64_t)((double)opt->messages * opt->topics / opt->rate * (double)CLOCK_S);
}

uint64_t options_pause_ns(const struct options *opt, bool of_topic)
{
	double interval = opt->rate > 0 ? opt->burst / opt->rate * (of_topic ? opt->topics : 1) : 0;

	if (opt->running_s <= 0)
		return 0;
	return (uint64_t)(opt->pause_ms * (double)CLOCK_MS + interval * (double)CLOCK_S);
}
