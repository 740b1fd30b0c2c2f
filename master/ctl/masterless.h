/*
 * A server whose master has died: its keepers serve on, and wait for the next one. It is known by the runtime folder's locks, nobody is asked, and what there
 * is to know is read from the memory of its processes; that takes root, or the server's user.
 */
#ifndef MASTER_CTL_MASTERLESS_H
#define MASTER_CTL_MASTERLESS_H

#include <sys/types.h>

#include "shm/hub.h"

/* A process of the server in this runtime folder, if there is one that has no master; else 0. -1: there is, in another container. */
pid_t masterless_find(const char *runtime_dir);

/* The slots' segments, as masterless_find()'s process and its like have them: fds[INDEX_SLOTS_MAX]. How many, or -1 with errno. */
int masterless_slots(pid_t pid, int *fds);

/* Says on stderr that there is no master, since when, and what can be done. */
void masterless_complain(pid_t pid);

/* Has the server stop, waits until all its processes have ended, and removes its files in the runtime folder. 0, or -1 with errno: ETIMEDOUT, it has been told; EACCES, who asks may not. */
int masterless_stop(const char *runtime_dir, pid_t pid, unsigned wait_seconds);

#endif
