/*
 * janus -t: would it start? All that is wrong, on stderr; or what is in force, on stdout.
 */
#ifndef MASTER_CHECK_H
#define MASTER_CHECK_H

#include "master/config.h"

/* Returns the exit status. */
int check_main(const struct config_source *source);

#endif
