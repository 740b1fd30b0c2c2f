/*
 * Named points at which a process can be made to die: what a crash there leaves, and what its successor does, is in ARCHITECTURE.md, and
 * each has a test. In builds without JANUS_CRASH_POINTS they are nothing.
 *
 * In a test build, a process that comes to point `name` and finds a file of that name in the folder $JANUS_CRASH_DIR removes it and
 * dies by SIGKILL: one file, one death.
 */
#ifndef SHM_CRASH_H
#define SHM_CRASH_H

#ifdef JANUS_CRASH_POINTS
void crash_point(const char *name);
#define CRASH_POINT(name) crash_point(name)
#else
#define CRASH_POINT(name) ((void)0)
#endif

#endif
