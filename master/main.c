/*
 * janus: command line.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/check.h"
#include "master/data_process.h"
#include "master/keeper.h"
#include "master/master.h"
#include "master/probe.h"
#include "shm/crypto_memory.h"
#include "shm/log.h"

static const char usage[] =
	"usage: janus [-c FILE] [-o key=value]... [-t] [-V]\n"
	"  -c FILE       configuration file (INI); without it " CONFIG_FILE ", if it is there\n"
	"  -o key=value  a setting; wins over the file. `-o listen=` replaces the file's addresses\n"
	"  -t            check the configuration: say all that is wrong, or print what is in force\n"
	"  -V            version\n"
	"Runs in the foreground and logs to stderr. SIGTERM stops, SIGHUP reloads.\n";

struct arguments {
	struct config_source source;
	int handover, probe, revived;
	int test;
};

/* Exits on what ends the program at once. */
static void parse(int argc, char **argv, struct arguments *a)
{
	static const struct option longs[] = {
		{ "heritage", required_argument, NULL, 1 },	/* from a predecessor */
		{ "probe", required_argument, NULL, 2 },	/* can we follow it? */
		{ "revived", required_argument, NULL, 3 },	/* from a keeper: the last master has died */
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	const char **options = calloc((size_t)argc, sizeof(*options));
	int c;

	*a = (struct arguments){ .handover = -1, .probe = -1, .revived = -1, .source = { .installed = CONFIG_FILE, .options = options } };
	while ((c = getopt_long(argc, argv, "c:o:tVh", longs, NULL)) != -1) {
		switch (c) {
		case 1:
			a->handover = atoi(optarg);
			break;
		case 2:
			a->probe = atoi(optarg);
			break;
		case 3:
			a->revived = atoi(optarg);
			break;
		case 'c':
			a->source.file = optarg;
			break;
		case 'o':
			options[a->source.count++] = optarg;
			break;
		case 't':
			a->test = 1;
			break;
		case 'V':
			puts("janus " JANUS_VERSION);
			exit(0);
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "janus: unexpected argument '%s'\n%s", argv[optind], usage);
		exit(2);
	}
}

/* Leaves the arguments as they were typed. A predecessor, or a keeper, puts an option ahead of them, which is not to be passed to the next program. */
static void drop_handover(char **argv)
{
	if (argv[1] && (strncmp(argv[1], "--heritage=", 11) == 0 || strncmp(argv[1], "--probe=", 8) == 0 || strncmp(argv[1], "--revived=", 10) == 0))
		for (char **p = argv + 1; *p; p++)
			*p = p[1];
}

int main(int argc, char **argv)
{
	static struct arguments a;

	log_guard();
	crypto_memory_wiped();
	if (argc == 2 && strcmp(argv[0], KEEPER_NAME) == 0 && strncmp(argv[1], "--heritage=", 11) == 0)
		_exit(keeper_main(atoi(argv[1] + 11)));	/* not exit(): there a sanitizer looks for leaks, with a child that somebody may kill */
	if (argc == 2 && strcmp(argv[0], DATA_NAME) == 0 && strncmp(argv[1], "--heritage=", 11) == 0)
		return data_process_main(atoi(argv[1] + 11));
	parse(argc, argv, &a);
	drop_handover(argv);
	if (a.test)
		return check_main(&a.source);
	if (a.probe >= 0)
		return probe_main(&a.source, a.probe);
	return master_main(&a.source, argv, a.handover, a.revived);
}
