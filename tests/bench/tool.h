/*
 * What the programs that measure one thing alone share (bench-resume, bench-handshakes). Whatever goes wrong ends the program, with status 1.
 */
#ifndef BENCH_TOOL_H
#define BENCH_TOOL_H

#include <stdint.h>

_Noreturn void die(const char *what, const char *why);
/* An option's value, 1 to `max`. */
uint32_t number(const char *name, const char *text, uint32_t max);

/* Nanoseconds of CPU: of the server, with all its processes; of this program. */
uint64_t server_cpu(uint32_t server_pid);
uint64_t own_cpu(void);

#endif
