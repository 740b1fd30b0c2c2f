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
	if (args->json)
		ctl_json_status(&status);
	else
		ctl_text_status(&status);
	return 0;
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
