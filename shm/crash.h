/*
 * Named points at which a process can be made to die: what a crash there leaves, and what its successor does, is in ARCHITECTURE.md, and
 * each has a test. In builds without JANUS_CRASH_POINTS they are nothing.
 *
 * In a test build, a process that comes to point `name` and finds a file of that name in the folder $JANUS_CRASH_DIR removes it and
 * dies by SIGKILL: one file, one death. If the file's name is `name`.stop, it stops there (SIGSTOP) instead. If the file holds a number n (in
 * decimal, without leading zeros), the point is passed n - 1 times, by whichever process, before one dies there. At a FAIL_POINT() nobody dies:
 * it is true, and what stands there fails. With CRASH_ALWAYS() the file stays, and every process that comes by aborts.
 *
 * There are also words in what clients send that bring down the worker that looks at them: in input `@hang` (it loops for ever), `@crash`
 * (SIGABRT) and `@kill` (SIGKILL, as the kernel does it when memory is short); in a record that is to be encoded, `@encode-crash`.
 */
#ifndef SHM_CRASH_H
#define SHM_CRASH_H

#include <stdbool.h>
#include <stddef.h>

#ifdef JANUS_CRASH_POINTS
void crash_point(const char *name);	/* errno stays as it is */
bool crash_fail(const char *name);
void crash_always(const char *name);
void crash_on_input(const void *bytes, size_t len);
void crash_on_record(const void *bytes, size_t len);
#define CRASH_POINT(name) crash_point(name)
#define FAIL_POINT(name) crash_fail(name)
#define CRASH_ALWAYS(name) crash_always(name)
#define CRASH_ON_INPUT(bytes, len) crash_on_input(bytes, len)
#define CRASH_ON_RECORD(bytes, len) crash_on_record(bytes, len)
#else
#define CRASH_POINT(name) ((void)0)
#define FAIL_POINT(name) false
#define CRASH_ALWAYS(name) ((void)0)
#define CRASH_ON_INPUT(bytes, len) ((void)0)
#define CRASH_ON_RECORD(bytes, len) ((void)0)
#endif

#endif
