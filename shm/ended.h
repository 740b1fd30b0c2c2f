/*
 * Whether another process has ended.
 */
#ifndef SHM_ENDED_H
#define SHM_ENDED_H

#include <stdbool.h>
#include <stdint.h>

/* No process any more (0: there was none), or a dead one that waits to be reaped. Of any user's, whoever may see whom in /proc; in this process id namespace. */
bool process_ended(uint32_t pid);

#endif
