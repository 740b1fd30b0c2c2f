/*
 * janusctl log LEVEL: how much the server logs.
 */
#include <stdio.h>

#include "master/ctl/ctl.h"

int ctl_log_level(const struct ctl_arguments *args)
{
	fprintf(stderr, "janusctl: log %s: the server's level can't be changed while it runs (setting log_level)\n", args->operand[0]);
	return EXIT_USAGE;
}
