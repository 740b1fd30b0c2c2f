/*
 * janusctl: asks a running Janus how it is, and has it read its configuration again.
 *
 * The server is found by its runtime folder, so janusctl takes the same -c and -o as the server.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/config.h"
#include "master/control_client.h"
#include "master/janusctl.h"
#include "shm/log.h"

#define WAIT_SECONDS 30		/* for a reply */
#define HUB_SECONDS 3		/* for the hub segment, which can also be had without a reply */
#define OPTIONS_MAX 256
#define TOP 100			/* topics shown */
#define TOP_MAX 1000000

enum { EXIT_REFUSED = 1, EXIT_USAGE, EXIT_NO_SERVER };

struct arguments {
	struct config_source source;
	const char *options[OPTIONS_MAX];
	bool json;
	unsigned top;			/* 0: not given */
	const char *operand;		/* what follows the command, NULL: nothing */
	const struct command *command;
};

struct command {
	const char *name;
	int (*run)(const struct arguments *args);	/* returns the exit status */
	const char *text;
	bool lists;					/* takes a prefix and --top */
};

static int run_status(const struct arguments *args);
static int run_stats(const struct arguments *args);
static int run_topics(const struct arguments *args);
static int run_reload(const struct arguments *args);
static int run_version(const struct arguments *args);
static int run_help(const struct arguments *args);

static const struct command commands[] = {
	{"status", run_status, "the server, its addresses, its workers", false},
	{"stats", run_stats, "what it counted", false},
	{"topics", run_topics, "topics with the most subscribers; `topics PREFIX`: of those that begin so", true},
	{"reload", run_reload, "have it read its configuration again", false},
	{"version", run_version, "versions of janusctl and of the server, if one runs", false},
	{"help", run_help, "this text", false},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *to)
{
	fprintf(to, "usage: janusctl [-c FILE] [-o KEY=VALUE]... [--json] COMMAND\n"
		    "       janusctl [-c FILE] [-o KEY=VALUE]... [--json] topics [--top N] [PREFIX]\n\n");
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(to, "  %-8s  %s\n", commands[i].name, commands[i].text);
	fprintf(to, "\n"
		    "  -c FILE        the server's configuration file\n"
		    "  -o KEY=VALUE   a setting, as given to the server; runtime_dir is what finds it\n"
		    "  --json         write JSON\n"
		    "  --top N        with topics: so many, %d if it is not there\n\n"
		    "Exit status: 0 done; 1 refused, or an error; 2 bad usage; 3 no server there.\n", TOP);
}

/* ---- asking ---- */

/* Connects to the server that the arguments mean. 0 and *fd, or the exit status. `quiet`: no server is nothing to complain about. */
static int connect_server(const struct arguments *args, bool quiet, int *fd)
{
	static struct config config;
	char error[CONFIG_ERROR_MAX];

	if (config_read(&config, &args->source, error) < 0) {
		fprintf(stderr, "janusctl: %s\n", error);
		return EXIT_REFUSED;
	}
	*fd = control_client_open(config.settings.runtime_dir);
	if (*fd >= 0)
		return 0;
	if (errno == ENOENT || errno == ECONNREFUSED) {
		if (!quiet)
			fprintf(stderr, "janusctl: no janus runs in %s (give janusctl the server's -c and -o)\n",
				config.settings.runtime_dir);
		return EXIT_NO_SERVER;
	}
	fprintf(stderr, "janusctl: %s/control: %s\n", config.settings.runtime_dir, strerror(errno));
	return EXIT_REFUSED;
}

/* One request and its reply. 0, or the exit status. The hub segment of a master that does not answer, as it is stopped, is found without it. */
static int ask(const struct arguments *args, bool quiet, enum control_command command, struct control_status *status, int *passed)
{
	struct control_reply reply;
	int fd, rc = connect_server(args, quiet, &fd);

	if (rc)
		return rc;
	if (control_client_call(fd, command, passed ? HUB_SECONDS : WAIT_SECONDS, &reply, status, passed) < 0) {
		if (errno == ETIMEDOUT && passed && (*passed = control_client_find_hub(fd)) >= 0) {
			close(fd);
			return 0;
		}
		fprintf(stderr, "janusctl: %s: %s\n", control_command_name(command),
			errno == ECONNRESET	   ? "the server ended before it answered"
			: errno == EPROTONOSUPPORT ? "the server speaks another version of the control protocol"
						   : strerror(errno));
		rc = EXIT_REFUSED;
	} else if (!reply.ok) {
		fprintf(stderr, "janusctl: %s: %s\n", control_command_name(command), reply.error);
		rc = EXIT_REFUSED;
	}
	close(fd);
	return rc;
}

static int run_status(const struct arguments *args)
{
	static struct control_status status;
	int rc = ask(args, false, CONTROL_STATUS, &status, NULL);

	if (rc)
		return rc;
	if (args->json)
		janusctl_json_status(&status);
	else
		janusctl_text_status(&status);
	return 0;
}

/* Maps the hub segment. 0, or the exit status. */
static int open_hub(const struct arguments *args, struct hub *hub)
{
	int fd, rc = ask(args, false, CONTROL_HUB, NULL, &fd);

	if (rc)
		return rc;
	if (fd < 0) {
		fprintf(stderr, "janusctl: the server's answer came without the hub segment\n");
		return EXIT_REFUSED;
	}
	rc = hub_attach(hub, fd, false);
	close(fd);
	if (rc < 0) {
		fprintf(stderr, "janusctl: cannot read the hub segment: %s\n",
			errno == EPROTO ? "it is another version's; use the server's own janusctl" : strerror(errno));
		return EXIT_REFUSED;
	}
	return 0;
}

static int run_stats(const struct arguments *args)
{
	struct hub hub;
	int rc = open_hub(args, &hub);

	if (rc)
		return rc;
	if (args->json)
		janusctl_json_stats(&hub);
	else
		janusctl_text_stats(&hub);
	hub_detach(&hub);
	return 0;
}

static int run_topics(const struct arguments *args)
{
	struct hub hub;
	int rc = open_hub(args, &hub);

	if (rc)
		return rc;
	if (janusctl_topics(&hub, args->operand ? args->operand : "", args->top ? args->top : TOP, args->json) < 0) {
		fprintf(stderr, "janusctl: topics: %s\n", strerror(errno));
		rc = EXIT_REFUSED;
	}
	hub_detach(&hub);
	return rc;
}

static int run_reload(const struct arguments *args)
{
	int rc = ask(args, false, CONTROL_RELOAD, NULL, NULL);

	if (rc == 0)
		printf(args->json ? "{\"ok\":true}\n" : "reloaded\n");
	return rc;
}

static int run_version(const struct arguments *args)
{
	static struct control_status status;
	int rc = ask(args, true, CONTROL_STATUS, &status, NULL);
	bool there = rc == 0;

	if (args->json)
		printf(there ? "{\"janusctl\":\"%s\",\"janus\":\"%s\"}\n" : "{\"janusctl\":\"%s\",\"janus\":null}\n",
		       JANUS_VERSION, status.version);
	else if (there)
		printf("janusctl %s\njanus %s (process %u)\n", JANUS_VERSION, status.version, status.pid);
	else
		printf("janusctl %s\n", JANUS_VERSION);
	return rc == EXIT_NO_SERVER ? 0 : rc;
}

static int run_help(const struct arguments *args)
{
	(void)args;
	print_usage(stdout);
	return 0;
}

/* ---- the command line ---- */

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static int read_top(const char *text, unsigned *top)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || n < 1 || n > TOP_MAX) {
		fprintf(stderr, "janusctl: --top is a number of topics, 1 to %d\n", TOP_MAX);
		return -1;
	}
	*top = (unsigned)n;
	return 0;
}

static int parse(struct arguments *args, int argc, char **argv)
{
	static const struct option longs[] = {
		{"json", no_argument, NULL, 'j'},
		{"top", required_argument, NULL, 't'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	int c;

	args->source.options = args->options;
	args->source.find = true;
	while ((c = getopt_long(argc, argv, "c:o:h", longs, NULL)) != -1) {
		if (c == 'c') {
			args->source.file = optarg;
		} else if (c == 'o' && args->source.count < OPTIONS_MAX) {
			args->options[args->source.count++] = optarg;
		} else if (c == 'j') {
			args->json = true;
		} else if (c == 't') {
			if (read_top(optarg, &args->top) < 0)
				return -1;
		} else if (c == 'h' || c == 'V') {
			args->command = find_command(c == 'h' ? "help" : "version");
			return 0;
		} else {
			return -1;
		}
	}
	if (optind == argc)
		return -1;
	args->command = find_command(argv[optind]);
	if (!args->command) {
		fprintf(stderr, "janusctl: %s: no such command\n", argv[optind]);
		return -1;
	}
	args->operand = argv[optind + 1];	/* (NULL stands behind the last) */
	if (argc - optind > (args->command->lists ? 2 : 1) || (args->top && !args->command->lists))
		return -1;
	return 0;
}

int main(int argc, char **argv)
{
	struct arguments args = {0};
	int rc;

	log_guard();
	if (parse(&args, argc, argv) < 0) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	rc = args.command->run(&args);
	if (fflush(stdout) != 0) {
		fprintf(stderr, "janusctl: %s\n", strerror(errno));
		return EXIT_REFUSED;
	}
	return rc;
}
