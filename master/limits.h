/*
 * What peers may make the server keep: figures that follow from settings, the machine and its descriptors; and whether memory laid out for
 * them can be mapped.
 */
#ifndef MASTER_LIMITS_H
#define MASTER_LIMITS_H

#include <stddef.h>

#include "shm/hub.h"
#include "shm/slot.h"

/* max_buffered; if that is 0, a quarter of the memory that there is beside the ring. */
uint64_t limits_buffered(const struct settings *settings);

/* max_subscriptions_total; if that is 0, 32 for each connection that descriptors allow, and a million at least. */
uint64_t limits_subscriptions(const struct settings *settings, uint32_t sessions_max);

/* What a slot segment has to have room for in this hub. */
struct slot_size limits_slot(const struct hub *hub, const struct settings *settings, uint32_t sessions_max);

/* Connections that a slot with so many descriptors has room for: some are not connections'. */
uint32_t limits_slot_connections(uint32_t descriptors);

/* Are descriptors enough for max_connections? 0, or -1 with error[size]: by how much they are too few, and what to do. */
int limits_connections(const struct settings *settings, uint32_t descriptors, char *error, size_t size);

/* Makes a hub and a slot with these settings, maps them as a worker does, and lets them go. 0, or -1 with error[size]: why not. */
int limits_try(const struct settings *settings, uint32_t sessions_max, char *error, size_t size);

#endif
