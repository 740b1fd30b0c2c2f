/*
 * Who a process runs as, and how many descriptors it may have.
 */
#ifndef MASTER_PRIVILEGES_H
#define MASTER_PRIVILEGES_H

#include <stdint.h>

/* Becomes `user` and its groups, for good. Nothing is done for "" or when not root. 0, or -1 (logged). */
int privileges_drop(const char *user);

/* Raises RLIMIT_NOFILE to the hard limit. Returns it. */
uint64_t privileges_raise_descriptors(void);

#endif
