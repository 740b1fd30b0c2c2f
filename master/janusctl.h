/*
 * The parts of janusctl: janusctl.c parses, asks, and chooses who writes what came back to stdout.
 */
#ifndef MASTER_JANUSCTL_H
#define MASTER_JANUSCTL_H

#include <stdbool.h>

#include "proto/control.h"
#include "shm/hub.h"

void janusctl_text_status(const struct control_status *status);
void janusctl_json_status(const struct control_status *status);

void janusctl_text_stats(const struct hub *hub);
void janusctl_json_stats(const struct hub *hub);

/* The `top` topics that begin with the prefix and have the most subscribers. 0, or -1 with ENOMEM. */
int janusctl_topics(const struct hub *hub, const char *prefix, unsigned top, bool json);

/* ---- janusctl_stats.c: what text and JSON show of the hub ---- */

/* Whether there is anything to say about the slot. */
bool janusctl_stats_used(const struct hub *hub, unsigned slot);
uint64_t janusctl_stats_count(const struct hub *hub, unsigned slot, enum counter counter);
uint64_t janusctl_stats_total(const struct hub *hub, enum counter counter);
const char *janusctl_stats_state(const struct hub *hub, unsigned slot);

#endif
