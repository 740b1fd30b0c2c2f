/*
 * How much memory there is for this process: the machine's, or less if it is in a control group that has a limit.
 */
#ifndef SHM_MEMORY_H
#define SHM_MEMORY_H

#include <stdint.h>

/* Bytes. */
uint64_t memory_there_is(void);

/* The least limit of the control groups (v1 and v2) in a /proc/PID/cgroup, whose hierarchies are mounted below `mount`; UINT64_MAX: none.
 * (A function of its own for its test's sake.) */
uint64_t memory_of_groups(const char *file, const char *mount);

#endif
