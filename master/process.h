/*
 * Other processes, by their ids.
 */
#ifndef MASTER_PROCESS_H
#define MASTER_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shm/ended.h"
#include "shm/hub.h"

/* Whether it runs as this user (or runs at all). What stands in the hub as a process's number may be any number. */
bool process_runs_as(uint32_t pid, uid_t user);

/* Whether all keepers, spares and workers have, as far as the hub knows of them. */
bool process_slots_ended(const struct hub *hub);

/*
 * Ends at once (SIGKILL) what a dead master has left, whose number stands in the hub, if it is this user's and called so (`comm`), and waits until it has ended, a second at most. Logged.
 */
void process_end_orphan(uint32_t pid, uid_t user, const char *name);

/* A child of this process, living or not. */
bool process_is_child(uint32_t pid);

/* A pidfd, close-on-exec; -1 with errno. And whether that process has ended. */
int process_open(uint32_t pid);
bool process_is_over(int pidfd);

/* Sends a signal: by the pidfd if there is one (-1: none), which can't be another process's. */
void process_signal(uint32_t pid, int pidfd, int sig);

#endif
