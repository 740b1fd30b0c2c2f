/*
 * Other processes, by their ids.
 */
#ifndef MASTER_PROCESS_H
#define MASTER_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

/* No process any more, or a dead one that waits to be reaped. */
bool process_ended(uint32_t pid);

#endif
