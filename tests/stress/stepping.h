/*
 * A child that runs a function one instruction at a time (ptrace), and can be left or killed after any of them.
 */
#ifndef STRESS_STEPPING_H
#define STRESS_STEPPING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define NO_PTRACE 77	/* exit status where ptrace is not permitted */

/* A child that stops before its first instruction of run(of). *done becomes 1 when it has returned; it is in memory that both have. */
pid_t stepping_start(void (*run)(void *of), void *of, _Atomic uint32_t *done);

/* One instruction. False when the child is done. */
bool stepping_step(pid_t pid, _Atomic uint32_t *done);

/* The program's own: counts what is wrong, and says the first of it. */
void world_fault(const char *where, const char *what);

/* Kills it. */
void stepping_stop(pid_t pid);

#endif
