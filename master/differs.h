/*
 * What has changed while there was no master.
 */
#ifndef MASTER_DIFFERS_H
#define MASTER_DIFFERS_H

#include "master/master.h"

/* By a master that has taken keepers over. What is configured, or at hand, and not what they have, in words for the log; NULL: it is the same. */
const char *differs_what(struct master *m);

#endif
