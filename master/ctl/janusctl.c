/*
 * janusctl: asks a running Janus how it is, and has it do things. Here is what its commands are called and take; what they do is in the files
 * beside this one (ctl.h).
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "master/ctl/ctl.h"
#include "shm/log.h"

#define SETTINGS_GIVEN_MAX 256

static int help(const struct ctl_arguments *args);

static const struct {
	const char *name, *value, *text;	/* value NULL: it takes none */
} options[CTL_OPTIONS] = {
	[CTL_TOP] = {"top", "N", "so many, 100 if it is not there"},
	[CTL_TRANSPORT] = {"transport", "NAME", "what speaks this: flash, packet, http, websocket, sse, json_lines, page"},
	[CTL_CLIENT] = {"client", "ID", "of this client"},
	[CTL_USER] = {"user", "USER", "of clients that are logged in as this user, or to it"},
	[CTL_TOPIC] = {"topic", "TOPIC", "of this topic, or of this pattern by this very name; log: of those that the pattern fits"},
	[CTL_KIND] = {"kind", "K,...", "of these kinds: connect, disconnect, refuse, publish..."},
	[CTL_ADDRESS] = {"address", "ADDRESS", "from this address (10.1.2.3, ::1, unix), or this port of it (10.1.2.3:4567); log: also 10.0.0.0/8"},
	[CTL_SLOT] = {"slot", "N", "what this worker has"},
	[CTL_BEHIND] = {"behind", NULL, "what has not taken all that it was sent"},
	[CTL_REASON] = {"reason", "TEXT", "what they are told"},
	[CTL_RATE] = {"rate", "N", "so many clients a second, of each worker; 100 if it is not there"},
	[CTL_STOP] = {"stop", NULL, "no more of it: all go on, and clients are taken again"},
	[CTL_LINES] = {"lines", NULL, "each line of standard input is a message"},
	[CTL_LAST] = {"last", "N", "begin with the newest N messages that are kept of each topic"},
	[CTL_SINCE] = {"since", "ID", "begin behind this message; log: also what was so long ago (30s, 10m, 2h, 1d)"},
	[CTL_COUNT] = {"count", "N", "so many messages, 10 if it is not there; log: end after so many (also -n N)"},
	[CTL_IDLE] = {"idle-more-than", "SECONDS", "what has neither said nor been sent anything for longer"},
	[CTL_ONCE] = {"once", NULL, "what is there now, and end"},
	[CTL_SUB] = {"sub", "USER", "of clients whose token, key or certificate says that they are this one; token: who it is, and may read the inbox of that name"},
	[CTL_CHANNELS] = {"channels", "TOPIC,...", "for these topics; chat:* is all that begin so"},
	[CTL_USERS] = {"users", "USER,...", "for the inboxes of these users"},
	[CTL_ALLOW] = {"allow", "RIGHT,...", "what it allows of them, of sub, pub, hst, prs; all of these if it is not there"},
	[CTL_EXPIRE] = {"expire", "SPAN", "so long from now (30s, 10m, 2h, 1d), 1h if it is not there"},
	[CTL_KEY] = {"key", "FILE", "signed with this secret, or private key (PEM), and not with the first one of token_keys"},
};
#define TAKES(option) (1u << (option))
#define FILTERS (TAKES(CTL_TRANSPORT) | TAKES(CTL_USER) | TAKES(CTL_SUB) | TAKES(CTL_TOPIC) | TAKES(CTL_ADDRESS) | TAKES(CTL_SLOT) | TAKES(CTL_BEHIND) | TAKES(CTL_IDLE))
#define LOG_FILTERS (TAKES(CTL_CLIENT) | TAKES(CTL_USER) | TAKES(CTL_SUB) | TAKES(CTL_TOPIC) | TAKES(CTL_KIND) | TAKES(CTL_ADDRESS) | TAKES(CTL_SINCE) | TAKES(CTL_COUNT) | TAKES(CTL_ONCE))

static const struct command {
	const char *name, *operands;		/* as help shows them */
	int least, most;			/* operands */
	unsigned takes;				/* options, a bit each */
	int (*run)(const struct ctl_arguments *args);
	const char *text;
} commands[] = {
	{"status", "", 0, 0, 0, ctl_status, "the server, its addresses, its workers"},
	{"stats", "", 0, 0, 0, ctl_stats, "what it counted"},
	{"topics", "[PREFIX]", 0, 1, TAKES(CTL_TOP), ctl_topics, "topics with the most subscribers, of those that begin so"},
	{"workers", "", 0, 0, 0, ctl_workers, "what each worker does"},
	{"clients", "", 0, 0, FILTERS | TAKES(CTL_TOP), ctl_clients, "clients, those furthest behind first, then those that were sent most"},
	{"client", "ID", 1, 1, 0, ctl_client, "all about one of them"},
	{"nodes", "", 0, 0, 0, ctl_nodes, "servers that this one is joined with, and how it is with NATS"},
	{"top", "", 0, 0, TAKES(CTL_ONCE), ctl_top, "a live view, in a terminal"},
	{"log", "[LEVEL]", 0, 1, LOG_FILTERS, ctl_log, "follow what happens; or have the server log so much until the next reload: error warning info debug default"},
	{"publish", "TOPIC [DATA]", 1, 2, TAKES(CTL_LINES), ctl_publish, "publish DATA, or what comes from standard input (-)"},
	{"send", "USER [DATA]", 1, 2, TAKES(CTL_LINES), ctl_send, "the same to a user"},
	{"subscribe", "TOPIC...", 1, CTL_TOPICS_MAX, TAKES(CTL_LAST) | TAKES(CTL_SINCE), ctl_subscribe, "print messages as they come, one a line"},
	{"rtt", "", 0, 0, TAKES(CTL_COUNT), ctl_rtt, "how long messages take through the server and back"},
	{"kick", "[ID]", 0, 1, TAKES(CTL_TOPIC) | TAKES(CTL_USER) | TAKES(CTL_SUB) | TAKES(CTL_REASON), ctl_kick, "end the connection of one client, or of all that a topic or user has, or that have shown who they are"},
	{"drain", "[WORKER]", 0, 1, TAKES(CTL_RATE) | TAKES(CTL_STOP), ctl_drain, "send the clients of a worker, or all, away, who are to connect again"},
	{"stop", "", 0, 0, 0, ctl_stop, "have the server deliver what it owes and end; waits until it has"},
	{"reload", "", 0, 0, 0, ctl_reload, "have it read its configuration again; what that has changed"},
	{"config", "[NAME]", 0, 1, 0, ctl_config, "settings in force, where they stand, what waits for a restart"},
	{"token", "", 0, 0, TAKES(CTL_SUB) | TAKES(CTL_CHANNELS) | TAKES(CTL_USERS) | TAKES(CTL_ALLOW) | TAKES(CTL_EXPIRE) | TAKES(CTL_KEY), ctl_token,
		"make a token, for trying what one may do with it"},
	{"version", "", 0, 0, 0, ctl_version, "versions of janusctl and of the server, if one runs"},
	{"help", "", 0, 0, 0, help, "this text"},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *to)
{
	char words[64];

	fprintf(to, "usage: janusctl [-c FILE] [-o KEY=VALUE]... [--json] COMMAND\n\n");
	for (size_t i = 0; i < COMMANDS; i++) {
		snprintf(words, sizeof(words), "%s %s", commands[i].name, commands[i].operands);
		fprintf(to, "  %-22s %s\n", words, commands[i].text);
		for (unsigned o = 0; o < CTL_OPTIONS; o++) {
			if (!(commands[i].takes & TAKES(o)))
				continue;
			snprintf(words, sizeof(words), "--%s %s", options[o].name, options[o].value ? options[o].value : "");
			fprintf(to, "    %-26s %s\n", words, options[o].text);
		}
	}
	fprintf(to, "\n"
		    "  -c FILE            the server's configuration file; without it " CONFIG_FILE ", if it is there\n"
		    "  -o KEY=VALUE       a setting, as given to the server; runtime_dir is what finds it\n"
		    "  --json             write JSON\n\n"
		    "Exit status: 0 done; 1 refused, or an error; 2 bad usage; 3 no server there.\n");
}

static int help(const struct ctl_arguments *args)
{
	(void)args;
	print_usage(stdout);
	return EXIT_DONE;
}

/* ---- the command line ---- */

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* What getopt_long() is to know: the options that all commands take, and those in the table above, as LONG and their number. */
enum { LONG = 256, LONGS = CTL_OPTIONS + 4 };
static void fill_longs(struct option longs[LONGS])
{
	static const struct option common[] = {
		{"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {NULL, 0, NULL, 0},
	};

	for (int o = 0; o < CTL_OPTIONS; o++)
		longs[o] = (struct option){options[o].name, options[o].value ? required_argument : no_argument, NULL, LONG + o};
	memcpy(longs + CTL_OPTIONS, common, sizeof(common));
}

/* Options may stand before the command and behind it. The command, or NULL: bad usage. */
static const struct command *parse(struct ctl_arguments *args, const char **settings, int argc, char **argv)
{
	const struct command *command;
	struct option longs[LONGS];
	unsigned given = 0;
	int c;

	fill_longs(longs);
	args->source.installed = CONFIG_FILE;
	args->source.options = settings;
	args->source.find = true;
	while ((c = getopt_long(argc, argv, "c:o:hn:", longs, NULL)) != -1) {
		if (c == 'c') {
			args->source.file = optarg;
		} else if (c == 'o' && args->source.count < SETTINGS_GIVEN_MAX) {
			settings[args->source.count++] = optarg;
		} else if (c == 'j') {
			args->json = true;
		} else if (c == 'n') {
			args->option[CTL_COUNT] = optarg;
			given |= TAKES(CTL_COUNT);
		} else if (c >= LONG) {
			args->option[c - LONG] = optarg ? optarg : "";
			given |= TAKES(c - LONG);
		} else if (c == 'h' || c == 'V') {
			return find_command(c == 'h' ? "help" : "version");
		} else {
			return NULL;
		}
	}
	if (optind == argc)
		return NULL;
	command = find_command(argv[optind]);
	if (!command) {
		fprintf(stderr, "janusctl: %s: no such command\n", argv[optind]);
		return NULL;
	}
	args->operand = (const char *const *)argv + optind + 1;
	args->operands = argc - optind - 1;
	if (args->operands < command->least || args->operands > command->most || given & ~command->takes)
		return NULL;
	return command;
}

int main(int argc, char **argv)
{
	static const char *settings[SETTINGS_GIVEN_MAX];
	struct ctl_arguments args = {0};
	const struct command *command;
	int rc;

	log_guard();
	command = parse(&args, settings, argc, argv);
	if (!command) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	rc = command->run(&args);
	if (fflush(stdout) != 0) {
		fprintf(stderr, "janusctl: %s\n", strerror(errno));
		return EXIT_REFUSED;
	}
	return rc;
}
