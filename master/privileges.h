/*
 * Who a process runs as, and how many descriptors it may have.
 */
#ifndef MASTER_PRIVILEGES_H
#define MASTER_PRIVILEGES_H

#include <stdint.h>
#include <sys/types.h>

/* Becomes `user` and its groups, for good. Nothing is done for "" or when not root. 0, or -1 (logged). */
int privileges_drop(const char *user);

/*
 * Whom the kernel kills first when memory is short: a worker, whose death costs nobody his connection, before its keeper, whose death costs those of
 * the slot, before the master. `more` is added to what the master was given (OOMScoreAdjust=); that takes no privilege. A process that
 * can't set it goes on.
 */
enum { OOM_KEEPER = 100, OOM_WORKER = 300 };
void privileges_oom(pid_t master, int more);

#define DESCRIPTORS_MAX (1u << 20)	/* that a slot makes use of */

/* Raises RLIMIT_NOFILE to the hard limit. Returns the descriptors that a slot may have then. */
uint32_t privileges_raise_descriptors(void);

#endif
