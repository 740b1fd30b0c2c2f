/*
 * janusbench: the load client. The original's bots, re-made: subscribes many, publishes, checks every byte that comes, and says how
 * long it took and what it cost the server.
 *
 *   janusbench                       options, coordination (run.c), report
 *    |- subscriber 0, 1, ...         subscriber.c: up to 18,000 connections each; check.c. With --reconnect: reconnector.c, ledger.c
 *    |- publisher                    publisher.c, outlet.c
 *    `- churner, with --churn        churn.c
 *
 * The processes share struct bench_shm (bench_shm.h), made before they are forked. They die with the first.
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/bench/churn.h"
#include "tests/bench/crew.h"
#include "tests/bench/options.h"
#include "tests/bench/publisher.h"
#include "tests/bench/reconnector.h"
#include "tests/bench/report.h"
#include "tests/bench/results.h"
#include "tests/bench/run.h"
#include "tests/bench/subscriber.h"
#include "tests/bench/tlsc.h"

enum { EXIT_WELL = 0, EXIT_FAULTS = 1, EXIT_USAGE = 2, EXIT_CUT_SHORT = 3 };

static void raise_files(void)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int start_all(struct crew *crew)
{
	for (uint32_t i = 0; i < crew->opt->processes; i++)
		if (crew_start(crew, crew->opt->reconnect_s > 0 ? reconnector_run : subscriber_run))
			return -1;
	if (crew_start(crew, publisher_run))
		return -1;
	return crew->opt->churn > 0 ? crew_start(crew, churn_run) : 0;
}

static int work(const struct options *opt)
{
	struct crew *crew = crew_create(opt);
	struct results r;
	int status;

	if (!crew) {
		perror("janusbench");
		return EXIT_CUT_SHORT;
	}
	if (start_all(crew)) {
		perror("janusbench: starting its processes");
		crew_stop(crew);
		crew_destroy(crew);
		return EXIT_CUT_SHORT;
	}
	if (results_init(&r, opt, crew->shm)) {
		perror("janusbench");
		crew_stop(crew);
		crew_destroy(crew);
		return EXIT_CUT_SHORT;
	}
	run_all(crew, &r);
	if (opt->json)
		report_json(stdout, &r);
	else
		report_text(stdout, &r);
	fflush(stdout);
	report_faults(opt->json ? stderr : stdout, &r);
	status = r.interrupted ? EXIT_CUT_SHORT : r.fault_sum ? EXIT_FAULTS : EXIT_WELL;
	results_fini(&r);
	crew_destroy(crew);
	return status;
}

int main(int argc, char **argv)
{
	struct options opt;

	if (options_parse(&opt, argc, argv))
		return EXIT_USAGE;
	if (opt.help) {
		options_help();
		return EXIT_WELL;
	}
	if (options_tls(&opt) && tlsc_init(opt.ca))
		return EXIT_USAGE;
	raise_files();
	return work(&opt);
}
