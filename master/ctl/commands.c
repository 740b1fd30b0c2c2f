/*
 * Commands that are a question and its answer.
 */
#include <stdio.h>

#include "master/ctl/ctl.h"

int ctl_status(const struct ctl_arguments *args)
{
	static struct control_status status;
	int rc = ctl_ask(args, false, CONTROL_STATUS, &status, NULL);

	if (rc)
		return rc;
	if (!ctl_status_answered(&status) && status.pid)
		fprintf(stderr, "janusctl: status: what only it knows is left out: version, configuration, addresses\n");
	if (args->json)
		ctl_json_status(&status);
	else
		ctl_text_status(&status);
	return ctl_status_answered(&status) || status.pid ? EXIT_DONE : EXIT_NO_MASTER;
}

int ctl_stats(const struct ctl_arguments *args)
{
	struct hub hub;
	int rc = ctl_open_hub(args, &hub);

	if (rc)
		return rc;
	if (args->json)
		ctl_json_stats(&hub);
	else
		ctl_text_stats(&hub);
	hub_detach(&hub);
	return 0;
}

int ctl_version(const struct ctl_arguments *args)
{
	static struct control_status status;
	int rc = ctl_ask(args, true, CONTROL_STATUS, &status, NULL);
	bool known = rc == 0 && ctl_status_answered(&status);

	if (args->json)
		printf(known ? "{\"janusctl\":\"%s\",\"janus\":\"%s\"}\n" : "{\"janusctl\":\"%s\",\"janus\":null}\n",
		       JANUS_VERSION, status.version);
	else if (known)
		printf("janusctl %s\njanus %s (process %u)\n", JANUS_VERSION, status.version, status.pid);
	else if (status.pid)
		printf("janusctl %s\njanus, process %u, does not say\n", JANUS_VERSION, status.pid);
	else
		printf("janusctl %s\n", JANUS_VERSION);
	/* One that runs and does not answer was named on stderr. */
	return rc == EXIT_NO_SERVER || (status.pid && !ctl_status_answered(&status)) ? 0 : rc;
}
