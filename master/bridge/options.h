/*
 * What the settings say of NATS, as libnats wants it.
 */
#ifndef MASTER_BRIDGE_OPTIONS_H
#define MASTER_BRIDGE_OPTIONS_H

#include <nats/nats.h>

#include "shm/settings.h"

/* `secrets`: the memfd that the master has put the files' contents into (shm/secrets.h), -1: none. Good for many connections. NULL: something of it can't be used (logged). */
natsOptions *options_make(const struct settings *settings, int secrets, const char *node);

#endif
